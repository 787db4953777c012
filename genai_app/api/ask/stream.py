"""Answers as server-sent events.

One process has up to two hundred streams with thirty events a second each. So an event costs one
encoded string and one write: no pydantic model, no task and no timer.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from genai_app.services.generation.checkpoints import End, Increment

ENCODER = msgspec.json.Encoder()
DONE = b"data: [DONE]\n\n"
QUIET = b": the model is thinking\n\n"
KEEP_ALIVE_S = 15.0
# a failure within this time still becomes an HTTP status of its own
PEEK_S = 2.0


def data(value: object) -> bytes:
    """Returns one event with `value` as JSON."""
    return b"data: " + ENCODER.encode(value) + b"\n\n"


class Following:
    """The increments of an answer, of which the first is read before a response is begun."""

    def __init__(self, increments: AsyncGenerator[Increment]) -> None:
        self.increments = increments
        self.first = asyncio.ensure_future(anext(increments))

    async def early_end(self) -> End | None:
        """Returns the end of an answer that ended without text within PEEK_S, else None."""
        done, _ = await asyncio.wait({self.first}, timeout=PEEK_S)
        if not done:
            return None
        increment = self.first.result()
        if increment.text or increment.reasoning or increment.end is None:
            return None
        return increment.end


class Collected:
    """The text and the reasoning of an answer, as far as they have come."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        return "".join(self._thoughts)

    def take(self, increment: Increment) -> tuple[str, str]:
        """Takes an increment. Returns what of its text and reasoning has not come before."""
        text, reasoning = increment.text, increment.reasoning
        if increment.anew:
            text, reasoning = text.removeprefix(self.text), reasoning.removeprefix(self.reasoning)
            self._texts, self._thoughts = [], []
        self._texts.append(increment.text)
        self._thoughts.append(increment.reasoning)
        return text, reasoning


async def whole(increments: AsyncGenerator[Increment]) -> tuple[Collected, End]:
    """Waits until an answer has ended. Returns its whole text and its end."""
    collected = Collected()
    async with aclosing(increments):
        async for increment in increments:
            collected.take(increment)
            if increment.end is not None:
                return collected, increment.end
    raise RuntimeError("an answer without an end")


class EventStream(Response):
    """Sends an answer while it is written. A client that disconnects stops the sending, not the
    answer.

    Args:
        text: the JSON before and after the encoded text of each increment.
        reasoning: the same of its reasoning.
        closing: returns the last events, from the whole answer and its end.
        opening: the events before the first text.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        following: Following,
        *,
        text: tuple[bytes, bytes],
        reasoning: tuple[bytes, bytes],
        closing: Callable[[Collected, End], bytes],
        opening: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.body = b""
        # nginx would buffer the events otherwise
        self.init_headers({"x-accel-buffering": "no"} | (headers or {}))
        self._following = following
        self._text = (b"data: " + text[0], text[1] + b"\n\n")
        self._reasoning = (b"data: " + reasoning[0], reasoning[1] + b"\n\n")
        self._closing = closing
        self._opening = opening

    def init_headers(self, headers: "dict[str, str] | None" = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().init_headers(headers)
        # the length is not known yet; starlette would send that of an empty body
        self.raw_headers = [pair for pair in self.raw_headers if pair[0] != b"content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if self._opening:
            await send(_part(self._opening))
        sending = asyncio.ensure_future(self._send_all(send))
        watching = asyncio.ensure_future(_watch(receive, send, self._following.first))
        try:
            await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, watching):
                task.cancel()
            await asyncio.gather(sending, watching, return_exceptions=True)

    async def _send_all(self, send: Send) -> None:
        encode, (before, after) = ENCODER.encode, self._text
        collected = Collected()
        async with aclosing(self._following.increments) as increments:
            increment = await self._following.first
            while True:
                text, thoughts = collected.take(increment)
                end = increment.end
                event = (
                    self._reasoning[0] + encode(thoughts) + self._reasoning[1] if thoughts else b""
                )
                if text:
                    event += before + encode(text) + after
                if end is not None:
                    event += self._closing(collected, end) + DONE
                    await send({"type": "http.response.body", "body": event})
                    return
                if event:
                    await send(_part(event))
                increment = await anext(increments)


def _part(body: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _watch(receive: Receive, send: Send, first: "asyncio.Future[Increment]") -> None:
    """Waits until the client disconnects. Until the first increment, sends a comment every
    KEEP_ALIVE_S to keep the connection open."""
    while True:
        try:
            async with asyncio.timeout(None if first.done() else KEEP_ALIVE_S):
                while (await receive())["type"] != "http.disconnect":
                    pass
                return
        except TimeoutError:
            if not first.done():
                await send(_part(QUIET))
