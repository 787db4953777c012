"""Plays one script to one client of the scripted model server."""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tests.fakes.model_records import Journal, RequestRecord, Sent
from tests.fakes.model_steps import (
    Close,
    End,
    ErrorEvent,
    Hang,
    Hold,
    Raw,
    Reset,
    Say,
    Status,
    Step,
    Think,
    Wait,
)
from tests.fakes.model_wire import OpenAiWire, TgiWire, encode, error_body

MAX_UNSENT_BYTES = 1 << 20
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found"}


def json_response(status: int, body: bytes, extra: str = "") -> bytes:
    """A whole HTTP response; `extra`: header lines with their CRLF."""
    phrase = PHRASES.get(status, "Scripted")
    head = f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\n{extra}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Reply:
    """The answer to one request, in the dialect of its path."""

    def __init__(
        self,
        record: RequestRecord,
        transport: asyncio.Transport,
        journal: Journal,
        held: Callable[[str], Awaitable[object]],
    ) -> None:
        prompt_tokens = sum(len(str(each.get("content")).split()) for each in record.messages)
        tgi = record.path.endswith("/generate_stream")
        kind = TgiWire if tgi else OpenAiWire
        self._wire = kind(record.number, prompt_tokens=prompt_tokens)
        self._streams = tgi or bool(record.parameters.get("stream"))
        self._record = record
        self._transport = transport
        self._journal = journal
        self._held = held
        self._begun = False

    async def play(self, script: Sequence[Step]) -> None:
        """Returns when the response is complete, or the connection dropped by the script."""
        for step in script:
            match step:
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Hold(name):
                    await self._held(name)
                case Say():
                    await self._say(step)
                case Raw(data, size):
                    await self._write_raw(data, size or len(data))
                case ErrorEvent(message, kind, code):
                    self._write(self._wire.error(message, kind=kind, code=code))
                case End(reason):
                    self._end(reason)
                    return
                case Status():
                    self._refuse(step)
                    return
                case Hang():
                    await asyncio.get_running_loop().create_future()  # until the task is cancelled
                case Reset():
                    self._reset()
                    return
                case Close():
                    self._begin()
                    self._transport.close()
                    return
        self._begin()
        self._transport.write(b"0\r\n\r\n")

    async def _say(self, step: Say) -> None:
        self._begin()
        together = b""
        for index, token in enumerate(step.tokens):
            if index and step.delay_s:
                await asyncio.sleep(step.delay_s)
            elif index:
                await asyncio.sleep(0)
            while self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the client reads slower than an endless script
            chunk = self._chunk(step, token)
            if step.together:
                together += chunk
            elif self._streams:
                self._write(chunk)
            sent = self._record.thoughts if isinstance(step, Think) else self._record.sent
            sent.append(Sent(token, time.monotonic(), time.time()))
            self._record.changed()
            self._journal.write("sent", self._record.number, text=token)
        if together and self._streams:
            self._write(together)

    def _chunk(self, step: Say, token: str) -> bytes:
        if not isinstance(step, Think):
            return self._wire.token(token)
        if isinstance(self._wire, TgiWire):
            raise ValueError("TGI has no field for reasoning: say it with tags")
        return self._wire.thought(token, step.name)

    async def _write_raw(self, data: bytes, size: int) -> None:
        self._begin()
        for begin in range(0, len(data), size):
            self._write(data[begin : begin + size])
            await asyncio.sleep(0)

    def _begin(self) -> None:
        if not self._begun and self._streams:
            self._transport.write(STREAM_HEAD)
            self._begun = True
            self._write(self._wire.begin())

    def _write(self, data: bytes) -> None:
        self._begin()
        if data and self._streams:
            self._transport.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _end(self, reason: str) -> None:
        tokens = len(self._record.sent) + len(self._record.thoughts)
        if self._streams:
            self._write(self._wire.end(reason, tokens))
            self._transport.write(b"0\r\n\r\n")
        else:
            whole = self._wire.whole(self._record.sent_text, reason, tokens)
            self._transport.write(json_response(200, whole))

    def _refuse(self, step: Status) -> None:
        body: bytes | None = step.body
        if body is None:
            said: dict[str, Any] = error_body(step.message, kind="ScriptedError", code=step.code)
            if isinstance(self._wire, TgiWire):
                said = {"error": step.message, "error_type": "validation"}
            body = encode(said)
        extra = f"retry-after: {step.retry_after}\r\n" if step.retry_after else ""
        self._transport.write(json_response(step.code, body, extra))

    def _reset(self) -> None:
        connection: socket.socket = self._transport.get_extra_info("socket")
        linger = struct.pack("ii", 1, 0)  # on, no time: close() sends a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()
