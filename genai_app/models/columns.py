"""Kinds of columns, and ids: UUIDv7 are ordered by time, so an index on the id pages and sorts."""

import os
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from genai_app import clock

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_last_id = 0
_id_lock = threading.Lock()


def new_id(after: uuid.UUID | None = None) -> uuid.UUID:
    """Returns a UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then a count that never goes back
    in this process, whatever the clock does. Greater than `after`, which another may have made."""
    global _last_id
    with _id_lock:
        # 12 bits of fraction (RFC 9562 method 3): 244 ns steps, then the next free number
        micros = (clock.now() - _EPOCH) // _MICROSECOND
        millis, rest = divmod(micros, 1000)
        stamp = (millis << 12) | (rest * 4096 // 1000)
        least = _stamp(after) + 1 if after is not None and after.version == 7 else 0
        _last_id = stamp = max(stamp, least, _last_id + 1)
    high = (stamp >> 12) << 16 | 0x7000 | (stamp & 0xFFF)
    low = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return uuid.UUID(int=high << 64 | low)


def _stamp(key: uuid.UUID) -> int:
    """The 60 bits that order a UUIDv7: time and count."""
    return (key.int >> 80) << 12 | (key.int >> 64) & 0xFFF


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """`timestamptz`; on SQLite, which has no zones, UTC in and aware UTC out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime is not a moment")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def text_column(**options: Any) -> Any:
    return Field(sa_column=sa.Column(sa.Text, nullable=options.pop("nullable", False)), **options)


def late_text_column() -> Any:
    """Text that rows from before the column do not have."""
    column = sa.Column(sa.Text, nullable=False, server_default=sa.text("''"))
    return Field(default="", sa_column=column)


def digest_column(**options: Any) -> Any:
    """32 bytes."""
    nullable = options.pop("nullable", False)
    return Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=nullable), **options)


def id_column(**options: Any) -> Any:
    """An id of a row that need not be there any more: no foreign key."""
    nullable = options.pop("nullable", False)
    return Field(sa_column=sa.Column(sa.Uuid, nullable=nullable), **options)


def moment_column(**options: Any) -> Any:
    return Field(
        sa_column=sa.Column(UtcDateTime, nullable=options.pop("nullable", False)), **options
    )


def key_column(target: str, **options: Any) -> Any:
    key = sa.ForeignKey(target, ondelete=options.pop("ondelete", "CASCADE"))
    nullable = options.pop("nullable", False)
    return Field(sa_column=sa.Column(sa.Uuid, key, nullable=nullable), **options)
