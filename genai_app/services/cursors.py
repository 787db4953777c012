"""Where a page of a list ended: a moment and an id, as one word that clients hand back."""

import base64
import binascii
import uuid
from datetime import UTC, datetime

from genai_app.errors import InvalidInput


def make_cursor(moment: datetime, key: uuid.UUID) -> str:
    """Made of letters that need no quoting in an address."""
    return base64.urlsafe_b64encode(f"{moment.isoformat()}/{key}".encode()).decode().rstrip("=")


def parse_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    """Raises InvalidInput: not one that was given out."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        moment, _, key = text.partition("/")
        given = datetime.fromisoformat(moment)
        if given.tzinfo is None:
            raise ValueError("of no time zone")
        return given.astimezone(UTC), uuid.UUID(key)
    except (ValueError, OverflowError, binascii.Error):
        raise InvalidInput(code="bad_cursor") from None
