"""One model run and the answers that are written by it. The same question asked by several at the
same moment is one run: whoever comes later is told from its beginning, and it ends for all."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from genai_app import clock
from genai_app.adapters.llm import ChatTurn, Finish, LlmClient
from genai_app.errors import AppError, ModelFailed
from genai_app.models import Source, Status
from genai_app.services.answers import End
from genai_app.services.cache import Key
from genai_app.services.shared_flights import SharedFlights
from genai_app.services.slots import ModelSlots
from genai_app.text import clean_text

log = structlog.get_logger()

MAX_ANSWER_CHARS = 400_000


@dataclass(frozen=True, slots=True)
class Request:
    """What one run asks of the model."""

    turns: Sequence[ChatTurn]
    max_tokens: int
    temperature: float | None = None
    model: str | None = None
    sampling: tuple[tuple[str, object], ...] = ()


@dataclass(eq=False, slots=True)
class LiveAnswer:
    """An answer that this process is producing.

    `joined`: it is told by a run that was begun for another one. `context`: the digest of the
    conversation up to here, where its client will send it again.
    """

    message_id: uuid.UUID
    context: bytes | None = None
    begun_at: datetime = field(default_factory=clock.now)
    text: str = ""
    place: int = 0  # in the line before the model servers; 0 when it does not wait there
    status: Status = Status.RUNNING
    joined: bool = False
    first_token_at: datetime | None = None
    saved_length: int = 0
    stop_asked: bool = False
    flight: "Flight | None" = None
    end: End | None = None
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
        if self.flight is not None:
            self.flight.leave(self)

    @property
    def source(self) -> Source:
        """An answer that cost no run of its own counts as given again."""
        return Source.CACHE if self.joined else Source.MODEL


class Flight:
    """A model run that may be joined.

    Args:
        key: of the answer cache; None for a run that nobody may join.
        whole: told of a complete answer of its own before its readers are.
        shared: runs of other processes to the same answer; None: they are nothing to this one.
    """

    def __init__(
        self,
        key: Key | None,
        whole: Callable[["Flight"], Coroutine[Any, Any, None]],
        shared: SharedFlights | None = None,
    ) -> None:
        self.id = uuid.uuid4()
        self.key = key
        self.text = ""
        self.tokens = 0
        self.place = 0
        self.first_token_at: datetime | None = None
        self.finish: Finish | None = None
        self.task: asyncio.Task[None] | None = None
        self.holders = 0  # those who may still begin it
        self._whole = whole
        self._shared = shared
        self._aboard: dict[LiveAnswer, asyncio.Future[None]] = {}

    async def carry(
        self, live: LiveAnswer, llm: LlmClient, slots: ModelSlots, request: Request
    ) -> None:
        """Write `live` until the run ends, or the answer is stopped; begin the run if nobody has.

        Returns with the end in `task`, or with `live.stop_asked`.
        """
        live.flight = self
        live.joined = self.task is not None
        left = self._aboard[live] = asyncio.get_running_loop().create_future()
        if self.task is None:
            self.task = asyncio.create_task(self._run(live, llm, slots, request))
        elif self.text:
            self._tell(live)
        else:
            self._place(live)
        if live.stop_asked:
            self.leave(live)
        try:
            await asyncio.wait({self.task, left}, return_when=asyncio.FIRST_COMPLETED)
            if self._is_empty():  # it is ended on the model server before the stop is said
                await asyncio.wait({self.task})
        finally:
            self._aboard.pop(live, None)
            if self.task.done() and not self.task.cancelled():
                self.task.exception()  # asked for: else asyncio reports it when all have stopped

    def leave(self, live: LiveAnswer) -> None:
        """Stop writing one answer; a run that writes none any more is ended."""
        left = self._aboard.pop(live, None)
        if left is not None and not left.done():
            left.set_result(None)
        self.end_if_empty()

    def end_if_empty(self) -> None:
        """End a run that writes no answer and that nobody will join."""
        if self.task is not None and self._is_empty():
            self.task.cancel()

    def _is_empty(self) -> bool:
        ridden = self._shared is not None and self._shared.is_ridden(self.id)
        return not (self._aboard or self.holders or ridden)

    @property
    def is_carrying(self) -> bool:
        """Whether it writes any answer."""
        return bool(self._aboard)

    def end_of(self, live: LiveAnswer) -> tuple[Status, str | None]:
        """How an answer ended that is carried no more: its state, and the code of its error."""
        if live.stop_asked:
            return Status.STOPPED, None
        assert self.task is not None  # carried
        if self.task.cancelled():
            return Status.INTERRUPTED, "shutdown"
        error = self.task.exception()
        if error is None:
            whole = self.finish is not None and self.finish.reason != "length"
            return (Status.COMPLETE if whole else Status.TRUNCATED), None
        message_id = str(live.message_id)
        if not isinstance(error, AppError):
            log.error("generation.bug", message_id=message_id, exc_info=error)
            return Status.FAILED, "internal"
        log.warning(
            "generation.failed",
            message_id=message_id,
            code=error.code,
            detail=error.detail,
            kept_chars=len(live.text),
        )
        cut = isinstance(error, ModelFailed) and error.code == "model_interrupted"
        return (Status.INTERRUPTED if cut else Status.FAILED), error.code

    @property
    def complete(self) -> bool:
        """The model has said all it had to say."""
        return self.finish is not None and self.finish.reason == "stop" and bool(self.text)

    async def _run(
        self, first: LiveAnswer, llm: LlmClient, slots: ModelSlots, request: Request
    ) -> None:
        if self._shared is None or self.key is None:
            await self._ask(llm, slots, request)
            return
        ours = self._shared.claimed(self.key, self.id, first.message_id, self)
        async with ours as claim:
            if claim is None or not await self._ride(self._shared.ride(claim, self.key), first):
                await self._ask(llm, slots, request)

    async def _ride(self, told: AsyncGenerator[str | Finish], first: LiveAnswer) -> bool:
        """Be told by another process' run. Returns whether it told everything.

        Raises:
            ModelFailed: it was lost in the middle.
        """
        first.joined = True
        async with aclosing(told) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finish):
                    self.finish = piece
                    return True
                self._grow(piece)
        if self.text:
            raise ModelFailed("the run of another process was lost", code="model_interrupted")
        first.joined = False
        return False

    async def _ask(self, llm: LlmClient, slots: ModelSlots, request: Request) -> None:
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
        if self.complete:
            await self._whole(self)

    def _grow(self, text: str) -> None:
        if self.first_token_at is None:
            self.first_token_at = clock.now()
        self.text += text
        for live in self._aboard:
            self._tell(live)

    def _moved(self, place: int) -> None:
        """The run stands at another place in line; 0: it has left it."""
        self.place = place
        for live in self._aboard:
            self._place(live)

    def _place(self, live: LiveAnswer) -> None:
        live.place = self.place
        live.wake()

    def _tell(self, live: LiveAnswer) -> None:
        live.text = self.text
        if live.first_token_at is None:
            live.first_token_at = clock.now() if live.joined else self.first_token_at
        live.wake()
