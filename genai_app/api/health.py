"""Is the process alive, and does each thing it needs answer."""

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from genai_app.errors import AppError
from genai_app.services import services

router = APIRouter(tags=["health"])

CHECK_S = 3.0


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz() -> JSONResponse:
    """Each dependency, `up` or `down`. 503 while the database is down: without it nothing works.

    A model server that is down does not take the process out of service: history still opens, and
    every replica asks the same model. Nor does Redis: what it holds may be lost at any moment; nor
    the directory: who is logged in goes on.
    """
    asked = {"database": services().db.check(), "model": services().llm.check()}
    redis, rechecks = services().redis, services().rechecks
    if redis is not None:
        asked["redis"] = redis.check()
    if rechecks is not None:
        asked["directory"] = rechecks.check()
    states = await asyncio.gather(*map(_state, asked.values()))
    checks = dict(zip(asked, states, strict=True))
    ready = checks["database"] == "up"
    body = {"status": "ready" if ready else "unavailable", "checks": checks}
    return JSONResponse(body, 200 if ready else 503, {"cache-control": "no-store"})


async def _state(check: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            await check
    except (AppError, TimeoutError):
        return "down"
    return "up"
