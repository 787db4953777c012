"""Whether each thing that the product needs answers."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass

from genai_app.errors import AppError
from genai_app.services import Services

CHECK_S = 3.0


@dataclass(frozen=True, slots=True)
class Health:
    """One dependency at this moment."""

    name: str
    up: bool
    seconds: float


async def check_dependencies(services: Services) -> list[Health]:
    """All that are set up, asked at once."""
    asked: dict[str, Awaitable[None]] = {
        "database": services.db.check(),
        "model": services.llm.check(),
    }
    if services.redis is not None:
        asked["redis"] = services.redis.check()
    if services.cache_redis is not None:
        asked["cache"] = services.cache_redis.check()
    if services.rechecks is not None:
        asked["directory"] = services.rechecks.check()
    return list(await asyncio.gather(*(_ask(name, check) for name, check in asked.items())))


async def _ask(name: str, check: Awaitable[None]) -> Health:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(CHECK_S):
            await check
        up = True
    except (AppError, TimeoutError):
        up = False
    return Health(name, up, time.monotonic() - begun)
