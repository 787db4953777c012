"""Whether each thing that the product needs answers."""

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
    """How busy a model server is. `paused`: it failed too often and is not asked for a moment."""

    used: int
    most: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Health:
    """One dependency at this moment. `endpoint`: the host of a model server, for administrators."""

    name: str
    up: bool
    seconds: float
    endpoint: str = ""
    load: Load | None = None


async def check_dependencies(services: Services) -> list[Health]:
    """All that are set up, asked at once; each model server by itself."""
    asked = [_ask("database", services.db.check())]
    asked += [_ask_model(services, number) for number in range(len(services.llm.endpoints))]
    if services.redis is not None:
        asked.append(_ask("redis", services.redis.check()))
    if services.cache_redis is not None:
        asked.append(_ask("cache", services.cache_redis.check()))
    if services.directory_status is not None:
        asked.append(_ask("directory", services.directory_status.check()))
    return list(await asyncio.gather(*asked))


async def _ask_model(services: Services, number: int) -> Health:
    endpoint, slots = services.llm.endpoints[number], services.slots
    health = await _ask("model", services.llm.check(endpoint))
    load = Load(slots.used(number), slots.most, endpoint.breaker.state is BreakerState.OPEN)
    return replace(health, endpoint=endpoint.name, load=load)


def by_name(checks: Sequence[Health]) -> dict[str, bool]:
    """Whether what bears a name is up; of several model servers, whether any is."""
    up: dict[str, bool] = {}
    for each in checks:
        up[each.name] = up.get(each.name, False) or each.up
    return up


async def _ask(name: str, check: Awaitable[None]) -> Health:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(CHECK_S):
            await check
        up = True
    except (AppError, TimeoutError):
        up = False
    return Health(name, up, time.monotonic() - begun)
