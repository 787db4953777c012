"""What the assistant was used for, counted once an hour is over, so that a year is read in
milliseconds and the figures outlive the messages.

An hour holds the answers that were asked for in it. It is counted for good when none of them can
change any more; until then it is counted anew each time somebody looks.
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
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.models import (
    Author,
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
FINAL_AFTER = timedelta(hours=2)  # no answer runs so long after its hour
COUNT_S = 60.0
BATCH = 2000
HOURS_AT_ONCE = 500  # of a round, so that a first start over old messages shares the database
STEP = math.log(1.1)  # of the scale of times: a bucket is a tenth wider than the one before
FIRST, TOTAL = "first", "total"

_MESSAGES, _USERS = table_of(Message), table_of(User)
_ANSWERS = (
    _MESSAGES.c.author == Author.ASSISTANT,
    _MESSAGES.c.status != Status.RUNNING,
    _MESSAGES.c.source.is_not(None),  # those that a client sent as its own history have none
)
_COLUMNS = (
    *(_MESSAGES.c[name] for name in ("id", "user_id", "model", "channel", "source", "status")),
    *(_MESSAGES.c[name] for name in ("prompt_tokens", "completion_tokens", "created_at")),
    *(_MESSAGES.c[name] for name in ("first_token_at", "finished_at")),
    _USERS.c.department,
)

Key = tuple[str, str, str, str, str]


@dataclass(slots=True)
class Sums:
    """Of some answers. Times in milliseconds."""

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_ms: int = 0

    def add(self, other: Any) -> None:
        """Add other sums, or a row that has them."""
        self.answers += other.answers
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.total_ms += other.total_ms


@dataclass(slots=True)
class Hour:
    """One hour: sums by department, model, channel, source and status; how long answers of the
    model took by department, model, kind and bucket; answers by user and department."""

    hour: datetime
    sums: dict[Key, Sums] = field(default_factory=dict[Key, Sums])
    latency: Counter[tuple[str, str, str, int]] = field(
        default_factory=Counter[tuple[str, str, str, int]]
    )
    people: Counter[tuple[uuid.UUID, str]] = field(default_factory=Counter[tuple[uuid.UUID, str]])

    def add(self, row: Any) -> None:
        """Count one answer."""
        model = row.model or ""
        key = (row.department, model, row.channel, row.source, row.status)
        sums = self.sums.setdefault(key, Sums())
        sums.answers += 1
        sums.prompt_tokens += row.prompt_tokens or 0
        sums.completion_tokens += row.completion_tokens or 0
        self.people[row.user_id, row.department] += 1
        if row.source != "model" or row.finished_at is None:
            return
        total = milliseconds(row.finished_at - row.created_at)
        sums.total_ms += total
        self.latency[row.department, model, TOTAL, bucket(total)] += 1
        if row.first_token_at is not None:
            first = milliseconds(row.first_token_at - row.created_at)
            self.latency[row.department, model, FIRST, bucket(first)] += 1


def milliseconds(passed: timedelta) -> int:
    return max(0, round(passed.total_seconds() * 1000))


def bucket(ms: float) -> int:
    """The place of a time on the scale."""
    return 0 if ms < 1 else 1 + int(math.log(ms) / STEP)


def of_bucket(place: int) -> float:
    """The middle of a place on the scale, in milliseconds: within 5 % of each time in it."""
    return 0.5 if place <= 0 else math.exp((place - 0.5) * STEP)


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


class UsageCounter:
    """Counts hours. Any number of processes may: the first one to finish an hour has it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def run(self) -> None:
        """Count what is over, until cancelled."""
        await every(COUNT_S, self._catch_up)

    async def _catch_up(self) -> None:
        while await self.count_some() == HOURS_AT_ONCE:
            pass

    async def count_some(self) -> int:
        """Count hours that are over and were not counted, the oldest first. Returns how many."""
        counted = 0
        async for hour in self._due():
            await self._keep(await self.count(hour))
            counted += 1
            if counted == HOURS_AT_ONCE:
                break
        return counted

    async def count(self, hour: datetime, until: datetime | None = None) -> Hour:
        """The figures of an hour from its messages; those before `until` only, if given."""
        found = Hour(hour)
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
                found.add(row)
            if len(rows) < BATCH:
                return found
            after = rows[-1].created_at, rows[-1].id

    async def first_open(self) -> datetime | None:
        """The first hour that is not counted for good; None where there is no message at all."""
        async with self._db.read() as session:
            marked = await session.scalar(sa.select(sa.func.max(col(UsageMark.hour))))
            if marked is not None:
                return marked + HOUR
            # reads all where the index cannot tell: of a database that was never counted
            first = await session.scalar(sa.select(sa.func.min(_MESSAGES.c.created_at)))
        return hour_of(first) if first else None

    async def _due(self) -> AsyncGenerator[datetime]:
        hour = await self.first_open()
        over = hour_of(clock.now() - FINAL_AFTER)
        while hour is not None and hour < over:
            yield hour
            hour += HOUR

    async def _keep(self, found: Hour) -> None:
        rows: list[tuple[type, list[dict[str, Any]]]] = [
            (UsageMark, [{"hour": found.hour, "counted_at": clock.now()}]),
            (UsageHour, hour_rows(found)),
            (UsageLatency, latency_rows(found)),
            (UsagePerson, person_rows(found)),
        ]
        try:
            async with self._db.write() as session:
                for kind, values in rows:
                    if values:
                        await session.execute(sa.insert(table_of(kind)), values)
        except IntegrityError:
            log.debug("usage.counted_by_another", hour=found.hour.isoformat())


def hour_rows(found: Hour) -> list[dict[str, Any]]:
    """As the table has them."""
    names = ("department", "model", "channel", "source", "status")
    return [
        {
            "hour": found.hour,
            **dict(zip(names, key, strict=True)),
            "answers": sums.answers,
            "prompt_tokens": sums.prompt_tokens,
            "completion_tokens": sums.completion_tokens,
            "total_ms": sums.total_ms,
        }
        for key, sums in found.sums.items()
    ]


def latency_rows(found: Hour) -> list[dict[str, Any]]:
    """As the table has them."""
    names = ("department", "model", "kind", "bucket")
    return [
        {"hour": found.hour, **dict(zip(names, key, strict=True)), "answers": count}
        for key, count in found.latency.items()
    ]


def person_rows(found: Hour) -> list[dict[str, Any]]:
    """As the table has them."""
    return [
        {"hour": found.hour, "user_id": user_id, "department": department, "answers": count}
        for (user_id, department), count in found.people.items()
    ]
