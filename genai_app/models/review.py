"""Feedback, review, the answers that reviewers write, and the words by which messages are found."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSVECTOR
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
from genai_app.models.kinds import ReviewState

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # which numbers only INTEGER keys


def _some(name: str, column: str, where: str) -> sa.Index:
    """An index over the few rows that are out of the ordinary."""
    picked = sa.text(where)
    return sa.Index(
        name, column, "updated_at", "dialog_id", postgresql_where=picked, sqlite_where=picked
    )


class Feedback(SQLModel, table=True):
    """What the user says of an answer. The last word counts."""

    __tablename__ = "feedback"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_feedback_dialog_id", "dialog_id"),)

    message_id: uuid.UUID = Field(
        sa_column=sa.Column(
            sa.Uuid, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True
        )
    )
    dialog_id: uuid.UUID = key_column("dialogs.id")
    user_id: uuid.UUID = key_column("users.id")
    rating: str = text_column()
    reason: str = text_column(default="")  # a Reason, of "down"
    comment: str = text_column(default="")
    created_at: datetime = moment_column(default_factory=now)


class Review(SQLModel, table=True):
    """What the list of all dialogs shows and filters by, one narrow row a dialog.

    The database itself makes the row when the first answer of a dialog ends and keeps channel,
    model, source and status those of the last one; `updated_at` is when that was asked. An answer
    that ends in a closed dialog makes it new again.
    """

    __tablename__ = "reviews"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.Index(
            "ix_reviews_updated",
            "updated_at",
            "dialog_id",
            postgresql_include=[
                *("user_id", "department", "channel", "model", "source", "status"),
                *("rating", "state", "verdict", "assignee_id"),
            ],
        ),
        sa.Index("ix_reviews_user", "user_id", "updated_at", "dialog_id"),
        sa.Index("ix_reviews_department", "department", "updated_at", "dialog_id"),
        _some("ix_reviews_rating", "rating", "rating <> ''"),
        _some("ix_reviews_verdict", "verdict", "verdict <> ''"),
        _some("ix_reviews_state", "state", "state <> 'new'"),
        _some("ix_reviews_source", "source", "source <> 'model'"),
        _some("ix_reviews_status", "status", "status <> 'complete'"),
        _some("ix_reviews_channel", "channel", "channel <> 'web'"),
    )

    dialog_id: uuid.UUID = Field(
        sa_column=sa.Column(
            sa.Uuid, sa.ForeignKey("dialogs.id", ondelete="CASCADE"), primary_key=True
        )
    )
    user_id: uuid.UUID = key_column("users.id")
    department: str = late_text_column()  # the user's, when it was asked
    channel: str = late_text_column()
    model: str = late_text_column()
    source: str = late_text_column()
    status: str = late_text_column()
    rating: str = late_text_column()  # "down" if any answer has it
    verdict: str = late_text_column()  # the last one
    state: str = Field(
        default=ReviewState.NEW,
        sa_column=sa.Column(sa.Text, nullable=False, server_default="new"),
    )
    assignee_id: uuid.UUID | None = id_column(default=None, nullable=True)
    assignee_name: str = late_text_column()
    updated_at: datetime = moment_column()
    changed_at: datetime | None = moment_column(default=None, nullable=True)  # the state


class MessageVerdict(SQLModel, table=True):
    """What a reviewer says of an answer. The last word counts; the audit has those before."""

    __tablename__ = "message_verdicts"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_message_verdicts_dialog_id", "dialog_id"),)

    message_id: uuid.UUID = Field(
        sa_column=sa.Column(
            sa.Uuid, sa.ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True
        )
    )
    dialog_id: uuid.UUID = key_column("dialogs.id")
    verdict: str = text_column()
    reviewer_id: uuid.UUID = id_column()
    reviewer_name: str = text_column()
    created_at: datetime = moment_column(default_factory=now)


class ReviewNote(SQLModel, table=True):
    """What reviewers write to each other about a dialog. Its user never sees it."""

    __tablename__ = "review_notes"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_review_notes_dialog_id", "dialog_id", "id"),)

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    dialog_id: uuid.UUID = key_column("dialogs.id")
    author_id: uuid.UUID = id_column()
    author_name: str = text_column()
    text: str = text_column()
    created_at: datetime = moment_column(default_factory=now)


class VerifiedAnswer(SQLModel, table=True):
    """An answer that a reviewer wrote. It answers its question, asked alone, until `review_by`."""

    __tablename__ = "verified_answers"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.Index(
            "uq_verified_answers_question",
            "question_hash",
            unique=True,
            postgresql_where=sa.text("retired_at IS NULL"),
            sqlite_where=sa.text("retired_at IS NULL"),
        ),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    question_hash: bytes = digest_column()  # services/reuse/verified.py: question_hash
    question: str = text_column()
    answer: str = text_column()
    owner_id: uuid.UUID = id_column()
    owner_name: str = text_column()
    message_id: uuid.UUID | None = id_column(default=None, nullable=True)  # that was wrong
    created_at: datetime = moment_column(default_factory=now)
    updated_at: datetime = moment_column(default_factory=now)
    review_by: datetime = moment_column()
    retired_at: datetime | None = moment_column(default=None, nullable=True)
    hits: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    last_hit_at: datetime | None = moment_column(default=None, nullable=True)


class BarredAnswer(SQLModel, table=True):
    """A text that a reviewer called wrong or unsafe: to its question it is not given again.

    `digest`: services/reuse/cache.py: answer_digest. It outlives the message.
    """

    __tablename__ = "barred_answers"  # pyright: ignore[reportAssignmentType]

    digest: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    message_id: uuid.UUID = id_column()
    created_at: datetime = moment_column(default_factory=now)


class MessageSearch(SQLModel, table=True):
    """The words of an ended message. The database makes and removes the row itself.

    PostgreSQL: a tsvector (`russian`, which stems English too) under a GIN index. SQLite: stemmed
    text, below the FTS5 table `message_words`.
    """

    __tablename__ = "message_search"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.UniqueConstraint("message_id", name="uq_message_search_message_id"),
        sa.Index("ix_message_search_user", "user_id", "id"),
        sa.Index("ix_message_search_dialog", "dialog_id"),
    )

    id: int | None = Field(
        default=None, sa_column=sa.Column(SEQUENCE, primary_key=True, autoincrement=True)
    )
    message_id: uuid.UUID = key_column("messages.id")
    dialog_id: uuid.UUID = key_column("dialogs.id")
    user_id: uuid.UUID = id_column()
    words: str = Field(sa_column=sa.Column(TSVECTOR().with_variant(sa.Text, "sqlite")))
