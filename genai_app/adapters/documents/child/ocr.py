"""Reads text from pictures with Tesseract, where it is installed with Russian."""

import ctypes
import glob
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

_PROGRAM_FOLDERS = "/usr/bin:/usr/local/bin"
_RUSSIAN = (
    "/usr/share/tesseract-ocr/*/tessdata/rus.traineddata",
    "/usr/share/tessdata/rus.traineddata",
    "/usr/share/tesseract/tessdata/rus.traineddata",
    "/usr/local/share/tessdata/rus.traineddata",
)
_MAX_OUTPUT = 1 << 20  # bytes
_PAGE_S = 20.0


@cache
def find_tesseract() -> str | None:
    """Returns the path of Tesseract; None if it or its Russian is not installed."""
    if not any(glob.glob(pattern) for pattern in _RUSSIAN):
        return None
    return shutil.which("tesseract", path=_PROGRAM_FOLDERS)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


class Recogniser:
    """Reads pictures until its time is over."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    @property
    def has_time(self) -> bool:
        """Returns whether another picture can be read."""
        return find_tesseract() is not None and self._until - time.monotonic() > 1

    def text_of(self, picture: Path) -> str | None:
        """Returns the text in a picture; None if there was no time for it or Tesseract failed."""
        program = find_tesseract()
        left = self._until - time.monotonic()
        if program is None or left < 1:
            return None
        output = picture.with_suffix("")
        languages = "rus+eng" if _has_english() else "rus"
        try:
            # preexec_fn is safe here: this process has one thread
            done = subprocess.run(  # noqa: S603 - a fixed program; the name is our own
                [program, str(picture), str(output), "-l", languages, "--dpi", "150"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=min(left, _PAGE_S),
                preexec_fn=_die_with_parent,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        written = output.with_suffix(".txt")
        if done.returncode != 0 or not written.exists():
            return None
        with written.open("rb") as file:
            text = file.read(_MAX_OUTPUT).decode("utf-8", "replace")
        os.unlink(written)
        return text.strip()


@cache
def _has_english() -> bool:
    return any(glob.glob(pattern.replace("rus.", "eng.")) for pattern in _RUSSIAN)
