"""The queue before the model servers over all processes, in Redis (adapters/redis/slots.py)."""

import asyncio
from collections.abc import Sequence

import structlog

from genai_app.adapters.redis.slots import SharedSlots, SlotReply, SlotRequest, SlotsState
from genai_app.errors import Unavailable
from genai_app.services.generation.local_queue import LocalQueue, QueuedRun, busy
from genai_app.services.generation.wakeup import Wakeup

log = structlog.get_logger()

RENEW_S = 2.0  # a fifth of the lease
REST_S = 2.0  # a Redis that failed is left alone for this long


class SharedQueue:
    """Reports to Redis which slots this process holds, and asks it for more.

    Args:
        process: a name of this process that no other has.
        queue: the runs of this process; gets the slots that Redis grants.
        wakeup: set when there is something to report.
    """

    def __init__(self, url: str, process: str, queue: LocalQueue, wakeup: Wakeup) -> None:
        self._queue = queue
        self._wakeup = wakeup
        self._store = SharedSlots(
            url,
            [each.url for each in queue.endpoints],
            process=process,
            most=queue.slots,
            queue_most=queue.most_waiting,
        )
        self.is_away = False  # Redis; this process grants its share of the slots by itself
        self.used = [0] * len(queue.endpoints)  # slots over all processes, as last heard
        self._released: list[str] = []
        self._away_until = 0.0  # loop time until which Redis is left alone
        self._renew_at = 0.0
        self._since = 0
        self._joining: set[asyncio.Task[bool]] = set()

    async def close(self) -> None:
        """Reports what is left, and closes the connection."""
        await asyncio.gather(*self._joining, return_exceptions=True)
        if not self.is_away:
            await self.report()
        await self._store.aclose()

    async def join(self, run: QueuedRun) -> None:
        """Asks for a slot or a position. Sets `is_away` where Redis does not answer."""
        run.asking = True  # from now on: the queue may be looked at before the task begins
        # in a task of its own: a cancellation in the middle of a call may be lost there
        joining = asyncio.create_task(self._step([run]))
        self._joining.add(joining)
        joining.add_done_callback(self._joining.discard)
        await asyncio.shield(joining)

    async def look(self) -> None:
        """Learns the state, and asks for nothing."""
        await self._step([])

    def release(self, run_id: str) -> None:
        """Has the next report free the run's slot, or take it out of the queue."""
        self._released.append(run_id)
        if self._queue.waiting:
            self._wakeup.now()
        else:
            self._wakeup.soon()

    @property
    def may_be_back(self) -> bool:
        """True when a Redis that was away may be asked again."""
        return asyncio.get_running_loop().time() >= self._away_until

    async def report(self, runs: Sequence[QueuedRun] = ()) -> None:
        """Reports what is released and what is held, and asks about `runs`. Called once at a time:
        else what is released could be renewed by an earlier call."""
        now = asyncio.get_running_loop().time()
        released, self._released = self._released, []
        held = list(self._queue.held.items()) if self.is_away or now >= self._renew_at else None
        if held is not None:
            self._renew_at = now + RENEW_S
        if not await self._step(runs, released=released, held=held):
            # done or not: it is released again; what was granted ends with its lease
            self._released = [*released, *self._released]
            self._renew_at = 0.0

    async def _step(
        self,
        runs: Sequence[QueuedRun],
        *,
        released: Sequence[str] = (),
        held: Sequence[tuple[str, int]] | None = None,
    ) -> bool:
        """Calls Redis once. Returns whether it answered."""
        queue = self._queue
        offers = queue.offers() if runs else [0] * len(queue.endpoints)
        for run in runs:
            run.asking = True
        try:
            state = await self._store.step(
                ended=released,
                held=held,
                room=[
                    (o, each.breaker.rests) for o, each in zip(offers, queue.endpoints, strict=True)
                ],
                requests=[SlotRequest(run.id, run.rank, run.avoid) for run in runs],
                processes=queue.processes,
                top=queue.top_rank,
                since=self._since,
            )
        except Unavailable as error:
            self._lost(error)
            return False
        else:
            self._learn(state, reported=held is not None)
            for run, reply in zip(runs, state.replies, strict=True):
                self._apply(run, reply)
            return True
        finally:
            for run in runs:
                run.asking = False
            queue.withdraw(offers, runs)

    def _learn(self, state: SlotsState, *, reported: bool) -> None:
        """Takes the state after a call that did or did not report what is held."""
        self.used, self._queue.processes = state.used, state.processes
        self._queue.top_rank = max(self._queue.top_rank, state.top)
        if state.since != self._since:
            if reported:  # not before: Redis would grant again what is held
                self._since = state.since
            self._renew_at = 0.0  # Redis was emptied: it has to hear what is held
            self._wakeup.now()
        if self.is_away:
            self.is_away = False
            self._wakeup.now()
            log.info("slots.redis_back")

    def _apply(self, run: QueuedRun, reply: SlotReply) -> None:
        run.rank = reply.rank
        if run.slot.done():  # stopped, or out of time, while Redis was asked about it
            self.release(run.id)
        elif reply.endpoint is not None:
            self._queue.grant(run, reply.endpoint)
        elif reply.position:
            run.move_to(reply.position)
        else:
            run.refuse(busy("the queue is full"))

    def _lost(self, error: Unavailable) -> None:
        self._away_until = asyncio.get_running_loop().time() + REST_S
        if not self.is_away:
            self.is_away = True
            log.warning("slots.redis_away", detail=error.detail, slots_here=self._queue.share())
        self._wakeup.now()
