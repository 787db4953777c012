"""One model run and the answers that are written by it. The same question asked by several at the
same moment is one run: later answers get its text from the beginning, and it ends for all."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog

from genai_app import clock
from genai_app.adapters.llm.client import Finish, LlmClient
from genai_app.errors import AppError, ContextTooLong, ModelFailed
from genai_app.models import Source, Status
from genai_app.services.generation.checkpoints import End
from genai_app.services.generation.context_fit import Fitted, Request, fitted, refitted
from genai_app.services.generation.slots import ModelSlots
from genai_app.services.reuse.cache import Key
from genai_app.text import clean_text

log = structlog.get_logger()

MAX_ANSWER_CHARS = 400_000
ENDS = {"length": Status.TRUNCATED, "content_filter": Status.FILTERED}
# what of an error is kept for its sentence
DETAILS = ("reason", "what", "over_by", "limit", "over_chars")


@dataclass(eq=False, slots=True)
class LiveAnswer:
    """An answer that this process is producing.

    `joined`: it is written by a run that was begun for another one. `context`: the digest of the
    conversation up to here, where its client will send it again. `trimmed`: messages that the
    request of its own lacks.
    """

    message_id: uuid.UUID
    context: bytes | None = None
    trimmed: int = 0
    begun_at: datetime = field(default_factory=clock.now)
    text: str = ""
    position: int = 0  # in the queue before the model servers; 0 when it does not wait there
    status: Status = Status.RUNNING
    joined: bool = False
    first_token_at: datetime | None = None
    saved_length: int = 0
    stop_asked: bool = False
    flight: "Flight | None" = None
    end: End | None = None
    _waiters: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]])

    def wake(self) -> None:
        """Wakes all who wait in `changed`."""
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
        if self.flight is not None:
            self.flight.leave(self)

    @property
    def source(self) -> Source:
        """The source of the answer. One that cost no run of its own counts as a cached answer."""
        return Source.CACHE if self.joined else Source.MODEL


class Flight:
    """A model run that may be joined.

    Args:
        key: of the answer cache; None for a run that nobody may join.
        whole: called with a complete answer before its readers get it.
    """

    def __init__(
        self, key: Key | None, whole: Callable[["Flight"], Coroutine[Any, Any, None]]
    ) -> None:
        self.key = key
        self.text = ""
        self.tokens = 0
        self.position = 0
        self.first_token_at: datetime | None = None
        self.left_out = 0  # messages that did not fit into the model's context
        self.finish: Finish | None = None
        self.task: asyncio.Task[None] | None = None
        self.holders = 0  # those who may still begin it
        self._whole = whole
        self._answers: dict[LiveAnswer, asyncio.Future[None]] = {}

    async def write(
        self, live: LiveAnswer, llm: LlmClient, slots: ModelSlots, request: Request
    ) -> None:
        """Writes `live` until the run ends or the answer is stopped; begins the run if nobody has.

        Returns with the end in `task`, or with `live.stop_asked`.
        """
        live.flight = self
        live.joined = self.task is not None
        left = self._answers[live] = asyncio.get_running_loop().create_future()
        if self.task is None:
            self.task = asyncio.create_task(self._ask(llm, slots, request))
        elif self.text:
            self._show_text(live)
        else:
            self._show_position(live)
        if live.stop_asked:
            self.leave(live)
        try:
            await asyncio.wait({self.task, left}, return_when=asyncio.FIRST_COMPLETED)
            if self._is_empty():  # it is ended on the model server before the stop is reported
                await asyncio.wait({self.task})
        finally:
            self._answers.pop(live, None)
            if self.task.done() and not self.task.cancelled():
                self.task.exception()  # asked for: else asyncio reports it when all have stopped

    def leave(self, live: LiveAnswer) -> None:
        """Stops writing one answer; ends a run that writes none any more."""
        left = self._answers.pop(live, None)
        if left is not None and not left.done():
            left.set_result(None)
        self.end_if_empty()

    def end_if_empty(self) -> None:
        """Ends a run that writes no answer and that nobody will join."""
        if self.task is not None and self._is_empty():
            self.task.cancel()

    def _is_empty(self) -> bool:
        return not (self._answers or self.holders)

    @property
    def is_writing(self) -> bool:
        """Returns whether the run writes any answer."""
        return bool(self._answers)

    def end_of(self, live: LiveAnswer) -> tuple[Status, str | None, dict[str, Any]]:
        """Returns how an answer ended that is written no more: its state, the code of its error,
        and the details that the error's sentence names."""
        if live.stop_asked:
            return Status.STOPPED, None, {}
        assert self.task is not None  # the answer was written by it
        if self.task.cancelled():
            return Status.INTERRUPTED, "shutdown", {}
        error = self.task.exception()
        if error is None:
            return *self._good_end(), {}
        message_id = str(live.message_id)
        if not isinstance(error, AppError):
            log.error("generation.bug", message_id=message_id, exc_info=error)
            return Status.FAILED, "internal", {}
        log.warning(
            "generation.failed",
            message_id=message_id,
            code=error.code,
            detail=error.detail,
            kept_chars=len(live.text),
        )
        cut = isinstance(error, ModelFailed) and error.code == "model_interrupted"
        details = {name: error.params[name] for name in DETAILS if error.params.get(name)}
        return (Status.INTERRUPTED if cut else Status.FAILED), error.code, details

    def _good_end(self) -> tuple[Status, str | None]:
        """Returns how an answer ended that the model server brought to an end."""
        if self.finish is None:  # longer than any answer is kept
            return Status.TRUNCATED, None
        if self.finish.lost_events:
            return Status.INTERRUPTED, "events_lost"
        status = ENDS.get(self.finish.reason, Status.COMPLETE)
        empty = status is Status.COMPLETE and not self.text.strip()
        return status, "empty_answer" if empty else None

    @property
    def complete(self) -> bool:
        """True when the model ended its answer by itself and the answer is not empty."""
        finish = self.finish
        whole = finish is not None and finish.reason == "stop" and not finish.lost_events
        return whole and bool(self.text.strip())

    async def _ask(self, llm: LlmClient, slots: ModelSlots, request: Request) -> None:
        """Asks the model, and once more with less where its server refuses the request as too
        long."""
        sent = await fitted(llm, request)
        self.left_out = sent.left_out
        try:
            await self._read(llm, slots, sent.request)
        except ContextTooLong as refusal:
            if isinstance(total := refusal.params.get("window"), int):
                await llm.learn_window(request.model, total)
            sent = refitted(sent.request, refusal)
            self.left_out += sent.left_out
            await self._read_again(llm, slots, sent)
        if self.complete:
            await self._whole(self)

    async def _read_again(self, llm: LlmClient, slots: ModelSlots, sent: Fitted) -> None:
        log.info("generation.context_lowered", left_out=self.left_out)
        try:
            await self._read(llm, slots, sent.request)
        except ContextTooLong as refusal:
            refitted(replace(sent.request, may_trim=False, max_tokens=1), refusal)
            raise

    async def _read(self, llm: LlmClient, slots: ModelSlots, request: Request) -> None:
        stream = llm.stream(
            request.turns,
            model=request.model,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            sampling=request.sampling,
            turns_at=slots.turns(self._moved),
        )
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finish):
                    self.finish = piece
                    break
                self.tokens += piece.tokens
                self._grow(clean_text(piece.text))
                if len(self.text) > MAX_ANSWER_CHARS:
                    break

    def _grow(self, text: str) -> None:
        if self.first_token_at is None:
            self.first_token_at = clock.now()
        self.text += text
        for live in self._answers:
            self._show_text(live)

    def _moved(self, position: int) -> None:
        """Shows the run's new position in the queue to its answers; 0: it has left the queue."""
        self.position = position
        for live in self._answers:
            self._show_position(live)

    def _show_position(self, live: LiveAnswer) -> None:
        live.position = self.position
        live.wake()

    def _show_text(self, live: LiveAnswer) -> None:
        live.text = self.text
        if live.first_token_at is None:
            live.first_token_at = clock.now() if live.joined else self.first_token_at
        live.wake()
