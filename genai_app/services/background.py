"""Loops that run in the background."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from genai_app.errors import StorageUnavailable

log = structlog.get_logger()


async def every(seconds: float, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Do `work` for ever. A database that is away is waited for; a bug is logged and survived."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except StorageUnavailable as error:
            log.warning("storage.unavailable", while_doing=work.__qualname__, detail=error.detail)
        except Exception:
            log.exception("background.bug", while_doing=work.__qualname__)
