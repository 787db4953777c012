"""Cursors: where a page of a list ended, sealed for one list, its filters and one user.

A cursor is encrypted and authenticated (AES-GCM): a client reads nothing in it, and one that was
changed, made up, or given out for another list, other filters or another user is refused. Every
list that has pages makes and reads its cursors here.
"""

import base64
import binascii
import json
import os
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from genai_app.access import Actor
from genai_app.errors import BadCursor
from genai_app.services.derived_keys import derive_key

MAX_CURSOR_CHARS = 4096
NONCE_BYTES = 12

Position = datetime | uuid.UUID | int | str


class Cursors:
    """Makes the cursors of every list.

    Args:
        secret: settings.secret; with another one every cursor is refused.
    """

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(derive_key(secret, "cursors"))

    def of(self, list_name: str, actor: Actor, /, **filters: object) -> "ListCursors":
        """Returns the cursors of one list, narrowed by `filters`, for one user. A filter may be of
        any kind that `str` tells apart."""
        bound = json.dumps([list_name, str(actor.user_id), filters], sort_keys=True, default=str)
        return ListCursors(self._cipher, bound.encode("utf-8", "surrogatepass"))


class ListCursors:
    """Makes and reads cursors of one list, one set of filters and one user."""

    def __init__(self, cipher: AESGCM, bound: bytes) -> None:
        self._cipher = cipher
        self._bound = bound

    def make(self, *position: Position) -> str:
        """A cursor of letters that need no quoting in an address."""
        values = [each.isoformat() if isinstance(each, datetime) else each for each in position]
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, json.dumps(values, default=str).encode(), self._bound)
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def read(self, cursor: str, *kinds: type[Any]) -> tuple[Any, ...]:
        """The position that `make` took, of these types. Raises BadCursor."""
        try:
            if len(cursor) > MAX_CURSOR_CHARS:
                raise BadCursor
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            sealed = base64.b64decode(padded, altchars=b"-_", validate=True)
            nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            values = json.loads(self._cipher.decrypt(nonce, text, self._bound))
        except (InvalidTag, ValueError, binascii.Error):
            raise BadCursor from None
        return tuple(_READERS[kind](value) for kind, value in zip(kinds, values, strict=True))


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC)


_READERS: dict[type[Any], Callable[[Any], Any]] = {
    datetime: _moment,
    uuid.UUID: uuid.UUID,
    int: int,
    str: str,
}
