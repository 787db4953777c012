"""Runs the work of a command on the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from genai_app.errors import Conflict

if TYPE_CHECKING:
    from genai_app.db.database import Database
    from genai_app.settings.settings import Settings

T = TypeVar("T")


def on_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Returns the result of `work` on a database of this version's schema. SQLite is migrated.

    Raises:
        Conflict: database_not_migrated.
    """
    from genai_app import migrations

    if settings.embedded:
        migrations.upgrade(settings.sqlalchemy_url)
    elif not migrations.is_current(settings.sqlalchemy_url):
        # servers of the older version may use it: only `genai migrate` may migrate it
        raise Conflict(code="database_not_migrated")
    return run_on_database(settings, work)


def run_on_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Returns the result of `work` on the database as it is."""
    from genai_app.db.database import Database

    async def run() -> T:
        db = Database(settings.sqlalchemy_url)
        try:
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(run())
