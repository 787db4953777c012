"""Tables of work in the background, and of usage statistics, which stay after their messages are
deleted."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from genai_app.clock import now
from genai_app.models.columns import UtcDateTime, key_column, moment_column, new_id, text_column
from genai_app.models.kinds import JobState


class Export(SQLModel, table=True):
    """A file that is created for a user in the background. `chosen`: its filters as JSON."""

    __tablename__ = "exports"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.Index("ix_exports_owner", "owner_id", "id"),
        sa.Index("ix_exports_state", "state", "id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: uuid.UUID = key_column("users.id")
    kind: str = text_column()
    format: str = text_column()
    chosen: str = text_column(default="{}")
    locale: str = text_column(default="ru")
    state: str = text_column(default=JobState.QUEUED)
    total: int = 0
    done: int = 0
    size: int = Field(default=0, sa_column=sa.Column(sa.BigInteger, nullable=False))
    file_name: str = text_column(default="")
    error_code: str = text_column(default="")
    created_at: datetime = moment_column(default_factory=now)
    finished_at: datetime | None = moment_column(default=None, nullable=True)
    expires_at: datetime | None = moment_column(default=None, nullable=True)
    lease_until: datetime | None = moment_column(default=None, nullable=True)
    # how many times a process started it
    tries: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class BackgroundJob(SQLModel, table=True):
    """Work for a user in the background. `chosen`, `result`: JSON, by kind; `file_name`: the file
    that the kind works on, in its own directory."""

    __tablename__ = "jobs"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        sa.Index("ix_jobs_owner", "owner_id", "id"),
        sa.Index("ix_jobs_state", "state", "id"),
    )

    id: uuid.UUID = Field(default_factory=new_id, primary_key=True)
    owner_id: uuid.UUID = key_column("users.id")
    kind: str = text_column()
    chosen: str = text_column(default="{}")
    locale: str = text_column(default="ru")
    state: str = text_column(default=JobState.QUEUED)
    total: int = 0
    done: int = 0
    tries: int = 0
    result: str = text_column(default="{}")
    file_name: str = text_column(default="")
    error_code: str = text_column(default="")
    created_at: datetime = moment_column(default_factory=now)
    finished_at: datetime | None = moment_column(default=None, nullable=True)
    expires_at: datetime | None = moment_column(default=None, nullable=True)
    lease_until: datetime | None = moment_column(default=None, nullable=True)


def _text_key() -> sa.Column[str]:
    return sa.Column(sa.Text, primary_key=True)


def _hour_key() -> sa.Column[datetime]:
    return sa.Column(UtcDateTime, primary_key=True)


class UsageHour(SQLModel, table=True):
    """Answers to the questions of an hour, counted after the hour has ended."""

    __tablename__ = "usage_hours"  # pyright: ignore[reportAssignmentType]

    hour: datetime = Field(sa_column=_hour_key())
    department: str = Field(sa_column=_text_key())
    model: str = Field(sa_column=_text_key())
    channel: str = Field(sa_column=_text_key())
    source: str = Field(sa_column=_text_key())
    status: str = Field(sa_column=_text_key())
    answers: int = 0
    prompt_tokens: int = Field(default=0, sa_column=sa.Column(sa.BigInteger, nullable=False))
    completion_tokens: int = Field(default=0, sa_column=sa.Column(sa.BigInteger, nullable=False))
    total_ms: int = Field(default=0, sa_column=sa.Column(sa.BigInteger, nullable=False))


class UsageLatency(SQLModel, table=True):
    """A histogram of answer times in an hour. `bucket`: an index in the scale of
    services/statistics/usage.py; `kind`: "first" (until the first token) or "total"."""

    __tablename__ = "usage_latency"  # pyright: ignore[reportAssignmentType]

    hour: datetime = Field(sa_column=_hour_key())
    department: str = Field(sa_column=_text_key())
    model: str = Field(sa_column=_text_key())
    kind: str = Field(sa_column=_text_key())
    bucket: int = Field(sa_column=sa.Column(sa.Integer, primary_key=True, autoincrement=False))
    answers: int = 0


class UsagePerson(SQLModel, table=True):
    """A user who asked questions in an hour, with the number of answers."""

    __tablename__ = "usage_people"  # pyright: ignore[reportAssignmentType]

    hour: datetime = Field(sa_column=_hour_key())
    user_id: uuid.UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    department: str = Field(sa_column=_text_key())
    answers: int = 0


class UsageMark(SQLModel, table=True):
    """An hour whose statistics are stored. `counted_at`: the hour itself where an answer of it was
    running then, or has gone on since; then it is counted again."""

    __tablename__ = "usage_marks"  # pyright: ignore[reportAssignmentType]

    hour: datetime = Field(sa_column=_hour_key())
    counted_at: datetime = moment_column(default_factory=now)
