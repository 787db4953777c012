"""Redis: one bounded pool, every call with a deadline. It holds nothing that may not be lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

log = structlog.stdlib.get_logger(__name__)

TIMEOUT_S = 1.0
MAX_CONNECTIONS = 20
REST_S = 2.0
LIMIT_PREFIX = "genai:limit"


def redis_pool(url: str) -> BlockingConnectionPool:
    """The connections of this process. Opens none yet."""
    return BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        max_connections=MAX_CONNECTIONS,
        timeout=TIMEOUT_S,  # for a free connection
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
    )


def limit_storage(url: str | None, pool: BlockingConnectionPool | None) -> Storage:
    """Where limits are counted: Redis by `pool`, else this process."""
    if url is None or pool is None:
        return MemoryStorage()
    return RedisStorage(
        f"async+{url}",
        implementation="redispy",  # the default client breaks with its current version
        wrap_exceptions=True,
        key_prefix=LIMIT_PREFIX,
        connection_pool=pool,  # pyright: ignore[reportArgumentType]
    )


class Entries:
    """Values that may be lost at any moment. Each call is bounded; a Redis that failed is left
    alone for a moment, so that an answer does not wait for it again and again."""

    def __init__(self, pool: BlockingConnectionPool) -> None:
        self._client = Redis(connection_pool=pool)
        self._rest_until = 0.0

    async def get(self, key: str) -> bytes | None:
        return await self._bounded(lambda: self._client.get(key))

    async def set(self, key: str, value: bytes, *, ttl_s: int) -> None:
        await self._bounded(lambda: self._client.set(key, value, ex=ttl_s))

    async def _bounded(self, call: Callable[[], Awaitable[Any]]) -> Any:
        loop = asyncio.get_running_loop()
        if loop.time() < self._rest_until:
            return None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await call()
        except (RedisError, TimeoutError, OSError) as error:
            self._rest_until = loop.time() + REST_S
            log.warning("redis.unavailable", error=type(error).__name__)
            return None
