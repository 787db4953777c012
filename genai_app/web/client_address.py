"""The address of whoever is at the other end, also behind our own reverse proxies."""

import ipaddress
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from genai_app.services.audit import client_address

FORWARDED = b"x-forwarded-for"
_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>[\d.]+):\d+")


def address_of(scope: Scope, hops: int) -> str:
    """What the outermost of `hops` trusted proxies saw; without one, the peer of the connection.

    A client writes what it likes into X-Forwarded-For; each proxy adds the peer it saw at the right
    end. So the n-th from the right is the word of the n-th proxy, and what stands left of it is not
    believed. A request that did not come through all of them is known by its peer.
    """
    client = scope.get("client")
    peer = str(client[0]) if client else ""
    if hops < 1:
        return peer
    told = b",".join(value for name, value in scope["headers"] if name == FORWARDED)
    entries = told.decode("latin-1").split(",")
    return _plain(entries[-hops]) or peer if len(entries) >= hops else peer


class ClientAddress:
    """Notes the client's address for the task that serves a request or a socket."""

    def __init__(self, app: ASGIApp, hops: int) -> None:
        self._app = app
        self._hops = hops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            client_address.set(address_of(scope, self._hops))
        await self._app(scope, receive, send)


def _plain(entry: str) -> str:
    """An address without port or brackets; "" for what is none."""
    entry = entry.strip()
    with_port = _PORT.fullmatch(entry)
    text = (with_port["v6"] or with_port["v4"]) if with_port else entry
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
