"""A model server that plays scripts over real sockets: the HTTP of vLLM and TGI, stdlib only.

In a test, in a thread of its own:

    with ModelServer() as server:
        server.script(Say(("a", "b")), Reset())     # for every request from now on
        server.script_once(Status(503))             # for one request, before the others
        ... server.url, server.requests, server.release("name")

As a process: `python -m tests.fakes.model_server --port N --log FILE [--default DIRECTIVE]
[--sees]`.

What a request gets: the next `script_once`, else the directive in its last user message (see
model_steps.py), else `script`. It answers /v1/chat/completions (stream or not), /generate_stream,
/v1/models, /info, /tokenize and /health. A script that ends without `End` ends the body without a
finish.

With `server.sees = True` it takes pictures, and `fake:text=pictures` has it say what it sees.

With `server.context = Context(2048)` it names its context and refuses what is longer, as vLLM does.
"""

import argparse
import asyncio
import json
import ssl
import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.certificates import Certificate
from tests.fakes.model_context import Context
from tests.fakes.model_records import Journal, RequestRecord
from tests.fakes.model_reply import Reply, json_response
from tests.fakes.model_sight import described, refusal_of, text_of
from tests.fakes.model_steps import DEFAULT_SCRIPT, End, Say, Step, find_directive, steps_of
from tests.fakes.model_wire import MODEL, encode, error_body

ANSWERING = ("/chat/completions", "/generate_stream")


class ModelServer:
    """The server; a context manager that runs it in a thread.

    Args:
        port: 0 takes a free one.
        log: file for JSON lines, see `Journal`.
        default: a directive in place of the default script.
        certificate: then it speaks TLS, to those who call it localhost.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        log: Path | None = None,
        default: str = "",
        certificate: Certificate | None = None,
    ) -> None:
        self.port = port
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate.cert, certificate.key)
        self.requests: list[RequestRecord] = []
        self.connections = 0
        self.context: Context | None = None
        self.model = MODEL  # the name that it lists
        self.sees = False  # it takes pictures
        self.journal = Journal(log)
        self._default: Sequence[Step] = steps_of(default) if default else DEFAULT_SCRIPT
        self._once: deque[Sequence[Step]] = deque()
        self._holds: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._open: set[_Connection] = set()
        self._arrived = threading.Condition()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self.run, name="model-server", daemon=True)

    @property
    def url(self) -> str:
        if self._tls is not None:
            return f"https://localhost:{self.port}"
        return f"http://127.0.0.1:{self.port}"

    def script(self, *steps: Step) -> None:
        self._default = steps

    def script_once(self, *steps: Step) -> None:
        self._once.append(steps)

    def release(self, name: str = "") -> None:
        """Let every request that stands, or will stand, at `Hold(name)` go on."""
        if self._loop is None:
            raise RuntimeError("the server does not run")
        self._loop.call_soon_threadsafe(lambda: self._holds[name].set())

    @property
    def answers(self) -> list[RequestRecord]:
        """The requests for an answer, without those for names, tokens and health."""
        return [each for each in self.requests if each.path.endswith(ANSWERING)]

    def wait_answers(self, count: int, timeout: float = 60.0) -> bool:
        """Whether that many requests for an answer have come within `timeout` seconds. Blocks."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.answers) >= count, timeout)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the scripted model server did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def run(self) -> None:
        """Serve until stopped; in the caller's thread."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=1024, ssl=self._tls
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            server.close()
            for connection in list(self._open):
                connection.drop()
            await server.wait_closed()
            self.journal.close()

    def opened(self, connection: "_Connection") -> None:
        self.connections += 1
        self._open.add(connection)

    def closed(self, connection: "_Connection") -> None:
        self._open.discard(connection)

    def take(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]
    ) -> tuple[RequestRecord, Sequence[Step]]:
        """Note a request; it and its script."""
        messages = body.pop("messages", None) or [{"role": "user", "content": body.get("inputs")}]
        record = RequestRecord(len(self.requests), method, path, headers, body, messages)
        asked = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
        text = text_of(asked)
        script: Sequence[Step] = ()
        if record.path.endswith(ANSWERING):
            directive = find_directive(text)
            if self._once:
                script = self._once.popleft()
            elif directive == "text=pictures":
                script = (Say((described(messages),)), End())
            elif directive:
                script = steps_of(directive, user_text=text)
            else:
                script = self._default
            if self.context is not None and (refusal := self.context.refusal(record)):
                script = (refusal,)
            if not self.sees and (refusal := refusal_of(messages)):
                script = (refusal,)
        with self._arrived:
            self.requests.append(record)
            self._arrived.notify_all()
        self.journal.write("request", record.number, path=path, messages=messages, parameters=body)
        return record, script

    def plain(self, record: RequestRecord) -> dict[str, Any] | list[Any] | None:
        """The answer to a request that plays no script; None: there is no such path."""
        path, context = record.path.removeprefix("/v1"), self.context
        size = context.size if context is not None and context.is_listed else None
        card = {"id": self.model, "object": "model", "owned_by": "fake"}
        if path == "/models":
            return {"object": "list", "data": [card | ({"max_model_len": size} if size else {})]}
        if path == "/info":
            limits = {"max_total_tokens": size, "max_input_tokens": size and size - 1}
            return {"model_id": MODEL, "version": "3.0.0"} | (limits if size else {})
        if path == "/health":
            return {}
        if path == "/tokenize" and context is not None and context.counts:
            count = context.tokens_of(record.messages)
            if "inputs" in record.parameters:
                return [{"id": 1}] * count
            return {"count": count, "max_model_len": context.size, "tokens": [1] * count}
        return None

    async def held(self, name: str) -> None:
        await self._holds[name].wait()


class _Connection(asyncio.Protocol):
    """One client connection: requests in turn, each played by a task that dies with it."""

    _transport: asyncio.Transport

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._buffer = b""
        self._record: RequestRecord | None = None  # the request at hand
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.closed(self)
        if self._record is not None:
            self._record.aborted_at = time.monotonic()
            self._record.changed()
            self._server.journal.write("aborted", self._record.number)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._buffer.startswith(b"\x16"):  # TLS; what every HTTP server does with it
            self._transport.close()
            return
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end or self._record is not None:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        method, path, _ = first.split(" ")
        body: dict[str, Any] = json.loads(rest[:length]) if length else {}
        try:
            self._record, script = self._server.take(method, path, headers, body)
        except ValueError as error:
            body_400 = encode(error_body(str(error), kind="BadDirective", code=400))
            self._transport.write(json_response(400, body_400))
            return
        self._task = asyncio.get_running_loop().create_task(self._play(script))

    def drop(self) -> None:
        """The server's own end."""
        self._record = None
        self._transport.abort()

    async def _play(self, script: Sequence[Step]) -> None:
        record = self._record
        assert record is not None
        named = self._server.plain(record)
        if record.path.endswith(ANSWERING):
            held = self._server.held
            await Reply(record, self._transport, self._server.journal, held).play(script)
        elif named is not None:
            self._transport.write(json_response(200, encode(named)))
        else:
            self._transport.write(json_response(404, encode({"detail": "Not Found"})))
        self._record = None  # what the client does from here is no abort
        record.ended_at = time.monotonic()
        record.changed()
        self._server.journal.write("ended", record.number)
        self.data_received(b"")


def main() -> None:
    parser = argparse.ArgumentParser(description="scripted model server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--default", default="", help="directive for requests without one")
    parser.add_argument("--sees", action="store_true", help="take pictures")
    told = parser.parse_args()
    server = ModelServer(port=told.port, log=told.log, default=told.default)
    server.sees = told.sees
    server.run()


if __name__ == "__main__":
    main()
