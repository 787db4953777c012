"""The figures of `/admin`: from the hours that were counted, and the last few counted now."""

import asyncio
import uuid
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from cachetools import TTLCache
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.models import (
    Action,
    AuditEvent,
    Role,
    Source,
    Status,
    UsageHour,
    UsageLatency,
    UsagePerson,
)
from genai_app.services.audit.events import Audit, event
from genai_app.services.review.crowds import list_crowded, require_crowd
from genai_app.services.statistics.usage import (
    FIRST,
    HOUR,
    TOTAL,
    Hour,
    Sums,
    UsageCounter,
    hour_of,
    of_bucket,
)
from genai_app.zones import day_start, local_time

LIVE_S = 5.0
TOP = 8
FAILED = (Status.FAILED, Status.INTERRUPTED)

_Query = sa.Select[*tuple[Any, ...]]
_HOURS, _LATENCY, _PEOPLE = table_of(UsageHour), table_of(UsageLatency), table_of(UsagePerson)


class Period(StrEnum):
    """How far back. The first is told by hours, the others by days."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


DAYS = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 30, Period.YEAR: 365}


@dataclass(slots=True)
class Point:
    """One hour or day of the chart. Answers by source, failed ones apart."""

    begin: datetime
    by_source: Counter[str] = field(default_factory=Counter[str])
    failed: int = 0
    users: int = 0

    @property
    def answers(self) -> int:
        return self.by_source.total() + self.failed

    def add(self, source: str, status: str, answers: int) -> None:
        if status in FAILED:
            self.failed += answers
        else:
            self.by_source[source] += answers


@dataclass(frozen=True, slots=True)
class Times:
    """Percentiles in milliseconds; None without an answer."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the page draws. `model_ms`: models at work; `saved_ms`: what answers that were
    given again would have taken at that speed."""

    begin: datetime
    points: list[Point]
    answers: int
    failed: int
    users: int
    prompt_tokens: int
    completion_tokens: int
    by_source: Mapping[str, int]
    first: Times
    total: Times
    limits_hit: int
    model_ms: int
    saved_ms: int
    departments: list[tuple[str, int]]
    models: list[tuple[str, int]]

    @property
    def cache_share(self) -> float:
        """Of all answers, 0 to 1."""
        given = self.by_source.get(Source.CACHE, 0) + self.by_source.get(Source.VERIFIED, 0)
        return given / self.answers if self.answers else 0.0


class Overviews:
    """Adds up, for administrators and reviewers."""

    def __init__(self, db: Database, counter: UsageCounter, *, names_hidden: bool = False) -> None:
        self._db = db
        self._names_hidden = names_hidden
        self._counter = counter
        self._audit = Audit(db)
        self._live: TTLCache[str, list[Hour]] = TTLCache(1, LIVE_S)
        self._lock = asyncio.Lock()

    async def get(
        self,
        actor: Actor,
        period: Period,
        *,
        department: str | None = None,
        model: str | None = None,
    ) -> Overview:
        """The figures up to now. `department`, `model`: of these alone; "" is one too.

        Raises Forbidden; InvalidInput: while names are hidden, the department is of too few.
        """
        await self._audit.let_in(actor, Role.REVIEWER, "overview")
        await self._audit.record_news(event(Action.ADMIN_VIEW, by=actor, target="overview"))
        begin, step = _begin(period)
        both = (("department", department), ("model", model))
        chosen = {name: text for name, text in both if text is not None}
        live = [hour for hour in await self._open_hours() if hour.hour >= begin]
        found = await self._add_up(begin, step, chosen, live)
        if not self._names_hidden:
            return found
        if department is not None:
            whole = await self._add_up(begin, step, {"department": department}, live)
            require_crowd(whole.users)
        crowded = await self.list_departments()
        return replace(found, departments=[it for it in found.departments if it[0] in crowded])

    async def _open_hours(self) -> list[Hour]:
        """The hours that are not counted for good, counted now; a few seconds old at most."""
        async with self._lock:
            known = self._live.get("")
            if known is None:
                known = list[Hour]()
                hour, now = await self._counter.first_open(), clock.now()
                while hour is not None and hour <= now:
                    known.append(await self._counter.count(hour))
                    hour += HOUR
                self._live[""] = known
            return known

    async def _add_up(
        self, begin: datetime, step: timedelta, chosen: dict[str, str], live: list[Hour]
    ) -> Overview:
        points = _points(begin, step)
        begins = [point.begin for point in points]
        sums: dict[tuple[str, ...], Sums] = defaultdict(Sums)
        latency: Counter[tuple[str, int]] = Counter()
        async with self._db.read(planned_anew=True) as session:
            for place, source, status, answers in await session.execute(
                self._points_query(begins, chosen)
            ):
                points[_index(begins, place)].add(source, status, answers)
            for row in await session.execute(_sums_query(begin, chosen)):
                sums[row.department, row.model, row.source, row.status].add(row)
            for kind, place, count in await session.execute(_latency_query(begin, chosen)):
                latency[kind, place] += count
            users = await self._count_people(session, points, chosen, live)
            limits_hit = await session.scalar(_limits_query(begin))
        for hour in live:
            point = points[_index(begins, hour.hour)]
            for (department, model, _, source, status), counted in hour.sums.items():
                if _fits(department, model, chosen):
                    point.add(source, status, counted.answers)
                    sums[department, model, source, status].add(counted)
            for (department, model, kind, place), count in hour.latency.items():
                if _fits(department, model, chosen):
                    latency[kind, place] += count
        return _overview(begin, points, sums, latency, users, limits_hit or 0)

    async def _count_people(
        self,
        session: AsyncSession,
        points: list[Point],
        chosen: Mapping[str, str],
        live: Sequence[Hour],
    ) -> int:
        """Who asked, at each point and in all. Whom a model answered is not kept: with one chosen
        nobody is counted."""
        if "model" in chosen:
            return 0
        begins = [point.begin for point in points]
        people: dict[int, set[uuid.UUID]] = defaultdict(set)
        for hour in live:
            for user_id, department in hour.people:
                if _fits(department, "", chosen):
                    people[_index(begins, hour.hour)].add(user_id)
        # of points that go on, everybody is looked at; of those that are over, as many as there are
        first = 0 if self._db.is_sqlite else min(people, default=len(points))
        if first < len(points):
            still = _narrowed(
                sa.select(_PEOPLE.c.hour, _PEOPLE.c.user_id), _PEOPLE, begins[first], chosen
            )
            for hour, user_id in await session.execute(still):
                people[_index(begins, hour)].add(user_id)
        if first > 0:
            place = self._place(_PEOPLE, begins).label("place")
            each = _narrowed(sa.select(place, _PEOPLE.c.user_id), _PEOPLE, begins[0], chosen)
            if first < len(points):
                each = each.where(_PEOPLE.c.hour < begins[first])
            once = each.distinct().subquery()
            counted = sa.select(once.c.place, sa.func.count()).group_by(once.c.place)
            for number, count in await session.execute(counted):
                points[_index(begins, number)].users = count
        for number, users in people.items():
            points[number].users = len(users)
        everybody = _narrowed(sa.select(_PEOPLE.c.user_id), _PEOPLE, begins[0], chosen)
        known = set(await session.scalars(everybody.distinct()))
        return len(known.union(*people.values()))

    def _place(self, table: sa.Table, begins: Sequence[datetime]) -> sa.ColumnElement[Any]:
        """Where an hour belongs, as `_index` takes it: the number of its point, from 1."""
        if self._db.is_sqlite:
            return table.c.hour
        return sa.func.width_bucket(table.c.hour, postgresql.array(begins))

    def _points_query(self, begins: Sequence[datetime], chosen: Mapping[str, str]) -> _Query:
        place = self._place(_HOURS, begins).label("place")
        keys = (place, _HOURS.c.source, _HOURS.c.status)
        answers = sa.cast(sa.func.sum(_HOURS.c.answers), sa.BigInteger)
        query = sa.select(*keys, answers).group_by(*(sa.text(str(n)) for n in (1, 2, 3)))
        return _narrowed(query, _HOURS, begins[0], chosen)

    async def list_departments(self) -> list[str]:
        """All that were ever counted, and those of this moment; while names are hidden, of many."""
        known = await self._list_known(_HOURS.c.department, 0)
        if not self._names_hidden:
            return sorted(known)
        async with self._db.read() as session:
            return sorted(await list_crowded(session, known))

    async def list_models(self) -> list[str]:
        """All that were ever counted, and those of this moment."""
        return sorted(await self._list_known(_HOURS.c.model, 1))

    async def _list_known(self, column: sa.Column[Any], at: int) -> set[str]:
        async with self._db.read() as session:
            kept = set(await session.scalars(sa.select(column).distinct()))
        return kept | {key[at] for hour in await self._open_hours() for key in hour.sums}


def _index(begins: Sequence[datetime], place: int | datetime) -> int:
    """The number of the point; of what a faster clock put behind now, the last one."""
    if isinstance(place, int):
        return place - 1
    return max(bisect_right(begins, place) - 1, 0)


def _overview(
    begin: datetime,
    points: list[Point],
    sums: Mapping[tuple[str, ...], Sums],
    latency: Counter[tuple[str, int]],
    users: int,
    limits_hit: int,
) -> Overview:
    by_source: Counter[str] = Counter()
    departments: Counter[str] = Counter()
    models: Counter[str] = Counter()
    failed = model_ms = given_tokens = prompt_tokens = completion_tokens = 0
    for (department, model, source, status), each in sums.items():
        by_source[source] += each.answers
        departments[department] += each.answers
        models[model] += each.answers
        failed += each.answers if status in FAILED else 0
        if source == Source.MODEL:
            model_ms += each.total_ms
            prompt_tokens += each.prompt_tokens
            completion_tokens += each.completion_tokens
        elif source == Source.CACHE:
            given_tokens += each.completion_tokens
    saved = model_ms * given_tokens / completion_tokens if completion_tokens else 0
    return Overview(
        begin=begin,
        points=points,
        answers=by_source.total(),
        failed=failed,
        users=users,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        by_source=by_source,
        first=_times(latency, FIRST),
        total=_times(latency, TOTAL),
        limits_hit=limits_hit,
        model_ms=model_ms,
        saved_ms=round(saved),
        departments=departments.most_common(TOP),
        models=models.most_common(TOP),
    )


def _times(latency: Counter[tuple[str, int]], kind: str) -> Times:
    counts = sorted((place, count) for (each, place), count in latency.items() if each == kind)
    return Times(percentile(counts, 0.5), percentile(counts, 0.95))


def percentile(counts: Iterable[tuple[int, int]], share: float) -> float | None:
    """The time that `share` of the answers stay below. `counts`: by bucket, in order."""
    listed = list(counts)
    left = share * sum(count for _, count in listed)
    for place, count in listed:
        left -= count
        if left <= 0:
            return of_bucket(place)
    return None


def _begin(period: Period) -> tuple[datetime, timedelta]:
    """The first moment, and how long a point of the chart is; days are the viewer's."""
    now = clock.now()
    if period is Period.DAY:
        return hour_of(now) - 23 * HOUR, HOUR
    first = local_time(now).date() - timedelta(days=DAYS[period] - 1)
    return day_start(first), timedelta(days=1)


def _points(begin: datetime, step: timedelta) -> list[Point]:
    """By the wall clock, so that days of 23 and 25 hours are days."""
    points: dict[datetime, Point] = {}
    now = clock.now()
    if step == HOUR:
        moment = begin
        while moment <= now:
            points.setdefault(_naive(local_time(moment)), Point(moment))
            moment += HOUR
        return list(points.values())
    day = _naive(local_time(begin))
    while (moment := day_start(day.date())) <= now:
        points[day] = Point(moment)
        day += timedelta(days=1)
    return list(points.values())


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def _fits(department: str, model: str, chosen: Mapping[str, str]) -> bool:
    return chosen.get("department", department) == department and (
        chosen.get("model", model) == model
    )


def _narrowed(query: _Query, table: sa.Table, begin: datetime, chosen: Mapping[str, str]) -> _Query:
    query = query.where(table.c.hour >= begin)
    for name, text in chosen.items():
        if name in table.c:
            query = query.where(table.c[name] == text)
    return query


def _sums_query(begin: datetime, chosen: Mapping[str, str]) -> _Query:
    keys = [_HOURS.c[name] for name in ("department", "model", "source", "status")]
    names = ("answers", "prompt_tokens", "completion_tokens", "total_ms")
    added = [sa.cast(sa.func.sum(_HOURS.c[name]), sa.BigInteger).label(name) for name in names]
    return _narrowed(sa.select(*keys, *added).group_by(*keys), _HOURS, begin, chosen)


def _latency_query(begin: datetime, chosen: Mapping[str, str]) -> _Query:
    count = sa.cast(sa.func.sum(_LATENCY.c.answers), sa.BigInteger)
    query = sa.select(_LATENCY.c.kind, _LATENCY.c.bucket, count)
    return _narrowed(query.group_by(_LATENCY.c.kind, _LATENCY.c.bucket), _LATENCY, begin, chosen)


def _limits_query(begin: datetime) -> _Query:
    return sa.select(sa.func.count()).where(
        col(AuditEvent.action) == Action.LIMIT_HIT, col(AuditEvent.at) >= begin
    )
