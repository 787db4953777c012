"""Admits connections of the event socket, and binds each to the States of its own session.

Reflex finds a client's State by a token that the client chooses. Here the State's real token is a
keyed hash of that token and of the session in the cookie, so a guessed or stolen token of another
client finds nothing. Connections from foreign origins, or without an origin, are refused.
"""

import hashlib
import hmac
import json
import uuid
from urllib.parse import parse_qsl, urlencode

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genai_app.errors import StorageUnavailable
from genai_app.services import services
from genai_app.settings.settings import allowed_origins
from genai_app.web.cookies import cookie_header, session_token
from genai_app.web.frames import CONNECT, admit
from genai_app.web.hosts import names_own_host
from genai_app.web.sockets import open_addresses, open_sockets

log = structlog.get_logger()

EVENT_PATH = "/_event"
POLICY_VIOLATION = 1008
TRY_AGAIN = 1013


class EventDoor:
    """Passes the event socket to Reflex, and all HTTP requests to `pages`."""

    def __init__(self, events: ASGIApp, pages: ASGIApp) -> None:
        self._events = events
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._events(scope, receive, send)
        elif scope["type"] != "websocket":
            await self._pages(scope, receive, send)
        elif not scope["path"].startswith(EVENT_PATH):
            await _refuse(receive, send, POLICY_VIOLATION)
        else:
            await self._open(scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"origin"), None)
        if origin not in allowed_origins(services().settings) or not names_own_host(scope):
            log.warning(
                "socket.refused",
                reason="the origin is not GENAI_PUBLIC_URL",
                origin=(origin or "none")[:200],
            )
            await _refuse(receive, send, POLICY_VIOLATION)
            return
        try:
            actor = await services().sessions.find_actor(
                session_token(cookie_header(scope["headers"]))
            )
        except StorageUnavailable:
            await _refuse(receive, send, TRY_AGAIN)
            return
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        session = str(actor.session_id) if actor else "nobody"
        token = bind(query.get("token", ""), session)
        scope = {**scope, "query_string": urlencode({**query, "token": token}).encode()}
        socket = _Socket(receive, send, actor.session_id if actor else None)
        try:
            await self._events(scope, socket.receive, socket.send)
        finally:
            open_sockets.pop(socket.name, None)
            open_addresses.pop(socket.name, None)


class _Socket:
    """A connection of the event socket. Drops invalid frames, and registers the socket's name."""

    def __init__(self, receive: Receive, send: Send, session_id: uuid.UUID | None) -> None:
        self._receive = receive
        self._send = send
        self._session_id = session_id
        self._warned = False
        self.name = ""

    async def receive(self) -> Message:
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            text = message.get("text")
            frame = admit(text) if isinstance(text, str) else None
            if frame is not None:
                return {"type": "websocket.receive", "text": frame}
            if not self._warned:  # only once: a client may send thousands of them
                self._warned = True
                log.warning("socket.frame_dropped", size=len(text or ""))

    async def send(self, message: Message) -> None:
        text = message.get("text")
        if not self.name and isinstance(text, str) and text.startswith(CONNECT):
            self.name = json.loads(text[len(CONNECT) :])["sid"]
            if self._session_id is not None:
                open_sockets[self.name] = self._session_id
        await self._send(message)


def bind(client_token: str, session: str) -> str:
    """Returns the token of this client's State in this session."""
    text = f"{session}\n{client_token[:200]}".encode()
    digest = hmac.new(services().settings.secret, b"state token\n" + text, hashlib.sha256).digest()
    return str(uuid.UUID(bytes=digest[:16]))


async def _refuse(receive: Receive, send: Send, code: int) -> None:
    await receive()  # websocket.connect
    await send({"type": "websocket.close", "code": code})
