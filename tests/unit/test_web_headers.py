"""The headers of every answer, and the policy that lets only the build's own scripts run."""

import base64
import hashlib
from collections.abc import Generator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import structlog
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from genai_app.services import use
from genai_app.services.stopping import Stopping
from genai_app.web.headers import SecurityHeaders, content_security_policy, inline_hashes

CSP = content_security_policy(["'sha256-abc='"])
PAGE = """<!DOCTYPE html><html><head>
<script>alert('Hello, world.');</script>
<script type="module" async="">
import * as route from "/assets/root.js";
</script>
<script data-src="x" nonce="">window.a = "<b>" && 1 < 2;</script>
<script src="/assets/a.js"></script>
<script type="module" crossorigin="" src="/assets/b.js"></script>
<script async src='/assets/c.js'></script>
<script></script>
<script>console.log("Привет, мир 😀")</script>
</head><body><p>script</p><noscript>none</noscript></body></html>"""


class _Scripts(HTMLParser):
    """Finds inline scripts by parsing, not by pattern."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and "src" not in dict(attrs)
        if self._inside:
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def test_hash_of_the_specification(tmp_path: Path) -> None:
    """The example of Content Security Policy Level 3, section 2.3.1 and of every browser."""
    page = tmp_path / "index.html"
    page.write_text("<script>alert('Hello, world.');</script>")
    assert inline_hashes([page]) == ["'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"]


def test_hashes_of_a_page(tmp_path: Path) -> None:
    """Each inline script once, those with an address not at all."""
    pages = [tmp_path / "index.html", tmp_path / "404.html"]
    for page in pages:
        page.write_text(PAGE, encoding="utf-8")
    parser = _Scripts()
    parser.feed(PAGE)
    assert len(parser.found) == 5
    assert inline_hashes(pages) == sorted(map(_hash, parser.found))


def test_no_pages() -> None:
    assert inline_hashes([]) == []
    assert "script-src 'self';" in content_security_policy([])


def test_policy() -> None:
    """Nothing from elsewhere, no eval, no inline script but those that are named."""
    parts = dict(part.split(" ", 1) for part in CSP.split("; "))
    assert parts["default-src"] == "'none'"
    assert parts["script-src"] == "'self' 'sha256-abc='"
    assert parts["base-uri"] == parts["frame-ancestors"] == "'none'"
    assert parts["form-action"] == parts["connect-src"] == "'self'"
    for name, sources in parts.items():
        assert "*" not in sources
        assert "eval" not in sources
        assert "http" not in sources
        assert "unsafe-inline" not in sources or name == "style-src"
        assert "data:" not in sources or name in ("img-src", "font-src")


@pytest.fixture(autouse=True)
def stopping() -> Generator[Stopping]:
    """Whether this process is about to end."""
    state = Stopping()
    use(SimpleNamespace(stopping=state))  # type: ignore[arg-type]
    yield state
    use(None)


async def _hello(scope: Scope, receive: Receive, send: Send) -> None:
    seen = structlog.contextvars.get_contextvars().get("request_id")
    headers = {"referrer-policy": "no-referrer", "x-seen": f"{scope['request_id']} {seen}"}
    await PlainTextResponse("hello", headers=headers)(scope, receive, send)


async def _get(*, https: bool = False) -> httpx.Headers:
    app = SecurityHeaders(_hello, csp=CSP, https=https)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://genai.example") as client:
        return (await client.get("/")).headers


@pytest.mark.parametrize("https", [False, True])
async def test_what_the_address_asks_for(https: bool) -> None:
    """Only TLS is promised for ever. A route's own value stands, and stands alone."""
    headers = await _get(https=https)
    assert headers["content-security-policy"] == CSP
    assert ("strict-transport-security" in headers) == https
    assert headers.get_list("referrer-policy") == ["no-referrer"]


async def test_request_id() -> None:
    """The one that the client is told is in the scope and in every line of the log."""
    headers = await _get()
    request_id = headers["x-request-id"]
    assert headers["x-seen"] == f"{request_id} {request_id}"


async def test_sockets_pass_unchanged() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def never(message: Message | None = None) -> Message:
        raise AssertionError

    scope: Scope = {"type": "websocket", "path": "/_event"}
    await SecurityHeaders(app, csp=CSP, https=True)(scope, never, never)  # type: ignore[arg-type]
    assert seen == [scope]


async def test_a_process_that_ends_closes_its_connections(stopping: Stopping) -> None:
    assert "connection" not in await _get()
    stopping.begin()
    assert (await _get())["connection"] == "close"
