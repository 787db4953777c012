"""A call of the model, and the answer that comes of it."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime

import structlog

from genai_app import clock
from genai_app.adapters.llm.client import LlmClient
from genai_app.adapters.llm.dialects import Finish, TextDelta, begun_answer
from genai_app.adapters.llm.endpoints import Turns
from genai_app.errors import ContextTooLong, ModelRefused
from genai_app.models import Status
from genai_app.services.generation.context_fit import Fitted, Request, fitted, refitted
from genai_app.services.generation.seam import (
    AskedSeam,
    ExactSeam,
    WrittenAnew,
    turns_for_rest,
)
from genai_app.text import clean_text

log = structlog.get_logger()

MAX_ANSWER_CHARS = 400_000
MAX_REASONING_CHARS = 100_000  # what comes after is not kept
ENDS = {"length": Status.TRUNCATED, "content_filter": Status.FILTERED}


class ModelCall:
    """Asks the model and collects its answer.

    Args:
        turns: returns the turns at the model servers, each of which is waited for before a call,
            given what to call with each new position in the queue.
        changed: called after each change of `text`, `reasoning` or `position`.
    """

    def __init__(
        self,
        llm: LlmClient,
        turns: Callable[[Callable[[int], None]], Turns],
        changed: Callable[[], None],
    ) -> None:
        self.text = ""
        self.tokens = 0  # those of the reasoning among them
        self.reasoning = ""
        self.reasoning_tokens = 0
        self.swaps = 0  # how often text and reasoning changed places
        self.position = 0  # in the queue; 0 when it does not wait there
        self.first_token_at: datetime | None = None
        self.left_out = 0  # messages that did not fit into the model's context
        self.finish: Finish | None = None
        self._part_length = 0  # of the answer that the model goes on with
        self._seam: ExactSeam | AskedSeam | None = None
        self._llm = llm
        self._turns = turns
        self._changed = changed
        self._begun_at = 0.0  # with the first text or reasoning, by the steady clock
        self._thought_until: float | None = None

    async def run(self, request: Request) -> None:
        """Asks the model, and once more with less where its server refuses the request as too
        long."""
        if part := begun_answer(request.turns):
            await self._go_on(request, part)
        else:
            await self._ask(request)

    async def _go_on(self, request: Request, part: str) -> None:
        """Has the model go on with an answer; asks for the rest in words where its server does not
        know how."""
        self._part_length, self._seam = len(part), ExactSeam(part)
        try:
            await self._ask(request)
        except (WrittenAnew, ModelRefused) as error:
            if isinstance(error, ModelRefused) and error.code != "model_refused":
                raise
            log.info("generation.rest_asked_for", refused=isinstance(error, ModelRefused))
            self._seam, self.tokens, self.reasoning_tokens = AskedSeam(part), 0, 0
            await self._ask(replace(request, turns=turns_for_rest([*request.turns])))

    async def _ask(self, request: Request) -> None:
        sent = await fitted(self._llm, request)
        self.left_out = sent.left_out
        try:
            await self._read(sent.request)
        except ContextTooLong as refusal:
            if isinstance(total := refusal.params.get("window"), int):
                await self._llm.learn_window(request.model, total)
            sent = refitted(sent.request, refusal)
            self.left_out += sent.left_out
            await self._read_again(sent)

    @property
    def reasoning_ms(self) -> int | None:
        """How long the model has thought, up to now if it still does; None if it has not."""
        if not self.reasoning:
            return None
        until = self._thought_until if self.text else clock.steady_s()
        return round(((until or self._begun_at) - self._begun_at) * 1000)

    @property
    def is_complete(self) -> bool:
        """True when the model ended its answer by itself and the answer is not empty."""
        finish = self.finish
        whole = finish is not None and finish.reason == "stop" and not finish.lost_events
        return whole and bool(self.text.strip())

    def ending(self) -> tuple[Status, str | None]:
        """Returns the state and the error code of an answer that the server brought to an end."""
        if self.finish is None:  # longer than any answer is kept
            return Status.TRUNCATED, None
        if self.finish.lost_events:
            return Status.INTERRUPTED, "events_lost"
        status = ENDS.get(self.finish.reason, Status.COMPLETE)
        empty = status is Status.COMPLETE and self._seam is None and not self.text.strip()
        return status, "empty_answer" if empty else None

    async def _read_again(self, sent: Fitted) -> None:
        log.info("generation.context_lowered", left_out=self.left_out)
        try:
            await self._read(sent.request)
        except ContextTooLong as refusal:
            refitted(replace(sent.request, may_trim=False, max_tokens=1), refusal)
            raise

    async def _read(self, request: Request) -> None:
        stream = self._llm.stream(
            request.turns,
            model=request.model,
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            sampling=request.sampling,
            turns_at=self._turns(self._move_to),
        )
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finish):
                    self.finish = piece
                    break
                self._grow(piece)
                if self._part_length + len(self.text) > MAX_ANSWER_CHARS:
                    break
        if self._seam is not None and (text := self._seam.end()):
            self._add(text)
            self._changed()

    def _grow(self, piece: TextDelta) -> None:
        self._begun_at = self._begun_at or clock.steady_s()
        if piece.swapped:
            self.swaps += 1
            moved, self.text, self.reasoning = self.reasoning, "", self.text
            self.text = moved if self._seam is None else self._seam.feed(moved)
            self.reasoning_tokens = self.tokens - self.reasoning_tokens
            self.first_token_at = None
        self.tokens += piece.tokens
        self.reasoning_tokens += piece.reasoning_tokens
        if piece.reasoning or piece.swapped:
            self._thought_until = clock.steady_s()
            self.reasoning = _with_thoughts(self.reasoning, clean_text(piece.reasoning))
            if piece.swapped:
                self.reasoning = self.reasoning.strip()
        text = clean_text(piece.text)
        self._add(text if self._seam is None else self._seam.feed(text))
        self._changed()

    def _add(self, text: str) -> None:
        self.text += text
        if self.text and self.first_token_at is None:
            self.first_token_at = clock.now()

    def _move_to(self, position: int) -> None:
        self.position = position
        self._changed()


def _with_thoughts(reasoning: str, more: str) -> str:
    """Returns reasoning with more of it, as far as it is kept."""
    if len(reasoning) < MAX_REASONING_CHARS:
        reasoning += more
    if len(reasoning) > MAX_REASONING_CHARS:
        return reasoning[: MAX_REASONING_CHARS - 1] + "…"
    return reasoning
