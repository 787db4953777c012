"""What the model servers say of themselves: the models they have, how much each takes, and how many
tokens a conversation is for them.

The answers are kept for REFRESH_S and then asked for again beside the work. A server that failed
since is asked before it is believed again: it may have come back with another model.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from genai_app.adapters.llm.dialects import ChatTurn, plain_prompt
from genai_app.adapters.llm.endpoints import Breaker, Endpoint
from genai_app.adapters.llm.errors import http_error
from genai_app.adapters.llm.request import NETWORK_ERRORS, told
from genai_app.errors import AppError, ModelUnavailable

REFRESH_S = 30.0
PATIENCE_S = 0.5  # a question waits no longer to learn how much the model takes
ASK_AGAIN_S = 5.0  # a server that did not say is left alone for so long
COUNT_TIMEOUT_S = 2.0
LEAST_WINDOW = 256  # less is no context, but a slip of the server or of our reading
# vLLM and SGLang; LM Studio, LiteLLM and other gateways
WINDOW_NAMES = ("max_model_len", "max_context_length", "context_length", "context_window")


@dataclass(frozen=True, slots=True)
class Window:
    """How many tokens a model takes: prompt and answer together, and of the prompt alone."""

    total: int
    prompt: int

    def __and__(self, other: "Window | None") -> "Window":
        """The least of both."""
        if other is None:
            return self
        return Window(min(self.total, other.total), min(self.prompt, other.prompt))


@dataclass(frozen=True, slots=True)
class Served:
    """What one model server says of itself. `date`: the header of its answer, "" without one.
    `windows`: of the models that it names one for."""

    models: tuple[str, ...]
    date: str
    windows: dict[str, Window] = field(default_factory=dict[str, Window])


class _ModelList(msgspec.Struct):
    data: list[dict[str, Any]]


class _TgiInfo(msgspec.Struct):
    model_id: str
    max_total_tokens: int | None = None
    max_input_tokens: int | None = None
    max_input_length: int | None = None  # the older name


class _Counted(msgspec.Struct):
    count: int


@dataclass(slots=True)
class _Known:
    """The last answer of one server, and when it was asked, in loop time."""

    served: Served | None = None
    asked_at: float = float("-inf")
    can_count: bool = True


class ServerCatalogue:
    """Asks the servers for their models and tokenizers. One per LlmClient.

    Args:
        tgi: they speak TGI's own dialect.
    """

    def __init__(
        self, http: httpx.AsyncClient, endpoints: Sequence[Endpoint], *, tgi: bool
    ) -> None:
        self._http = http
        self._endpoints = endpoints
        self._tgi = tgi
        self._known = {endpoint: _Known() for endpoint in endpoints}
        self._learned: dict[str, Window] = {}  # by model: from refusals of servers that do not say
        self._refreshing: asyncio.Task[None] | None = None

    async def window(self, model: str) -> Window | None:
        """The least context of `model` at all servers that have it; None: no server says it."""
        now = asyncio.get_running_loop().time()
        unsure = [e for e in self._endpoints if self._is_unsure(e, now)]
        aged = any(now - known.asked_at > REFRESH_S for known in self._known.values())
        if unsure or aged:
            refreshing = self._refresh()
            if unsure:
                await asyncio.wait({refreshing}, timeout=PATIENCE_S)
        found: Window | None = None
        for known in self._known.values():
            window = known.served.windows.get(model) if known.served else None
            if window is not None:
                found = window & found
        return found or self._learned.get(model)

    def learn(self, model: str, total: int) -> None:
        """A server refused a prompt and named its context. What it says of its models is asked
        for again."""
        if total >= LEAST_WINDOW:
            self._learned[model] = Window(total, total)
        for known in self._known.values():
            known.asked_at = float("-inf")

    async def count_tokens(self, turns: Sequence[ChatTurn], model: str) -> int | None:
        """How many tokens a prompt is, by a server's own tokenizer and template; None where no
        server counts."""
        for endpoint in self._endpoints:
            known = self._known[endpoint]
            if not known.can_count or endpoint.breaker is Breaker.OPEN:
                continue
            try:
                async with asyncio.timeout(COUNT_TIMEOUT_S):
                    response = await self._http.post(
                        f"{endpoint.url}/tokenize", content=self._counting(turns, model)
                    )
            except NETWORK_ERRORS:
                continue
            count = self._count_of(response)
            if count is not None:
                return count
            known.can_count = response.status_code not in (200, 404, 405, 501)
        return None

    async def ask(self, endpoint: Endpoint, timeout_s: float) -> Served | AppError:
        """What a server says of itself now, or why it does not."""
        known = self._known[endpoint]
        known.asked_at = asyncio.get_running_loop().time()
        answer = await self._ask(endpoint, timeout_s)
        if isinstance(answer, Served):
            if known.served is not None and known.served.models != answer.models:
                self._learned.clear()
            known.served, known.can_count = answer, True
        return answer

    async def aclose(self) -> None:
        """End a refresh that runs."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    def _is_unsure(self, endpoint: Endpoint, now: float) -> bool:
        """Whether what is known of a server may be wrong, and asking may help."""
        known = self._known[endpoint]
        if known.served is not None and known.asked_at >= endpoint.failed_at:
            return False
        return now - known.asked_at > ASK_AGAIN_S and endpoint.breaker is not Breaker.OPEN

    def _refresh(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._ask_all(), name="models of the servers")
        return self._refreshing

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self.ask(each, COUNT_TIMEOUT_S) for each in self._endpoints))

    async def _ask(self, endpoint: Endpoint, timeout_s: float) -> Served | AppError:
        path = "/info" if self._tgi else "/v1/models"
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._http.get(endpoint.url + path)
            if response.status_code != 200:
                retry_after = response.headers.get("retry-after")
                return http_error(response.status_code, response.content, retry_after=retry_after)
            date = response.headers.get("date", "")
            windows = _tgi_windows if self._tgi else _openai_windows
            found = windows(response.content)
            if not found:
                return ModelUnavailable(f"no model named in {path}")
            named = {model: window for model, window in found.items() if window is not None}
            return Served(tuple(found), date, named)
        except NETWORK_ERRORS as error:
            return ModelUnavailable(told(error))
        except ValueError as error:
            return ModelUnavailable(f"no model named in {path}: {type(error).__name__}")

    def _counting(self, turns: Sequence[ChatTurn], model: str) -> bytes:
        if self._tgi:
            return msgspec.json.encode({"inputs": plain_prompt(turns)})
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        return msgspec.json.encode({"model": model, "messages": messages})

    def _count_of(self, response: httpx.Response) -> int | None:
        if response.status_code != 200:
            return None
        try:
            if self._tgi:
                return len(msgspec.json.decode(response.content, type=list[Any]))
            return msgspec.json.decode(response.content, type=_Counted).count
        except ValueError:
            return None


def _openai_windows(body: bytes) -> dict[str, Window | None]:
    """Each model of /v1/models with its context. Raises ValueError: it is another kind of body."""
    found: dict[str, Window | None] = {}
    for card in msgspec.json.decode(body, type=_ModelList).data:
        if not isinstance(card.get("id"), str):
            raise ValueError("a model without an id")
        meta = card.get("meta")  # llama.cpp's
        sizes = [card.get(name) for name in WINDOW_NAMES]
        sizes.append(meta.get("n_ctx") if isinstance(meta, dict) else None)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        found[card["id"]] = next(filter(None, map(_window, sizes)), None)
    return found


def _tgi_windows(body: bytes) -> dict[str, Window | None]:
    info = msgspec.json.decode(body, type=_TgiInfo)
    window = _window(info.max_total_tokens)
    prompt = info.max_input_tokens or info.max_input_length
    if window is not None and prompt and prompt > 0:
        window = Window(window.total, min(prompt, window.total))
    return {info.model_id: window}


def _window(size: object) -> Window | None:
    if not isinstance(size, int) or isinstance(size, bool) or size < LEAST_WINDOW:
        return None
    return Window(size, size)
