"""Model runs. A run belongs to this service, never to a handler, a request or a websocket.

Its text grows in memory, is checkpointed twice a second together with the lease, and is read by
`follow()` from wherever somebody asks: this process reads memory, another one what the relay brings
and, without it, the checkpoints.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from genai_app import clock, metrics
from genai_app.adapters.bus import Bus
from genai_app.adapters.llm import ChatTurn, LlmClient
from genai_app.adapters.redis import Entries
from genai_app.db import Database, Row
from genai_app.errors import AppError, StorageUnavailable
from genai_app.models import Author, Status
from genai_app.services.answers import Answers, End, Ending, Growth
from genai_app.services.cache import AnswerCache, CachedAnswer, Key
from genai_app.services.context import digest
from genai_app.services.flight import Flight, LiveAnswer, Request
from genai_app.services.loops import every
from genai_app.services.relay import Growing, Relay, grown
from genai_app.services.shared_flights import RENEW_S, SharedFlights
from genai_app.services.slots import ModelSlots

log = structlog.get_logger()

CHECKPOINT_S = 0.5
REAP_S = 2.0
REMOTE_POLL_S = 0.5
SAVE_RETRY_S = 1.0
NAME_TIMEOUT_S = 0.5
DRAIN_S = 20.0
SOLE_DRAIN_S = 5.0  # on a laptop Ctrl-C should not wait for a long answer


@dataclass(frozen=True, slots=True)
class Increment:
    """New text of an answer, and the state it is in once the text is read; on the last one, its
    end. `place`: in the line before the model servers, 0 when it does not wait there."""

    text: str
    status: Status
    end: End | None = None
    place: int = 0


def _nothing() -> None:
    """Nobody wants to know."""


class Generations:
    """Starts, stops and follows model runs.

    Args:
        cache: keeps complete answers of runs that have a key.
        slots: what a run waits for before it calls the model.
        owner: names this process in the leases, and to `bus`.
        sole_process: no other process uses this database, so runs found at the start are orphans.
        bus, redis: to the other processes; None when there are none.
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
        redis: Entries | None = None,
    ) -> None:
        self._answers = Answers(db, owner)
        self._llm = llm
        self._cache = cache
        self._slots = slots
        self._flights: dict[Key, Flight] = {}
        self._sole_process = sole_process
        self._live: dict[uuid.UUID, LiveAnswer] = {}
        self._relay = Relay(bus, self._find)
        self._shared = None
        if redis is not None:
            self._shared = SharedFlights(
                redis,
                self._relay,
                self._answers,
                cache,
                owner=owner,
                is_alone=lambda: slots.processes < 2,
            )
        self._runs: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    # --- life of the service ------------------------------------------------

    async def open(self) -> None:
        """Mark what a dead process left behind and begin the background loops."""
        if self._sole_process:
            self._report(await self._answers.interrupt(spare=(), whatever_lease=True))
        self._relay.open()
        self._loops = [
            asyncio.create_task(every(CHECKPOINT_S, self._checkpoint), name="checkpoints"),
            asyncio.create_task(every(REAP_S, self._reap), name="lease reaper"),
        ]
        if self._shared is not None:
            renewing = every(RENEW_S, self._shared.renew)
            self._loops.append(asyncio.create_task(renewing, name="shared flights"))

    async def close(self) -> None:
        """Give running answers a moment to end, then save what came and mark the rest."""
        led = self._shared.tasks if self._shared else set[asyncio.Task[None]]()
        if runs := self._runs | led:
            drain_s = SOLE_DRAIN_S if self._sole_process else DRAIN_S
            await asyncio.wait(runs, timeout=drain_s)
        for task in led:
            task.cancel()
        for live in list(self._live.values()):
            if live.flight is not None and live.flight.task is not None:
                live.flight.task.cancel()
        if self._runs:
            await asyncio.wait(self._runs, timeout=5)
        for task in [*self._loops, *self._runs]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._runs, return_exceptions=True)
        await self._relay.close()

    # --- starting, stopping -------------------------------------------------

    def lease(self, answer: Row) -> Row:
        """The row to commit together with the empty answer; then call `start`."""
        return self._answers.lease(answer)

    def find_flight(self, key: Key | None) -> Flight | None:
        """The run that is on its way to the same answer."""
        return self._flights.get(key) if key else None

    async def model_name(self) -> str | None:
        """The model that answers unless another is named; None while no server tells."""
        try:
            async with asyncio.timeout(NAME_TIMEOUT_S):
                return await self._llm.model_name()
        except (AppError, TimeoutError):
            return None

    def hold_flight(self, key: Key | None, *, alone: bool) -> Flight:
        """The run to that answer, begun or not; `start` it or `drop_flight`.

        It can be joined from now on, so that of many who ask at once and commit later, all but the
        first find it.

        Args:
            key: of the answer in the cache; None: it is for nobody else.
            alone: a run of its own, though one may be on its way.
        """
        flight = None if alone else self.find_flight(key)
        if flight is None:
            flight = Flight(key, self._keep, None if alone else self._shared)
            if key and key not in self._flights:
                self._flights[key] = flight
        flight.holders += 1
        return flight

    def drop_flight(self, flight: Flight) -> None:
        """The question was not committed."""
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
        ended: Callable[[], None] = _nothing,
    ) -> None:
        """Have `flight` write an answer whose row and lease are committed.

        Args:
            context: the digest of what the model is asked, where the client will send it again.
            ended: called when the answer has its last state.
        """
        live = self._live[message_id] = LiveAnswer(message_id, context)
        run = self._run(live, request, flight)
        task = asyncio.create_task(run, name=f"generation {message_id}")
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        task.add_done_callback(lambda _: ended())

    async def stop(self, message_id: uuid.UUID) -> None:
        """End a run and keep its text. Stopping what has ended changes nothing."""
        live = self._live.get(message_id)
        if live is None:
            await self._answers.ask_to_stop(message_id)
        else:
            live.stop()

    @property
    def running(self) -> int:
        """Answers that this process is making now."""
        return len(self._live)

    # --- reading ------------------------------------------------------------

    async def follow(
        self,
        message_id: uuid.UUID,
        *,
        from_length: int = 0,
        pause_s: float = 0.0,
        places: bool = False,
    ) -> AsyncGenerator[Increment]:
        """The text from `from_length` characters on, then what comes, until a final state.

        Args:
            pause_s: the least time between two increments; a page need not be drawn per token.
            places: also where it stands in line, as increments without text.
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
                place = live.place if places else 0
                if text or status is not Status.RUNNING or place != shown:
                    seen, shown = seen + len(text), place
                    yield Increment(text, status, live.end, place)
                    if status is not Status.RUNNING:
                        return
                    if pause_s:
                        await asyncio.sleep(pause_s)
                same = not places or live.place == shown
                if len(live.text) <= seen and live.status is Status.RUNNING and same:
                    await live.changed()

    async def _follow_saved(
        self, message_id: uuid.UUID, seen: int, pause_s: float
    ) -> AsyncGenerator[Increment]:
        """The same for an answer that this process does not make."""
        async with self._relay.reading(message_id) as far:
            known = False
            while True:
                try:
                    answer = await self._answers.read(message_id)
                    if answer is not None and answer.abandoned:
                        lost = await self._answers.interrupt(spare=self._live, only=message_id)
                        self._report(lost)
                        continue
                except StorageUnavailable:
                    if not known:
                        raise
                    await asyncio.sleep(SAVE_RETRY_S)  # who reads already waits with the answer
                    continue
                if answer is None:
                    return
                known = True
                if answer.end:
                    yield Increment(answer.text[seen:], answer.end.status, answer.end)
                    return
                far.learn(answer.text, answer.owner)
                if not far.is_heard:
                    await self._relay.ask(far)
                async with aclosing(grown(far, seen, pause_s, REMOTE_POLL_S)) as pieces:
                    async for text in pieces:
                        seen += len(text)
                        yield Increment(text, Status.RUNNING)

    def _find(self, some_id: uuid.UUID) -> Growing | None:
        """An answer of this process, or a run that others may be told by."""
        return self._live.get(some_id) or (self._shared and self._shared.find(some_id))

    # --- one run ------------------------------------------------------------

    async def _run(self, live: LiveAnswer, request: Request, flight: Flight) -> None:
        flight.holders -= 1
        try:
            await flight.carry(live, self._llm, self._slots, request)
        finally:
            self._forget(flight)
        status, code = flight.end_of(live)
        end = End(
            status,
            code,
            live.source,
            model=flight.finish.model if flight.finish else None,
            prompt_tokens=flight.finish.prompt_tokens if flight.finish else None,
            completion_tokens=(flight.finish and flight.finish.completion_tokens) or flight.tokens,
            made_at=clock.now() if live.joined else None,
        )
        try:
            status = await self._save_end(live, end)
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

    async def _save_end(self, live: LiveAnswer, end: End) -> Status:
        """Commit the end state; while the database is away keep the text and try again.

        Returns the state that the answer has now.
        """
        context = live.context
        if context is not None:
            context = digest([ChatTurn(Author.ASSISTANT, live.text)], context)
        ending = Ending(live.text, end, live.first_token_at, context)
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
        """A run that has ended, or that nobody will begin, can be joined no more."""
        if flight.task is None:
            over = not flight.holders
        else:
            over = flight.task.done() or not flight.is_carrying
        if flight.key and over and self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    # --- background loops ---------------------------------------------------

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
