"""All tables. Ids are UUIDv7: ordered by time, so an index on the id alone pages and sorts.

SQLModel validates nothing on a table class: services clean and check before they build a row.
"""

import os
import threading
import time
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from genai_app.clock import now

MAX_PROMPT_CHARS = 100_000

_last_id = 0
_id_lock = threading.Lock()


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then a count that never goes back here."""
    global _last_id
    with _id_lock:
        # 12 bits of fraction (RFC 9562 method 3): 244 ns steps, then the next free number
        nanos = time.time_ns()
        millis, rest = divmod(nanos, 1_000_000)
        stamp = (millis << 12) | (rest * 4096 // 1_000_000)
        _last_id = stamp = max(stamp, _last_id + 1)
    high = (stamp >> 12) << 16 | 0x7000 | (stamp & 0xFFF)
    low = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return uuid.UUID(int=high << 64 | low)


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


class Role(StrEnum):
    """What a user may do. Each includes what stands before it."""

    USER = "user"
    REVIEWER = "reviewer"
    ADMIN = "admin"


class Origin(StrEnum):
    """Who keeps the account. The same name in both is two accounts; they never merge."""

    LOCAL = "local"
    DIRECTORY = "directory"


class Author(StrEnum):
    """The role of a message, as chat models name it."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class Status(StrEnum):
    """State of a message's text. All but RUNNING are final."""

    RUNNING = "running"
    COMPLETE = "complete"
    TRUNCATED = "truncated"  # the token limit was reached
    STOPPED = "stopped"  # the user stopped it
    INTERRUPTED = "interrupted"  # the process or the model server went away
    FAILED = "failed"  # the model server reported an error


class Source(StrEnum):
    """Where an answer came from."""

    MODEL = "model"
    CACHE = "cache"


class Channel(StrEnum):
    """The door through which somebody came."""

    WEB = "web"
    API = "api"
    BOT = "bot"


def _text(**options: Any) -> Any:
    return Field(sa_column=sa.Column(sa.Text, nullable=options.pop("nullable", False)), **options)


def _told() -> Any:
    """Text that rows from before the column do not have."""
    column = sa.Column(sa.Text, nullable=False, server_default=sa.text("''"))
    return Field(default="", sa_column=column)


def _moment(**options: Any) -> Any:
    return Field(
        sa_column=sa.Column(UtcDateTime, nullable=options.pop("nullable", False)), **options
    )


def _key(target: str, **options: Any) -> Any:
    key = sa.ForeignKey(target, ondelete=options.pop("ondelete", "CASCADE"))
    nullable = options.pop("nullable", False)
    return Field(sa_column=sa.Column(sa.Uuid, key, nullable=nullable), **options)


class User(SQLModel, table=True):
    """An account. `username` is stored folded (see services/users.py: fold_username).

    One of the directory has the higher of two roles: that of its groups, and one that was granted
    here. `disabled_reason` begins with "directory" when it was the directory that shut it.
    """

    __tablename__ = "users"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("origin", "username", name="uq_users_origin_username"),
        sa.UniqueConstraint("external_id", name="uq_users_external_id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    username: str = _text()
    origin: str = _text(default=Origin.LOCAL)
    external_id: str | None = _text(default=None, nullable=True)  # objectGUID or entryUUID
    full_name: str = _text(default="")
    role: str = _text(default=Role.USER)
    password_hash: str | None = _text(default=None, nullable=True)
    created_at: datetime = _moment(default_factory=now)
    disabled_at: datetime | None = _moment(default=None, nullable=True)
    rate_limit: str | None = _text(default=None, nullable=True)  # in place of the role's
    mail: str = _told()
    directory_dn: str = _told()  # where it was found last
    group_role: str | None = _text(default=None, nullable=True)
    granted_role: str | None = _text(default=None, nullable=True)
    disabled_reason: str | None = _text(default=None, nullable=True)
    checked_at: datetime | None = _moment(default=None, nullable=True)  # against the directory
    # until then the limit is counted from the messages: Redis was gone (services/limits.py)
    counted_until: datetime | None = _moment(default=None, nullable=True)


class Session(SQLModel, table=True):
    """A login. A browser's cookie holds a token of which the table has the keyed hash. Of a login
    through the API nobody has that token; it has the id of the refresh token that is good now."""

    __tablename__ = "sessions"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
        sa.Index("ix_sessions_user_id", "user_id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = _key("users.id")
    token_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    refresh_id: uuid.UUID | None = Field(default=None, sa_column=sa.Column(sa.Uuid, nullable=True))
    channel: str = Field(
        default=Channel.WEB, sa_column=sa.Column(sa.Text, nullable=False, server_default="web")
    )
    created_at: datetime = _moment(default_factory=now)
    expires_at: datetime = _moment()
    ended_at: datetime | None = _moment(default=None, nullable=True)
    end_reason: str | None = _text(default=None, nullable=True)
    address: str = _text(default="")
    user_agent: str = _text(default="")


class ApiKey(SQLModel, table=True):
    """A named key of a user for scripts. Shown once; the table has its keyed hash."""

    __tablename__ = "api_keys"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.Index("ix_api_keys_user_id", "user_id", "id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = _key("users.id")
    name: str = _text()
    key_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    hint: str = _text()  # its first characters, to tell keys apart
    created_at: datetime = _moment(default_factory=now)
    expires_at: datetime | None = _moment(default=None, nullable=True)
    last_used_at: datetime | None = _moment(default=None, nullable=True)
    revoked_at: datetime | None = _moment(default=None, nullable=True)


class Dialog(SQLModel, table=True):
    """One conversation of one user. `leaf_id` is the last message of the branch on the screen."""

    __tablename__ = "dialogs"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_dialogs_user_updated", "user_id", "updated_at", "id"),)

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = _key("users.id")
    title: str = _text(default="")
    leaf_id: uuid.UUID | None = Field(default=None, sa_column=sa.Column(sa.Uuid, nullable=True))
    created_at: datetime = _moment(default_factory=now)
    updated_at: datetime = _moment(default_factory=now)
    deleted_at: datetime | None = _moment(default=None, nullable=True)


class Message(SQLModel, table=True):
    """A node of a dialog's tree; branches are siblings under one parent.

    `client_id` is made by the client for each send, so that a repeat is the same message; a repeat
    with another `body_hash` is a mistake. `context_hash` covers everything that a client of
    OpenAI's API has sent and been told up to here, so that its next call goes on with this dialog.
    """

    __tablename__ = "messages"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("user_id", "client_id", name="uq_messages_user_client"),
        sa.Index("ix_messages_dialog_id", "dialog_id", "id"),
        sa.Index("ix_messages_parent_id", "parent_id"),
        sa.Index("ix_messages_user_created", "user_id", "created_at"),
        sa.Index(
            "ix_messages_context",
            "context_hash",
            postgresql_where=sa.text("context_hash IS NOT NULL"),
            sqlite_where=sa.text("context_hash IS NOT NULL"),
        ),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    dialog_id: uuid.UUID = _key("dialogs.id")
    user_id: uuid.UUID = _key("users.id")
    parent_id: uuid.UUID | None = _key("messages.id", default=None, nullable=True)
    depth: int = 0  # how many messages stand before it on its branch
    client_id: uuid.UUID | None = Field(default=None, sa_column=sa.Column(sa.Uuid, nullable=True))
    body_hash: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32)))
    context_hash: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32)))
    author: str = _text()
    channel: str = _text(default=Channel.WEB)
    text: str = _text(default="")
    status: str = _text(default=Status.COMPLETE)
    error_code: str | None = _text(default=None, nullable=True)
    source: str | None = _text(default=None, nullable=True)
    model: str | None = _text(default=None, nullable=True)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    made_at: datetime | None = _moment(
        default=None, nullable=True
    )  # a cached answer: when it was new
    trimmed: int = Field(default=0, sa_column_kwargs={"server_default": "0"})  # messages left out
    created_at: datetime = _moment(default_factory=now)
    first_token_at: datetime | None = _moment(default=None, nullable=True)
    finished_at: datetime | None = _moment(default=None, nullable=True)


class Generation(SQLModel, table=True):
    """One model run for one assistant message. Whoever owns it renews the lease; a lease that ran
    out says that the owner is gone."""

    __tablename__ = "generations"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.Index(
            "ix_generations_lease", "lease_until", postgresql_where=sa.text("ended_at IS NULL")
        ),
        sa.Index(
            "ix_generations_user",
            "user_id",
            postgresql_where=sa.text("ended_at IS NULL"),
            sqlite_where=sa.text("ended_at IS NULL"),
        ),
    )

    message_id: uuid.UUID = Field(
        sa_column=sa.Column(
            sa.Uuid, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True
        )
    )
    # the message's own, beside it; no foreign keys: the row goes with its message
    dialog_id: uuid.UUID | None = Field(default=None, sa_column=sa.Column(sa.Uuid, nullable=True))
    user_id: uuid.UUID | None = Field(default=None, sa_column=sa.Column(sa.Uuid, nullable=True))
    owner: str = _text()
    started_at: datetime = _moment(default_factory=now)
    lease_until: datetime = _moment()
    stop_requested_at: datetime | None = _moment(default=None, nullable=True)
    ended_at: datetime | None = _moment(default=None, nullable=True)


class AuditEvent(SQLModel, table=True):
    """Who did what to whom, and whether it was allowed. Never what was written or asked."""

    __tablename__ = "audit_events"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_audit_events_at", "at", "id"),)

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    at: datetime = _moment(default_factory=now)
    action: str = _text()
    outcome: str = _text()
    # no foreign key: the event outlives the account
    actor_id: uuid.UUID | None = Field(default=None, sa_column=sa.Column(sa.Uuid, nullable=True))
    actor_name: str = _text(default="")
    target: str = _text(default="")
    channel: str = _text(default="")
    address: str = _text(default="")
    request_id: str = _text(default="")
    details: str = _text(default="")  # "reason=disabled limit=30/minute"
