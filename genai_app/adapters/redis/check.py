"""Checks whether a Redis can be used, for `genai doctor`."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError, RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from genai_app.adapters.redis.client import redis_client

KEY = "genai:doctor"
KEY_S = 10


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """The description of a Redis that works. Texts are "" if our user may not read them."""

    version: str
    policy: str  # of eviction, `maxmemory_policy`


@dataclass(frozen=True, slots=True)
class RedisFault:
    """Why Redis could not be used.

    `auth`: a wrong or missing password; `rights`: the user lacks a right; `tls`: the TLS handshake
    failed; `closed`: the server hung up, as a TLS port does; `other`: not a Redis; `silent`: no
    answer in time; `gone`: nobody listens.
    """

    kind: Literal["auth", "rights", "tls", "closed", "other", "silent", "gone"]
    detail: str


async def examine(url: str, *, channels: bool) -> RedisFacts | RedisFault:
    """Writes and deletes a key, publishes a message if `channels` are used, and reads the facts.
    Each step has the timeout of client.py."""
    # redis-py types its two kinds of client as one
    client: Any = redis_client(url)
    try:
        await client.set(KEY, b"1", ex=KEY_S)
        await client.delete(KEY)
        if channels:
            await client.publish(KEY, b"")
        info: dict[str, object] = {}
        with suppress(NoPermissionError):  # the product itself does not need this right
            for part in ("server", "memory"):
                info |= await client.info(part)
    except AuthenticationError as error:
        return RedisFault("auth", str(error))
    except NoPermissionError as error:
        return RedisFault("rights", str(error))
    except (RedisTimeout, TimeoutError) as error:
        return RedisFault("silent", type(error).__name__)
    except (RedisError, OSError) as error:
        return _fault(error)
    finally:
        await client.aclose()
    return RedisFacts(str(info.get("redis_version", "")), str(info.get("maxmemory_policy", "")))


def _fault(error: BaseException) -> RedisFault:
    """Returns what an error of the client or of its socket means, by its whole chain of causes."""
    text = str(error)
    for each in _chain(error):
        if isinstance(each, ssl.SSLError):
            return RedisFault("tls", str(each))
        if isinstance(each, InvalidResponse):
            return RedisFault("other", text)
        if isinstance(each, ConnectionRefusedError):
            return RedisFault("gone", text)
        if isinstance(each, ConnectionResetError | asyncio.IncompleteReadError):
            return RedisFault("closed", text)
    if "NOAUTH" in text:
        return RedisFault("auth", text)
    return RedisFault("closed" if "closed by server" in text else "gone", text)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields the error and its causes, outermost first."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__
