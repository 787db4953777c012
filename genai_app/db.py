"""Engines and sessions for PostgreSQL and the embedded SQLite.

PostgreSQL: asyncpg, one pool. SQLite: WAL, one writer connection with BEGIN IMMEDIATE beside a pool
of readers; the driver's own deferred transactions lose updates under concurrency.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import SQLModel

from genai_app.errors import StorageUnavailable

SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON")
POOL_SIZE = 10
POOL_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 15.0
PING_AFTER_S = 1.0

# SQLSTATE classes: connection, authorization, no such database, deadlock, out of resources, in use,
# shutting down or starting up, system error. asyncpg's own have no class of their own in SQLAlchemy
UNAVAILABLE_STATES = ("08", "28", "3D", "40", "53", "55", "57", "58")


class Database:
    """Opens sessions. `read()` and `write()` are the only two ways to the database.

    Args:
        url: `postgresql://...` or `sqlite:///path`, without a driver.
    """

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            path = Path(sa.engine.make_url(url).database or "")
            path.parent.mkdir(parents=True, exist_ok=True)
            async_url = url.replace("sqlite://", "sqlite+aiosqlite://", 1)
            self._writer = _sqlite_engine(async_url, pool_size=1, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(async_url, pool_size=4, begin="BEGIN")
        else:
            self._writer = create_async_engine(
                url.replace("postgresql://", "postgresql+asyncpg://", 1),
                pool_size=POOL_SIZE,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                hide_parameters=True,  # errors are logged; prompts and hashes must not be
                connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": COMMAND_TIMEOUT_S},
            )
            _ping_after_a_rest(self._writer)
            # the same pool. At READ COMMITTED each query has a snapshot of its own anyway, so the
            # BEGIN and ROLLBACK around it would be two round trips for nothing
            self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """A session for queries.

        Raises:
            StorageUnavailable: the database cannot be reached or does not answer in time.
        """
        with _translated():
            async with AsyncSession(self._reader, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """A session inside one transaction: committed when the block ends, rolled back on an error.

        Raises:
            StorageUnavailable: the database cannot be reached or does not answer in time.
        """
        with _translated():
            async with (
                AsyncSession(self._writer, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session

    @property
    def connections_used(self) -> int:
        """Connections that a query has now."""
        return sum(pool.checkedout() for pool in self._pools())

    @property
    def connections_most(self) -> int:
        """Connections that queries may have at once."""
        return sum(pool.size() for pool in self._pools())

    def _pools(self) -> set[sa.pool.QueuePool]:
        return {_pool(self._writer), _pool(self._reader)}

    async def check(self) -> None:
        """One round trip. Raises StorageUnavailable."""
        async with self.read() as session:
            await session.execute(sa.text("SELECT 1"))

    async def close(self) -> None:
        await self._writer.dispose()
        if self.is_sqlite:
            await self._reader.dispose()


async def insert_rows(session: AsyncSession, rows: Sequence[SQLModel]) -> None:
    """Add rows of one table within the session's transaction, in their order.

    At once and past the unit of work, which costs several times the statement; the session does
    not know these objects afterwards.
    """
    connection = await session.connection()
    values = [row.model_dump() for row in rows]
    await connection.execute(
        _insert_into(table_of(type(rows[0]))), values if len(values) > 1 else values[0]
    )


def table_of(kind: Any) -> sa.Table:
    """The table below a model, for statements that are built once."""
    return kind.__table__


@cache
def _insert_into(table: sa.Table) -> sa.Insert:
    return sa.insert(table)


class _translated:
    """Turns the driver's words for "not reachable" into ours; other errors are bugs and pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        lost = isinstance(error, OperationalError | InterfaceError | PoolTimeout | OSError) or (
            isinstance(error, DBAPIError)
            and (error.connection_invalidated or _sqlstate(error)[:2] in UNAVAILABLE_STATES)
        )
        if lost:
            raise StorageUnavailable(str(error)[:300]) from error


def _ping_after_a_rest(engine: AsyncEngine) -> None:
    """SQLAlchemy's own pre-ping asks at each checkout, two round trips with asyncpg: as much as all
    else a short transaction does. A connection that was in use a moment ago is not asked."""

    @event.listens_for(engine.sync_engine, "checkin")
    def _rest(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _ping(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        since = record.info.get("rests_since")
        if since is None or time.monotonic() - since < PING_AFTER_S:
            return
        dialect = engine.sync_engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error  # the pool tries another one


def _pool(engine: AsyncEngine) -> sa.pool.QueuePool:
    pool = engine.pool
    assert isinstance(pool, sa.pool.QueuePool)  # both kinds of engine have one
    return pool


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _sqlite_engine(url: str, *, pool_size: int, begin: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=sa.pool.AsyncAdaptedQueuePool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30.0,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours, below
        cursor = connection.cursor()
        for pragma in SQLITE_PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        # its own folds only a to z: a search for ОТПУСК must find "отпуск"
        connection.create_function("lower", 1, _lower, deterministic=True)

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
