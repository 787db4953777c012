"""Text from outside, made such that every store, frame and file can hold it."""

import re
import unicodedata

LIKE_ESCAPE = "\\"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """`text` with what no database stores made visible: NUL and lone surrogates become U+FFFD.

    Surrogate pairs that arrived as two escapes are joined first, so that no character is lost.
    """
    if not _UNSTORABLE.search(text):
        return text
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return joined.replace("\x00", "\ufffd")


def is_invisible(character: str) -> bool:
    """Controls, zero width, direction marks, line separators, surrogates: in a name they make two
    look alike."""
    category = unicodedata.category(character)
    return category[0] == "C" or category in ("Zl", "Zp")


def like_literal(text: str) -> str:
    """`text` for a LIKE pattern with LIKE_ESCAPE, in which it stands for itself alone."""
    for special in (LIKE_ESCAPE, "%", "_"):
        text = text.replace(special, LIKE_ESCAPE + special)
    return text
