"""A model server without a model: OpenAI-compatible, exactly paced, cheap.

Each token of a stamped answer says when it left, so whoever reads it, through any number of
servers, knows how long it was on its way. What an answer is like is said in the last user message:

    [answer tokens=300 rate=30 kind=stamps]

`rate` in tokens per second; 0: all at once. `kind`: `stamps` (paragraphs of PARAGRAPH tokens),
`flat` (stamps without a line break), `en`, `ru`, `formulas` (Markdown of answer.en.md, answer.ru.md
and answer.formulas.md, repeated). `thinking=200`: so many tokens of `tokens` come before, as
reasoning, in the words of answer.ru.md.
A stamp is CLOCK_MONOTONIC, so both ends must be on one Linux machine. The events are vLLM's.

    python -m bench.model --port 9000         GET /counters: what was served so far
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import cast

import uvloop

HERE = Path(__file__).parent
NAME = "bench"
DEFAULT_TOKENS = 100
PARAGRAPH = 60
MARKDOWN = ("en", "ru", "formulas")
KINDS = ("stamps", "flat", *MARKDOWN)

STAMP = re.compile(rb"~([0-9a-z]{7}) ")
STAMP_BYTES = 9
WRAP_US = 36**7  # 21 hours
_DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyz"
_DIRECTIVE = re.compile(r"\[answer((?: \w+=[\w.]+)+)\]")


@dataclass(frozen=True, slots=True)
class Plan:
    """What one request is answered with. `rate`: tokens per second, 0 for all at once.
    `thinking`: how many of `tokens` are reasoning."""

    tokens: int = DEFAULT_TOKENS
    rate: float = 0.0
    kind: str = "stamps"
    thinking: int = 0

    def directive(self) -> str:
        """The words that ask for this answer."""
        thinking = f" thinking={self.thinking}" if self.thinking else ""
        return f"[answer tokens={self.tokens} rate={self.rate:g} kind={self.kind}{thinking}]"


@dataclass(slots=True)
class Counters:
    """Since the start. `ended_at`: Unix time at which the last token of the latest answer left."""

    requests: int = 0
    running: int = 0
    tokens: int = 0
    dropped: int = 0  # answers whose reader went away
    ended_at: float = 0.0


def now_us() -> int:
    """The time that stamps count."""
    return time.monotonic_ns() // 1000 % WRAP_US


def stamp() -> bytes:
    """`~`, seven base-36 digits of microseconds, a space."""
    left, digits = now_us(), bytearray(b"~0000000 ")
    for place in range(7, 0, -1):
        left, digit = divmod(left, 36)
        digits[place] = _DIGITS[digit]
    return bytes(digits)


def read_plan(messages: Sequence[object]) -> Plan:
    """The plan that the last user message gives; the default where it gives none."""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            found = _DIRECTIVE.search(str(message.get("content")))
            if found is None:
                break
            given = dict(pair.split("=") for pair in found.group(1).split())
            kind = given.get("kind", "stamps")
            tokens = max(1, int(given.get("tokens", DEFAULT_TOKENS)))
            return Plan(
                tokens,
                float(given.get("rate", 0)),
                kind if kind in KINDS else "stamps",
                min(int(given.get("thinking", 0)), tokens - 1),
            )
    return Plan()


@cache
def markdown_pieces(kind: str) -> tuple[str, ...]:
    """The sample answer in pieces of about the size of a model's tokens."""
    text = (HERE / f"answer.{kind}.md").read_text(encoding="utf-8")
    return tuple(re.findall(r"\s*\S{1,4}|\s+", text))


def texts(plan: Plan) -> Iterator[bytes]:
    """The tokens of an answer, as they stand inside JSON; a stamp is made when it is taken."""
    yield from _written("ru", plan.thinking)
    if plan.kind in MARKDOWN:
        yield from _written(plan.kind, plan.tokens - plan.thinking)
        return
    for number in range(1, plan.tokens - plan.thinking + 1):
        ends = plan.kind == "stamps" and number % PARAGRAPH == 0
        yield stamp() + rb"\n\n" if ends else stamp()


def _written(kind: str, tokens: int) -> Iterator[bytes]:
    for piece in islice(cycle(markdown_pieces(kind)), tokens):
        yield json.dumps(piece, ensure_ascii=False)[1:-1].encode()


class Connection(asyncio.Protocol):
    """One client: requests one after another, kept alive."""

    _transport: asyncio.Transport

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering:
            self._end()
            self._counters.dropped += 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length.group(1)) if length else 0
        if len(rest) < size:
            return
        self._received = rest[size:]
        self._respond(head.split(b" ", 2)[1].decode(), rest[:size])

    def _respond(self, path: str, body: bytes) -> None:
        if path == "/v1/chat/completions":
            request = json.loads(body)
            plan = read_plan(request["messages"])
            if request.get("stream"):
                self._start(plan)
            else:
                self._counters.requests += 1
                pieces = [json.loads(b'"' + piece + b'"') for piece in texts(plan)]
                message = {"role": "assistant", "content": "".join(pieces[plan.thinking :])}
                if plan.thinking:
                    message["reasoning"] = "".join(pieces[: plan.thinking])
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self._send({"object": "chat.completion", "model": NAME, "choices": [choice]})
        elif path == "/v1/models":
            self._send({"object": "list", "data": [{"id": NAME, "object": "model"}]})
        elif path == "/counters":
            self._send(asdict(self._counters))
        else:
            self._send({})

    def _send(self, answer: dict[str, object]) -> None:
        body = json.dumps(answer).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )

    def _start(self, plan: Plan) -> None:
        self._counters.requests += 1
        self._counters.running += 1
        self._answering = True
        self._event_head = (
            b'data: {"id":"chatcmpl-bench%d","object":"chat.completion.chunk","created":%d,'
            b'"model":"%b","choices":[' % (self._counters.requests, time.time(), NAME.encode())
        )
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
            + self._event(
                b'{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,'
                b'"finish_reason":null}]'
            )
        )
        left = texts(plan)
        if plan.rate:
            self._loop.call_soon(self._pace, plan, left, 1, self._loop.time())
            return
        for number, text in enumerate(left, 1):
            self._token(plan, text, number)

    def _pace(self, plan: Plan, left: Iterator[bytes], number: int, due: float) -> None:
        """Send one token and set the time of the next, on a schedule that does not drift."""
        if not self._answering:
            return
        self._token(plan, next(left), number)
        if number < plan.tokens:
            due += 1 / plan.rate
            self._loop.call_at(due, self._pace, plan, left, number + 1, due)

    def _token(self, plan: Plan, text: bytes, number: int) -> None:
        self._counters.tokens += 1
        last = number == plan.tokens
        field = b"reasoning" if number <= plan.thinking else b"content"
        why = b'"stop","stop_reason":null' if last else b"null"
        data = self._event(
            b'{"index":0,"delta":{"%b":"%b"},"logprobs":null,"finish_reason":%b,'
            b'"token_ids":null}]' % (field, text, why)
        )
        if last:
            used = b'],"usage":{"prompt_tokens":1,"total_tokens":%d,"completion_tokens":%d}'
            data += self._event(used % (plan.tokens + 1, plan.tokens))
            data += _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
            self._counters.ended_at = time.time()
            self._end()
        self._transport.write(data)

    def _event(self, rest: bytes) -> bytes:
        return _chunk(self._event_head + rest + b"}\n\n")

    def _end(self) -> None:
        self._answering = False
        self._counters.running -= 1


def _chunk(data: bytes) -> bytes:
    """One chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(port: int) -> None:
    """Listen on 127.0.0.1 until cancelled."""
    counters = Counters()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(counters), "127.0.0.1", port, backlog=1024
    )
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="paced model server for measurements")
    parser.add_argument("--port", type=int, default=9000)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
