"""Tables of messengers: who is linked, what came in, and what is being shown there.

A messenger's own ids are kept as text: Telegram has numbers, Mattermost words.
"""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from genai_app.clock import now
from genai_app.models.columns import id_column, key_column, moment_column, new_id, text_column


def _name_key() -> sa.Column[str]:
    return sa.Column(sa.Text, primary_key=True)


class MessengerLink(SQLModel, table=True):
    """An account of a messenger that asks as a user of the product. `external_id`: the messenger's
    id of the account; `title`: its name there; `end_reason`: why it was unlinked."""

    __tablename__ = "messenger_links"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.Index(
            "uq_messenger_links_account",
            *("messenger", "external_id"),
            unique=True,
            postgresql_where=sa.text("unlinked_at IS NULL"),
            sqlite_where=sa.text("unlinked_at IS NULL"),
        ),
        sa.Index("ix_messenger_links_user", "user_id", "id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = key_column("users.id")
    messenger: str = text_column()
    external_id: str = text_column()
    title: str = text_column(default="")
    linked_at: datetime = moment_column(default_factory=now)
    unlinked_at: datetime | None = moment_column(default=None, nullable=True)
    end_reason: str = text_column(default="")
    # when its user was told that the account is closed; nothing more is said then
    refused_at: datetime | None = moment_column(default=None, nullable=True)


class MessengerCode(SQLModel, table=True):
    """A code that links a messenger once, before `expires_at`. `code_hash`: its keyed hash."""

    __tablename__ = "messenger_codes"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_messenger_codes_user", "user_id"),)

    code_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    user_id: uuid.UUID = key_column("users.id")
    messenger: str = text_column()
    created_at: datetime = moment_column(default_factory=now)
    expires_at: datetime = moment_column()


class MessengerChat(SQLModel, table=True):
    """The state of a private chat with the bot. `user_id`: of the link; None for a stranger.
    `dialog_id`: the dialog that the next question continues. `attachments`: JSON, ids of files that
    wait for it. `wrong_codes`: since `wrong_codes_at`."""

    __tablename__ = "messenger_chats"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_messenger_chats_user", "user_id"),)

    messenger: str = Field(sa_column=_name_key())
    chat_id: str = Field(sa_column=_name_key())
    user_id: uuid.UUID | None = key_column("users.id", default=None, nullable=True)
    dialog_id: uuid.UUID | None = id_column(default=None, nullable=True)
    locale: str = text_column(default="")
    wrong_codes: int = 0
    wrong_codes_at: datetime | None = moment_column(default=None, nullable=True)
    attachments: str | None = text_column(default=None, nullable=True)


class MessengerPoller(SQLModel, table=True):
    """The one process that reads the updates of a messenger, and how far it has read: `position`,
    as the messenger counts. The owner renews the lease."""

    __tablename__ = "messenger_pollers"  # pyright: ignore[reportAssignmentType]

    messenger: str = Field(sa_column=_name_key())
    owner: str = text_column(default="")
    lease_until: datetime | None = moment_column(default=None, nullable=True)
    position: str = text_column(default="")


class MessengerUpdate(SQLModel, table=True):
    """An update that was taken from a messenger. Committed together with the poller's position;
    `id` is also the `client_id` of its question. `body`: JSON, emptied once it is done."""

    __tablename__ = "messenger_updates"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("messenger", "external_id", name="uq_messenger_updates_external"),
        sa.Index(
            "ix_messenger_updates_waiting",
            *("messenger", "id"),
            postgresql_where=sa.text("done_at IS NULL"),
            sqlite_where=sa.text("done_at IS NULL"),
        ),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    messenger: str = text_column()
    external_id: str = text_column()
    chat_id: str = text_column()
    # of the linked user when it came; erased with him
    user_id: uuid.UUID | None = key_column("users.id", default=None, nullable=True)
    body: str = text_column()
    taken_at: datetime = moment_column(default_factory=now)
    done_at: datetime | None = moment_column(default=None, nullable=True)


class MessengerAnswer(SQLModel, table=True):
    """An answer that is being shown in a chat. `parts`: JSON, the messages that show it. Deleted
    once the last of them arrived."""

    __tablename__ = "messenger_answers"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_messenger_answers_user", "user_id"),)

    message_id: uuid.UUID = Field(
        sa_column=sa.Column(
            sa.Uuid, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True
        )
    )
    messenger: str = text_column()
    chat_id: str = text_column()
    user_id: uuid.UUID = key_column("users.id")
    parts: str = text_column(default="[]")
    created_at: datetime = moment_column(default_factory=now)
