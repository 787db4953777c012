"""Tables of feedback, reviews, verified answers, and the search index of messages."""

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

SEQUENCE = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite numbers only INTEGER keys


def _partial_index(name: str, column: str, where: str) -> sa.Index:
    """Returns an index over the few rows that fulfil `where`."""
    condition = sa.text(where)
    return sa.Index(
        *(name, column, "updated_at", "dialog_id"),
        postgresql_where=condition,
        sqlite_where=condition,
    )


class Feedback(SQLModel, table=True):
    """The user's rating of an answer. A new one replaces it."""

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
    reason: str = text_column(default="")  # a Reason for "down"
    comment: str = text_column(default="")
    created_at: datetime = moment_column(default_factory=now)


class Review(SQLModel, table=True):
    """The columns of a dialog that the review list shows and filters.

    Triggers of the database create the row at the end of the first answer and keep channel, model,
    source and status equal to those of the answer that ended last; `updated_at` is the time of the
    newest question. Another answer changes the state from closed to new.
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
        _partial_index("ix_reviews_rating", "rating", "rating <> ''"),
        _partial_index("ix_reviews_verdict", "verdict", "verdict <> ''"),
        _partial_index("ix_reviews_state", "state", "state <> 'new'"),
        _partial_index("ix_reviews_source", "source", "source <> 'model'"),
        _partial_index("ix_reviews_status", "status", "status <> 'complete'"),
        _partial_index("ix_reviews_channel", "channel", "channel <> 'web'"),
    )

    dialog_id: uuid.UUID = Field(
        sa_column=sa.Column(
            sa.Uuid, sa.ForeignKey("dialogs.id", ondelete="CASCADE"), primary_key=True
        )
    )
    user_id: uuid.UUID = key_column("users.id")
    department: str = late_text_column()  # the user's at the time of the question
    channel: str = late_text_column()
    model: str = late_text_column()
    source: str = late_text_column()
    status: str = late_text_column()
    rating: str = late_text_column()  # "down" if any answer of ours is rated so
    verdict: str = late_text_column()  # the latest one
    state: str = Field(
        default=ReviewState.NEW,
        sa_column=sa.Column(sa.Text, nullable=False, server_default="new"),
    )
    assignee_id: uuid.UUID | None = id_column(default=None, nullable=True)
    assignee_name: str = late_text_column()
    updated_at: datetime = moment_column()
    changed_at: datetime | None = moment_column(default=None, nullable=True)  # of `state`


class MessageVerdict(SQLModel, table=True):
    """A reviewer's verdict on an answer. A new one replaces it; the audit keeps the old ones."""

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
    """A note of a reviewer on a dialog, for other reviewers. The dialog's user never sees it."""

    __tablename__ = "review_notes"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (sa.Index("ix_review_notes_dialog_id", "dialog_id", "id"),)

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    dialog_id: uuid.UUID = key_column("dialogs.id")
    author_id: uuid.UUID = id_column()
    author_name: str = text_column()
    text: str = text_column()
    created_at: datetime = moment_column(default_factory=now)


class VerifiedAnswer(SQLModel, table=True):
    """An answer by a reviewer. Until `review_by` it is returned for its question, if no earlier
    messages belong to the question."""

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
    message_id: uuid.UUID | None = id_column(default=None, nullable=True)  # the wrong answer
    created_at: datetime = moment_column(default_factory=now)
    updated_at: datetime = moment_column(default_factory=now)
    review_by: datetime = moment_column()
    retired_at: datetime | None = moment_column(default=None, nullable=True)
    hits: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    last_hit_at: datetime | None = moment_column(default=None, nullable=True)


class BarredAnswer(SQLModel, table=True):
    """An answer that a reviewer judged wrong or unsafe, and that is not reused for its question.

    `digest`: see answer_digest in services/reuse/cache.py. The row stays when the message is
    deleted.
    """

    __tablename__ = "barred_answers"  # pyright: ignore[reportAssignmentType]

    digest: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    message_id: uuid.UUID = id_column()
    created_at: datetime = moment_column(default_factory=now)


class MessageSearch(SQLModel, table=True):
    """The search index of a finished message. Triggers of the database create and delete the row.

    PostgreSQL: a tsvector (`russian`, which stems English too) with a GIN index. SQLite: stemmed
    text, indexed by the FTS5 table `message_words`.
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
