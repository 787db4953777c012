"""Hosts whose clock is wrong: libfaketime below a process. Its steady clock goes on rightly."""

from collections.abc import Sequence
from pathlib import Path

ROOTS = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


def wrong_clock(offset_s: float) -> Sequence[str]:
    """Returns what runs a command with a clock so far ahead, for AppProcess(within=)."""
    found = [each for root in ROOTS for each in Path(root).glob("**/faketime/libfaketime.so.1")]
    if not found:
        raise RuntimeError("libfaketime is not installed (tests/install_services.sh)")
    variables = {
        "LD_PRELOAD": found[0],
        "FAKETIME": f"{offset_s:+.3f}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        "NO_FAKE_STAT": 1,
    }
    return ["env", *(f"{name}={value}" for name, value in variables.items())]
