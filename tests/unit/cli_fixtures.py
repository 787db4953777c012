"""Runs `genai` as a function. A test module takes it with
`pytest_plugins = ("tests.unit.cli_fixtures",)`.
"""

import io
import sys
from pathlib import Path

import pytest

from genai_app.cli import main as cli
from tests.unit.cli_run import Genai, Result, environment


@pytest.fixture
def genai(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clean_logging: None,
) -> Genai:
    """Runs one command in this process on a migrated database, `typed` on its standard input."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment(database_url).items():
        monkeypatch.setenv(name, value)

    def run(*command: str, typed: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = cli.main(command)
        shown = capsys.readouterr()
        return Result(code, shown.out, shown.err)

    return run
