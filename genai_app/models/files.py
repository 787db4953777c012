"""Tables of files that users send with their questions. The bytes lie in the data directory."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from genai_app.clock import now
from genai_app.models.columns import (
    digest_column,
    id_column,
    key_column,
    moment_column,
    new_id,
    text_column,
)
from genai_app.models.kinds import JobState


class Attachment(SQLModel, table=True):
    """A file of a user, and the job that reads it.

    `name`: as shown, never a path; `size`: in bytes; `sha256`: of the bytes, which are stored once
    for a user; `state`: a JobState; `summary`: the DocumentSummary of its reader as JSON.
    `dialog_id`: of the first message that the file was attached to; None before.
    """

    __tablename__ = "attachments"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.Index("ix_attachments_user", "user_id", "id"),
        sa.Index("ix_attachments_content", "user_id", "sha256"),
        sa.Index("ix_attachments_state", "state", "id"),
        sa.Index("ix_attachments_dialog", "dialog_id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    user_id: uuid.UUID = key_column("users.id")
    dialog_id: uuid.UUID | None = id_column(default=None, nullable=True)
    name: str = text_column()
    media_type: str = text_column(default="application/octet-stream")
    kind: str = text_column(default="")
    size: int = Field(default=0, sa_column=sa.Column(sa.BigInteger, nullable=False))
    sha256: bytes = digest_column()
    state: str = text_column(default=JobState.QUEUED)
    pages: int | None = None
    chars: int | None = None
    tokens: int | None = None
    summary: str = text_column(default="{}")
    error_code: str = text_column(default="")
    created_at: datetime = moment_column(default_factory=now)
    finished_at: datetime | None = moment_column(default=None, nullable=True)
    # the user deleted it, or its time is over: the name stays in messages that it was attached to
    deleted_at: datetime | None = moment_column(default=None, nullable=True)
    wiped_at: datetime | None = moment_column(default=None, nullable=True)  # the bytes are removed
    # the job
    total: int = 0
    done: int = 0
    tries: int = 0
    lease_until: datetime | None = moment_column(default=None, nullable=True)
    expires_at: datetime | None = moment_column(default=None, nullable=True)


class MessageAttachment(SQLModel, table=True):
    """A file that was sent with a question. `position`: its place there, from 0."""

    __tablename__ = "message_attachments"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_message_attachments_attachment", "attachment_id"),)

    message_id: uuid.UUID = Field(
        sa_column=sa.Column(
            sa.Uuid, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True
        )
    )
    attachment_id: uuid.UUID = Field(
        sa_column=sa.Column(
            sa.Uuid, sa.ForeignKey("attachments.id", ondelete="CASCADE"), primary_key=True
        )
    )
    position: int = 0
