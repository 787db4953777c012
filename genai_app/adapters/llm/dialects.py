"""The dialects of model servers: request bodies and events of vLLM (OpenAI) and of TGI.

Pure: bytes in, values out; client.py sends and receives them. Shapes as vLLM 0.32 and TGI 3 send
them; fields that nobody needs are not read, and null means absent.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import structlog

from genai_app.adapters.llm.errors import ServerError, event_error
from genai_app.adapters.llm.pictures import Picture
from genai_app.adapters.llm.reasoning import Parts, ReasoningSplitter
from genai_app.errors import AppError, ModelFailed

TEMPLATE = "chat_template_kwargs"  # a parameter of vLLM
MAX_BAD_EVENTS = 3
TGI_NAMES = {"top_p": "top_p", "stop": "stop", "seed": "seed"}
REASONS = ("stop", "length", "content_filter", "tool_calls")
# what servers other than vLLM call them
OTHER_REASONS = {
    "model_length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "safety": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
    "sensitive": "content_filter",
}

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """A turn of the conversation; `role` is system, user or assistant.

    `pictures`: those that stand before its text. `files`: hashes of the files that its client sent
    with it. `made_of`: ids of the messages in it.
    """

    role: str
    content: str
    pictures: tuple[Picture, ...] = ()
    files: tuple[str, ...] = ()
    made_of: tuple[object, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The text of one network read; `tokens`: chunks in it, those of reasoning among them.

    `swapped`: the text and the reasoning before it change places.
    """

    text: str
    tokens: int
    reasoning: str = ""
    reasoning_tokens: int = 0
    swapped: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer. `reason`: one of `REASONS`. `lost_events`: how many events before the
    end could not be read, so that text may be missing. `reasoning_tokens`: part of
    `completion_tokens`, where the server counts them."""

    reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str
    lost_events: int = 0
    reasoning_tokens: int | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None  # in place of content
    reasoning: str | None = None
    reasoning_content: str | None = None  # the older name of the same

    def parts(self) -> Parts:
        """Returns the text and the reasoning in it."""
        return Parts(
            self.content or self.refusal or "", self.reasoning or self.reasoning_content or ""
        )


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _TokenDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    completion_tokens_details: _TokenDetails | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: ServerError | str | None = None
    object: str | None = None
    message: str | None = None
    type: str | None = None
    code: Any = None


class _TgiToken(msgspec.Struct):
    text: str | None = None
    special: bool | None = None


class _TgiDetails(msgspec.Struct):
    finish_reason: str | None = None
    generated_tokens: int | None = None
    input_length: int | None = None


class _TgiEvent(msgspec.Struct):
    token: _TgiToken | None = None
    details: _TgiDetails | None = None
    error: str | None = None
    error_type: str | None = None


class AnswerReader(ABC):
    """Reads the events of one answer, and holds what they have said so far.

    Args:
        opened: the model's template opens the tag of its reasoning.
    """

    def __init__(self, *, model: str, turns: Sequence[ChatTurn], opened: bool = False) -> None:
        self.prompt = [turn.content for turn in turns]
        self.model = self.asked = model  # the server may name it otherwise than it was asked for
        self.begun = False  # text, thinking or an end has come
        self.done = False  # nothing more will come
        self.failure: AppError | None = None  # what ended it before its end
        self.reason: str | None = None
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.reasoning_tokens: int | None = None
        self.lost_events = 0  # unreadable ones before the end
        self._goes_on = bool(begun_answer(turns))
        self.splitter = ReasoningSplitter(is_opened=opened, is_begun=self._goes_on)
        self.thought = False  # some of what came is reasoning
        self._has_text = False
        self._unsent = [0, 0]  # tokens of what the splitter holds back: all, those of reasoning

    def read(self, events: Iterable[bytes]) -> TextDelta | None:
        """Reads the events of one network read. Returns their text, if there is any.

        An error among them goes to `failure`, since the text before it is to be kept.
        """
        whole = Parts()
        for event in events:
            parts = None
            try:
                parts = self._take(event)
            except (ValueError, RecursionError) as error:  # no JSON, of another shape, too deep
                self._count_bad(event, error)
            except AppError as error:
                self.failure = error
            if self.failure is not None:
                break
            if parts is not None and (parts.text or parts.reasoning):
                self._divide(parts, whole)
        return self._delta(whole)

    def rest(self, *, is_whole: bool) -> TextDelta | None:
        """Returns the text that was held back, when no more will come.

        Args:
            is_whole: the answer came to its end.
        """
        rest = self.splitter.end(self.finish().reason if is_whole else None)
        if is_whole and self._goes_on and not self._has_text:
            # vLLM's parsers take the rest of an answer for thoughts that are never closed
            rest.swapped, self.reasoning_tokens = self.thought, None
        return self._delta(rest)

    def finish(self) -> Finish:
        """Returns the end; a reason that is missing or unknown counts as "stop"."""
        reason = OTHER_REASONS.get((self.reason or "").lower(), self.reason)
        if reason not in REASONS:
            reason = "stop"
        return Finish(
            reason,
            self.prompt_tokens,
            self.completion_tokens,
            self.model,
            self.lost_events,
            self.reasoning_tokens,
        )

    @abstractmethod
    def _take(self, event: bytes) -> Parts | None:
        """Reads one event. Returns its text and reasoning as the server divides them."""

    def _divide(self, event: Parts, whole: Parts) -> None:
        """Adds the text and the reasoning of one event to those of the events before it."""
        if event.reasoning:
            self.splitter.ignore_tags()
            whole.reasoning += event.reasoning
        parts = self.splitter.feed(event.text)
        if parts.swapped:
            whole.text, whole.reasoning = whole.reasoning, whole.text
            whole.swapped = not whole.swapped
            self._unsent[1] = self._unsent[0] - self._unsent[1]
        whole.text += parts.text
        whole.reasoning += parts.reasoning
        self._unsent[0] += 1
        self._unsent[1] += bool(event.reasoning or parts.reasoning)

    def _delta(self, parts: Parts) -> TextDelta | None:
        if not (parts.text or parts.reasoning or parts.swapped):
            return None
        self.thought = self.thought or bool(parts.reasoning) or self.splitter.closed_alone
        self._has_text = self._has_text or bool(parts.text)
        (tokens, reasoning_tokens), self._unsent = self._unsent, [0, 0]
        return TextDelta(parts.text, tokens, parts.reasoning, reasoning_tokens, parts.swapped)

    def _count_bad(self, event: bytes, error: Exception) -> None:
        if self.reason is not None:
            return  # the text is whole: only the figures of use may be missing
        self.lost_events += 1
        if self.lost_events == 1:
            log.warning("llm.bad_event", size=len(event), error=type(error).__name__)
        if self.lost_events > MAX_BAD_EVENTS:
            self.failure = ModelFailed("too many events of the model server cannot be read")


class OpenAiAnswer(AnswerReader):
    """Chunks of /v1/chat/completions."""

    _decoder = msgspec.json.Decoder(_Chunk)

    def _take(self, event: bytes) -> Parts | None:
        if self.done or not event:
            return None
        if event == b"[DONE]":
            self.done = True
            return None
        try:
            chunk = self._decoder.decode(event)
        except ValueError:
            chunk = _decode_leniently(event, _Chunk)
        if chunk.error is not None or chunk.object == "error":
            error = chunk.error
            if not isinstance(error, ServerError):
                error = ServerError(error or chunk.message, chunk.type, code=chunk.code)
            raise event_error(error, begun=self.begun, prompt=self.prompt)
        if chunk.usage is not None:
            self.prompt_tokens = chunk.usage.prompt_tokens
            self.completion_tokens = chunk.usage.completion_tokens
            details = chunk.usage.completion_tokens_details
            self.reasoning_tokens = details.reasoning_tokens if details else None
        if chunk.model:
            self.model = chunk.model
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        if choice.finish_reason in ("abort", "error"):  # vLLM's own trouble, not an end
            raise ModelFailed(f"finish reason {choice.finish_reason}", code="model_interrupted")
        if choice.finish_reason:
            self.reason = choice.finish_reason
            self.begun = True
        if choice.delta is None:
            return None
        parts = choice.delta.parts()
        if parts.text or parts.reasoning:
            self.begun = True
        return parts


class TgiAnswer(AnswerReader):
    """Events of /generate_stream."""

    _decoder = msgspec.json.Decoder(_TgiEvent)
    _reasons = {"eos_token": "stop", "stop_sequence": "stop"}

    def _take(self, event: bytes) -> Parts | None:
        if self.done or not event:
            return None
        try:
            tgi_event = self._decoder.decode(event)
        except ValueError:
            tgi_event = _decode_leniently(event, _TgiEvent)
        if tgi_event.error is not None:
            error = ServerError(tgi_event.error, tgi_event.error_type)
            raise event_error(error, begun=self.begun, prompt=self.prompt)
        if tgi_event.token is not None:
            self.begun = True
        if tgi_event.details is not None:
            reason = tgi_event.details.finish_reason or "stop"
            self.reason = self._reasons.get(reason, reason)
            self.prompt_tokens = tgi_event.details.input_length
            self.completion_tokens = tgi_event.details.generated_tokens
            self.done = self.begun = True
        if tgi_event.token is None or tgi_event.token.special:
            return None
        return Parts(tgi_event.token.text or "")


def openai_body(
    turns: Sequence[ChatTurn],
    *,
    model: str,
    max_tokens: int,
    temperature: float | None,
    sampling: Sequence[tuple[str, Any]] = (),
) -> bytes:
    """Returns the body of POST /v1/chat/completions."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": turn.role, "content": _content(turn)} for turn in turns],
        "max_tokens": max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if temperature is not None:
        body["temperature"] = temperature
    body |= dict(sampling)
    if begun_answer(turns):  # vLLM and SGLang go on with it, letter for letter
        body |= {"continue_final_message": True, "add_generation_prompt": False}
        # else vLLM's parsers take the rest for thoughts
        body[TEMPLATE] = {**dict(sampling).get(TEMPLATE, {}), "enable_thinking": False}
    return msgspec.json.encode(body)


def _content(turn: ChatTurn) -> str | list[dict[str, object]]:
    """Returns the text of a turn; with pictures, the parts of it. Reads the pictures."""
    parts: list[dict[str, object]] = []
    for picture in turn.pictures:
        url = picture.data_url()
        if url is not None:
            parts.append({"type": "text", "text": picture.label})
            parts.append({"type": "image_url", "image_url": {"url": url}})
    return [*parts, {"type": "text", "text": turn.content}] if parts else turn.content


def tgi_body(
    turns: Sequence[ChatTurn],
    *,
    model: str,
    max_tokens: int,
    temperature: float | None,
    sampling: Sequence[tuple[str, object]] = (),
) -> bytes:
    """Returns the body of POST /generate_stream. TGI serves one model: it has no name there."""
    parameters: dict[str, object] = {"max_new_tokens": max_tokens, "return_full_text": False}
    if temperature:  # TGI refuses 0, and without a temperature it is greedy, which is what 0 means
        parameters |= {"temperature": temperature, "do_sample": True}
    for name, value in sampling:
        if name in TGI_NAMES:  # the others it does not know
            parameters[TGI_NAMES[name]] = value
    return msgspec.json.encode({"inputs": plain_prompt(turns), "parameters": parameters})


def plain_prompt(turns: Sequence[ChatTurn]) -> str:
    """Returns the conversation as plain text, for servers without the model's chat template.

    `System:`, `User:` and `Assistant:` before each turn, a blank line between, and an open
    `Assistant:` at the end, unless the last turn is an answer that is to go on. A user can write
    these words too: roles are advice here, no boundary.
    """
    shown = [f"{turn.role.capitalize()}: {turn.content}" for turn in turns]
    return "\n\n".join(shown if begun_answer(turns) else [*shown, "Assistant:"])


def begun_answer(turns: Sequence[ChatTurn]) -> str:
    """Returns the text of the last turn, if it is an answer: the model is to go on with it."""
    return turns[-1].content if turns and turns[-1].role == "assistant" else ""


def _decode_leniently(event: bytes, kind: type[T]) -> T:
    """Decodes an event that msgspec refuses: with bytes that are not UTF-8, or lone surrogates.

    Each becomes U+FFFD, so that no text fails later, where it is encoded again.
    """
    decoded = json.loads(event.decode("utf-8", "replace"))
    safe = re.sub("[\ud800-\udfff]", "\ufffd", json.dumps(decoded, ensure_ascii=False))
    return msgspec.json.decode(safe, type=kind)
