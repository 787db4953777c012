"""The models that the servers have, and how much each takes, as the servers themselves say.

The answers are kept for REFRESH_S and then asked for again beside the work. A server that failed
since is asked before it is believed again: it may have come back with another model.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from genai_app.adapters.llm.breaker import BreakerState
from genai_app.adapters.llm.endpoints import Endpoint
from genai_app.adapters.llm.errors import http_error
from genai_app.adapters.llm.request import NETWORK_ERRORS, described
from genai_app.errors import AppError, ModelUnavailable

REFRESH_S = 30.0
PATIENCE_S = 0.5  # a question waits no longer to learn how much the model takes
ASK_AGAIN_S = 5.0  # a server that did not say is left alone for so long
REFRESH_TIMEOUT_S = 2.0
LEAST_WINDOW = 256  # less is no context, but a slip of the server or of our reading
# vLLM and SGLang; LM Studio, LiteLLM and other gateways
WINDOW_NAMES = ("max_model_len", "max_context_length", "context_length", "context_window")


@dataclass(frozen=True, slots=True)
class Window:
    """The tokens that a model takes: prompt and answer together, and of the prompt alone."""

    total: int
    prompt: int

    def __and__(self, other: "Window | None") -> "Window":
        """Returns the least of both."""
        if other is None:
            return self
        return Window(min(self.total, other.total), min(self.prompt, other.prompt))


@dataclass(frozen=True, slots=True)
class Served:
    """The words of a model server about itself. `date`: the header of its answer, "" without one.
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


@dataclass(slots=True)
class _LastAnswer:
    """The last answer of one server, and when it was asked, in loop time."""

    served: Served | None = None
    asked_at: float = float("-inf")


class ServerCatalogue:
    """Asks the servers for their models. One per LlmClient.

    Args:
        tgi: they speak TGI's own dialect.
    """

    def __init__(
        self, http: httpx.AsyncClient, endpoints: Sequence[Endpoint], *, tgi: bool
    ) -> None:
        self._http = http
        self._endpoints = endpoints
        self._tgi = tgi
        self._last = {endpoint: _LastAnswer() for endpoint in endpoints}
        self._learned: dict[str, Window] = {}  # by model: from refusals of servers that do not say
        self._refreshing: asyncio.Task[list[Served | AppError]] | None = None

    async def window(self, model: str) -> Window | None:
        """Returns the least context of `model` at the servers that have it; None or None."""
        now = asyncio.get_running_loop().time()
        unsure = [e for e in self._endpoints if self._is_unsure(e, now)]
        aged = any(now - last.asked_at > REFRESH_S for last in self._last.values())
        if unsure or aged:
            refreshing = self._refresh()
            if unsure:
                await asyncio.wait({refreshing}, timeout=PATIENCE_S)
        least: Window | None = None
        for last in self._last.values():
            window = last.served.windows.get(model) if last.served else None
            if window is not None:
                least = window & least
        return least or self._learned.get(model)

    def learn(self, model: str, total: int) -> None:
        """Takes the context that a server named when it refused a prompt. What the servers say of
        their models is asked for again."""
        if total >= LEAST_WINDOW:
            self._learned[model] = Window(total, total)
        for last in self._last.values():
            last.asked_at = float("-inf")

    async def ask(self, endpoint: Endpoint, timeout_s: float) -> Served | AppError:
        """Returns what a server says of itself now, or the error why it does not."""
        last = self._last[endpoint]
        last.asked_at = asyncio.get_running_loop().time()
        answer = await self._ask(endpoint, timeout_s)
        if isinstance(answer, Served):
            if last.served is not None and last.served.models != answer.models:
                self._learned.clear()
            last.served = answer
        return answer

    async def ask_each(self, timeout_s: float) -> list[Served | AppError]:
        """Returns the answer of `ask` for each endpoint, in their order."""
        return list(await asyncio.gather(*(self.ask(each, timeout_s) for each in self._endpoints)))

    async def aclose(self) -> None:
        """Ends a refresh that runs."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    def _is_unsure(self, endpoint: Endpoint, now: float) -> bool:
        """Returns whether the last answer of a server may be wrong, and asking may help."""
        last = self._last[endpoint]
        if last.served is not None and last.asked_at >= endpoint.breaker.failed_at:
            return False
        return now - last.asked_at > ASK_AGAIN_S and endpoint.breaker.state is not BreakerState.OPEN

    def _refresh(self) -> asyncio.Task[list[Served | AppError]]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(
                self.ask_each(REFRESH_TIMEOUT_S), name="models of the servers"
            )
        return self._refreshing

    async def _ask(self, endpoint: Endpoint, timeout_s: float) -> Served | AppError:
        path = "/info" if self._tgi else "/v1/models"
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._http.get(endpoint.url + path)
            if response.status_code != 200:
                retry_after = response.headers.get("retry-after")
                return http_error(response.status_code, response.content, retry_after=retry_after)
            date = response.headers.get("date", "")
            read_windows = _tgi_windows if self._tgi else _openai_windows
            windows = read_windows(response.content)
            if not windows:
                return ModelUnavailable(f"no model named in {path}")
            named = {model: window for model, window in windows.items() if window is not None}
            return Served(tuple(windows), date, named)
        except NETWORK_ERRORS as error:
            return ModelUnavailable(described(error))
        except ValueError as error:
            return ModelUnavailable(f"no model named in {path}: {type(error).__name__}")


def _openai_windows(body: bytes) -> dict[str, Window | None]:
    """Returns each model of /v1/models with its context. Raises ValueError for another body."""
    windows: dict[str, Window | None] = {}
    for card in msgspec.json.decode(body, type=_ModelList).data:
        if not isinstance(card.get("id"), str):
            raise ValueError("a model without an id")
        meta = card.get("meta")  # llama.cpp's
        sizes = [card.get(name) for name in WINDOW_NAMES]
        sizes.append(meta.get("n_ctx") if isinstance(meta, dict) else None)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        windows[card["id"]] = next(filter(None, map(_window, sizes)), None)
    return windows


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
