"""What the build of the pages may ask and use of the machine it runs on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genai_app.server import build

ASK = """
from reflex.utils import js_runtimes, registry
registry._get_best_registry = lambda: 1 / 0
print(registry.get_npm_registry(), js_runtimes.is_outdated_nodejs_installed())
"""


@pytest.mark.parametrize("mirror", ["", "https://npm.corp.example"])
def test_no_mirror_is_measured_and_no_node_is_needed(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reflex itself, beside an old Node, asks the registry that is set, and warns of nothing."""
    old, tools = tmp_path / "old", tmp_path / "tools"
    old.mkdir()
    tools.mkdir()
    (old / "node").write_text("#!/bin/sh\necho v20.20.2\n")
    (old / "node").chmod(0o755)
    monkeypatch.setenv("PATH", f"{old}:{os.environ['PATH']}")
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", mirror)
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=build.environment(tools),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [mirror or build.REGISTRY, "False"], done.stderr
    assert "out of date" not in done.stdout + done.stderr
