"""Errors of a file that cannot be read."""

from typing import ClassVar

from genai_app.errors import InvalidInput

# the names that the API promises; `error.<code>` is the sentence of each
CODES = frozenset(
    {
        *("file_encrypted", "file_empty", "file_no_text", "file_too_large"),
        *("file_unsupported", "file_damaged", "file_bomb"),
    }
)


class UnreadableFile(InvalidInput):
    """A file that was not read. `code`: one of CODES."""

    default_code: ClassVar[str] = "file_damaged"
