"""Counts the use of the assistant by the hour, so that a year is read in milliseconds and the
figures stay when messages are removed.

An hour has the answers to the questions of that hour. It is stored when hardly any of them can be
running. Until then, each overview counts it again. An answer that was cut may go on at any time:
its hour is counted again then, when the answer has ended.
"""

import math
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.models import (
    Author,
    Channel,
    Message,
    Status,
    UsageHour,
    UsageLatency,
    UsageMark,
    UsagePerson,
    User,
)
from genai_app.services.background import every

log = structlog.stdlib.get_logger(__name__)

HOUR = timedelta(hours=1)
FINAL_AFTER = timedelta(hours=2)  # then no answer of the hour is running, unless it goes on
COUNT_S = 60.0
BATCH = 2000  # messages of a query
HOURS_AT_ONCE = 500  # few, so that a first start with many old messages does not block others
STEP = math.log(1.1)  # of the logarithmic scale: each bucket is a tenth wider than the one before
FIRST, TOTAL = "first", "total"

_MESSAGES, _USERS = table_of(Message), table_of(User)
_ANSWERS = (
    _MESSAGES.c.author == Author.ASSISTANT,
    _MESSAGES.c.source.is_not(None),  # answers that a client sent as its own history have no source
)
_COLUMNS = (
    *(_MESSAGES.c[name] for name in ("id", "user_id", "model", "channel", "source", "status")),
    *(_MESSAGES.c[name] for name in ("prompt_tokens", "completion_tokens", "created_at")),
    *(_MESSAGES.c[name] for name in ("first_token_at", "finished_at", "paused_ms")),
    _USERS.c.department,
)

Key = tuple[str, str, str, str, str]


@dataclass(slots=True)
class Sums:
    """Sums over answers. Times in milliseconds."""

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_ms: int = 0

    def add(self, other: Any) -> None:
        """Adds other sums, or a row with the same columns."""
        self.answers += other.answers
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.total_ms += other.total_ms


@dataclass(slots=True)
class Hour:
    """The figures of an hour.

    `sums`: by department, model, channel, source and status. `latency`: answers of the model by
    department, model, kind (FIRST or TOTAL) and bucket of the time. `people`: answers by user and
    department. `running`: answers that are not counted yet.
    """

    hour: datetime
    running: int = 0
    sums: dict[Key, Sums] = field(default_factory=dict[Key, Sums])
    latency: Counter[tuple[str, str, str, int]] = field(
        default_factory=Counter[tuple[str, str, str, int]]
    )
    people: Counter[tuple[uuid.UUID, str]] = field(default_factory=Counter[tuple[uuid.UUID, str]])

    def add(self, row: Any) -> None:
        """Counts one answer."""
        if row.status == Status.RUNNING:
            self.running += 1
            return
        model = row.model or ""
        key = (row.department, model, row.channel, row.source, row.status)
        sums = self.sums.setdefault(key, Sums())
        sums.answers += 1
        sums.prompt_tokens += row.prompt_tokens or 0
        sums.completion_tokens += row.completion_tokens or 0
        self.people[row.user_id, row.department] += 1
        if row.source != "model" or row.finished_at is None:
            return
        # the time that somebody waited: not the pause before a continuation
        total = max(milliseconds(row.finished_at - row.created_at) - (row.paused_ms or 0), 0)
        sums.total_ms += total
        self.latency[row.department, model, TOTAL, bucket(total)] += 1
        if row.first_token_at is not None:
            first = milliseconds(row.first_token_at - row.created_at)
            self.latency[row.department, model, FIRST, bucket(first)] += 1


def milliseconds(passed: timedelta) -> int:
    return max(0, round(passed.total_seconds() * 1000))


def bucket(ms: float) -> int:
    """Returns the bucket of a time on the logarithmic scale."""
    return 0 if ms < 1 else 1 + int(math.log(ms) / STEP)


def of_bucket(number: int) -> float:
    """Returns the middle of a bucket in milliseconds, within 5 % of each time in the bucket."""
    return 0.5 if number <= 0 else math.exp((number - 0.5) * STEP)


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


class UsageCounter:
    """Counts and stores hours. Several processes may do so: the first one stores an hour."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def run(self) -> None:
        """Stores hours that are over, until cancelled."""
        await every(COUNT_S, self._catch_up)

    async def _catch_up(self) -> None:
        while await self.count_some() == HOURS_AT_ONCE:
            pass
        await self.count_again()

    async def count_some(self) -> int:
        """Stores up to HOURS_AT_ONCE hours that are over, oldest first. Returns how many."""
        counted = 0
        async for hour in self._due():
            await self._store(await self.count(hour))
            counted += 1
            if counted == HOURS_AT_ONCE:
                break
        return counted

    async def count_again(self) -> None:
        """Stores hours again in which an answer has gone on since, when it has ended."""
        query = sa.select(col(UsageMark.hour)).where(_has_changed())
        async with self._db.read() as session:
            hours = list(await session.scalars(query))
        for hour in hours:
            await self._store_again(hour)

    async def count(self, hour: datetime, until: datetime | None = None) -> Hour:
        """Counts the messages of an hour; only those before `until`, if it is set."""
        counted = Hour(hour)
        end = min(hour + HOUR, until) if until else hour + HOUR
        after: tuple[datetime, uuid.UUID] | None = None
        order = (_MESSAGES.c.created_at, _MESSAGES.c.id)
        while True:
            query = (
                sa.select(*_COLUMNS)
                .join(_USERS, _USERS.c.id == _MESSAGES.c.user_id)
                .where(*_ANSWERS, _MESSAGES.c.created_at >= hour, _MESSAGES.c.created_at < end)
                .order_by(*order)
                .limit(BATCH)
            )
            if after is not None:
                query = query.where(sa.tuple_(*order) > sa.tuple_(*after))
            async with self._db.read() as session:
                rows = (await session.execute(query)).all()
            for row in rows:
                counted.add(row)
            if len(rows) < BATCH:
                return counted
            after = rows[-1].created_at, rows[-1].id

    async def first_open(self) -> datetime | None:
        """Returns the first hour that is not stored; None where there are no messages."""
        async with self._db.read() as session:
            marked = await session.scalar(sa.select(sa.func.max(col(UsageMark.hour))))
            if marked is not None:
                return marked + HOUR
            # a slow query, but only for a database without stored hours. Imported messages have
            # moments from years before anybody asked here
            first = await session.scalar(
                sa.select(sa.func.min(_MESSAGES.c.created_at)).where(
                    _MESSAGES.c.channel != Channel.IMPORT
                )
            )
        return hour_of(first) if first else None

    async def _due(self) -> AsyncGenerator[datetime]:
        hour = await self.first_open()
        over = hour_of(clock.now() - FINAL_AFTER)
        while hour is not None and hour < over:
            yield hour
            hour += HOUR

    async def _store(self, counted: Hour) -> None:
        """Commits the rows of an hour, unless another process has."""
        counted_at = counted.hour if counted.running else clock.now()
        try:
            async with self._db.write() as session:
                session.add(UsageMark(hour=counted.hour, counted_at=counted_at))
                await session.flush()
                await _insert(session, counted)
        except IntegrityError:
            log.debug("usage.counted_by_another", hour=counted.hour.isoformat())

    async def _store_again(self, hour: datetime) -> None:
        """Replaces the rows of an hour, unless an answer of it runs or messages were removed."""
        mark_query = sa.select(UsageMark).where(col(UsageMark.hour) == hour, _has_changed())
        stored = sa.select(sa.func.sum(col(UsageHour.answers))).where(col(UsageHour.hour) == hour)
        async with self._db.write() as session:
            # locked before the count: an answer that goes on meanwhile marks the hour after it
            mark = await session.scalar(mark_query.with_for_update())
            if mark is None:
                return  # another process was first
            counted = await self.count(hour)
            if counted.running:
                return
            mark.counted_at = clock.now()
            if counted.people.total() < (await session.scalar(stored) or 0):
                return  # the stored figures are all that is left of some
            for kind in (UsageHour, UsageLatency, UsagePerson):
                table = table_of(kind)
                await session.execute(sa.delete(table).where(table.c.hour == hour))
            await _insert(session, counted)


def _has_changed() -> sa.ColumnElement[bool]:
    """Returns the condition that a stored hour is to be counted again."""
    return col(UsageMark.counted_at) <= col(UsageMark.hour)


async def _insert(session: AsyncSession, counted: Hour) -> None:
    for kind, rows in (
        (UsageHour, hour_rows(counted)),
        (UsageLatency, latency_rows(counted)),
        (UsagePerson, person_rows(counted)),
    ):
        if rows:
            await session.execute(sa.insert(table_of(kind)), rows)


def hour_rows(counted: Hour) -> list[dict[str, Any]]:
    """Returns the rows of UsageHour."""
    names = ("department", "model", "channel", "source", "status")
    return [
        {
            "hour": counted.hour,
            **dict(zip(names, key, strict=True)),
            "answers": sums.answers,
            "prompt_tokens": sums.prompt_tokens,
            "completion_tokens": sums.completion_tokens,
            "total_ms": sums.total_ms,
        }
        for key, sums in counted.sums.items()
    ]


def latency_rows(counted: Hour) -> list[dict[str, Any]]:
    """Returns the rows of UsageLatency."""
    names = ("department", "model", "kind", "bucket")
    return [
        {"hour": counted.hour, **dict(zip(names, key, strict=True)), "answers": count}
        for key, count in counted.latency.items()
    ]


def person_rows(counted: Hour) -> list[dict[str, Any]]:
    """Returns the rows of UsagePerson."""
    return [
        {"hour": counted.hour, "user_id": user_id, "department": department, "answers": count}
        for (user_id, department), count in counted.people.items()
    ]
