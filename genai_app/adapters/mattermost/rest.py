"""Calls of Mattermost's REST API with the bot's token, which no error or log line may hold."""

import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
import msgspec

from genai_app.adapters.messenger import (
    FileTooLong,
    MessengerAway,
    MessengerError,
    TokenRefused,
    TooManyCalls,
)

CALL_S = 15.0
CONNECT_S = 5.0
CONNECTIONS = 32
WAIT_S = 1.0  # after a 429 that names no time
MOST_WAIT_S = 60.0

Shape = TypeVar("Shape")


class MattermostApi:
    """Calls one server with one token.

    Args:
        url: of the server, without `/api/v4`.
    """

    def __init__(self, url: str, token: str, tls: ssl.SSLContext) -> None:
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._http = httpx.AsyncClient(
            base_url=f"{url}/api/v4",
            headers={"Authorization": f"Bearer {token}"},
            verify=tls,
            timeout=httpx.Timeout(CALL_S, connect=CONNECT_S),
            limits=limits,
            trust_env=False,
        )
        self._server_ahead_ms = 0  # the server's clock less ours

    async def close(self) -> None:
        await self._http.aclose()

    @property
    def server_now_ms(self) -> int:
        """The server's time, as its last answer shows it: milliseconds since 1970."""
        return _now_ms() + self._server_ahead_ms

    async def read(self, shape: type[Shape], path: str, **query: object) -> Shape:
        """Reads an object. Raises MessengerError."""
        return await self.call(shape, "GET", path, query=query)

    async def call(
        self,
        shape: type[Shape],
        method: str,
        path: str,
        body: object = None,
        *,
        query: dict[str, Any] | None = None,
        refusal: type[MessengerError] = MessengerError,
    ) -> Shape:
        """Calls a method and decodes its answer.

        Args:
            refusal: what a 400, 403, 404 or 413 means here.

        Raises:
            MessengerAway, TokenRefused, TooManyCalls, or `refusal`.
        """
        content = None if body is None else msgspec.json.encode(body)
        try:
            response = await self._http.request(method, path, content=content, params=query)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise MessengerAway(type(error).__name__) from None
        self._learn_clock(response)
        if response.is_success:
            return _decoded(response, shape)
        raise _refusal_of(response, refusal)

    async def download(self, path: str, most_bytes: int) -> bytes:
        """Returns the bytes of a file. Raises FileTooLong, MessengerError."""
        data = bytearray()
        try:
            async with self._http.stream("GET", path) as response:
                if not response.is_success:
                    raise _refusal_of(response, MessengerError)
                async for part in response.aiter_bytes():
                    data += part
                    if len(data) > most_bytes:
                        raise FileTooLong(most_bytes)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise MessengerAway(type(error).__name__) from None
        return bytes(data)

    def _learn_clock(self, response: httpx.Response) -> None:
        try:
            moment = parsedate_to_datetime(response.headers["Date"])
        except (KeyError, ValueError):
            return
        self._server_ahead_ms = round(moment.timestamp() * 1000) - _now_ms()


def _now_ms() -> int:
    return round(time.time() * 1000)


def _decoded(response: httpx.Response, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(response.content, type=shape)
    except ValueError:  # a proxy's page, or another server
        raise MessengerAway("the answer is not Mattermost's") from None


def _refusal_of(response: httpx.Response, refusal: type[MessengerError]) -> MessengerError:
    status = response.status_code
    if status == 401:
        return TokenRefused("Mattermost refuses the token")
    if status == 429:
        return TooManyCalls(_retry_after_s(response))
    if status in (400, 403, 404, 413):
        return refusal(f"Mattermost answers {status}")
    return MessengerAway(f"Mattermost answers {status}")


def _retry_after_s(response: httpx.Response) -> float:
    for name in ("Retry-After", "X-RateLimit-Reset"):  # both in seconds from now
        text = response.headers.get(name, "")
        if text.isdigit():
            return min(max(float(text), WAIT_S), MOST_WAIT_S)
    return WAIT_S
