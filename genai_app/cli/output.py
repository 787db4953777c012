"""Exit codes of the commands, and their lines on standard output and standard error."""

import sys

DONE, FAILED, MISUSED = 0, 1, 2
MARKS = {"ok": "ok", "warning": "warn", "failed": "FAIL", "skipped": "skip"}  # by CheckOutcome


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def one_line(text: str) -> str:
    """Replaces control characters of a server's text, which could move the cursor."""
    return "".join(each if each.isprintable() else " " for each in text)


def replace_unprintable() -> None:
    """Prints "?" for letters that the terminal's encoding lacks, instead of raising an error."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(errors="replace")
