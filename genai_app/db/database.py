"""Engines and sessions for PostgreSQL and the embedded SQLite.

PostgreSQL: asyncpg with one pool. SQLite: WAL mode, one connection that writes (BEGIN IMMEDIATE)
and a pool of connections that read. The driver's default, deferred transactions, would lose
updates.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from genai_app.db.driver import PostgresServerLink
from genai_app.db.failures import translated
from genai_app.db.sqlite import SqliteFile
from genai_app.db.statements import StatementRunner
from genai_app.settings.database_url import parse_database_url

POOL_SIZE = 10
POOL_TIMEOUT_S = 5.0
PING_AFTER_S = 1.0


class Database:
    """Opens sessions, and runners for the few statements that every question runs.

    `read()`, `write()` and `statement_runner()` are the only ways to the database.

    Args:
        url: `postgresql://...` or `sqlite:///path`, without a driver.
    """

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self._server: PostgresServerLink | None = None
        self._file: SqliteFile | None = None
        if self.is_sqlite:
            self._file = SqliteFile(Path(sa.engine.make_url(url).database or ""))
            self._writer = self._file.engine(pool_size=1, begin="BEGIN IMMEDIATE")
            self._reader = self._file.engine(pool_size=4, begin="BEGIN")
        else:
            self._server = PostgresServerLink(parse_database_url(url))
            self._writer = create_async_engine(
                "postgresql+asyncpg://",
                pool_size=POOL_SIZE,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                hide_parameters=True,  # errors are logged; prompts and hashes must not be
            )
            self._server.attach(self._writer)
            _ping_idle_connections(self._writer)
            # the same pool. At READ COMMITTED each query has its own snapshot anyway, so BEGIN and
            # ROLLBACK around it would be two useless round trips
            self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def read(self, *, planned_anew: bool = False) -> AsyncGenerator[AsyncSession]:
        """Yields a session for queries.

        Args:
            planned_anew: PostgreSQL plans each query for its actual values. The general plan that
                it otherwise keeps after some calls is a thousand times slower for some searches.

        Raises:
            StorageUnavailable: the database cannot be reached or does not answer in time.
        """
        plan_anew = planned_anew and not self.is_sqlite
        with translated():
            # SET LOCAL needs a transaction, and a pooler needs one for each query
            engine = self._writer if plan_anew or await self._is_pooled() else self._reader
            async with AsyncSession(engine, expire_on_commit=False) as session:
                if plan_anew:
                    await session.execute(sa.text("SET LOCAL plan_cache_mode = force_custom_plan"))
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """Yields a session in one transaction: committed at the end of the block, or rolled back on
        an error.

        Raises:
            Undone: rolled back because of another transaction; a retry may succeed.
            StorageUnavailable: the database cannot be reached or does not answer in time.
        """
        with translated():
            await self._is_pooled()
            async with (
                AsyncSession(self._writer, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session

    @asynccontextmanager
    async def statement_runner(self) -> AsyncGenerator[StatementRunner]:
        """Yields a runner outside any transaction: each statement commits by itself.

        On SQLite it only runs queries.

        Raises:
            IntegrityError: a unique key exists already.
            Undone: rolled back because of another transaction; a retry may succeed.
            StorageUnavailable: the database cannot be reached or does not answer in time.
        """
        with translated():
            if self.is_sqlite:
                async with self._reader.connect() as connection:
                    yield StatementRunner(connection=connection)
            else:
                pooled = await self._is_pooled()
                async with self._driver() as driver:
                    yield StatementRunner(driver, pooled=pooled)

    @asynccontextmanager
    async def _driver(self) -> AsyncGenerator[Any]:
        """Yields asyncpg's own connection, borrowed from the pool."""
        pooled = await self._writer.raw_connection()
        driver: Any = pooled.driver_connection
        interrupted = False
        try:
            yield driver
        except (asyncio.CancelledError, asyncpg.InternalClientError):
            interrupted = True  # its query may still run: nobody else may get this connection
            raise
        finally:
            if interrupted or driver.is_closed():
                pooled.invalidate()
            pooled.close()

    async def _is_pooled(self) -> bool:
        """Returns whether a pooler lends a connection for each transaction. Asks only once."""
        return self._server is not None and await self._server.is_pooled()

    @property
    def connections_used(self) -> int:
        """The number of connections that are in use now."""
        return sum(pool.checkedout() for pool in self._pools())

    @property
    def connections_most(self) -> int:
        """The number of connections that may be in use at once."""
        return sum(pool.size() for pool in self._pools())

    def _pools(self) -> set[sa.pool.QueuePool]:
        return {_pool(self._writer), _pool(self._reader)}

    async def check(self) -> None:
        """Makes one round trip to the database. Raises StorageUnavailable."""
        async with self.read() as session:
            await session.execute(sa.text("SELECT 1"))

    async def close(self) -> None:
        """Closes every connection, also those of queries that were cancelled."""
        await self._writer.dispose()
        if self._file is not None:
            await self._reader.dispose()
            await self._file.close()
        if self._server is not None:
            self._server.close()


def _ping_idle_connections(engine: AsyncEngine) -> None:
    """Checks a connection before its use, but only after PING_AFTER_S without use.

    SQLAlchemy's own pre-ping does so at each checkout. With asyncpg this is two round trips,
    as many as the rest of a short transaction.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def _note_idle(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _ping(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        since = record.info.get("idle_since")
        if since is None or time.monotonic() - since < PING_AFTER_S:
            return
        dialect = engine.sync_engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error  # the pool tries another connection


def _pool(engine: AsyncEngine) -> sa.pool.QueuePool:
    pool = engine.pool
    assert isinstance(pool, sa.pool.QueuePool)  # both kinds of engine have one
    return pool
