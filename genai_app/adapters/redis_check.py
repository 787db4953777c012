"""What a Redis says of itself, and why it does not: for whoever sets it up."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeout

from genai_app.adapters.redis import redis_client

KEY = "genai:doctor"
KEY_S = 10


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """`policy`: what it throws away when it is full. Both "" where our user may not ask."""

    version: str
    policy: str


@dataclass(frozen=True, slots=True)
class RedisFault:
    """`auth`: a wrong or missing password; `rights`: its user may not; `silent`; `gone`."""

    what: Literal["auth", "rights", "silent", "gone"]
    detail: str


async def examine(url: str, *, channels: bool) -> RedisFacts | RedisFault:
    """Write and delete one key, publish if `channels` are used, then ask. Each step has the
    deadline of redis.py."""
    # redis-py types its two kinds of client as one
    client: Any = redis_client(url)
    try:
        await client.set(KEY, b"1", ex=KEY_S)
        await client.delete(KEY)
        if channels:
            await client.publish(KEY, b"")
        told: dict[str, object] = {}
        with suppress(NoPermissionError):  # a right that the product itself has no need of
            for part in ("server", "memory"):
                told |= await client.info(part)
    except AuthenticationError as error:
        return RedisFault("auth", str(error))
    except NoPermissionError as error:
        return RedisFault("rights", str(error))
    except (RedisTimeout, TimeoutError) as error:
        return RedisFault("silent", type(error).__name__)
    except (RedisError, OSError) as error:
        text = str(error)
        return RedisFault("auth" if "NOAUTH" in text else "gone", text)
    finally:
        await client.aclose()
    version, policy = str(told.get("redis_version", "")), str(told.get("maxmemory_policy", ""))
    return RedisFacts(version, policy)
