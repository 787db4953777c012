"""Accounts, logins, API keys."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from genai_app.clock import now
from genai_app.models.columns import (
    digest_column,
    id_column,
    key_column,
    late_text_column,
    moment_column,
    new_id,
    text_column,
)
from genai_app.models.kinds import Channel, Origin, Role


class User(SQLModel, table=True):
    """An account. `username` is stored folded (see services/accounts/users.py: fold_username).

    One of the directory has the higher of two roles: that of its groups, and one that was granted
    here. `disabled_reason` begins with "directory_" when the directory closed the account: such a
    one opens again by itself. Any other reason is an administrator's deed.
    """

    __tablename__ = "users"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("origin", "username", name="uq_users_origin_username"),
        sa.UniqueConstraint("external_id", name="uq_users_external_id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    username: str = text_column()
    origin: str = text_column(default=Origin.LOCAL)
    external_id: str | None = text_column(default=None, nullable=True)  # objectGUID or entryUUID
    full_name: str = text_column(default="")
    role: str = text_column(default=Role.USER)
    password_hash: str | None = text_column(default=None, nullable=True)
    created_at: datetime = moment_column(default_factory=now)
    disabled_at: datetime | None = moment_column(default=None, nullable=True)
    rate_limit: str | None = text_column(default=None, nullable=True)  # in place of the role's
    department: str = late_text_column()
    mail: str = late_text_column()
    directory_dn: str = late_text_column()  # where it was found last
    group_role: str | None = text_column(default=None, nullable=True)
    granted_role: str | None = text_column(default=None, nullable=True)
    disabled_reason: str | None = text_column(default=None, nullable=True)
    checked_at: datetime | None = moment_column(default=None, nullable=True)  # by the directory
    # JSON: for each group of the settings whether the directory last said that the person is in it
    directory_groups: str | None = text_column(default=None, nullable=True)
    held_at: datetime | None = moment_column(default=None, nullable=True)  # legal hold
    # until then the limit is counted from the messages: Redis was gone (services/limits/rate.py)
    counted_until: datetime | None = moment_column(default=None, nullable=True)


class LoginFailures(SQLModel, table=True):
    """Wrong passwords of one account, or of one name that no account has.

    `account` is a digest (services/accounts/login_failures.py). `login`: the account's own name, ""
    for a name that no account has: people type passwords there. `known` counts those from addresses
    where the user logged in before, `strangers` all others, `chain` all since the last right
    password.
    """

    __tablename__ = "login_failures"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_login_failures_login", "login"),)

    account: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    login: str = text_column(default="")
    known: int = 0
    known_at: datetime | None = moment_column(default=None, nullable=True)
    strangers: int = 0
    strangers_at: datetime | None = moment_column(default=None, nullable=True)
    chain: int = 0
    chain_at: datetime | None = moment_column(default=None, nullable=True)
    next_at: datetime | None = moment_column(default=None, nullable=True)  # for strangers
    unlocked_until: datetime | None = moment_column(default=None, nullable=True)
    unlocks: int = 0  # how often an administrator lifted the pause


class Session(SQLModel, table=True):
    """A login. A browser's cookie holds a token of which the table has the keyed hash. Of a login
    through the API nobody has that token; it has the id of the refresh token that is good now."""

    __tablename__ = "sessions"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("token_hash", name="uq_sessions_token_hash"),
        sa.Index("ix_sessions_user_id", "user_id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = key_column("users.id")
    token_hash: bytes = digest_column()
    refresh_id: uuid.UUID | None = id_column(default=None, nullable=True)
    channel: str = Field(
        default=Channel.WEB, sa_column=sa.Column(sa.Text, nullable=False, server_default="web")
    )
    created_at: datetime = moment_column(default_factory=now)
    expires_at: datetime = moment_column()
    ended_at: datetime | None = moment_column(default=None, nullable=True)
    end_reason: str | None = text_column(default=None, nullable=True)
    address: str = text_column(default="")
    user_agent: str = text_column(default="")


class ApiKey(SQLModel, table=True):
    """A named key of a user for scripts. Shown once; the table has its keyed hash."""

    __tablename__ = "api_keys"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.Index("ix_api_keys_user_id", "user_id", "id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = key_column("users.id")
    name: str = text_column()
    key_hash: bytes = digest_column()
    hint: str = text_column()  # its first characters, to tell keys apart
    created_at: datetime = moment_column(default_factory=now)
    expires_at: datetime | None = moment_column(default=None, nullable=True)
    last_used_at: datetime | None = moment_column(default=None, nullable=True)
    revoked_at: datetime | None = moment_column(default=None, nullable=True)
