"""Headers of every answer (request id, content security policy, no sniffing, no framing) and its
line in the log."""

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
from genai_app.web.frontend import is_page

log = structlog.get_logger()

REQUEST_ID = b"x-request-id"
UNLOGGED = ("/assets/", "/healthz", "/readyz", "/metrics")

_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


def inline_hashes(pages: Iterable[Path]) -> list[str]:
    """CSP sources for the inline scripts that the build put into its pages."""
    found = {
        base64.b64encode(hashlib.sha256(script).digest()).decode()
        for page in pages
        for script in _INLINE_SCRIPT.findall(page.read_bytes())
    }
    return sorted(f"'sha256-{digest}'" for digest in found)


def content_security_policy(script_hashes: Iterable[str]) -> str:
    """Nothing from elsewhere, no eval, no inline script but the build's own."""
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
    """Adds what is missing; a route may set its own value."""

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
                given = [pair for pair in message["headers"] if pair[0] != REQUEST_ID]
                names = {name for name, _ in given}
                given.append((REQUEST_ID, request_id.encode()))
                given += [pair for pair in self._headers if pair[0] not in names]
                message = {**message, "headers": given}
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, with_headers)
            except Exception:
                # Starlette answers with our 500, logs nothing, and raises again for the server:
                # api/errors.py has logged it
                if not status:
                    raise
            finally:  # also when the client went away
                total_s = time.perf_counter() - begun
                metrics.request_ended(
                    route=route_of(scope), method=scope["method"], status=status, total_s=total_s
                )
            if not scope["path"].startswith(UNLOGGED):
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],  # never the query: it may hold what is not for a log
                    status=status,
                    ms=round(total_s * 1000, 1),
                )


def route_of(scope: Scope) -> str:
    """The template of the route that answered; a word for what has none. Never the path: clients
    make up as many as they like."""
    # FastAPI's: the route as its router knows it, or, with the router's prefixes, as we do
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    template = getattr(route, "path", None)
    if template:
        return template
    path = scope["path"]
    if is_page(path) or path == "/login":
        return "page"
    return "asset" if path.startswith("/assets/") else "other"
