"""The events of Mattermost's websocket.

It keeps nothing for a client that was away. Events are numbered within a connection: after a gap
the stream is closed, and the caller reads from the REST API what it missed.
"""

import asyncio
import ssl

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from genai_app.adapters.messenger import MessengerAway, TokenRefused

OPEN_S = 10.0
PING_S = 20.0
MAX_EVENT_BYTES = 4 * 1024 * 1024
CHALLENGE = 1  # the number of our only request


class EventData(msgspec.Struct):
    """The fields of an event that are used. `post` and `reaction` are JSON in a text."""

    post: str = ""
    reaction: str = ""
    channel_type: str = ""
    sender_name: str = ""


class Event(msgspec.Struct):
    """An event, or the answer to our request: then `seq_reply` is its number."""

    event: str = ""
    data: EventData = msgspec.field(default_factory=EventData)
    seq: int = 0
    seq_reply: int = 0
    status: str = ""


class ChatEvents:
    """A websocket at a time.

    Args:
        url: of the server, `http` or `https`.
    """

    def __init__(self, url: str, token: str, tls: ssl.SSLContext) -> None:
        self._url = f"ws{url.removeprefix('http')}/api/v4/websocket"
        self._token = token
        self._tls = tls if url.startswith("https:") else None
        self._socket: ClientConnection | None = None
        self._expected = 0  # the number of the next event

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    async def open(self) -> None:
        """Connects and logs in. Raises MessengerAway, TokenRefused."""
        await self.close()
        self._expected = 0
        challenge = {
            "seq": CHALLENGE,
            "action": "authentication_challenge",
            "data": {"token": self._token},
        }
        try:
            self._socket = await connect(
                self._url,
                ssl=self._tls,
                open_timeout=OPEN_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                max_size=MAX_EVENT_BYTES,
                proxy=None,
            )
            await self._socket.send(msgspec.json.encode(challenge).decode())
        except (OSError, TimeoutError, WebSocketException) as error:
            await self.close()
            raise MessengerAway(type(error).__name__) from None
        async with asyncio.timeout(OPEN_S):
            while (await self._next()).seq_reply != CHALLENGE:
                pass

    async def next(self, within_s: float) -> Event | None:
        """Returns the next event; None after `within_s` seconds without one.

        Raises:
            MessengerAway: the stream has ended, or events were lost. It is closed.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._next()
        except TimeoutError:
            return None

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def _next(self) -> Event:
        if self._socket is None:
            raise MessengerAway("the stream of events is closed")
        try:
            event = msgspec.json.decode(await self._socket.recv(), type=Event)
        except (OSError, ValueError, WebSocketException) as error:
            await self.close()
            raise MessengerAway(type(error).__name__) from None
        if event.seq_reply and event.status != "OK":
            await self.close()
            raise TokenRefused("Mattermost refuses the token")
        if event.event:
            if event.seq != self._expected:
                await self.close()
                raise MessengerAway("events were lost")
            self._expected += 1
        return event
