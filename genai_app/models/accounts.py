"""Tables of accounts, sessions and API keys."""

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
    """An account. `username` is stored folded (services/accounts/users.py: fold_username).

    The `role` of an account of the directory is the higher one of `group_role`, from its groups,
    and `granted_role`, from an administrator. `disabled_reason` begins with "directory_" when the
    directory closed the account, which then also opens it again. Any other reason comes from an
    administrator.
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
    rate_limit: str | None = text_column(default=None, nullable=True)  # replaces the role's limit
    department: str = late_text_column()
    mail: str = late_text_column()
    directory_dn: str = late_text_column()  # the last one that was seen
    group_role: str | None = text_column(default=None, nullable=True)
    granted_role: str | None = text_column(default=None, nullable=True)
    disabled_reason: str | None = text_column(default=None, nullable=True)
    checked_at: datetime | None = moment_column(default=None, nullable=True)  # in the directory
    # JSON: the last known membership in each group of the settings, {group: is member}
    directory_groups: str | None = text_column(default=None, nullable=True)
    held_at: datetime | None = moment_column(default=None, nullable=True)  # legal hold
    # until then the limit counts messages, after a failure of Redis (services/limits/rate.py)
    counted_until: datetime | None = moment_column(default=None, nullable=True)
    instructions: str = late_text_column()  # the user's own, for every question


class LoginFailures(SQLModel, table=True):
    """Counts of wrong passwords for an account, or for a name that no account has.

    `account` is a digest (services/accounts/login_failures.py). `login` is the account's name, and
    "" for a name that no account has, because people type passwords there by mistake. `known`
    counts wrong passwords from addresses where the user logged in before, `strangers` those from
    other addresses, `chain` all since the last right password.
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
    # the next try that is allowed from an unfamiliar address
    next_at: datetime | None = moment_column(default=None, nullable=True)
    unlocked_until: datetime | None = moment_column(default=None, nullable=True)
    unlocks: int = 0  # how often an administrator ended the pause


class Session(SQLModel, table=True):
    """A login. `token_hash`: the keyed hash of the token in the browser's cookie. A login through
    the API has a random one, and in `refresh_id` the id of its valid refresh token."""

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
    """A named key of a user for scripts. The key is shown once; `key_hash` is its keyed hash."""

    __tablename__ = "api_keys"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sa.Index("ix_api_keys_user_id", "user_id", "id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = key_column("users.id")
    name: str = text_column()
    key_hash: bytes = digest_column()
    hint: str = text_column()  # the first characters, to distinguish keys
    created_at: datetime = moment_column(default_factory=now)
    expires_at: datetime | None = moment_column(default=None, nullable=True)
    last_used_at: datetime | None = moment_column(default=None, nullable=True)
    revoked_at: datetime | None = moment_column(default=None, nullable=True)
