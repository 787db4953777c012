"""HTTP byte by byte: clients with manners would repair the request before it is sent."""

import asyncio
import gzip
import ipaddress
import secrets
from contextlib import suppress
from dataclasses import dataclass

from tests.fakes.app_process import AppProcess


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names in lower case, the body unpacked."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """All values of that header; "" without one."""
        return ", ".join(value for key, value in self.headers if key == name)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def new_address() -> str:
    """The address of a client that was never here (of RFC 3849's block, a /64 of its own)."""
    return str(ipaddress.ip_address(0x20010DB8 << 96 | secrets.randbits(32) << 64 | 1))


async def ask(
    app: AppProcess,
    method: str,
    target: str | bytes,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """One request, its target exactly as given. Without a `host` of its own it gets the app's.

    A product that trusts a proxy sees a new client each time, unless `headers` name one.
    """
    told = {"host": f"127.0.0.1:{app.port}", "x-forwarded-for": new_address()}
    told |= (headers or {}) | {"connection": "close"}
    if body:
        told["content-length"] = str(len(body))
    raw = target.encode() if isinstance(target, str) else target
    head = b"".join(f"{key}: {value}\r\n".encode("latin-1") for key, value in told.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    try:
        writer.write(method.encode() + b" " + raw + b" HTTP/1.1\r\n" + head + b"\r\n" + body)
        with suppress(ConnectionError):  # a refusal may come before the whole body is read
            await writer.drain()
        async with asyncio.timeout(60):
            answer = await reader.read()
    finally:
        writer.close()
    return _parse(answer)


async def post_form(
    app: AppProcess, path: str, form: bytes, headers: dict[str, str] | None = None
) -> Answer:
    """A form as a browser's own page posts it, unless `headers` say otherwise."""
    told = {"origin": app.url, "content-type": "application/x-www-form-urlencoded"}
    return await ask(app, "POST", path, told | (headers or {}), form)


def _parse(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = [(key.strip().lower(), value.strip()) for key, _, value in pairs]
    named = dict(headers)
    if named.get("transfer-encoding") == "chunked":
        body = _unchunked(body)
    if named.get("content-encoding") == "gzip" and body:
        body = gzip.decompress(body)
    return Answer(int(first.split(" ")[1]) if first else 0, headers, body)


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size or b"0", 16)
        whole, body = whole + body[:length], body[length + 2 :]
    return whole
