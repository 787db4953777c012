"""Cleans text from outside, so that databases, frames and files can store it."""

import re
import unicodedata

LIKE_ESCAPE = "\\"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Returns `text` with U+FFFD instead of characters that no database stores: NUL and lone
    surrogates.

    Surrogate pairs that were sent as two escapes are joined first, so that no character is lost.
    """
    if not _UNSTORABLE.search(text):
        return text
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return joined.replace("\x00", "\ufffd")


def is_invisible(character: str) -> bool:
    """Returns whether a character is invisible: controls, zero width characters, direction marks,
    line separators, surrogates. With them two different names can look the same."""
    category = unicodedata.category(character)
    return category[0] == "C" or category in ("Zl", "Zp")


def like_literal(text: str) -> str:
    """Returns `text` escaped for a LIKE pattern with LIKE_ESCAPE."""
    for special in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(special, LIKE_ESCAPE + special)
    return text
