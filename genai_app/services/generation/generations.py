"""Model runs. A run belongs to this service, never to a handler, a request or a websocket.

Its text grows in memory, is checkpointed twice a second together with the lease, and is read by
`follow()`: in this process from memory, in others from the relay or else from the checkpoints.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

import structlog

from genai_app import clock, metrics
from genai_app.adapters.llm.client import ChatTurn, LlmClient
from genai_app.adapters.redis.bus import Bus
from genai_app.db.database import Database
from genai_app.db.statements import Row, StatementRunner
from genai_app.errors import StorageUnavailable
from genai_app.models import Author, Status
from genai_app.services.background import every
from genai_app.services.generation.checkpoints import (
    RESTARTING,
    Answers,
    End,
    Ending,
    Growth,
    Increment,
)
from genai_app.services.generation.context import digest
from genai_app.services.generation.context_fit import Request
from genai_app.services.generation.model_run import Flight, LiveAnswer
from genai_app.services.generation.relay import Relay, grown
from genai_app.services.generation.served_models import ServedModels
from genai_app.services.generation.slots import ModelSlots
from genai_app.services.limits.rate import FREE_ERRORS
from genai_app.services.reuse.cache import AnswerCache, CachedAnswer, Key

log = structlog.get_logger()

CHECKPOINT_S = 0.5
REAP_S = 2.0
REMOTE_POLL_S = 0.5
SAVE_RETRY_S = 1.0
DRAIN_S = 20.0
SAVE_ENDS_S = 5.0
SOLE_DRAIN_S = 5.0  # on a laptop Ctrl-C should not wait for a long answer


class Generations:
    """Starts, stops and follows model runs.

    Args:
        cache: keeps complete answers of runs that have a key.
        slots: what a run waits for before it calls the model.
        owner: names this process in the leases, and to `bus`.
        sole_process: no other process uses this database, so runs that are there at the start are
            orphans.
        bus: to the other processes; None when there are none.
    """

    def __init__(
        self,
        db: Database,
        llm: LlmClient,
        cache: AnswerCache,
        slots: ModelSlots,
        *,
        owner: str,
        sole_process: bool,
        bus: Bus | None = None,
    ) -> None:
        self._answers = Answers(db, owner)
        self._llm = llm
        self.models = ServedModels(llm)
        self._cache = cache
        self._slots = slots
        self._flights: dict[Key, Flight] = {}
        self._sole_process = sole_process
        self._live: dict[uuid.UUID, LiveAnswer] = {}
        self._relay = Relay(bus, self._live.get)
        self._drain_s = SOLE_DRAIN_S if sole_process else DRAIN_S
        self._drained = False
        self._runs: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Interrupts the runs of a dead process and starts the background loops."""
        if self._sole_process:
            self._report(await self._answers.interrupt(spare=(), whatever_lease=True))
        self._relay.open()
        self._loops = [
            asyncio.create_task(every(CHECKPOINT_S, self._checkpoint), name="checkpoints"),
            asyncio.create_task(every(REAP_S, self._reap), name="lease reaper"),
        ]

    async def drain(self) -> None:
        """Gives running answers a moment to end, then interrupts and saves the rest.

        Afterwards whoever follows an answer of another process gets `server_restarting` as its end
        within seconds. Calling it again only ends what began since.
        """
        until = asyncio.get_running_loop().time() + self._drain_s
        self._drain_s = 0.0
        while self._runs and asyncio.get_running_loop().time() < until:
            left_s = until - asyncio.get_running_loop().time()
            await asyncio.wait(self._runs, timeout=left_s)
        for live in list(self._live.values()):
            if live.flight is not None and live.flight.task is not None:
                live.flight.task.cancel()
        if self._runs:
            await asyncio.wait(self._runs, timeout=SAVE_ENDS_S)
        self._drained = True

    async def close(self) -> None:
        """Ends what runs and the background loops."""
        await self.drain()
        for task in [*self._loops, *self._runs]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._runs, return_exceptions=True)
        await self._relay.close()

    def lease(self, answer: Row) -> Row:
        """Returns the row to commit together with the empty answer; `start` comes after it."""
        return self._answers.lease(answer)

    async def add_lease(self, runner: StatementRunner, answer: Row) -> None:
        """Commits that row in the transaction of `runner`."""
        await self._answers.add_lease(runner, answer)

    def find_flight(self, key: Key | None) -> Flight | None:
        """Returns the run that is on its way to the same answer, if any."""
        return self._flights.get(key) if key else None

    def hold_flight(self, key: Key | None, *, alone: bool) -> Flight:
        """Returns the run to that answer, begun or not; `start` or `drop_flight` must follow.

        It can be joined from now on, so that of many who ask at once and commit later, all but the
        first find it.

        Args:
            key: of the answer in the cache; None: it is for nobody else.
            alone: a run of its own, though one may be on its way.
        """
        flight = None if alone else self.find_flight(key)
        if flight is None:
            flight = Flight(key, self._keep)
            if key and key not in self._flights:
                self._flights[key] = flight
        flight.holders += 1
        return flight

    def drop_flight(self, flight: Flight) -> None:
        """Drops a held run whose question was not committed."""
        flight.holders -= 1
        flight.end_if_empty()
        self._forget(flight)

    def start(
        self,
        message_id: uuid.UUID,
        request: Request,
        flight: Flight,
        *,
        context: bytes | None = None,
        trimmed: int = 0,
        ended: Callable[[], None] = lambda: None,
        give_back: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Has `flight` write an answer whose row and lease are committed.

        Args:
            context: the digest of what the model is asked, where the client will send it again.
            trimmed: messages that `request` lacks already.
            ended: called when the answer has its last state.
            give_back: returns the unit of the limit; called before the end of an answer that is
                free is shown.
        """
        live = self._live[message_id] = LiveAnswer(message_id, context, trimmed)
        run = self._run(live, request, flight, give_back)
        task = asyncio.create_task(run, name=f"generation {message_id}")
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        task.add_done_callback(lambda _: ended())

    async def stop(self, message_id: uuid.UUID) -> None:
        """Ends a run and keeps its text. Stopping an ended one changes nothing."""
        live = self._live.get(message_id)
        if live is None:
            await self._answers.ask_to_stop(message_id)
        else:
            live.stop()

    @property
    def running(self) -> int:
        """Answers that this process is making now."""
        return len(self._live)

    async def follow(
        self,
        message_id: uuid.UUID,
        *,
        from_length: int = 0,
        pause_s: float = 0.0,
        positions: bool = False,
    ) -> AsyncGenerator[Increment]:
        """Yields the text from `from_length` characters on, then each increment until a final
        state.

        Args:
            pause_s: the least time between two increments; a page need not be drawn per token.
            positions: also its position in the queue, as increments without text.
        """
        seen, shown = max(from_length, 0), 0
        live = self._live.get(message_id)
        with metrics.following():
            if live is None:
                async for increment in self._follow_saved(message_id, seen, pause_s):
                    yield increment
                return
            while True:
                text, status = live.text[seen:], live.status
                position = live.position if positions else 0
                if text or status is not Status.RUNNING or position != shown:
                    seen, shown = seen + len(text), position
                    yield Increment(text, status, live.end, position)
                    if status is not Status.RUNNING:
                        return
                    if pause_s:
                        await asyncio.sleep(pause_s)
                same = not positions or live.position == shown
                if len(live.text) <= seen and live.status is Status.RUNNING and same:
                    await live.changed()

    async def _follow_saved(
        self, message_id: uuid.UUID, seen: int, pause_s: float
    ) -> AsyncGenerator[Increment]:
        """Follows an answer that this process does not make."""
        async with self._relay.reading(message_id) as far:
            was_read = False
            while True:
                try:
                    answer = await self._answers.read(message_id)
                    if answer is not None and answer.abandoned:
                        lost = await self._answers.interrupt(spare=self._live, only=message_id)
                        self._report(lost)
                        if lost:
                            continue
                except StorageUnavailable:
                    if not was_read:
                        raise
                    await asyncio.sleep(SAVE_RETRY_S)  # who reads already waits with the answer
                    continue
                if answer is None:
                    return
                was_read = True
                if answer.end:
                    yield Increment(answer.text[seen:], answer.end.status, answer.end)
                    return
                if self._drained:
                    yield Increment("", Status.INTERRUPTED, RESTARTING)
                    return
                far.learn(answer.text, answer.owner)
                if not far.is_heard:
                    await self._relay.ask(far)
                async with aclosing(grown(far, seen, pause_s, REMOTE_POLL_S)) as pieces:
                    async for text in pieces:
                        seen += len(text)
                        yield Increment(text, Status.RUNNING)

    async def _run(
        self,
        live: LiveAnswer,
        request: Request,
        flight: Flight,
        give_back: Callable[[], Awaitable[None]] | None,
    ) -> None:
        flight.holders -= 1
        try:
            await flight.write(live, self._llm, self._slots, request)
        finally:
            self._forget(flight)
        status, code, details = flight.end_of(live)
        end = End(
            status,
            code,
            live.source,
            model=flight.finish.model if flight.finish else None,
            prompt_tokens=flight.finish.prompt_tokens if flight.finish else None,
            completion_tokens=(flight.finish and flight.finish.completion_tokens) or flight.tokens,
            made_at=clock.now() if live.joined else None,
            details=details,
        )
        try:
            status = await self._save_end(live, end, live.trimmed + flight.left_out)
            if code in FREE_ERRORS and give_back is not None:
                await give_back()
        except Exception:
            # not to be saved by any retry: the lease runs out, and a reaper marks the row
            log.exception("generation.bug", message_id=str(live.message_id))
            status = Status.INTERRUPTED
        finally:
            del self._live[live.message_id]
            live.end = replace(end, status=status)
            live.status = status
            live.wake()
            self._measure(live, live.end)

    async def _save_end(self, live: LiveAnswer, end: End, trimmed: int) -> Status:
        """Commits the end state; keeps the text and retries while the database is away.

        Returns the state that the answer has now.
        """
        context = live.context
        if context is not None:
            context = digest([ChatTurn(Author.ASSISTANT, live.text)], context)
        ending = Ending(live.text, end, live.first_token_at, context, trimmed)
        while True:
            try:
                return await self._answers.end(live.message_id, ending)
            except StorageUnavailable:
                log.warning("generation.save_delayed", message_id=str(live.message_id))
                await asyncio.sleep(SAVE_RETRY_S)

    def _measure(self, live: LiveAnswer, end: End) -> None:
        first_at = live.first_token_at
        metrics.answer_ended(
            status=end.status,
            source=end.source,
            first_token_s=(first_at - live.begun_at).total_seconds() if first_at else None,
            total_s=(clock.now() - live.begun_at).total_seconds(),
            # of a joined run they were counted by the answer that began it
            prompt_tokens=None if live.joined else end.prompt_tokens,
            completion_tokens=None if live.joined else end.completion_tokens,
        )

    async def _keep(self, flight: Flight) -> None:
        if flight.key and flight.finish is not None:
            answer = CachedAnswer(
                flight.text,
                flight.finish.model,
                flight.finish.prompt_tokens,
                flight.finish.completion_tokens,
                clock.now(),
            )
            await self._cache.keep(flight.key, answer)

    def _forget(self, flight: Flight) -> None:
        """Makes a run that has ended, or that nobody will begin, joinable no more."""
        if flight.task is None:
            over = not flight.holders
        else:
            over = flight.task.done() or not flight.is_writing
        if flight.key and over and self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    async def _checkpoint(self) -> None:
        lives = list(self._live.values())
        if not lives:
            return
        grown = [live for live in lives if len(live.text) > live.saved_length]
        growth = [Growth(live.message_id, live.text, live.first_token_at) for live in grown]
        ending = await self._answers.checkpoint([live.message_id for live in lives], growth)
        for live, saved in zip(grown, growth, strict=True):
            live.saved_length = len(saved.text)
        for live in lives:
            if live.message_id in ending:
                live.stop()

    async def _reap(self) -> None:
        self._report(await self._answers.interrupt(spare=self._live))

    def _report(self, interrupted: list[uuid.UUID]) -> None:
        if interrupted:
            log.warning("generation.interrupted", messages=[str(i) for i in interrupted])
