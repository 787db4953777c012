"""Jobs of the user on a page: follow them until they end, cancel and remove them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import reflex as rx

from genai_app.errors import AppError, StorageUnavailable
from genai_app.services.jobs.lease import UNDER_WAY
from genai_app.state.presence import Page

LOOK_S = 0.5


class JobView(Protocol):
    """The row of a job on a page."""

    state: str


View = TypeVar("View", bound=JobView)


class JobList(Protocol):
    """A State that lists jobs."""

    error_code: str

    async def _load(self) -> None: ...


async def show_until_ended(
    state: rx.State, name: str, read: Callable[[], Awaitable[Sequence[View]]]
) -> None:
    """Shows how far jobs are until all have ended, as long as the page is there. For a background
    event.

    Args:
        name: the variable of `state` that has the rows.
        read: returns the rows as they are now.
    """
    page = Page()
    while page.is_there:
        try:
            rows = await read()
        except StorageUnavailable:
            await asyncio.sleep(LOOK_S)
            continue
        async with state:
            if rows != getattr(state, name):
                setattr(state, name, rows)
        if not any(row.state in UNDER_WAY for row in rows):
            return
        await asyncio.sleep(LOOK_S)


async def end_job(jobs: JobList, ending: Coroutine[Any, Any, object]) -> None:
    """Cancels or removes a job by `ending`, then shows the list again, or why it was refused."""
    try:
        await ending
    except AppError as error:
        jobs.error_code = error.code
        return
    await jobs._load()
