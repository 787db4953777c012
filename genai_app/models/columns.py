"""Column types, and ids. Ids are UUIDv7, which are ordered by time, so that an index on the id is
enough to sort and to read pages."""

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


def id_at(moment: datetime, after: uuid.UUID | None = None) -> uuid.UUID:
    """Returns a UUIDv7 of a moment in the past, greater than `after`."""
    stamp = _stamp_at(moment)
    if after is not None:
        stamp = max(stamp, _stamp(after) + 1)
    return _with_stamp(stamp)


def new_id(after: uuid.UUID | None = None) -> uuid.UUID:
    """Returns a UUIDv7 (RFC 9562) that is greater than all before in this process, even after the
    clock was set back, and greater than `after`, which another process may have made."""
    global _last_id
    with _id_lock:
        stamp = _stamp_at(clock.now())
        least = _stamp(after) + 1 if after is not None and after.version == 7 else 0
        _last_id = stamp = max(stamp, least, _last_id + 1)
    return _with_stamp(stamp)


def _stamp_at(moment: datetime) -> int:
    """Returns the 60 bits of a moment."""
    # 12 bits are the fraction of a millisecond in steps of 244 ns (RFC 9562, method 3)
    millis, rest = divmod((moment - _EPOCH) // _MICROSECOND, 1000)
    return (millis << 12) | (rest * 4096 // 1000)


def _with_stamp(stamp: int) -> uuid.UUID:
    high = (stamp >> 12) << 16 | 0x7000 | (stamp & 0xFFF)
    low = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return uuid.UUID(int=high << 64 | low)


def _stamp(key: uuid.UUID) -> int:
    """Returns the 60 bits of a UUIDv7 that determine its order: milliseconds and fraction."""
    return (key.int >> 80) << 12 | (key.int >> 64) & 0xFFF


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A `timestamptz` column. SQLite has no time zones: UTC is stored, and read as aware UTC."""

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
    """Returns a text column that was added later; older rows have "" in it."""
    column = sa.Column(sa.Text, nullable=False, server_default=sa.text("''"))
    return Field(default="", sa_column=column)


def digest_column(**options: Any) -> Any:
    """Returns a column of 32 bytes."""
    nullable = options.pop("nullable", False)
    return Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=nullable), **options)


def id_column(**options: Any) -> Any:
    """Returns a column for the id of a row that may be deleted: without a foreign key."""
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
