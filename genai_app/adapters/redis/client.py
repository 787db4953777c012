"""Redis: one bounded pool for each user of it, short deadlines; counters of `limits` upon it, and
entries that may be lost.

Nothing here is kept for good: whoever uses it has an answer to "Redis is gone".
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from genai_app.adapters.redis.moving_windows import ProcessWindows, SharedWindows
from genai_app.errors import Unavailable

log = structlog.stdlib.get_logger(__name__)

SOCKET_TIMEOUT_S = 1.0
POOL_SIZE = 20
REST_S = 2.0

LimitStorage = ProcessWindows | SharedWindows


def redis_client(url: str) -> Redis:
    """A client with a pool of its own; connects at the first command. `aclose()` ends both."""
    return Redis.from_pool(_pool(url))


def _pool(url: str) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        max_connections=POOL_SIZE,
        timeout=SOCKET_TIMEOUT_S,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        # again for a connection that Redis closed meanwhile; who keeps silent is not asked twice
        retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
    )


def limit_storage(url: str | None) -> LimitStorage:
    """Where `limits` counts: Redis, or this process. Raises limits.errors.StorageError when used
    while Redis is away. To be closed by `close_storage`."""
    if url is None:
        return ProcessWindows()
    scheme = "redis+unix" if urlsplit(url).scheme == "unix" else urlsplit(url).scheme
    return SharedWindows(
        f"async+{scheme}:{url.partition(':')[2]}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="genai:limits",
        connection_pool=_pool(url),  # pyright: ignore[reportArgumentType]
    )


def is_shared(storage: LimitStorage) -> bool:
    """Whether all processes count in it."""
    return isinstance(storage, SharedWindows)


async def give_back(storage: LimitStorage, key: str) -> None:
    """Take the newest entry out of the moving window `key`, which `limits` itself cannot."""
    if isinstance(storage, ProcessWindows):
        entries = storage.events.get(key)
        if entries:
            entries.pop(0)
    else:
        client: Any = _client(storage)  # redis-py types its two kinds of client as one
        await client.lpop(storage.bridge.prefixed_key(key))


async def forget(storage: LimitStorage, key: str) -> None:
    """Empty the moving window `key`."""
    if isinstance(storage, ProcessWindows):
        # in place: its own clear() takes the list away under the task that expires entries
        storage.events.get(key, []).clear()
    else:
        await storage.clear(key)


async def close_storage(storage: LimitStorage) -> None:
    """Close the connections of a storage."""
    if isinstance(storage, SharedWindows):
        await _client(storage).connection_pool.disconnect()


def _client(storage: SharedWindows) -> Redis:
    bridge: Any = storage.bridge
    return bridge.get_connection()


class Entries:
    """Values that may be lost at any moment. Each call is bounded; a Redis that failed is left
    alone for a moment, so that an answer does not wait for it again and again."""

    def __init__(self, url: str) -> None:
        self._client = redis_client(url)
        self._rest_until = 0.0

    async def get(self, key: str) -> bytes | None:
        return await self._bounded(lambda: self._client.get(key))

    async def set(self, key: str, value: bytes, *, ttl_s: int, listed_in: str = "") -> None:
        """`listed_in`: a list of keys that can be forgotten together."""
        pipe: Any = self._client.pipeline(transaction=False)
        pipe.set(key, value, ex=ttl_s)
        if listed_in:
            pipe.sadd(listed_in, key).expire(listed_in, ttl_s)
        await self._bounded(pipe.execute)

    async def publish(self, channel: str, message: bytes) -> bool:
        """Whether somebody listens there and was told."""
        client: Any = self._client  # redis-py types its two kinds of client as one
        return bool(await self._bounded(lambda: client.publish(channel, message)))

    async def forget_listed(self, listed_in: str) -> None:
        """Take away all entries of a list, and the list."""

        async def forget() -> None:
            client: Any = self._client  # redis-py types its two kinds of client as one
            await client.delete(listed_in, *await client.smembers(listed_in))

        await self._bounded(forget)

    async def delete_all(self, prefix: str) -> int:
        """Delete every key that begins so. Returns how many there were."""
        count = 0
        client: Any = self._client  # redis-py types its two kinds of client as one
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"
        try:
            async for key in client.scan_iter(match=pattern, count=1000):
                count += await client.delete(key)
        except (RedisError, TimeoutError, OSError) as error:
            raise Unavailable(f"redis: {type(error).__name__}") from error
        return count

    async def check(self) -> None:
        """One round trip, whatever was before. Raises Unavailable."""
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT_S):
                await self._client.get("genai:none")  # PING needs a right of its own
        except (RedisError, TimeoutError, OSError) as error:
            raise Unavailable(f"redis: {type(error).__name__}") from error

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _bounded(self, call: Callable[[], Awaitable[Any]]) -> Any:
        loop = asyncio.get_running_loop()
        if loop.time() < self._rest_until:
            return None
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT_S):
                return await _cancellable(call)
        except (RedisError, TimeoutError, OSError) as error:
            self._rest_until = loop.time() + REST_S
            log.warning("redis.unavailable", error=type(error).__name__)
            return None


async def _cancellable(call: Callable[[], Awaitable[Any]]) -> Any:
    """On Python 3.11 redis-py's own `asyncio.wait_for` may lose a cancellation: the call ends as if
    nothing had been said."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    result = await call()
    if task.cancelling() > before:
        raise asyncio.CancelledError
    return result
