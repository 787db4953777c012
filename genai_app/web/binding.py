"""Ties the client's token to its session at the websocket handshake.

Reflex addresses a client's State by a token that the client chooses. Here the State's real token is
a keyed hash of that token and of the session behind the cookie, so somebody else's token, guessed
or stolen, addresses nothing. Foreign origins, and none, are refused before that.
"""

import hashlib
import hmac
import uuid
from urllib.parse import parse_qsl, urlencode

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from genai_app.errors import StorageUnavailable
from genai_app.services import services
from genai_app.web.cookies import cookie_header, session_token

log = structlog.get_logger()

EVENT_PATH = "/_event"
POLICY_VIOLATION = 1008
TRY_AGAIN = 1013

# Sessions of the sockets that are open now, by the token their State has.
bound: dict[str, uuid.UUID] = {}


class BindToken:
    """Lets the event socket through to Reflex, and everything else to `pages`."""

    def __init__(self, events: ASGIApp, pages: ASGIApp) -> None:
        self._events = events
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope.get("path", "").startswith(EVENT_PATH):
            await self._pages(scope, receive, send)
            return
        if scope["type"] != "websocket":  # polling is off: the path has nothing for plain HTTP
            await _not_found(send)
            return
        origin = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"origin"), None)
        if origin not in services().settings.origins:
            log.warning("socket.refused", reason="origin", origin=(origin or "none")[:200])
            await _close(receive, send, POLICY_VIOLATION)
            return
        try:
            actor = await services().sessions.find_actor(
                session_token(cookie_header(scope["headers"]))
            )
        except StorageUnavailable:
            await _close(receive, send, TRY_AGAIN)
            return
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        session = str(actor.session_id) if actor else "nobody"
        token = bind(query.get("token", ""), session)
        scope = {**scope, "query_string": urlencode({**query, "token": token}).encode()}
        if actor is not None:
            bound[token] = actor.session_id
        try:
            await self._events(scope, receive, send)
        finally:
            bound.pop(token, None)


def bind(client_token: str, session: str) -> str:
    """The token under which the State of this client in this session is kept."""
    text = f"{session}\n{client_token[:200]}".encode()
    digest = hmac.new(services().settings.secret, b"state token\n" + text, hashlib.sha256).digest()
    return str(uuid.UUID(bytes=digest[:16]))


async def _close(receive: Receive, send: Send, code: int) -> None:
    await receive()  # websocket.connect
    await send({"type": "websocket.close", "code": code})


async def _not_found(send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})
