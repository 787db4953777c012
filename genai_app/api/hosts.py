"""Refuses requests whose Host header names another host."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from genai_app.api.errors import BY_STATUS, error_body, render
from genai_app.i18n import translate
from genai_app.services import services
from genai_app.web.hosts import names_own_host

MISDIRECTED = 421


class HostCheck:
    """Answers 421 to a request whose Host header is none of the product's hosts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or names_own_host(scope):
            await self._app(scope, receive, send)
            return
        code = BY_STATUS[MISDIRECTED]
        message = translate(services().settings.locale, f"error.{code}")
        body = error_body(scope.get("request_id"), MISDIRECTED, code, message)
        await render(Request(scope), MISDIRECTED, body)(scope, receive, send)
