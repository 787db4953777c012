"""Names of files, as users gave them: for showing only, never a path."""

import mimetypes
import re
from pathlib import PurePosixPath

from genai_app.text import clean_text, is_invisible

MAX_NAME = 300
MAX_ENDING = 12
UNKNOWN = "application/octet-stream"
_ENDING = re.compile(rf"\.[A-Za-z0-9]{{1,{MAX_ENDING}}}")


def shown_name(name: str) -> str:
    """Returns the last part of a path, on one line, without characters that nobody sees or that
    turn the direction of text. A long one is cut before its ending."""
    visible = "".join(" " if is_invisible(each) else each for each in clean_text(name))
    name = " ".join(visible.replace("\\", "/").rstrip("/ ").rpartition("/")[2].split()) or "file"
    if len(name) <= MAX_NAME:
        return name
    ending = ending_of(name)
    return name[: MAX_NAME - len(ending) - 1] + "…" + ending


def ending_of(name: str) -> str:
    """Returns `.pdf` of `Договор.pdf`; "" for a name without such an ending."""
    suffix = PurePosixPath(name).suffix
    return suffix.lower() if _ENDING.fullmatch(suffix) else ""


def media_type_of(name: str) -> str:
    """Returns what a name lets expect, until the file is read."""
    return mimetypes.guess_type(f"file{ending_of(name)}")[0] or UNKNOWN
