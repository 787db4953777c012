"""How much one person may ask, over all channels together.

Every question takes one unit, also one that the cache answers; a question that is refused or not
committed takes none. Units are counted by `limits` in Redis, or in this process without it, in a
moving window: a unit comes back exactly one window after it was taken.

The counters may be lost: Redis may be gone, emptied, or this process new. Then the units are
counted from the committed messages, under a lock of the user's row, and for one window everybody
does so: `users.counted_until` says it to the other processes. A unit that a lost counter granted
is worth nothing by then: it is looked at again in the transaction that commits the question.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from limits import RateLimitItem
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock, metrics
from genai_app.access import Actor
from genai_app.adapters.redis.client import LimitStorage, RedisError, give_back, is_shared
from genai_app.db.database import Database
from genai_app.db.statements import Statement, StatementRunner
from genai_app.errors import NotAuthenticated, RateLimited
from genai_app.models import User
from genai_app.services.audit.events import Action, Audit, Outcome, event
from genai_app.services.limits.message_count import count_messages, seconds_until_unit
from genai_app.services.limits.parallel import AnswersAtOnce
from genai_app.settings.notations import parse_limit

log = structlog.stdlib.get_logger(__name__)

CLOCK_SLACK = timedelta(milliseconds=50)
REST_S = 5.0  # how long counters that failed are not asked again


@dataclass(frozen=True, slots=True)
class Budget:
    """The units that a user has left. `reset_s`: seconds until the next unit comes back; 0 if none
    is out."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit. `trusted`: the counters granted it; else the messages are to be counted. `budget`:
    what the counters left, if they were asked."""

    trusted: bool
    budget: Budget | None


class CountMessages(Exception):
    """The counters that granted a unit are not to be trusted now: take it again by counting."""


def user_of_unit() -> sa.Select[datetime | None, datetime | None]:
    """Returns the query of the columns that `granted` reads of the user `user_id`; it locks the row
    until the question is committed.

    FOR KEY SHARE is what inserting the message takes anyway: it waits for those who count.
    """
    return (
        sa.select(col(User.counted_until), col(User.disabled_at))
        .where(col(User.id) == sa.bindparam("user_id"))
        .with_for_update(read=True, key_share=True)
    )


_SETTLE = Statement(user_of_unit())


def granted(rows: Sequence[Any], unit: Unit, now: datetime) -> Budget | None:
    """Returns what is left after a unit of the counters. Raises the errors of Limits.settle."""
    if not rows or rows[0][1] is not None:
        raise NotAuthenticated
    counted_until = rows[0][0]
    if counted_until is not None and counted_until > now:
        raise CountMessages
    return unit.budget


class Limits:
    """Takes units, and slots of answers at once (see parallel.py).

    Args:
        storage: the counters; shared by all processes when it is Redis.
        rates: per role; a user's own limit comes before.
        max_parallel: answers that run for one user at once, in all processes; 0 follows the rate.
        owner: names this process in the leases of its answers.
    """

    def __init__(
        self,
        db: Database,
        storage: LimitStorage,
        rates: Mapping[str, RateLimitItem],
        *,
        max_parallel: int = 0,
        owner: str = "",
    ) -> None:
        self._db = db
        self._storage = storage
        self._limiter = MovingWindowRateLimiter(storage)
        self._rates = rates
        self.at_once = AnswersAtOnce(
            db, self.rate, max_parallel, owner=owner if is_shared(storage) else ""
        )
        self._down_until = 0.0
        self._audit = Audit(db)

    def rate(self, actor: Actor) -> RateLimitItem:
        """Returns the limit that holds for this user."""
        return self.rate_of(actor.role, actor.rate_limit)

    def rate_of(self, role: str, own: str | None) -> RateLimitItem:
        """Returns the user's own limit, or that of the role where there is none."""
        return parse_limit(own) if own else self._rates[role]

    async def take(self, actor: Actor) -> Unit:
        """Takes one unit from the counters.

        Raises:
            RateLimited: none is left; `retry_after_s` is when the next one comes back.
        """
        rate, key = self.rate(actor), str(actor.user_id)
        if self._resting():
            return Unit(trusted=False, budget=None)
        began = clock.now()
        try:
            within = await self._limiter.hit(rate, key)
            budget = await self._budget(rate, key)
        except StorageError as error:
            self._lost(error)
            return Unit(trusted=False, budget=None)
        if not within:
            raise refused(budget)
        # a message of this window from before the oldest unit: the counters have forgotten its own
        oldest = clock.now() + timedelta(seconds=budget.reset_s - rate.get_expiry())
        if oldest < began - CLOCK_SLACK:
            return Unit(trusted=True, budget=budget)
        async with self._db.read() as session:
            forgotten = await count_messages(session, actor, rate, before=min(began, oldest))
        return Unit(trusted=not forgotten, budget=budget)

    async def give_back(self, actor: Actor, unit: Unit) -> None:
        """Gives back the unit of a question that was not committed."""
        if unit.budget is None or self._resting():
            return
        try:
            await give_back(self._storage, self.rate(actor).key_for(str(actor.user_id)))
        except RedisError as error:
            self._lost(error)

    async def look(self, actor: Actor) -> Budget:
        """Returns what is left, without taking any; counts messages while the counters are away."""
        rate = self.rate(actor)
        if not self._resting():
            try:
                return await self._budget(rate, str(actor.user_id))
            except StorageError as error:
                self._lost(error)
        async with self._db.read() as session:
            used = await count_messages(session, actor, rate)
            reset_s = await seconds_until_unit(session, actor, rate, used) if used else 0.0
        return Budget(rate.amount, max(rate.amount - used, 0), reset_s)

    async def settle(self, runner: StatementRunner, actor: Actor, unit: Unit) -> Budget | None:
        """Returns what is left after a unit of the counters that is checked in the transaction that
        commits the question.

        Raises:
            CountMessages: another process has begun to count; begin again and settle by counting.
            NotAuthenticated: the account was disabled meanwhile.
        """
        return granted(await runner.fetch(_SETTLE, user_id=actor.user_id), unit, clock.now())

    async def settle_by_counting(self, session: AsyncSession, actor: Actor, unit: Unit) -> Budget:
        """Returns what is left after a unit that is not trusted, by counting committed messages.

        Raises:
            RateLimited: none is left.
            NotAuthenticated: the account was disabled meanwhile.
        """
        user = (
            await session.execute(
                sa.select(col(User.disabled_at), col(User.counted_until))
                .where(col(User.id) == actor.user_id)
                .with_for_update()
            )
        ).one_or_none()
        if user is None or user[0] is not None:
            raise NotAuthenticated
        rate = self.rate(actor)
        used = await count_messages(session, actor, rate)
        if used >= rate.amount:
            raise refused(
                Budget(rate.amount, 0, await seconds_until_unit(session, actor, rate, used))
            )
        now, counted_until = clock.now(), user[1]
        # until the last unit that the counters of all processes do not have is out of the window
        counted_by_all = unit.budget is not None and is_shared(self._storage)
        if not counted_by_all or counted_until is None or counted_until <= now:
            await session.execute(
                sa.update(User)
                .where(col(User.id) == actor.user_id)
                .values(counted_until=now + timedelta(seconds=rate.get_expiry()))
            )
        reset_s = (
            await seconds_until_unit(session, actor, rate, used) if used else rate.get_expiry()
        )
        return Budget(rate.amount, rate.amount - used - 1, reset_s)

    async def audit(self, actor: Actor, refusal: RateLimited) -> None:
        """Audits that a user met a limit: the first time in a minute, since a program may go on."""
        rate = self.rate(actor)
        await self._audit.record_news(
            event(
                Action.LIMIT_HIT,
                Outcome.REFUSED,
                by=actor,
                reason=refusal.code,
                limit=f"{rate.amount}/{rate.get_expiry()}s",
            )
        )

    async def _budget(self, rate: RateLimitItem, key: str) -> Budget:
        stats = await self._limiter.get_window_stats(rate, key)
        used = stats.remaining < rate.amount
        return Budget(
            rate.amount,
            max(stats.remaining, 0),
            max(stats.reset_time - clock.now().timestamp(), 0.0) if used else 0.0,
        )

    def _resting(self) -> bool:
        return asyncio.get_running_loop().time() < self._down_until

    def _lost(self, error: Exception) -> None:
        if not self._resting():
            log.warning("limits.counting_messages", error=type(error).__name__)
        self._down_until = asyncio.get_running_loop().time() + REST_S


def refused(budget: Budget) -> RateLimited:
    """Returns the error that is raised when no unit is left, and counts it in the metrics."""
    metrics.limit_hit("rate")
    return RateLimited(retry_after_s=max(math.ceil(budget.reset_s), 1), budget=budget)
