"""Redis: bounded pools with short timeouts, the counters of `limits`, and entries that may be lost.

Nothing is stored here permanently: every caller works without Redis.
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
    """Returns a client with its own pool; connects at the first command. `aclose()` closes both."""
    return Redis.from_pool(_pool(url))


def _pool(url: str) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
        url,
        max_connections=POOL_SIZE,
        timeout=SOCKET_TIMEOUT_S,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        # retry on a new connection if Redis closed the old one; not after a timeout
        retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
    )


def limit_storage(url: str | None) -> LimitStorage:
    """Returns the storage of `limits`: Redis, or without a URL this process. It raises
    limits.errors.StorageError while Redis is away. Close it by `close_storage`."""
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
    """Returns whether all processes share the storage."""
    return isinstance(storage, SharedWindows)


async def give_back(storage: LimitStorage, key: str) -> None:
    """Removes the newest entry of the moving window `key`, which `limits` itself cannot do."""
    if isinstance(storage, ProcessWindows):
        entries = storage.events.get(key)
        if entries:
            entries.pop(0)
    else:
        client: Any = _client(storage)  # redis-py types its two kinds of client as one
        await client.lpop(storage.bridge.prefixed_key(key))


async def forget(storage: LimitStorage, key: str) -> None:
    """Empties the moving window `key`."""
    if isinstance(storage, ProcessWindows):
        # in place: the storage's clear() removes the list that the expiring task iterates over
        storage.events.get(key, []).clear()
    else:
        await storage.clear(key)


async def close_storage(storage: LimitStorage) -> None:
    """Closes the connections of a storage."""
    if isinstance(storage, SharedWindows):
        await _client(storage).connection_pool.disconnect()


def _client(storage: SharedWindows) -> Redis:
    bridge: Any = storage.bridge
    return bridge.get_connection()


class Entries:
    """Values that may be lost at any moment. Each call takes a second at most; after a failure
    Redis is not called for a moment, so that an answer does not wait for it repeatedly."""

    def __init__(self, url: str) -> None:
        self._client = redis_client(url)
        self._rest_until = 0.0

    async def get(self, key: str) -> bytes | None:
        return await self._bounded(lambda: self._client.get(key))

    async def set(self, key: str, value: bytes, *, ttl_s: int, listed_in: str = "") -> None:
        """Stores a value. `listed_in`: a set of keys that can be deleted together."""
        pipe: Any = self._client.pipeline(transaction=False)
        pipe.set(key, value, ex=ttl_s)
        if listed_in:
            pipe.sadd(listed_in, key).expire(listed_in, ttl_s)
        await self._bounded(pipe.execute)

    async def publish(self, channel: str, message: bytes) -> bool:
        """Publishes a message. Returns whether a listener received it."""
        client: Any = self._client  # redis-py types its two kinds of client as one
        return bool(await self._bounded(lambda: client.publish(channel, message)))

    async def forget_listed(self, listed_in: str) -> None:
        """Deletes all entries of such a set, and the set."""

        async def forget() -> None:
            client: Any = self._client  # redis-py types its two kinds of client as one
            await client.delete(listed_in, *await client.smembers(listed_in))

        await self._bounded(forget)

    async def delete_all(self, prefix: str) -> int:
        """Deletes every key that begins with `prefix`. Returns their number. Raises Unavailable."""
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
        """Makes a round trip, even after a failure a moment ago. Raises Unavailable."""
        try:
            async with asyncio.timeout(SOCKET_TIMEOUT_S):
                await self._client.get("genai:none")  # PING would need another right
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
    """Awaits a call and preserves a cancellation, which redis-py's `asyncio.wait_for` may lose on
    Python 3.11."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    result = await call()
    if task.cancelling() > before:
        raise asyncio.CancelledError
    return result
