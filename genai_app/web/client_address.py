"""The client's address, also behind trusted reverse proxies."""

import ipaddress
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from genai_app.services.audit.events import client_address

FORWARDED = b"x-forwarded-for"
_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>[\d.]+):\d+")


def address_of(scope: Scope, hops: int) -> str:
    """Returns the client's address as the outermost of `hops` trusted proxies saw it. Without
    proxies, or with fewer entries than proxies, returns the peer of the connection.

    A client may send any X-Forwarded-For, and each proxy appends its own peer. So the n-th entry
    from the right was written by the n-th proxy, and the entries left of it cannot be trusted.
    """
    client = scope.get("client")
    peer = str(client[0]) if client else ""
    if hops < 1:
        return peer
    header = b",".join(value for name, value in scope["headers"] if name == FORWARDED)
    entries = header.decode("latin-1").split(",")
    return _plain(entries[-hops]) or peer if len(entries) >= hops else peer


class ClientAddress:
    """Stores the client's address in a context variable, for the task of a request or socket."""

    def __init__(self, app: ASGIApp, hops: int) -> None:
        self._app = app
        self._hops = hops

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            client_address.set(address_of(scope, self._hops))
        await self._app(scope, receive, send)


def _plain(entry: str) -> str:
    """Returns an address without port and brackets, or "" if it is not an IP address."""
    entry = entry.strip()
    with_port = _PORT.fullmatch(entry)
    text = (with_port["v6"] or with_port["v4"]) if with_port else entry
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
