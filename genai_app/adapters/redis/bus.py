"""Short messages between the processes of one installation, over Redis' publish and subscribe.

A message may be lost, and nobody is told: it only saves a look into the database. Redis away means
silence; the connection comes back by itself.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from genai_app.adapters.redis.client import REST_S, SOCKET_TIMEOUT_S, Entries

log = structlog.stdlib.get_logger(__name__)

CHANNEL = "genai:process:"
LISTEN_S = 5.0  # then Redis is asked whether it is there: a dead link would be silent for ever


class Bus:
    """The letter box of this process, and the way into those of others.

    Args:
        address: names this process among all.
    """

    def __init__(self, url: str, address: str) -> None:
        self.address = address
        self._entries = Entries(url)
        self._url = url
        self._listening: asyncio.Task[None] | None = None

    def open(self, receive: Callable[[bytes], None]) -> None:
        """Begin to listen; `receive` is called with each message and must not raise."""
        self._listening = asyncio.create_task(self._listen(receive), name="bus")

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self._entries.aclose()

    async def send(self, address: str, message: bytes) -> bool:
        """Whether Redis took it for a process that listens. Never raises, never takes longer than
        a second; after a failure nothing is tried for a moment."""
        return await self._entries.publish(CHANNEL + address, message)

    async def _listen(self, receive: Callable[[bytes], None]) -> None:
        while True:
            # a client of its own: its connection is silent for seconds, which others must not be
            client: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
                self._url, socket_connect_timeout=SOCKET_TIMEOUT_S, health_check_interval=LISTEN_S
            )
            try:
                async with client.pubsub(ignore_subscribe_messages=True) as mail:
                    await mail.subscribe(CHANNEL + self.address)
                    while True:
                        message = await mail.get_message(timeout=LISTEN_S)
                        if message is not None:
                            receive(message["data"])
            except (RedisError, TimeoutError, OSError) as error:
                log.warning("bus.unavailable", error=type(error).__name__)
            finally:
                with suppress(RedisError, TimeoutError, OSError):
                    await client.aclose()
            await asyncio.sleep(REST_S)
