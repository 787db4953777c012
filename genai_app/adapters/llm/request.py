"""A request to one model server: opened, read under its deadlines, its end judged."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import aiohttp
import httpx

from genai_app.adapters.deadline import Deadline, DeadlinePassed
from genai_app.adapters.llm.dialects import AnswerReader, TextDelta
from genai_app.adapters.llm.errors import http_error
from genai_app.adapters.llm.sse import SseDecoder
from genai_app.errors import AppError, ModelFailed, ModelUnavailable
from genai_app.settings.settings import Settings

DRAIN_S = 0.2
MAX_ERROR_BODY_BYTES = 64 * 1024
MAX_DETAIL_CHARS = 300
NETWORK_ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)  # the transport maps not all


class Unreachable(ModelUnavailable):
    """Raised when an endpoint cannot be reached before the first token: another try makes sense."""


class Clock:
    """The deadlines of one answer, over both tries."""

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.get_running_loop()
        self.deadline = Deadline()
        now = self.loop.time()
        self.first_token_at = now + settings.llm_first_token_timeout_s
        self.total_at = now + settings.llm_total_timeout_s
        self.idle_s = settings.llm_idle_timeout_s

    def put_off(self, seconds: float) -> None:
        """Moves the deadlines by the time of a wait for a turn, which is not the model's."""
        self.first_token_at += seconds
        self.total_at += seconds


class LlmRequest:
    """A request to one endpoint. `begun` is called once, at the first sign of life."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        answer: AnswerReader,
        clock: Clock,
        begun: Callable[[], None],
    ) -> None:
        self._http = http
        self._begun = begun
        self._is_begun = False
        self._answer = answer
        self._clock = clock
        self._deadline = clock.deadline
        self._sse = SseDecoder()
        self._response: httpx.Response | None = None
        self._reads: AsyncIterator[bytes]
        self._ended = False

    async def open(self, url: str, body: bytes) -> None:
        """
        Raises:
            Unreachable: no connection, or 502, 503, 504.
            ContextTooLong, ModelRefused, ModelUnavailable: the server refused.
        """
        request = self._http.build_request("POST", url, content=body)
        self._deadline.move(min(self._clock.first_token_at, self._clock.total_at))
        try:
            with self._deadline:
                self._response = await self._http.send(request, stream=True)
                if self._response.status_code == 200:
                    self._reads = self._response.aiter_raw()
                    return
                error = await _refusal(self._response, self._answer.prompt)
        except DeadlinePassed:
            raise self._too_late() from None
        except NETWORK_ERRORS as cause:
            raise Unreachable(described(cause)) from cause
        raise error

    async def next(self) -> TextDelta | None:
        """Returns the text of the next read that brings some; None when the answer is complete.

        Raises:
            Unreachable: the connection was lost before the first token.
            ContextTooLong, ModelRefused, ModelUnavailable, ModelFailed: the answer did not come or
                broke off.
        """
        answer, clock = self._answer, self._clock
        idle_at = clock.loop.time() + clock.idle_s  # from here: the consumer may be slow
        while not (answer.done or answer.failure or self._ended):
            now = clock.loop.time()
            until = idle_at if answer.begun else clock.first_token_at
            if now >= clock.total_at:
                raise self._too_late()
            self._deadline.move(min(until, clock.total_at))
            try:
                with self._deadline:
                    data = await anext(self._reads)
                events = self._sse.feed(data)
            except StopAsyncIteration:
                self._ended = True
                events = self._sse.end()
            except (DeadlinePassed, *NETWORK_ERRORS) as error:
                if answer.reason is None:
                    raise self._broken(error) from error
                break  # only the usage and the [DONE] are missing
            if events:  # a comment is no sign of life of the model
                idle_at = clock.loop.time() + clock.idle_s
                delta = answer.read(events)
                if answer.begun and not self._is_begun:
                    self._is_begun = True
                    self._begun()
                if delta is not None:
                    return delta
        if answer.failure is not None:
            raise answer.failure
        if not (answer.done or answer.reason):
            raise self._broken(None)
        await self._drain()
        return None

    async def aclose(self) -> None:
        """Closes the connection unless it was read to its end."""
        if self._response is not None:
            with contextlib.suppress(*NETWORK_ERRORS):
                await self._response.aclose()

    async def _drain(self) -> None:
        """Reads the end of the body, which follows at once, so that the connection is kept."""
        if self._ended:
            return
        self._deadline.move(self._clock.loop.time() + DRAIN_S)
        with contextlib.suppress(DeadlinePassed, *NETWORK_ERRORS), self._deadline:
            async for _ in self._reads:
                pass

    def _broken(self, error: Exception | None) -> AppError:
        if isinstance(error, DeadlinePassed):
            return self._too_late()
        detail = "ended without a finish reason" if error is None else described(error)
        if self._answer.begun:
            return ModelFailed(detail, code="model_interrupted")
        return Unreachable(detail)

    def _too_late(self) -> AppError:
        if self._clock.loop.time() >= self._clock.total_at:
            return ModelFailed("total deadline", code="model_total_timeout")
        if self._answer.begun:
            return ModelFailed("idle deadline", code="model_interrupted")
        return ModelUnavailable("first token deadline", code="model_timeout")


async def _refusal(response: httpx.Response, prompt: Sequence[str]) -> AppError:
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) > MAX_ERROR_BODY_BYTES:
            break
    retry_after = response.headers.get("retry-after")
    error = http_error(response.status_code, body, retry_after=retry_after, prompt=prompt)
    return Unreachable(error.detail) if response.status_code in (502, 503, 504) else error


def described(error: Exception) -> str:
    """Returns the error in words, for the log."""
    return f"{type(error).__name__}: {error}"[:MAX_DETAIL_CHARS]
