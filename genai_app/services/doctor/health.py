"""The state of the servers that the product depends on: database, models, Redis, directory."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from genai_app.adapters.llm.breaker import BreakerState
from genai_app.errors import AppError
from genai_app.services import Services

CHECK_S = 3.0


@dataclass(frozen=True, slots=True)
class Load:
    """The load of a model server."""

    used: int  # slots
    most: int
    paused: bool  # it failed too often and gets no requests for a moment


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a dependency now."""

    name: str
    up: bool
    seconds: float  # that its check took
    endpoint: str = ""  # the host of a model server, for administrators
    load: Load | None = None


async def check_dependencies(services: Services) -> list[Health]:
    """Checks all dependencies that are set up, at once; each model server separately."""
    checks = [_bounded("database", services.db.check())]
    checks += [_check_model(services, number) for number in range(len(services.llm.endpoints))]
    if services.redis is not None:
        checks.append(_bounded("redis", services.redis.check()))
    if services.cache_redis is not None:
        checks.append(_bounded("cache", services.cache_redis.check()))
    if services.directory_status is not None:
        checks.append(_bounded("directory", services.directory_status.check()))
    return list(await asyncio.gather(*checks))


async def _check_model(services: Services, number: int) -> Health:
    endpoint, slots = services.llm.endpoints[number], services.slots
    health = await _bounded("model", services.llm.check(endpoint))
    load = Load(slots.used(number), slots.most, endpoint.breaker.state is BreakerState.OPEN)
    return replace(health, endpoint=endpoint.name, load=load)


def by_name(checks: Sequence[Health]) -> dict[str, bool]:
    """Returns {name: up}. Of several dependencies with one name, such as model servers, one must
    be up."""
    up: dict[str, bool] = {}
    for each in checks:
        up[each.name] = up.get(each.name, False) or each.up
    return up


async def _bounded(name: str, check: Awaitable[None]) -> Health:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(CHECK_S):
            await check
        up = True
    except (AppError, TimeoutError):
        up = False
    return Health(name, up, time.monotonic() - begun)
