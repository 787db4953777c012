"""The figures of `/admin`: stored hours, and the last few hours counted now."""

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
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
    UsageHour,
    UsageLatency,
    UsagePerson,
)
from genai_app.services.audit.events import Audit, event
from genai_app.services.review.crowds import list_crowded, require_crowd
from genai_app.services.statistics.figures import Overview, Point, overview_of
from genai_app.services.statistics.periods import Period, begin_of, point_index, points_of
from genai_app.services.statistics.usage import HOUR, Hour, Sums, UsageCounter

LIVE_S = 5.0  # how long counts of the live hours are reused

_Query = sa.Select[*tuple[Any, ...]]
_HOURS, _LATENCY, _PEOPLE = table_of(UsageHour), table_of(UsageLatency), table_of(UsagePerson)


class Overviews:
    """Computes overviews for administrators and reviewers.

    Args:
        names_hidden: reviewers see pseudonyms, so no department of a few users may be shown.
    """

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
        """Returns the figures of a period until now and audits that. `department`, `model`: only
        answers of these; "" is a name too.

        Raises:
            Forbidden: the actor is no reviewer.
            InvalidInput: names are hidden and the department has too few users.
        """
        await self._audit.let_in(actor, Role.REVIEWER, "overview")
        await self._audit.record_news(event(Action.ADMIN_VIEW, by=actor, target="overview"))
        begin, step = begin_of(period)
        both = (("department", department), ("model", model))
        chosen = {name: text for name, text in both if text is not None}
        live = [hour for hour in await self._open_hours() if hour.hour >= begin]
        overview = await self._add_up(begin, step, chosen, live)
        if not self._names_hidden:
            return overview
        if department is not None:
            whole = await self._add_up(begin, step, {"department": department}, live)
            require_crowd(whole.users)
        crowded = await self.list_departments()
        departments = [each for each in overview.departments if each[0] in crowded]
        return replace(overview, departments=departments)

    async def _open_hours(self) -> list[Hour]:
        """Returns the hours that are not stored yet, counted at most LIVE_S ago."""
        async with self._lock:
            hours = self._live.get("")
            if hours is None:
                hours = list[Hour]()
                hour, now = await self._counter.first_open(), clock.now()
                while hour is not None and hour <= now:
                    hours.append(await self._counter.count(hour))
                    hour += HOUR
                self._live[""] = hours
            return hours

    async def _add_up(
        self, begin: datetime, step: timedelta, chosen: dict[str, str], live: list[Hour]
    ) -> Overview:
        """Adds the stored hours and the live ones. `chosen`: the department and model to count,
        where only one is."""
        points = points_of(begin, step)
        begins = [point.begin for point in points]
        sums: dict[tuple[str, ...], Sums] = defaultdict(Sums)
        latency: Counter[tuple[str, int]] = Counter()
        async with self._db.read(planned_anew=True) as session:
            for point, source, status, answers in await session.execute(
                self._points_query(begins, chosen)
            ):
                points[point_index(begins, point)].add(source, status, answers)
            for row in await session.execute(_sums_query(begin, chosen)):
                sums[row.department, row.model, row.source, row.status].add(row)
            for kind, bucket, count in await session.execute(_latency_query(begin, chosen)):
                latency[kind, bucket] += count
            users = await self._count_people(session, points, chosen, live)
            limits_hit = await session.scalar(_limits_query(begin))
        for hour in live:
            point = points[point_index(begins, hour.hour)]
            for (department, model, _, source, status), counted in hour.sums.items():
                if _fits(department, model, chosen):
                    point.add(source, status, counted.answers)
                    sums[department, model, source, status].add(counted)
            for (department, model, kind, bucket), count in hour.latency.items():
                if _fits(department, model, chosen):
                    latency[kind, bucket] += count
        return overview_of(begin, points, sums, latency, users, limits_hit or 0)

    async def _count_people(
        self,
        session: AsyncSession,
        points: list[Point],
        chosen: Mapping[str, str],
        live: Sequence[Hour],
    ) -> int:
        """Sets how many users asked at each point. Returns how many asked in all. With a chosen
        model all are 0, because the tables do not keep whom a model answered."""
        if "model" in chosen:
            return 0
        begins = [point.begin for point in points]
        people: dict[int, set[uuid.UUID]] = defaultdict(set)
        for hour in live:
            for user_id, department in hour.people:
                if _fits(department, "", chosen):
                    people[point_index(begins, hour.hour)].add(user_id)
        # points with live hours need the ids of their users; for the others the database counts
        first = 0 if self._db.is_sqlite else min(people, default=len(points))
        if first < len(points):
            stored = _narrowed(
                sa.select(_PEOPLE.c.hour, _PEOPLE.c.user_id), _PEOPLE, begins[first], chosen
            )
            for hour, user_id in await session.execute(stored):
                people[point_index(begins, hour)].add(user_id)
        if first > 0:
            point = self._point_of(_PEOPLE, begins).label("point")
            rows = _narrowed(sa.select(point, _PEOPLE.c.user_id), _PEOPLE, begins[0], chosen)
            if first < len(points):
                rows = rows.where(_PEOPLE.c.hour < begins[first])
            distinct = rows.distinct().subquery()
            counts = sa.select(distinct.c.point, sa.func.count()).group_by(distinct.c.point)
            for number, count in await session.execute(counts):
                points[point_index(begins, number)].users = count
        for index, users in people.items():
            points[index].users = len(users)
        everybody = _narrowed(sa.select(_PEOPLE.c.user_id), _PEOPLE, begins[0], chosen)
        user_ids = set(await session.scalars(everybody.distinct()))
        return len(user_ids.union(*people.values()))

    def _point_of(self, table: sa.Table, begins: Sequence[datetime]) -> sa.ColumnElement[Any]:
        """Returns the point of a row as `point_index` takes it: the number, or with SQLite the
        hour."""
        if self._db.is_sqlite:
            return table.c.hour
        return sa.func.width_bucket(table.c.hour, postgresql.array(begins))

    def _points_query(self, begins: Sequence[datetime], chosen: Mapping[str, str]) -> _Query:
        point = self._point_of(_HOURS, begins).label("point")
        keys = (point, _HOURS.c.source, _HOURS.c.status)
        answers = sa.cast(sa.func.sum(_HOURS.c.answers), sa.BigInteger)
        query = sa.select(*keys, answers).group_by(*(sa.text(str(n)) for n in (1, 2, 3)))
        return _narrowed(query, _HOURS, begins[0], chosen)

    async def list_departments(self) -> list[str]:
        """Returns all departments with answers; while names are hidden, those with enough users."""
        departments = await self._list_values(_HOURS.c.department, 0)
        if not self._names_hidden:
            return sorted(departments)
        async with self._db.read() as session:
            return sorted(await list_crowded(session, departments))

    async def list_models(self) -> list[str]:
        """Returns all models with answers."""
        return sorted(await self._list_values(_HOURS.c.model, 1))

    async def _list_values(self, column: sa.Column[Any], index: int) -> set[str]:
        """Returns the values of a column of all hours, stored and live. `index`: the column's index
        in the keys of Hour.sums."""
        async with self._db.read() as session:
            stored = set(await session.scalars(sa.select(column).distinct()))
        return stored | {key[index] for hour in await self._open_hours() for key in hour.sums}


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
