"""Table of the audit."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from genai_app.clock import now
from genai_app.models.columns import (
    digest_column,
    id_column,
    late_text_column,
    moment_column,
    new_id,
    text_column,
)


class AuditEvent(SQLModel, table=True):
    """An action of an actor on a target, and its outcome. Holds no text of dialogs.

    `seq` and `hash` are filled in shortly afterwards, row by row (services/audit/chain.py). Then
    the database refuses to change or delete the row.
    """

    __tablename__ = "audit_events"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.Index("uq_audit_events_seq", "seq", unique=True),
        sa.Index("ix_audit_events_at", "at", "id"),
        sa.Index("ix_audit_events_action", "action", "at", "id"),
        sa.Index("ix_audit_events_actor", "actor_id", "at", "id"),
        sa.Index(
            "ix_audit_events_subject",
            "subject_id",
            "at",
            postgresql_where=sa.text("subject_id IS NOT NULL"),
            sqlite_where=sa.text("subject_id IS NOT NULL"),
        ),
        sa.Index(
            "ix_audit_events_unsealed",
            "id",
            postgresql_where=sa.text("seq IS NULL"),
            sqlite_where=sa.text("seq IS NULL"),
        ),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    at: datetime = moment_column(default_factory=now)
    action: str = text_column()
    outcome: str = text_column()
    # no foreign key: the event outlives the account
    actor_id: uuid.UUID | None = id_column(default=None, nullable=True)
    actor_name: str = text_column(default="")
    target: str = text_column(default="")
    channel: str = text_column(default="")
    address: str = text_column(default="")
    request_id: str = text_column(default="")
    details: str = text_column(default="")  # "reason=disabled limit=30/minute"
    # the user whose dialogs were concerned, and the reason that the actor entered
    subject_id: uuid.UUID | None = id_column(default=None, nullable=True)
    reason: str = late_text_column()
    seq: int | None = Field(default=None, sa_column=sa.Column(sa.BigInteger, nullable=True))
    hash: bytes | None = digest_column(default=None, nullable=True)
