"""Names of downloaded files, made from users' texts: safe in a header and in a file system."""

import re
from urllib.parse import quote

from genai_app.text import is_invisible

MAX_NAME_BYTES = 180  # file systems allow 255, and browsers append a number
# separators of paths, and other characters that Windows refuses
UNSAFE = re.compile(r'[\\/:*?"<>|]+')
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def file_name(title: str, ending: str) -> str:
    """Returns `title` as the name of a file, without path separators, control characters, direction
    marks or a leading dot."""
    visible = "".join(" " if is_invisible(each) else each for each in title)
    name = " ".join(UNSAFE.sub(" ", visible).split()).strip(". ")
    name = name.encode()[: MAX_NAME_BYTES - len(ending)].decode("utf-8", "ignore").strip(". ")
    if not name or RESERVED.match(name):
        name = f"export {name}".strip()
    return f"{name}.{ending}"


def disposition(name: str) -> str:
    """Returns the Content-Disposition of a download (RFC 6266): the name in UTF-8, and in ASCII for
    old clients."""
    plain = re.sub(r"[^A-Za-z0-9._ -]+", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
