"""How many answers may run for one user at once, over all channels and processes."""

import asyncio
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import sqlalchemy as sa
from limits import RateLimitItem

from genai_app import metrics
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.db.statements import Statement, table_of
from genai_app.errors import RateLimited
from genai_app.models import Channel, Generation
from genai_app.models.database_time import database_now

ELSEWHERE_S = 0.5
SLOT_WAIT_S = 10.0  # a program may wait for its own earlier answers; a person gets an error
MIN_PARALLEL = 2
PARALLEL_SHARE_S = 4.0  # of a minute's questions, as many may run at once as come in this time

_RUNS = table_of(Generation)
_ELSEWHERE = Statement(
    sa.select(sa.func.count()).where(
        _RUNS.c.user_id == sa.bindparam("user_id"),
        _RUNS.c.ended_at.is_(None),
        _RUNS.c.lease_until > database_now(),
        _RUNS.c.owner != sa.bindparam("owner"),
    )
)


class AnswersAtOnce:
    """Gives slots for answers: counts those of this process, and the leases of other processes.

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
        """Returns how many answers may run for this user at once."""
        if self._most:
            return self._most
        rate = self._rate(actor)
        return max(MIN_PARALLEL, int(rate.amount / rate.get_expiry() * PARALLEL_SHARE_S))

    async def enter(self, actor: Actor) -> None:
        """Takes a slot for one answer; `leave` gives it back.

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
        """Gives a slot back, to the request that has waited longest."""
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
        """Yields a slot for the block, and beyond it if the block keeps it for a running answer."""
        await self.enter(actor)
        slot = Slot()
        try:
            yield slot
        finally:
            if not slot.kept:
                self.leave(actor.user_id)

    async def _elsewhere(self, user_id: uuid.UUID) -> int:
        """Returns how many answers run for this user in other processes."""
        if not self._owner:
            return 0
        async with self._db.statement_runner() as runner:
            ((count,),) = await runner.fetch(_ELSEWHERE, user_id=user_id, owner=self._owner)
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
                # the end of an answer in another process is not reported here
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
    """A slot of a user. `kept`: an answer that outlives the block runs in it."""

    def __init__(self) -> None:
        self.kept = False

    def keep(self) -> None:
        """Keeps the slot after the block; the end of the answer calls `leave`."""
        self.kept = True


def _crowded(most: int, *, retry_after_s: int) -> RateLimited:
    metrics.limit_hit("parallel")
    return RateLimited(code="too_many_answers", retry_after_s=retry_after_s, limit=most)
