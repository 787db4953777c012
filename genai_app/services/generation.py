"""Model runs. A run belongs to this service, never to a handler, a request or a websocket.

Its text grows in memory, is checkpointed into the database twice a second together with the lease,
and is read by `follow()` from wherever somebody asks: this process reads memory, another reads the
checkpoints. One checkpoint transaction serves all running answers of the process.
"""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from genai_app import clock
from genai_app.adapters.llm import ChatTurn, Finish, LlmClient
from genai_app.db import Database, clean_text
from genai_app.errors import AppError, ModelFailed, StorageUnavailable
from genai_app.models import Generation, Message, Status

log = structlog.get_logger()

CHECKPOINT_S = 0.5
LEASE_S = 10.0
REAP_S = 2.0
REMOTE_POLL_S = 0.5
SAVE_RETRY_S = 1.0
DRAIN_S = 20.0
MAX_ANSWER_CHARS = 400_000

# what a run that broke is called, by the code of its error
_INTERRUPTED_CODES = frozenset({"model_interrupted", "shutdown"})


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
    error_code: str | None = None
    finish: Finish | None = None
    tokens: int = 0
    first_token_at: datetime | None = None
    saved_length: int = 0
    stop_asked: bool = False
    reader: asyncio.Task[None] | None = None
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    def wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def changed(self) -> None:
        """Returns at the next new text or end."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter


class Generations:
    """Starts, stops, follows and saves model runs.

    Args:
        db: where answers are kept.
        llm: the model servers.
        sole_process: no other process uses this database, so runs found at the start are orphans.
    """

    def __init__(self, db: Database, llm: LlmClient, *, sole_process: bool) -> None:
        self._db = db
        self._llm = llm
        self._sole_process = sole_process
        self._live: dict[uuid.UUID, LiveAnswer] = {}
        self._runs: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._closing = False
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    # --- life of the service ------------------------------------------------

    async def open(self) -> None:
        """Mark what a dead process left behind and begin the background loops."""
        if self._sole_process:
            await self._interrupt(sa.true())
        self._loops = [
            asyncio.create_task(self._checkpoint_loop(), name="checkpoints"),
            asyncio.create_task(self._reap_loop(), name="lease reaper"),
        ]

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """Let running answers end for `drain_s` seconds, then save what came and mark the rest."""
        if self._runs and drain_s:
            await asyncio.wait(self._runs, timeout=drain_s)
        self._closing = True
        for live in list(self._live.values()):
            if live.reader is not None:
                live.reader.cancel()
        if self._runs:
            await asyncio.wait(self._runs, timeout=5)
        for task in [*self._loops, *self._runs]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._runs, return_exceptions=True)

    @property
    def running(self) -> int:
        """How many answers this process is producing."""
        return len(self._live)

    # --- starting, stopping -------------------------------------------------

    def lease(self, message_id: uuid.UUID) -> Generation:
        """The row to commit together with the empty answer; then call `start`."""
        until = clock.now() + timedelta(seconds=LEASE_S)
        return Generation(message_id=message_id, owner=self.owner, lease_until=until)

    def start(self, message_id: uuid.UUID, request: Request) -> None:
        """Call the model for an answer whose row and lease are committed."""
        live = LiveAnswer(message_id)
        self._live[message_id] = live
        task = asyncio.create_task(self._run(live, request), name=f"generation {message_id}")
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

    async def stop(self, message_id: uuid.UUID) -> None:
        """End a run and keep its text. Stopping what has ended changes nothing."""
        live = self._live.get(message_id)
        if live is not None:
            self._stop_here(live)
            return
        async with (
            self._db.write() as session
        ):  # another process owns it: its next checkpoint sees this
            await session.execute(
                sa.update(Generation)
                .where(Generation.message_id == message_id, Generation.ended_at.is_(None))
                .values(stop_requested_at=clock.now())
            )

    def _stop_here(self, live: LiveAnswer) -> None:
        live.stop_asked = True
        if live.reader is not None:
            live.reader.cancel()

    # --- reading ------------------------------------------------------------

    async def follow(
        self, message_id: uuid.UUID, *, from_length: int = 0, pause_s: float = 0.0
    ) -> AsyncGenerator[Increment]:
        """The text from `from_length` characters on, then what comes, until a final state.

        Args:
            pause_s: at least this long between two increments, so that a page is not drawn per token.
        """
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
            if len(live.text) == seen and live.status is Status.RUNNING:
                await live.changed()

    async def _follow_saved(
        self, message_id: uuid.UUID, seen: int, pause_s: float
    ) -> AsyncGenerator[Increment]:
        columns = (Message.text, Message.status, Generation.lease_until)
        query = (
            sa.select(*columns)
            .outerjoin(Generation, Generation.message_id == Message.id)
            .where(Message.id == message_id)
        )
        while True:
            async with self._db.read() as session:
                row = (await session.execute(query)).one_or_none()
            if row is None:
                return
            text, status = row.text[seen:], Status(row.status)
            if status is Status.RUNNING and row.lease_until and row.lease_until < clock.now():
                await self._interrupt(
                    sa.and_(
                        Generation.message_id == message_id,
                        Generation.lease_until < clock.now(),
                    )
                )
            if text or status is not Status.RUNNING:
                seen += len(text)
                yield Increment(text, status)
            if status is not Status.RUNNING:
                return
            await asyncio.sleep(max(pause_s, REMOTE_POLL_S))

    # --- one run ------------------------------------------------------------

    async def _run(self, live: LiveAnswer, request: Request) -> None:
        reader = live.reader = asyncio.create_task(self._read(live, request))
        if live.stop_asked:
            reader.cancel()
        await asyncio.wait({reader})
        live_status, code = self._end_state(live, reader)
        await self._save_end(live, live_status, code)
        live.status, live.error_code = live_status, code
        self._live.pop(live.message_id, None)
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
        broke = isinstance(error, ModelFailed) and error.code in _INTERRUPTED_CODES
        return (Status.INTERRUPTED if broke else Status.FAILED), error.code

    async def _save_end(self, live: LiveAnswer, status: Status, code: str | None) -> None:
        """Commit the end state; while the database is away keep the text and try again."""
        finish, moment = live.finish, clock.now()
        values = {
            "text": live.text,
            "status": status,
            "error_code": code,
            "model": finish.model if finish else None,
            "prompt_tokens": finish.prompt_tokens if finish else None,
            "completion_tokens": (finish and finish.completion_tokens) or live.tokens,
            "first_token_at": live.first_token_at,
            "finished_at": moment,
        }
        while True:
            with suppress(StorageUnavailable):
                async with self._db.write() as session:
                    await session.execute(
                        sa.update(Message)
                        .where(Message.id == live.message_id, Message.status == Status.RUNNING)
                        .values(values)
                    )
                    await session.execute(
                        sa.update(Generation)
                        .where(Generation.message_id == live.message_id)
                        .values(ended_at=moment)
                    )
                return
            log.warning("generation.save_delayed", message_id=str(live.message_id))
            await asyncio.sleep(SAVE_RETRY_S)

    # --- background loops ---------------------------------------------------

    async def _checkpoint_loop(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            try:
                await self._checkpoint()
            except StorageUnavailable as error:
                log.warning("checkpoint.delayed", detail=error.detail, answers=len(self._live))
            except Exception:
                log.exception("checkpoint.bug")

    async def _checkpoint(self) -> None:
        lives = [live for live in self._live.values() if live.status is Status.RUNNING]
        if not lives:
            return
        ids = [live.message_id for live in lives]
        grown = [(live, len(live.text)) for live in lives if len(live.text) > live.saved_length]
        until = clock.now() + timedelta(seconds=LEASE_S)
        mine = (Generation.message_id.in_(ids), Generation.owner == self.owner)
        async with self._db.write() as session:
            if grown:
                table = Message.__table__
                await session.execute(
                    table.update()
                    .where(table.c.id == sa.bindparam("key"), table.c.status == Status.RUNNING)
                    .values(text=sa.bindparam("grown"), first_token_at=sa.bindparam("first")),
                    [
                        {"key": live.message_id, "grown": live.text, "first": live.first_token_at}
                        for live, _ in grown
                    ],
                )
            await session.execute(
                sa.update(Generation)
                .where(*mine, Generation.ended_at.is_(None))
                .values(lease_until=until)
            )
            rows = await session.execute(
                sa.select(Generation.message_id).where(
                    *mine,
                    sa.or_(
                        Generation.stop_requested_at.is_not(None), Generation.ended_at.is_not(None)
                    ),
                )
            )
            to_stop = set(rows.scalars())
        for live, length in grown:
            live.saved_length = length
        for live in lives:
            if live.message_id in to_stop and live.status is Status.RUNNING:
                self._stop_here(live)

    async def _reap_loop(self) -> None:
        while True:
            await asyncio.sleep(REAP_S)
            try:
                await self._interrupt(Generation.lease_until < clock.now())
            except StorageUnavailable:
                continue
            except Exception:
                log.exception("reaper.bug")

    async def _interrupt(self, condition: sa.ColumnElement[bool]) -> None:
        """Mark runs that match `condition` and that nobody here is producing as interrupted."""
        moment = clock.now()
        abandoned = sa.select(Generation.message_id).where(Generation.ended_at.is_(None), condition)
        async with self._db.read() as session:
            if not [i for i in await session.scalars(abandoned) if i not in self._live]:
                return
        async with self._db.write() as session:
            # asked again under the row locks: the owner may have renewed its lease in between
            rows = await session.scalars(abandoned.with_for_update(skip_locked=True))
            ids = [i for i in rows if i not in self._live]
            await session.execute(
                sa.update(Generation).where(Generation.message_id.in_(ids)).values(ended_at=moment)
            )
            await session.execute(
                sa.update(Message)
                .where(Message.id.in_(ids), Message.status == Status.RUNNING)
                .values(status=Status.INTERRUPTED, error_code="process_lost", finished_at=moment)
            )
        if ids:
            log.warning("generation.interrupted", messages=[str(i) for i in ids])
