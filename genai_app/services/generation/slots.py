"""The slots of the model servers over all processes, and the queue before them.

A run takes a slot before the model is called and gives it back at its end. Where none is free it
waits in the queue, first come first served, for a bounded time. With Redis slots and queue are
shared (adapters/redis/slots.py); without it, and while Redis is away, this process grants its own
share of the slots, so that the total stays bounded. See docs/adr/0022-model-slots.md.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import structlog

from genai_app import metrics
from genai_app.adapters.llm.endpoints import MANY, Breaker, Endpoint, Turns, refusal_of
from genai_app.adapters.redis.slots import SharedSlots, SlotReply, SlotRequest, SlotsState
from genai_app.errors import ModelUnavailable, Unavailable
from genai_app.services.generation.local_queue import Run, share_out

log = structlog.get_logger()

RENEW_S = 2.0  # a fifth of the lease
LINE_S = 0.15  # between two looks at a queue in which somebody waits
LINE_PER_RUN_S = 0.0005  # a long queue is looked at less often
GIVE_BACK_S = 0.2  # so long what is over waits for company, while nobody here waits for it
REST_S = 2.0  # a Redis that failed is left alone for this long
LINE_PER_SLOT = 16
BREAKERS = tuple(Breaker)
BUSY_RETRY_AFTER_S = 10


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
        self._endpoints = endpoints
        self._most = most
        self._timeout_s = timeout_s
        self._line_most = LINE_PER_SLOT * most * len(endpoints)
        self._process = uuid.uuid4().hex[:12]
        self._number = 0
        self._shared = None
        if redis_url:
            self._shared = SharedSlots(
                redis_url,
                [each.url for each in endpoints],
                process=self._process,
                most=most,
                queue_most=self._line_most,
            )
        self._alone = self._shared is None  # this process decides by itself
        self._away_until = 0.0  # loop time until which Redis is left alone
        self.processes = 1  # that share the slots, as last heard
        self._since = 0
        self._top = 0  # the highest rank that was heard of
        self._used = [0] * len(endpoints)  # over all processes, as last heard
        self._line: list[Run] = []
        self._held: dict[str, int] = {}
        self._over: list[str] = []
        self._giving: asyncio.TimerHandle | None = None  # until they are reply what is over
        self._wake = asyncio.Event()
        self._renew_at = 0.0
        self._asking: set[asyncio.Task[bool]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Announces this process to the others and starts the background loop."""
        if self._shared:
            await self._report()
        self._loop = asyncio.create_task(self._keep(), name="model slots")

    async def close(self) -> None:
        """Gives back the slots that are left and stops the background loop."""
        self._closed = True
        self._wake.set()
        if self._loop is not None:
            await self._loop
        await asyncio.gather(*self._asking, return_exceptions=True)
        if self._giving is not None:
            self._giving.cancel()
        if self._shared:
            if not self._alone:
                await self._report()
            await self._shared.aclose()

    @property
    def waiting(self) -> int:
        """Runs of this process that wait."""
        return len(self._line)

    @property
    def most(self) -> int:
        """Slots of each endpoint."""
        return self._most

    def used(self, number: int) -> int:
        """Returns the slots of an endpoint that were taken over all processes a moment ago."""
        return self._here()[number] if self._alone else self._used[number]

    def watch(self) -> None:
        """Registers the gauges of the queue and of each endpoint."""
        metrics.watch_queue(lambda: len(self._line), lambda: self.processes)
        for number, endpoint in enumerate(self._endpoints):
            metrics.watch_endpoint(
                endpoint.name,
                used=partial(self.used, number),
                most=self._most,
                breaker=lambda endpoint=endpoint: BREAKERS.index(endpoint.breaker),
            )

    def turns(self, moved: Callable[[int], None]) -> Turns:
        """Returns the turns of one model run, for its first try and its second.

        Args:
            moved: called with each new position in the queue, from 1 on, and with 0 when the run
                waits no more.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        rank = 0

        @asynccontextmanager
        async def turn(failed: Endpoint | None) -> AsyncGenerator[Endpoint]:
            nonlocal rank
            avoid = None if failed is None else self._endpoints.index(failed)
            self._number += 1
            run = Run(f"{self._process}.{self._number}", rank, avoid, deadline, moved)
            endpoint = await self._take(run)
            rank = run.rank  # a run that was in the queue does not begin at its end again
            try:
                yield endpoint
            finally:
                self._give_back(run)

        return turn

    async def _take(self, run: Run) -> Endpoint:
        """Waits until it is the run's turn and returns its endpoint.

        Raises:
            ModelUnavailable: no server is worth waiting for; the queue is full; it took too long.
        """
        loop = asyncio.get_running_loop()
        begun_at = loop.time()
        if refusal := self._refusal(run):
            raise refusal
        self._line.append(run)
        try:
            if not self._alone:
                # in a task of its own: a cancellation in the middle of a call may be lost there
                asking = asyncio.create_task(self._ask([run]))
                self._asking.add(asking)
                asking.add_done_callback(self._asking.discard)
                await asyncio.shield(asking)
            if self._alone:
                self._join_here(run)
            if not run.turn.done():
                self._wake.set()
            async with asyncio.timeout_at(run.deadline):
                endpoint = await run.turn
        except TimeoutError:
            self._cancel_wait(run)
            raise _busy("waited too long") from None
        except BaseException:
            self._cancel_wait(run)
            raise
        metrics.model_waited(loop.time() - begun_at)
        return endpoint

    def _cancel_wait(self, run: Run) -> None:
        """Removes a run from the queue. A slot that was granted meanwhile is released."""
        if run.turn.done() and not run.turn.cancelled():
            run.turn.exception()  # asked for: else asyncio reports it
        run.turn.cancel()
        if run.endpoint is not None:
            self._give_back(run)
            return
        self._line.remove(run)
        run.move_to(0)
        self._release(run.id)

    def _grant(self, run: Run, number: int) -> None:
        """Gives a slot of an endpoint to a run of the queue."""
        run.endpoint = number
        run.probe = self._endpoints[number].begin()
        self._held[run.id] = number
        self._line.remove(run)
        run.turn.set_result(self._endpoints[number])
        run.move_to(0)

    def _give_back(self, run: Run) -> None:
        """Ends a run at its endpoint and releases its slot."""
        assert run.endpoint is not None  # it had a turn
        self._endpoints[run.endpoint].end(probe=run.probe)
        del self._held[run.id]
        run.endpoint = None
        self._release(run.id)

    def _release(self, run_id: str) -> None:
        """Releases the run's slot, serves the local queue, then tells the other processes."""
        if self._shared:
            self._over.append(run_id)
        if self._alone:
            self._serve_here()
        elif self._line:
            self._wake.set()
        elif self._giving is None:
            later = asyncio.get_running_loop().call_later
            self._giving = later(GIVE_BACK_S, self._wake.set)

    def _refusal(self, run: Run) -> ModelUnavailable | None:
        """Returns the error that ends the wait of a run; None while waiting makes sense."""
        return refusal_of(self._endpoints, run.deadline - asyncio.get_running_loop().time())

    async def _keep(self) -> None:
        """Runs rounds until `close`. Is not cancelled: a cancellation in the middle of a call may
        be lost there."""
        while not self._closed:
            await self._until_due()
            try:
                await self._round()
            except Exception:
                log.exception("background.bug", while_doing="model slots")

    async def _round(self) -> None:
        """Looks once at all runs that wait and at all slots that are held."""
        for run in self._line:
            if refusal := self._refusal(run):
                run.refuse(refusal)
        if not self._alone:
            # runs that no server takes now hold up nobody else's
            asks = any(each.takes for each in self._endpoints)
            await self._report([run for run in self._line if run.waits and asks])
        elif self._shared and asyncio.get_running_loop().time() >= self._away_until:
            await self._report()
        if self._alone:
            self._serve_here()

    async def _until_due(self) -> None:
        if self._line:
            pause_s = LINE_S + len(self._line) * LINE_PER_RUN_S
        elif self._shared:
            pause_s = RENEW_S
        else:
            pause_s = None
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        self._wake.clear()
        if self._giving is not None:
            self._giving.cancel()
            self._giving = None

    async def _report(self, runs: Sequence[Run] = ()) -> None:
        """Reports to Redis what is over and what is held, and asks about `runs`. Called once at a
        time: else what is over could be renewed by an earlier call."""
        now = asyncio.get_running_loop().time()
        over, self._over = self._over, []
        held = list(self._held.items()) if self._alone or now >= self._renew_at else None
        if held is not None:
            self._renew_at = now + RENEW_S
        if not await self._ask(runs, over=over, held=held):
            # done or not: what is over is reported again; what was granted ends with its lease
            self._over = [*over, *self._over]
            self._renew_at = 0.0

    async def _ask(
        self,
        runs: Sequence[Run],
        *,
        over: Sequence[str] = (),
        held: Sequence[tuple[str, int]] | None = None,
    ) -> bool:
        """Asks Redis whose turn it is among `runs`. Returns whether it answered."""
        assert self._shared
        offers = self._offers() if runs else [0] * len(self._endpoints)
        for run in runs:
            run.asking = True
        try:
            state = await self._shared.step(
                ended=over,
                held=held,
                room=[(o, each.rests) for o, each in zip(offers, self._endpoints, strict=True)],
                requests=[SlotRequest(run.id, run.rank, run.avoid) for run in runs],
                processes=self.processes,
                top=self._top,
                since=self._since,
            )
        except Unavailable as error:
            self._note_away(error)
            return False
        else:
            self._note(state)
            for run, reply in zip(runs, state.replies, strict=True):
                self._note_run(run, reply)
            return True
        finally:
            for run in runs:
                run.asking = False
            self._take_back(offers, [run.endpoint for run in runs])

    def _note(self, state: SlotsState) -> None:
        self.processes, self._used = state.processes, state.used
        self._top = max(self._top, state.top)
        if state.since != self._since:
            self._since = state.since
            self._renew_at = 0.0  # it was emptied: it has to know what is held
            self._wake.set()
        if self._alone:
            self._alone = False
            self._wake.set()
            log.info("slots.redis_back")

    def _note_run(self, run: Run, reply: SlotReply) -> None:
        run.rank = reply.rank
        if run.turn.done():  # stopped, or out of time, while it was asked about
            self._release(run.id)
        elif reply.endpoint is not None:
            self._grant(run, reply.endpoint)
        elif reply.position:
            run.move_to(reply.position)
        else:
            run.refuse(_busy("the line is full"))

    def _note_away(self, error: Unavailable) -> None:
        self._away_until = asyncio.get_running_loop().time() + REST_S
        if not self._alone:
            self._alone = True
            log.warning("slots.redis_away", detail=error.detail, slots_here=self._share())
        self._wake.set()

    def _offers(self) -> list[int]:
        """Returns how many runs each endpoint may begin now. An endpoint that failed just now
        offers none while another one works: waiting for that one is better than failing here."""
        another = any(each.takes and not each.rests for each in self._endpoints)
        return [0 if another and each.rests else each.offer() for each in self._endpoints]

    def _take_back(self, offers: Sequence[int], granted: Sequence[int | None]) -> None:
        """Withdraws the probes that were offered and granted to no run."""
        for number, offer in enumerate(offers):
            if 0 < offer < MANY and number not in granted:
                self._endpoints[number].withdraw()

    def _share(self) -> int:
        """Slots of each endpoint that this process may fill by itself."""
        return max(1, self._most // max(1, self.processes))

    def _here(self) -> Counter[int]:
        """Slots that this process holds, by endpoint."""
        return Counter(self._held.values())

    def _join_here(self, run: Run) -> None:
        """Gives a run its rank, and its turn where it may have it at once.

        Decides whose turn it is, as `rank_of` in the script of Redis does.
        """
        if not run.rank:
            self._top += 1
            run.rank = self._top
        self._serve_here()
        if len(self._line) > self._line_most:
            run.refuse(_busy("the line is full"))

    def _serve_here(self) -> None:
        """Gives free slots to the first runs of the queue and sets the position of the others."""
        share, here = self._share(), self._here()
        offers = self._offers() if self._line else [0] * len(self._endpoints)
        room = [min(offer, share - here[number]) for number, offer in enumerate(offers)]
        runs = list(self._line)
        share_out(runs, room, here, self._endpoints, self._grant)
        self._take_back(offers, [run.endpoint for run in runs])


def _busy(detail: str) -> ModelUnavailable:
    return ModelUnavailable(detail, code="model_busy", retry_after_s=BUSY_RETRY_AFTER_S)
