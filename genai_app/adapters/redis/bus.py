"""Short messages between the processes of one installation, over Redis' publish and subscribe.

A message may be lost without an error: it only saves a query of the database. While Redis is away,
no messages arrive; the connection is restored automatically.
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
LISTEN_S = 5.0  # then Redis is pinged: a dead connection would stay silent for ever


class Bus:
    """Receives the messages for this process and sends messages to others.

    Args:
        address: the unique name of this process.
    """

    def __init__(self, url: str, address: str) -> None:
        self.address = address
        self._entries = Entries(url)
        self._url = url
        self._listening: asyncio.Task[None] | None = None

    def open(self, receive: Callable[[bytes], None]) -> None:
        """Starts listening; `receive` is called with each message and must not raise."""
        self._listening = asyncio.create_task(self._listen(receive), name="bus")

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        await self._entries.aclose()

    async def send(self, address: str, message: bytes) -> bool:
        """Sends a message. Returns whether the process at `address` listens. Never raises, takes a
        second at most; after a failure nothing is sent for a moment."""
        return await self._entries.publish(CHANNEL + address, message)

    async def _listen(self, receive: Callable[[bytes], None]) -> None:
        while True:
            # a separate client, whose reads may wait for longer than the usual timeout
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
