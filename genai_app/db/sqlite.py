"""The embedded SQLite: WAL, a thread for each connection, all of them closed with the database."""

import asyncio
from pathlib import Path
from threading import Thread
from typing import Any

import aiosqlite
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from genai_app.stemming import stemmed

PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON")
POOL_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 5.0


class SqliteFile:
    """Makes engines for one file, and closes what they leave open."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._drivers: set[aiosqlite.Connection] = set()  # those that may be open

    def engine(self, *, pool_size: int, begin: str) -> AsyncEngine:
        """Returns an engine whose transactions start with the statement `begin`."""
        engine = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=self._open,
            poolclass=sa.pool.AsyncAdaptedQueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True,
        )

        @event.listens_for(engine.sync_engine, "connect")
        def _connect(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # `begin` is ours, below
            cursor = connection.cursor()
            for pragma in PRAGMAS:
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
            # SQLite's own folds only a to z: a search for ОТПУСК must find "отпуск"
            connection.create_function("lower", 1, _lower, deterministic=True)
            connection.create_function("stemmed", 1, stemmed, deterministic=True)  # of the triggers

        @event.listens_for(engine.sync_engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    async def close(self) -> None:
        """Closes connections that the engines do not know any more: of cancelled queries."""
        for driver in list(self._drivers):
            await _close_driver(driver)
        self._drivers.clear()

    async def _open(self) -> aiosqlite.Connection:
        alive = {driver for driver in self._drivers if _thread_of(driver).is_alive()}
        self._drivers &= alive
        driver = aiosqlite.connect(self._path)
        _thread_of(driver).daemon = True  # as SQLAlchemy makes it
        self._drivers.add(driver)  # before it opens: that may be cancelled
        return await driver


async def _close_driver(driver: aiosqlite.Connection) -> None:
    """Closes a connection that is still open, and waits for its thread.

    A query that was cancelled leaves its connection to the thread, which tells the event loop when
    it is done: the loop must be there then.
    """
    thread = _thread_of(driver)
    if _is_opening(driver):
        driver.stop()  # pyright: ignore[reportUnknownMemberType]
    elif thread.is_alive():
        closing = asyncio.ensure_future(driver.close())
        await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT_S)
        closing.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.to_thread(thread.join, CLOSE_TIMEOUT_S)


def _thread_of(driver: aiosqlite.Connection) -> Thread:
    return driver._thread  # pyright: ignore[reportPrivateUsage] - it has no public name


def _is_opening(driver: aiosqlite.Connection) -> bool:
    """Returns whether its opening was cancelled: it has a thread, but nothing to close."""
    opened = driver._connection  # pyright: ignore[reportPrivateUsage] - it has no public name
    return opened is None and _thread_of(driver).is_alive()


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
