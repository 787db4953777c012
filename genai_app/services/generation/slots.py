"""The slots of the model servers over all processes, and the queue before them.

A run takes a slot before the model is called and gives it back at its end. Where none is free it
waits in the queue, first come first served, for a bounded time. With Redis slots and queue are
shared (shared_queue.py); without it, and while Redis is away, this process grants its own share of
the slots, so that the total stays bounded (local_queue.py). See docs/adr/0022-model-slots.md.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog

from genai_app import metrics
from genai_app.adapters.llm.breaker import BreakerState
from genai_app.adapters.llm.endpoints import Endpoint, Turns
from genai_app.services.generation.local_queue import LocalQueue, QueuedRun, busy
from genai_app.services.generation.shared_queue import RENEW_S, SharedQueue
from genai_app.services.generation.wakeup import Wakeup

log = structlog.get_logger()

LOOK_S = 0.15  # between two looks at a queue in which somebody waits
LOOK_PER_RUN_S = 0.0005  # a long queue is looked at less often
BREAKER_STATES = tuple(BreakerState)


class ModelSlots:
    """Grants slots of the model servers to the runs of this process, and queues the others.

    Args:
        endpoints: the model servers.
        redis_url: None: this process is the only one.
        most: slots of each endpoint.
        timeout_s: the longest wait of a run, over both of its tries.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        redis_url: str | None,
        *,
        most: int,
        timeout_s: float,
    ) -> None:
        self.most = most
        self._timeout_s = timeout_s
        self._process = uuid.uuid4().hex[:12]
        self._number = 0
        self._queue = LocalQueue(endpoints, most)
        self._wakeup = Wakeup()
        self._shared = None
        if redis_url:
            self._shared = SharedQueue(redis_url, self._process, self._queue, self._wakeup)
        self._rounds = QueueRounds(self._queue, self._shared, self._wakeup)

    async def open(self) -> None:
        """Announces this process to the others and starts the background loop."""
        if self._shared:
            await self._shared.report()
        self._rounds.open()

    async def close(self) -> None:
        """Gives back the slots that are left and stops the background loop."""
        await self._rounds.close()
        if self._shared:
            await self._shared.close()
        self._wakeup.cancel()

    @property
    def waiting(self) -> int:
        """Runs of this process that wait."""
        return len(self._queue.waiting)

    async def count_processes(self) -> int:
        """Asks Redis how many processes share the slots; as last heard where it is away."""
        if self._shared and not self._shared.is_away:
            await self._shared.look()
        return self._queue.processes

    def used(self, number: int) -> int:
        """Returns the slots of an endpoint that were taken over all processes a moment ago."""
        if self._shared is None or self._shared.is_away:
            return self._queue.held_by_endpoint()[number]
        return self._shared.used[number]

    def watch(self) -> None:
        """Registers the gauges of the queue and of each endpoint."""
        metrics.watch_queue(lambda: self.waiting, lambda: self._queue.processes)
        for number, endpoint in enumerate(self._queue.endpoints):
            metrics.watch_endpoint(
                endpoint.name,
                used=partial(self.used, number),
                most=self.most,
                breaker=lambda endpoint=endpoint: BREAKER_STATES.index(endpoint.breaker.state),
            )

    @property
    def is_queued(self) -> bool:
        """True while a run of this process stands in the queue because no slot is free."""
        return any(run.position for run in self._queue.waiting)

    def turns(self, moved: Callable[[int], None], *, waits: bool = True) -> Turns:
        """Returns the turns of one model run, for its first try and its second.

        Args:
            moved: called with each new position in the queue, from 1 on, and with 0 when the run
                waits no more.
            waits: False: the run is refused as `model_busy` unless a slot is free at once and
                nobody stands in the queue.
        """
        deadline = asyncio.get_running_loop().time() + (self._timeout_s if waits else 0.0)
        rank = 0

        @asynccontextmanager
        async def turn(failed: Endpoint | None) -> AsyncGenerator[Endpoint]:
            nonlocal rank
            avoid = None if failed is None else self._queue.endpoints.index(failed)
            self._number += 1
            run = QueuedRun(f"{self._process}.{self._number}", rank, avoid, deadline, moved)
            if not waits and self.is_queued:
                raise busy("others wait")
            endpoint = await self._wait(run)
            rank = run.rank  # a run that was in the queue does not begin at its end again
            try:
                yield endpoint
            finally:
                self._queue.give_back(run)
                self._release(run.id)

        return turn

    async def _wait(self, run: QueuedRun) -> Endpoint:
        """Waits until the run has a slot and returns its endpoint.

        Raises:
            ModelUnavailable: no server is worth waiting for; the queue is full; it took too long.
        """
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        if refusal := self._queue.refusal(run):
            raise refusal
        self._queue.waiting.append(run)
        try:
            if self._shared and not self._shared.is_away:
                await self._shared.join(run)
            if self._shared is None or self._shared.is_away:
                self._queue.join(run)
            if not run.slot.done():
                self._wakeup.now()
            async with asyncio.timeout_at(run.deadline):
                endpoint = await run.slot
        except TimeoutError:
            self._cancel_wait(run)
            raise busy("waited too long") from None
        except BaseException:
            self._cancel_wait(run)
            raise
        metrics.model_waited(loop.time() - begun_at)
        return endpoint

    def _cancel_wait(self, run: QueuedRun) -> None:
        """Removes a run from the queue. A slot that was granted meanwhile is released."""
        if run.slot.done() and not run.slot.cancelled():
            run.slot.exception()  # asked for: else asyncio reports it
        run.slot.cancel()
        if run.endpoint is not None:
            self._queue.give_back(run)
        else:
            self._queue.waiting.remove(run)
            run.move_to(0)
        self._release(run.id)

    def _release(self, run_id: str) -> None:
        """Releases the run's slot, serves the local queue, then tells the other processes."""
        if self._shared:
            self._shared.release(run_id)
        if self._shared is None or self._shared.is_away:
            self._queue.serve()


class QueueRounds:
    """Looks at the queue again and again, in the background.

    Args:
        shared: None: this process is the only one.
    """

    def __init__(self, queue: LocalQueue, shared: SharedQueue | None, wakeup: Wakeup) -> None:
        self._queue = queue
        self._shared = shared
        self._wakeup = wakeup
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="model slots")

    async def close(self) -> None:
        """Ends after the round that is under way. The task is not cancelled: a cancellation in the
        middle of a call may be lost there."""
        self._closed = True
        self._wakeup.now()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._closed:
            await self._wakeup.pause(self._pause_s())
            try:
                await self._round()
            except Exception:
                log.exception("background.bug", while_doing="model slots")

    def _pause_s(self) -> float | None:
        if waiting := len(self._queue.waiting):
            return LOOK_S + waiting * LOOK_PER_RUN_S
        return RENEW_S if self._shared else None

    async def _round(self) -> None:
        """Looks once at all runs that wait and at all slots that are held."""
        queue, shared = self._queue, self._shared
        queue.refuse_hopeless()
        if shared and not shared.is_away:
            # runs that no server takes now hold up nobody else's
            asks = any(each.breaker.takes for each in queue.endpoints)
            await shared.report([run for run in queue.waiting if run.waits and asks])
        elif shared and shared.may_be_back:
            await shared.report()
        if shared is None or shared.is_away:
            queue.serve()
