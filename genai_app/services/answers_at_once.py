"""How many answers may run for one user at once, over all channels and processes."""

import asyncio
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import sqlalchemy as sa
from limits import RateLimitItem

from genai_app import clock, metrics
from genai_app.access import Actor
from genai_app.db import Database, Statement, table_of
from genai_app.errors import RateLimited
from genai_app.models import Channel, Generation

ELSEWHERE_S = 0.5
SLOT_WAIT_S = 10.0  # a program may wait for its own earlier answers; a person is told at once
MIN_PARALLEL = 2
PARALLEL_SHARE_S = 4.0  # of a minute's questions, as many may run at once as come in this time

_RUNS = table_of(Generation)
_ELSEWHERE = Statement(
    sa.select(sa.func.count()).where(
        _RUNS.c.user_id == sa.bindparam("user_id"),
        _RUNS.c.ended_at.is_(None),
        _RUNS.c.lease_until > sa.bindparam("now"),
        _RUNS.c.owner != sa.bindparam("owner"),
    )
)


class AnswersAtOnce:
    """Gives slots: of this process by count, of others by the leases of their answers.

    Args:
        rate: the limit that holds for a user.
        most: 0 follows the rate.
        owner: names this process in its leases; empty when it is the only one.
    """

    def __init__(
        self, db: Database, rate: Callable[[Actor], RateLimitItem], most: int, *, owner: str
    ) -> None:
        self._db = db
        self._rate = rate
        self._most = most
        self._owner = owner
        self._slots: Counter[uuid.UUID] = Counter()
        self._waiting: defaultdict[uuid.UUID, deque[asyncio.Future[None]]] = defaultdict(deque)

    def max_parallel(self, actor: Actor) -> int:
        """Answers that may run for this user at once."""
        if self._most:
            return self._most
        rate = self._rate(actor)
        return max(MIN_PARALLEL, int(rate.amount / rate.get_expiry() * PARALLEL_SHARE_S))

    async def enter(self, actor: Actor) -> None:
        """Take a slot for one answer; `leave` gives it back.

        Raises:
            RateLimited: too_many_answers, at once for a person, after a wait for a program.
        """
        user_id, most = actor.user_id, self.max_parallel(actor)
        elsewhere = await self._elsewhere(user_id)
        if self._slots[user_id] + elsewhere >= most:
            if actor.channel is not Channel.API:
                raise _crowded(most, retry_after_s=1)
            await self._wait(user_id, most, elsewhere)
        self._slots[user_id] += 1

    def leave(self, user_id: uuid.UUID) -> None:
        """Give a slot back, to whoever has waited longest."""
        self._slots[user_id] -= 1
        if self._slots[user_id] <= 0:
            del self._slots[user_id]
        waiting = self._waiting.get(user_id)
        while waiting:
            waiter = waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    @asynccontextmanager
    async def slot(self, actor: Actor) -> AsyncGenerator["Slot"]:
        """A slot for the block, and beyond it if the block keeps it for an answer that runs."""
        await self.enter(actor)
        slot = Slot()
        try:
            yield slot
        finally:
            if not slot.kept:
                self.leave(actor.user_id)

    async def _elsewhere(self, user_id: uuid.UUID) -> int:
        """Answers that run for this user in other processes."""
        if not self._owner:
            return 0
        async with self._db.look() as link:
            ((count,),) = await link.fetch(
                _ELSEWHERE, user_id=user_id, owner=self._owner, now=clock.now()
            )
        return count

    async def _wait(self, user_id: uuid.UUID, most: int, elsewhere: int) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + SLOT_WAIT_S
        while self._slots[user_id] + elsewhere >= most:
            if loop.time() >= until:
                raise _crowded(most, retry_after_s=5)
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiting[user_id].append(waiter)
            try:
                # nobody tells of the end of an answer elsewhere
                look_s = ELSEWHERE_S if elsewhere else SLOT_WAIT_S
                async with asyncio.timeout_at(min(loop.time() + look_s, until)):
                    await waiter
            except TimeoutError:
                elsewhere = await self._elsewhere(user_id)
            finally:
                with suppress(ValueError):
                    self._waiting[user_id].remove(waiter)
                if not self._waiting[user_id]:
                    del self._waiting[user_id]


class Slot:
    """Whether an answer goes on in the slot."""

    def __init__(self) -> None:
        self.kept = False

    def keep(self) -> None:
        """Whoever ends the answer calls `Limits.leave`."""
        self.kept = True


def _crowded(most: int, *, retry_after_s: int) -> RateLimited:
    metrics.limit_hit("parallel")
    return RateLimited(code="too_many_answers", retry_after_s=retry_after_s, limit=most)
