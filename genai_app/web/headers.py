"""Adds the request id and the security headers to every response, and logs every request."""

import base64
import hashlib
import re
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genai_app import metrics
from genai_app.services import services
from genai_app.web.addresses import is_page

log = structlog.get_logger()

REQUEST_ID = b"x-request-id"
CLOSE = (b"connection", b"close")
LONG_BYTES = 1_000_000
UNLOGGED = ("/assets/", "/healthz", "/readyz", "/metrics")

_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


def inline_hashes(pages: Iterable[Path]) -> list[str]:
    """Returns the CSP sources of the inline scripts in the built pages."""
    digests = {
        base64.b64encode(hashlib.sha256(script).digest()).decode()
        for page in pages
        for script in _INLINE_SCRIPT.findall(page.read_bytes())
    }
    return sorted(f"'sha256-{digest}'" for digest in digests)


def content_security_policy(script_hashes: Iterable[str]) -> str:
    """Returns the policy: nothing from other servers, no eval, no inline scripts except the
    build's."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {' '.join(script_hashes)}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "manifest-src 'self'",
        )
    )


class SecurityHeaders:
    """Adds the headers that a route did not set itself. Also logs and measures each request."""

    def __init__(self, app: ASGIApp, *, csp: str, https: bool) -> None:
        self._app = app
        headers = {
            "content-security-policy": csp,
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            # not "no-referrer": with it a browser posts our own login form from the origin "null"
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
        }
        if https:
            headers["strict-transport-security"] = "max-age=31536000"
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, begun, status = uuid.uuid4().hex, time.perf_counter(), 0
        scope = {**scope, "request_id": request_id}  # a copy: routing will write into it

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [pair for pair in message["headers"] if pair[0] != REQUEST_ID]
                names = {name for name, _ in headers}
                headers.append((REQUEST_ID, request_id.encode()))
                headers += [pair for pair in self._headers if pair[0] not in names]
                if services().stopping.begun or is_long(status, message["headers"]):
                    headers.append(CLOSE)
                message = {**message, "headers": headers}
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, with_headers)
            except Exception:
                # api/errors.py has answered 500 and logged the bug; Starlette raises it again
                if not status:
                    raise
            finally:  # also if the client disconnected
                total_s = time.perf_counter() - begun
                metrics.request_ended(
                    route=route_of(scope), method=scope["method"], status=status, total_s=total_s
                )
            if not scope["path"].startswith(UNLOGGED):
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],  # never the query, which may contain secrets
                    status=status,
                    ms=round(total_s * 1000, 1),
                )


def is_long(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Returns whether a response is a stream or a large file, which closes its connection. It may
    end after the process was told to stop: a proxy that did not hear of the end of the connection
    would send a question over it at that moment, and may not repeat it."""
    size = next((int(value) for name, value in headers if name == b"content-length"), None)
    return status not in (204, 304) and (size is None or size > LONG_BYTES)


def route_of(scope: Scope) -> str:
    """Returns the template of the route that answered, or `page`, `asset` or `other`.

    It is a label of metrics, so never the path itself: clients can invent any number of paths.
    """
    # "effective_route_context" has the template with the prefixes of routers, "route" without
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    template = getattr(route, "path", None)
    if template:
        return template
    path = scope["path"]
    if is_page(path) or path == "/login":
        return "page"
    return "asset" if path.startswith("/assets/") else "other"
