"""A model run and the answers that are written by it. The same question asked by several at the
same moment is one run: later answers get its text from the beginning, and it ends for all."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog

from genai_app import clock
from genai_app.errors import AppError, ModelFailed
from genai_app.models import Source, Status
from genai_app.services.generation.checkpoints import End, Increment
from genai_app.services.generation.context_fit import Request
from genai_app.services.generation.growth import Growth
from genai_app.services.generation.model_call import ModelCall
from genai_app.services.generation.seen import Seen
from genai_app.services.reuse.cache import Key

log = structlog.get_logger()

# what of an error is kept for its sentence
DETAILS = ("reason", "what", "over_by", "limit", "over_chars")


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """The part of an answer that is there before a run goes on with it; by default none.

    `completion_tokens` and `prompt_tokens`: of the runs that wrote it. `reasoning`: what the model
    thought before it.
    """

    text: str = ""
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    first_token_at: datetime | None = None
    reasoning: str = ""
    reasoning_ms: int | None = None
    reasoning_tokens: int | None = None

    def with_end(self, end: End) -> End:
        """Returns the end of the whole answer, from the end of the run that went on with it."""
        return replace(
            end,
            model=end.model or self.model,
            prompt_tokens=_sum(self.prompt_tokens, end.prompt_tokens),
            completion_tokens=_sum(self.completion_tokens, end.completion_tokens),
            reasoning_tokens=_sum(self.reasoning_tokens, end.reasoning_tokens),
        )


@dataclass(eq=False, slots=True)
class LiveAnswer:
    """An answer that this process is producing.

    `joined`: it is written by a run that was begun for another one. `context`: the digest of the
    conversation up to here, where its client will send it again. `trimmed`: messages that the
    request of its own lacks. `part`: what was there before its run.
    """

    message_id: uuid.UUID
    context: bytes | None = None
    trimmed: int = 0
    part: AnswerPart = field(default_factory=AnswerPart)
    begun_at: datetime = field(default_factory=clock.now)
    text: str = ""
    reasoning: str = ""
    swaps: int = 0  # how often text and reasoning changed places
    position: int = 0  # in the queue before the model servers; 0 when it does not wait there
    status: Status = Status.RUNNING
    joined: bool = False
    first_token_at: datetime | None = None
    saved: tuple[int, int, int] = (0, 0, 0)  # `mark` at the last checkpoint
    stop_asked: bool = False
    run: "ModelRun | None" = None
    end: End | None = None
    _waiters: list[asyncio.Future[None]] = field(default_factory=list[asyncio.Future[None]])

    def __post_init__(self) -> None:
        self.text, self.first_token_at = self.part.text, self.part.first_token_at
        self.reasoning = self.part.reasoning
        self.saved = self.mark

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
        if self.run is not None:
            self.run.leave(self)

    @property
    def reasoning_ms(self) -> int | None:
        """How long the model has thought, up to now if it still does; None if it has not."""
        call_ms = self.run.call.reasoning_ms if self.run is not None and self.reasoning else None
        return _sum(self.part.reasoning_ms, call_ms)

    @property
    def mark(self) -> tuple[int, int, int]:
        """The lengths of text and reasoning, and `swaps`: another one needs a checkpoint."""
        return len(self.text), len(self.reasoning), self.swaps

    @property
    def has_grown(self) -> bool:
        return self.mark != self.saved

    def growth(self) -> Growth:
        """Returns what a checkpoint saves."""
        growth = Growth(self.message_id, self.text, self.first_token_at, swaps=self.swaps)
        if self.mark[1:] == self.saved[1:]:
            return growth
        return replace(growth, reasoning=self.reasoning, reasoning_ms=self.reasoning_ms)

    async def follow(
        self, start: Seen, pause_s: float, *, positions: bool
    ) -> AsyncGenerator[Increment]:
        """Yields the text and its increments, as Generations.follow does."""
        seen, shown = start, 0
        swaps = self.swaps
        while True:
            status, anew, swaps = self.status, self.swaps != swaps, self.swaps
            if anew:
                seen = Seen()
            text, reasoning = seen.rest_of(self)
            position = self.position if positions else 0
            if text or reasoning or anew or status is not Status.RUNNING or position != shown:
                seen, shown = seen.after(text, reasoning), position
                ms = self.reasoning_ms
                yield Increment(text, status, self.end, position, reasoning, ms, anew)
                if status is not Status.RUNNING:
                    return
                if pause_s:
                    await asyncio.sleep(pause_s)
            same = self.swaps == swaps and (not positions or self.position == shown)
            if same and self.status is Status.RUNNING and seen.has_all_of(self):
                await self.changed()

    @property
    def source(self) -> Source:
        """The source of the answer. One that cost no run of its own counts as a cached answer."""
        return Source.CACHE if self.joined else Source.MODEL


class ModelRun:
    """A model call that may be joined, and the answers that are written by it.

    Args:
        key: of the answer cache; None for a run that nobody may join.
        call: what it asks the model with, given what to do after each change.
        keep: called with a complete answer before its readers get it.
    """

    def __init__(
        self,
        key: Key | None,
        call: Callable[[Callable[[], None]], ModelCall],
        keep: Callable[["ModelRun"], Awaitable[None]],
    ) -> None:
        self.key = key
        self.call = call(self._show)
        self.task: asyncio.Task[None] | None = None
        self.holders = 0  # those who may still begin it
        self._keep = keep
        self._answers: dict[LiveAnswer, asyncio.Future[None]] = {}

    async def write(self, live: LiveAnswer, request: Request) -> None:
        """Writes `live` until the run ends or the answer is stopped; begins the run if nobody has.

        Returns with the end in `task`, or with `live.stop_asked`.
        """
        live.run = self
        live.joined = self.task is not None
        left = self._answers[live] = asyncio.get_running_loop().create_future()
        if self.task is None:
            self.task = asyncio.create_task(self._call(request))
        else:
            self._show_to(live)
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

    @property
    def is_joinable(self) -> bool:
        """True until it has ended, or nobody is there to begin it."""
        if self.task is None:
            return bool(self.holders)
        return bool(self._answers) and not self.task.done()

    def ending(self, live: LiveAnswer) -> tuple[Status, str | None, dict[str, Any]]:
        """Returns how an answer ended that is written no more: its state, the code of its error,
        and the details that the error's sentence names."""
        if live.stop_asked:
            return Status.STOPPED, None, {}
        assert self.task is not None  # the answer was written by it
        if self.task.cancelled():
            return Status.INTERRUPTED, "shutdown", {}
        error = self.task.exception()
        if error is None:
            return *self.call.ending(), {}
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
        cut = cut or bool(live.part.text)  # what was there before can go on once more
        details = {name: error.params[name] for name in DETAILS if error.params.get(name)}
        return (Status.INTERRUPTED if cut else Status.FAILED), error.code, details

    async def _call(self, request: Request) -> None:
        await self.call.run(request)
        if self.call.is_complete:
            await self._keep(self)

    def _is_empty(self) -> bool:
        return not (self._answers or self.holders)

    def _show(self) -> None:
        for live in self._answers:
            self._show_to(live)

    def _show_to(self, live: LiveAnswer) -> None:
        """Copies text, reasoning and position into an answer and wakes its readers."""
        call, part = self.call, live.part
        live.text, live.position = part.text + call.text, call.position
        live.reasoning = part.reasoning + call.reasoning
        if live.swaps != call.swaps:
            live.swaps, live.first_token_at = call.swaps, part.first_token_at
        if live.text and live.first_token_at is None:
            live.first_token_at = clock.now() if live.joined else self.call.first_token_at
        live.wake()


def _sum(earlier: int | None, later: int | None) -> int | None:
    """Returns the sum of two counts; None where neither is known."""
    return None if earlier is None and later is None else (earlier or 0) + (later or 0)
