"""Model runs. A run belongs to this service, never to a handler, a request or a websocket.

Its text grows in memory, is checkpointed twice a second together with the lease, and is read by
`follow()`: in this process from memory, in others from the relay or else from the checkpoints.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

import structlog

from genai_app import clock, metrics
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.adapters.redis.bus import Bus
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import Author, Status
from genai_app.services.background import every
from genai_app.services.generation.checkpoints import (
    Answers,
    End,
    Ending,
    Increment,
)
from genai_app.services.generation.context import digest
from genai_app.services.generation.context_fit import Request
from genai_app.services.generation.joinable_runs import JoinableRuns
from genai_app.services.generation.model_call import ModelCall
from genai_app.services.generation.model_run import AnswerPart, LiveAnswer, ModelRun
from genai_app.services.generation.relay import Relay
from genai_app.services.generation.remote_answers import RemoteAnswers
from genai_app.services.generation.seen import Seen
from genai_app.services.generation.served_models import ServedModels
from genai_app.services.generation.slots import ModelSlots
from genai_app.services.limits.message_count import FREE_ERRORS
from genai_app.services.reuse.cache import AnswerCache

log = structlog.get_logger()

CHECKPOINT_S = 0.5
REAP_S = 2.0
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
        self.answers = Answers(db, owner)
        self.models = ServedModels(llm)
        self.joinable = JoinableRuns(llm, slots, cache)
        self._sole_process = sole_process
        self._live: dict[uuid.UUID, LiveAnswer] = {}
        self.unsaved = self._live.keys()  # answers of this process whose end is not saved
        self._relay = Relay(bus, self._live.get)
        self._remote = RemoteAnswers(self.answers, self._relay, self._live)
        self._drain_s = SOLE_DRAIN_S if sole_process else DRAIN_S
        self._runs: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Interrupts the runs of a dead process and starts the background loops."""
        if self._sole_process:
            await self.answers.interrupt(spare=(), whatever_lease=True)
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
            if live.run is not None and live.run.task is not None:
                live.run.task.cancel()
        if self._runs:
            await asyncio.wait(self._runs, timeout=SAVE_ENDS_S)
        self._remote.is_restarting = True

    async def close(self) -> None:
        """Ends what runs and the background loops."""
        await self.drain()
        for task in [*self._loops, *self._runs]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._runs, return_exceptions=True)
        await self._relay.close()

    def start(
        self,
        message_id: uuid.UUID,
        request: Request,
        run: ModelRun,
        *,
        context: bytes | None = None,
        trimmed: int = 0,
        part: AnswerPart | None = None,
        ended: Callable[[], None] = lambda: None,
        give_back: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Has `run` write an answer whose row and lease are committed.

        Args:
            run: held by `joinable.hold`.
            context: the digest of what the model is asked, where the client will send it again.
            trimmed: messages that `request` lacks already.
            part: what there is of the answer, if `run` goes on with it.
            ended: called when the answer has its last state.
            give_back: returns the unit of the limit; called before the end of an answer that is
                free is shown.
        """
        live = self._live[message_id] = LiveAnswer(
            message_id, context, trimmed, part or AnswerPart()
        )
        work = self._write(live, request, run, give_back)
        task = asyncio.create_task(work, name=f"generation {message_id}")
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)
        task.add_done_callback(lambda _: ended())

    async def stop(self, message_id: uuid.UUID) -> None:
        """Ends a run and keeps its text. Stopping an ended one changes nothing."""
        live = self._live.get(message_id)
        if live is None:
            await self.answers.ask_to_stop(message_id)
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
        reasoning_from: int = 0,
        pause_s: float = 0.0,
        positions: bool = False,
    ) -> AsyncGenerator[Increment]:
        """Yields the text from `from_length` characters on, then each increment until a final
        state.

        Args:
            reasoning_from: the same of the reasoning.
            pause_s: the least time between two increments; a page need not be drawn per token.
            positions: also its position in the queue, as increments without text.
        """
        seen = Seen(max(from_length, 0), max(reasoning_from, 0))
        live = self._live.get(message_id)
        with metrics.following():
            if live is None:
                increments = self._remote.follow(message_id, seen, pause_s)
            else:
                increments = live.follow(seen, pause_s, positions=positions)
            async with aclosing(increments):
                async for increment in increments:
                    yield increment

    async def _write(
        self,
        live: LiveAnswer,
        request: Request,
        run: ModelRun,
        give_back: Callable[[], Awaitable[None]] | None,
    ) -> None:
        """Writes one answer from its beginning to its saved end."""
        run.holders -= 1
        try:
            await run.write(live, request)
        finally:
            self.joinable.forget(run)
        status, code, details = run.ending(live)
        finish = run.call.finish
        end = End(
            status,
            code,
            live.source,
            model=finish.model if finish else None,
            prompt_tokens=finish.prompt_tokens if finish else None,
            completion_tokens=(finish and finish.completion_tokens) or run.call.tokens,
            made_at=clock.now() if live.joined else None,
            details=details,
            reasoning_tokens=_reasoning_tokens(run.call),
        )
        try:
            whole = live.part.with_end(end)
            status = await self._save_end(live, whole, live.trimmed + run.call.left_out)
            if code in FREE_ERRORS and give_back is not None:
                await give_back()
        except Exception:
            # not to be saved by any retry: the lease runs out, and a reaper marks the row
            log.exception("generation.bug", message_id=str(live.message_id))
            status = Status.INTERRUPTED
        finally:
            del self._live[live.message_id]
            live.end = replace(live.part.with_end(end), status=status)
            live.status = status
            live.wake()
            _measure(live, replace(end, status=status))

    async def _save_end(self, live: LiveAnswer, end: End, trimmed: int) -> Status:
        """Commits the end state; keeps the text and retries while the database is away.

        Returns the state that the answer has now.
        """
        context = live.context
        if context is not None:
            context = digest([ChatTurn(Author.ASSISTANT, live.text)], context)
        ending = Ending(
            live.text,
            end,
            live.first_token_at,
            context,
            trimmed,
            reasoning=live.reasoning,
            reasoning_ms=live.reasoning_ms,
        )
        while True:
            try:
                return await self.answers.end(live.message_id, ending)
            except StorageUnavailable:
                log.warning("generation.save_delayed", message_id=str(live.message_id))
                await asyncio.sleep(SAVE_RETRY_S)

    async def _checkpoint(self) -> None:
        lives = list(self._live.values())
        if not lives:
            return
        growth = {live: live.growth() for live in lives if live.has_grown}
        marks = {live: live.mark for live in growth}
        ending = await self.answers.checkpoint(
            [live.message_id for live in lives], list(growth.values())
        )
        for live, mark in marks.items():
            live.saved = mark
        for live in lives:
            if live.message_id in ending:
                live.stop()

    async def _reap(self) -> None:
        await self.answers.interrupt(spare=self._live)


def _reasoning_tokens(call: ModelCall) -> int | None:
    """Returns the tokens of the reasoning, as the server counts them or else as they came."""
    if not call.reasoning:
        return None
    return (call.finish and call.finish.reasoning_tokens) or call.reasoning_tokens


def _seconds(live: LiveAnswer, moment: datetime) -> float:
    """Returns the time from the begin of an answer's run until `moment`."""
    return (moment - live.begun_at).total_seconds()


def _measure(live: LiveAnswer, end: End) -> None:
    first_at = live.first_token_at
    metrics.answer_ended(
        status=end.status,
        source=end.source,
        # an answer that goes on has begun long ago
        first_token_s=None if first_at is None or live.part.text else _seconds(live, first_at),
        total_s=_seconds(live, clock.now()),
        # of a joined run they were counted by the answer that began it
        prompt_tokens=None if live.joined else end.prompt_tokens,
        completion_tokens=None if live.joined else end.completion_tokens,
    )
