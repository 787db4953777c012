"""Text from outside, made such that every store, frame and file can hold it."""

import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """`text` with what no database stores made visible: NUL and lone surrogates become U+FFFD.

    Surrogate pairs that arrived as two escapes are joined first, so that no character is lost.
    """
    if not _UNSTORABLE.search(text):
        return text
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return joined.replace("\x00", "\ufffd")
