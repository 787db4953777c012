"""Tables of dialogs, their messages and the generations of answers."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from genai_app.clock import now
from genai_app.models.columns import (
    UtcDateTime,
    digest_column,
    id_column,
    key_column,
    late_text_column,
    moment_column,
    new_id,
    text_column,
)
from genai_app.models.kinds import Channel, Status

MAX_PROMPT_CHARS = 100_000


class Folder(SQLModel, table=True):
    """A folder of a user's list of dialogs."""

    __tablename__ = "folders"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.UniqueConstraint("user_id", "name", name="uq_folders_user_name"),)

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = key_column("users.id")
    name: str = text_column()
    created_at: datetime = moment_column(default_factory=now)


class Dialog(SQLModel, table=True):
    """A conversation of a user. `leaf_id`: the last message of the branch that is shown;
    `changed_at`: set by every update, for open pages that watch for changes. `folder_id` may name
    a folder that was deleted: the dialog is in none then. `titled_by`: a TitledBy; None of an
    imported dialog."""

    __tablename__ = "dialogs"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.Index("ix_dialogs_user_updated", "user_id", "updated_at", "id"),
        sa.Index("ix_dialogs_user_changed", "user_id", "changed_at"),
        sa.Index(
            "ix_dialogs_user_own",
            *("user_id", "updated_at", "id"),
            postgresql_where=sa.text("key_id IS NULL"),
            sqlite_where=sa.text("key_id IS NULL"),
        ),
        sa.Index(
            "ix_dialogs_key",
            *("key_id", "updated_at", "id"),
            postgresql_where=sa.text("key_id IS NOT NULL"),
            sqlite_where=sa.text("key_id IS NOT NULL"),
        ),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = key_column("users.id")
    title: str = text_column(default="")
    leaf_id: uuid.UUID | None = id_column(default=None, nullable=True)
    created_at: datetime = moment_column(default_factory=now)
    updated_at: datetime = moment_column(default_factory=now)
    deleted_at: datetime | None = moment_column(default=None, nullable=True)
    held_at: datetime | None = moment_column(default=None, nullable=True)  # legal hold
    changed_at: datetime | None = Field(
        default=None, sa_column=sa.Column(UtcDateTime, nullable=True, onupdate=now)
    )
    key_id: uuid.UUID | None = id_column(default=None, nullable=True)  # the API key that started it
    folder_id: uuid.UUID | None = id_column(default=None, nullable=True)
    pinned_at: datetime | None = moment_column(default=None, nullable=True)
    archived_at: datetime | None = moment_column(default=None, nullable=True)
    titled_by: str | None = text_column(default=None, nullable=True)
    # how many times the model was to write the title, and until when a process tries
    title_tries: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    title_lease_until: datetime | None = moment_column(default=None, nullable=True)

    @property
    def pinned(self) -> bool:
        """Returns whether the dialog stands at the top of its user's list."""
        return self.pinned_at is not None

    @property
    def archived(self) -> bool:
        """Returns whether the dialog is out of its user's list."""
        return self.archived_at is not None


class Message(SQLModel, table=True):
    """A node of a dialog's tree. Branches begin with siblings: messages with the same parent.

    `client_id` is a UUID that the client makes for each send, so that a repeated request finds the
    same message, a question or another answer; a repeat with another `body_hash` is an error.
    `context_hash` covers all messages
    of a conversation through the OpenAI API up to this one, so that the next call continues this
    dialog.
    """

    __tablename__ = "messages"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("user_id", "client_id", name="uq_messages_user_client"),
        sa.Index("ix_messages_dialog_id", "dialog_id", "id"),
        sa.Index("ix_messages_parent_id", "parent_id"),
        sa.Index("ix_messages_user_created", "user_id", "created_at"),
        sa.Index("ix_messages_user_id", "user_id", "id"),
        sa.Index("ix_messages_created", "created_at", postgresql_using="brin"),
        sa.Index(
            "ix_messages_context",
            "context_hash",
            postgresql_where=sa.text("context_hash IS NOT NULL"),
            sqlite_where=sa.text("context_hash IS NOT NULL"),
        ),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    dialog_id: uuid.UUID = key_column("dialogs.id")
    user_id: uuid.UUID = key_column("users.id")
    parent_id: uuid.UUID | None = key_column("messages.id", default=None, nullable=True)
    depth: int = 0  # the number of messages before it in its branch
    client_id: uuid.UUID | None = id_column(default=None, nullable=True)
    body_hash: bytes | None = digest_column(default=None, nullable=True)
    context_hash: bytes | None = digest_column(default=None, nullable=True)
    author: str = text_column()
    channel: str = text_column(default=Channel.WEB)
    text: str = text_column(default="")
    status: str = text_column(default=Status.COMPLETE)
    error_code: str | None = text_column(default=None, nullable=True)
    # JSON: the parameters of the sentence for `error_code`, such as the model server's reason
    error_details: str | None = text_column(default=None, nullable=True)
    source: str | None = text_column(default=None, nullable=True)
    model: str | None = text_column(default=None, nullable=True)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    # the time of the first answer, for one from the cache
    made_at: datetime | None = moment_column(default=None, nullable=True)
    # the number of earlier messages that did not fit the context
    trimmed: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    created_at: datetime = moment_column(default_factory=now)
    first_token_at: datetime | None = moment_column(default=None, nullable=True)
    finished_at: datetime | None = moment_column(default=None, nullable=True)
    verified_id: uuid.UUID | None = id_column(default=None, nullable=True)  # source `verified`
    # what the model thought before the answer; never sent back to it, cached or searched
    reasoning: str = late_text_column()
    reasoning_tokens: int | None = None
    reasoning_ms: int | None = None  # from the first to the last of `reasoning`
    variant: str | None = text_column(default=None, nullable=True)  # of an answer: see Variant
    # the time between the ends of a continued answer and its continuations, when nobody wrote it
    paused_ms: int | None = None
    # when another branch was opened from this leaf
    left_at: datetime | None = moment_column(default=None, nullable=True)
    # of an answer, JSON: the parts of files in its prompt (services/files/usage.py)
    files_used: str | None = text_column(default=None, nullable=True)


class QueuedQuestion(SQLModel, table=True):
    """A question that waits for the end of an answer in its dialog. `id` is the UUID that the
    client made for it, and becomes the `client_id` of its message."""

    __tablename__ = "queued_questions"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_queued_questions_dialog", "dialog_id", "created_at"),)

    id: uuid.UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    user_id: uuid.UUID = key_column("users.id")
    dialog_id: uuid.UUID = key_column("dialogs.id")
    text: str = text_column()
    error_code: str | None = text_column(default=None, nullable=True)  # it could not be sent
    created_at: datetime = moment_column(default_factory=now)
    # JSON: further parameters for the model server, as [name, value] each
    sampling: str | None = text_column(default=None, nullable=True)
    attachments: str | None = text_column(default=None, nullable=True)  # JSON: ids of files
    # of the question as it was sent, where it was changed since: a repeat of the send has that one
    body_hash: bytes | None = digest_column(default=None, nullable=True)


class Generation(SQLModel, table=True):
    """A model run for an assistant message. The process that owns it renews the lease; an expired
    lease means that the process is gone."""

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
    # copied from the message; no foreign keys, because the row is deleted with its message
    dialog_id: uuid.UUID | None = id_column(default=None, nullable=True)
    user_id: uuid.UUID | None = id_column(default=None, nullable=True)
    owner: str = text_column()
    started_at: datetime = moment_column(default_factory=now)
    lease_until: datetime = moment_column()
    stop_requested_at: datetime | None = moment_column(default=None, nullable=True)
    ended_at: datetime | None = moment_column(default=None, nullable=True)
