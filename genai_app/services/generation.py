"""Model runs. A run belongs to this service, never to a handler, a request or a websocket.

Its text grows in memory, is checkpointed twice a second together with the lease, and is read by
`follow()` from wherever somebody asks: this process reads memory, another one the checkpoints.
"""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from genai_app import clock
from genai_app.adapters.llm import ChatTurn, Finish, LlmClient
from genai_app.db import Database
from genai_app.errors import AppError, ModelFailed, StorageUnavailable
from genai_app.models import Generation, Message, Status
from genai_app.services.answers import Answers, Ending, Growth
from genai_app.text import clean_text

log = structlog.get_logger()

CHECKPOINT_S = 0.5
REAP_S = 2.0
REMOTE_POLL_S = 0.5
SAVE_RETRY_S = 1.0
DRAIN_S = 20.0
SOLE_DRAIN_S = 5.0  # on a laptop Ctrl-C should not wait for a long answer
MAX_ANSWER_CHARS = 400_000


@dataclass(frozen=True, slots=True)
class Request:
    """What one run asks of the model."""

    turns: Sequence[ChatTurn]
    max_tokens: int
    temperature: float | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Increment:
    """New text of an answer, and the state it is in once the text is read."""

    text: str
    status: Status


@dataclass(eq=False, slots=True)
class LiveAnswer:
    """An answer that this process is producing."""

    message_id: uuid.UUID
    text: str = ""
    status: Status = Status.RUNNING
    finish: Finish | None = None
    tokens: int = 0
    first_token_at: datetime | None = None
    saved_length: int = 0
    stop_asked: bool = False
    reader: asyncio.Task[None] | None = None
    _waiters: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]])

    def wake(self) -> None:
        """Tell all who wait in `changed`."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def changed(self) -> None:
        """Returns at the next new text or end."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def stop(self) -> None:
        self.stop_asked = True
        if self.reader is not None:
            self.reader.cancel()


class Generations:
    """Starts, stops and follows model runs.

    Args:
        sole_process: no other process uses this database, so runs found at the start are orphans.
    """

    def __init__(self, db: Database, llm: LlmClient, *, sole_process: bool) -> None:
        self._answers = Answers(
            db, owner=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        )
        self._llm = llm
        self._sole_process = sole_process
        self._live: dict[uuid.UUID, LiveAnswer] = {}
        self._runs: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    # --- life of the service ------------------------------------------------

    async def open(self) -> None:
        """Mark what a dead process left behind and begin the background loops."""
        if self._sole_process:
            self._report(await self._answers.interrupt(spare=(), whatever_lease=True))
        self._loops = [
            asyncio.create_task(_every(CHECKPOINT_S, self._checkpoint), name="checkpoints"),
            asyncio.create_task(_every(REAP_S, self._reap), name="lease reaper"),
        ]

    async def close(self) -> None:
        """Give running answers a moment to end, then save what came and mark the rest."""
        if self._runs:
            drain_s = SOLE_DRAIN_S if self._sole_process else DRAIN_S
            await asyncio.wait(self._runs, timeout=drain_s)
        for live in list(self._live.values()):
            if live.reader is not None:
                live.reader.cancel()
        if self._runs:
            await asyncio.wait(self._runs, timeout=5)
        for task in [*self._loops, *self._runs]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._runs, return_exceptions=True)

    # --- starting, stopping -------------------------------------------------

    def lease(self, answer: Message) -> Generation:
        """The row to commit together with the empty answer; then call `start`."""
        return self._answers.lease(answer)

    def start(self, message_id: uuid.UUID, request: Request) -> None:
        """Call the model for an answer whose row and lease are committed."""
        live = self._live[message_id] = LiveAnswer(message_id)
        task = asyncio.create_task(self._run(live, request), name=f"generation {message_id}")
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

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
        self, message_id: uuid.UUID, *, from_length: int = 0, pause_s: float = 0.0
    ) -> AsyncGenerator[Increment]:
        """The text from `from_length` characters on, then what comes, until a final state.

        Args:
            pause_s: the least time between two increments; a page need not be drawn per token.
        """
        from_length = max(from_length, 0)
        live = self._live.get(message_id)
        if live is None:
            async for increment in self._follow_saved(message_id, from_length, pause_s):
                yield increment
            return
        seen = from_length
        while True:
            text, status = live.text[seen:], live.status
            if text or status is not Status.RUNNING:
                seen += len(text)
                yield Increment(text, status)
                if status is not Status.RUNNING:
                    return
                if pause_s:
                    await asyncio.sleep(pause_s)
            if len(live.text) <= seen and live.status is Status.RUNNING:
                await live.changed()

    async def _follow_saved(
        self, message_id: uuid.UUID, seen: int, pause_s: float
    ) -> AsyncGenerator[Increment]:
        while (answer := await self._answers.read(message_id)) is not None:
            if answer.abandoned:
                self._report(await self._answers.interrupt(spare=self._live, only=message_id))
            text = answer.text[seen:]
            if text or answer.status is not Status.RUNNING:
                seen += len(text)
                yield Increment(text, answer.status)
            if answer.status is not Status.RUNNING:
                return
            await asyncio.sleep(max(pause_s, REMOTE_POLL_S))

    # --- one run ------------------------------------------------------------

    async def _run(self, live: LiveAnswer, request: Request) -> None:
        reader = live.reader = asyncio.create_task(self._read(live, request))
        if live.stop_asked:
            reader.cancel()
        await asyncio.wait({reader})
        status, code = self._end_state(live, reader)
        try:
            live.status = await self._save_end(live, status, code)
        except Exception:
            # not to be saved by any retry: the lease runs out, and a reaper marks the row
            log.exception("generation.bug", message_id=str(live.message_id))
            live.status = Status.INTERRUPTED
        finally:
            del self._live[live.message_id]
            live.wake()

    async def _read(self, live: LiveAnswer, request: Request) -> None:
        stream = self._llm.stream(
            request.turns,
            model=request.model,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
        )
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finish):
                    live.finish = piece
                    return
                if live.first_token_at is None:
                    live.first_token_at = clock.now()
                live.text += clean_text(piece.text)
                live.tokens += piece.tokens
                live.wake()
                if len(live.text) > MAX_ANSWER_CHARS:
                    return

    def _end_state(self, live: LiveAnswer, reader: asyncio.Task[None]) -> tuple[Status, str | None]:
        if reader.cancelled():
            return (Status.STOPPED, None) if live.stop_asked else (Status.INTERRUPTED, "shutdown")
        error = reader.exception()
        if error is None:
            whole = live.finish is not None and live.finish.reason != "length"
            return (Status.COMPLETE if whole else Status.TRUNCATED), None
        if not isinstance(error, AppError):
            log.error("generation.bug", message_id=str(live.message_id), exc_info=error)
            return Status.FAILED, "internal"
        log.warning(
            "generation.failed",
            message_id=str(live.message_id),
            code=error.code,
            detail=error.detail,
            kept_chars=len(live.text),
        )
        cut = isinstance(error, ModelFailed) and error.code == "model_interrupted"
        return (Status.INTERRUPTED if cut else Status.FAILED), error.code

    async def _save_end(self, live: LiveAnswer, status: Status, code: str | None) -> Status:
        """Commit the end state; while the database is away keep the text and try again.

        Returns the state that the answer has now.
        """
        finish = live.finish
        ending = Ending(
            text=live.text,
            status=status,
            error_code=code,
            model=finish.model if finish else None,
            prompt_tokens=finish.prompt_tokens if finish else None,
            completion_tokens=(finish and finish.completion_tokens) or live.tokens,
            first_token_at=live.first_token_at,
        )
        while True:
            try:
                return await self._answers.end(live.message_id, ending)
            except StorageUnavailable:
                log.warning("generation.save_delayed", message_id=str(live.message_id))
                await asyncio.sleep(SAVE_RETRY_S)

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


async def _every(seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do `work` for ever. A database that is away is waited for; a bug is logged and survived."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except StorageUnavailable as error:
            log.warning("storage.unavailable", while_doing=work.__qualname__, detail=error.detail)
        except Exception:
            log.exception("background.bug", while_doing=work.__qualname__)
