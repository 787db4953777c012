"""N1 to N7 while processes, Redis and PostgreSQL break under people who ask; `make chaos` is the
long form."""

import subprocess
import sys

import pytest

from genai_app.server.build import ROOT

pytestmark = pytest.mark.fault


def test_a_short_storm() -> None:
    """With the clock of one process 5 minutes behind and that of the other 5 minutes ahead. In a
    process of its own, as `make chaos`: whoever asks is cut off everywhere, and what is left of a
    client then would be counted against another test."""
    command = [sys.executable, "-m", "tests.storm", "--people=9", "--seconds=20", "--seed=20"]
    command.append("--clock-skew=300")
    storm = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert storm.returncode == 0, storm.stdout + storm.stderr
