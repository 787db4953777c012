"""What the tests of the command line share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import genai_app

ROOT = Path(genai_app.__file__).parent.parent
SECRET = "0123456789abcdef0123456789ABCDEF"


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Genai = Callable[..., Result]


def environment(url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "GENAI_DATABASE_URL": url,
        "GENAI_SECRET_KEY": SECRET,
        "GENAI_LOCALE": "en",
    }
