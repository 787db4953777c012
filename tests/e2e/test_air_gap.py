"""The product and a browser where there is no network at all."""

import subprocess
import sys
from pathlib import Path

from tests.fakes.app_process import ROOT
from tests.fakes.no_network import isolated

TIMEOUT_S = 400
WALK = "tests/e2e/every_page.py"


def test_the_whole_product_needs_no_network(tmp_path: Path) -> None:
    """Every page in both languages, in a namespace that has loopback and no route: all is
    whole, nothing foreign is asked for, and no process in there tried to reach anything else."""
    walk = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", WALK]
    walk += ["--basetemp", str(tmp_path / "walk")]
    command = ["setpriv", "--pdeathsig", "KILL", "--", *isolated(walk)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    assert "4 passed" in done.stdout
