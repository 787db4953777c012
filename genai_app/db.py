"""Engines and sessions for PostgreSQL and the embedded SQLite.

PostgreSQL: asyncpg, one pool. SQLite: WAL, one writer connection with BEGIN IMMEDIATE beside a pool
of readers; the driver's own deferred transactions lose updates under concurrency.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any
from weakref import WeakSet

import aiosqlite
import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import sqlalchemy as sa
from pydantic_core import PydanticUndefined
from sqlalchemy import event
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.dialects.postgresql.asyncpg import dialect as postgresql
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from genai_app.errors import StorageUnavailable
from genai_app.words import stemmed

SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000", "foreign_keys=ON")
POOL_SIZE = 10
POOL_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 15.0
PING_AFTER_S = 1.0
CLOSE_TIMEOUT_S = 5.0

# SQLSTATE classes: connection, authorization, no such database, deadlock, out of resources, in use,
# shutting down or starting up, system error. asyncpg's own have no class of their own in SQLAlchemy
UNAVAILABLE_STATES = ("08", "28", "3D", "40", "53", "55", "57", "58")
UNDONE_STATES = ("40001", "40P01")  # serialization failure, deadlock

_POSTGRESQL = postgresql()


Row = dict[str, Any]


class Undone(StorageUnavailable):
    """Rolled back in favour of another transaction: nothing of it is there, and the same again may
    succeed at once."""


class Statement:
    """A statement of what every question does, built once. A `Link` gives its text straight to
    PostgreSQL's driver: a sixth of the CPU of the same through a session.

    Its parameters are `sa.bindparam`s, their values what the driver takes as it is: text, integers,
    UUIDs, bytes, aware datetimes.
    """

    def __init__(self, core: sa.Select[*tuple[Any, ...]] | sa.Insert | sa.Update) -> None:
        self.core = core
        compiled = core.compile(dialect=_POSTGRESQL)
        self.text = str(compiled)
        self._names = list(compiled.positiontup or ())
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the text's $1, $2 ..."""
        known = {**self._fixed, **values}
        return [known[name] for name in self._names]


class Link:
    """A connection that runs Statements. Rows are tuples."""

    def __init__(self, driver: Any = None, connection: AsyncConnection | None = None) -> None:
        self._driver = driver
        self._connection = connection

    async def fetch(self, statement: Statement, **values: Any) -> Sequence[Any]:
        """All rows that the statement gives."""
        if self._connection is None:
            return await self._driver.fetch(statement.text, *statement.arguments(values))
        result = await self._connection.execute(statement.core, values)
        return result.all() if result.returns_rows else ()

    async def insert(self, kind: Any, *rows: Row) -> None:
        """Add rows of `new_row(kind)`, each after those before it."""
        for row in rows:
            await self.fetch(_insert_into(kind), **row)


class Database:
    """Opens sessions, and links for the few statements that every question runs.

    `read()`, `write()` and `look()` are the only ways to the database.

    Args:
        url: `postgresql://...` or `sqlite:///path`, without a driver.
    """

    def __init__(self, url: str) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self._threads: WeakSet[Thread] = WeakSet()
        if self.is_sqlite:
            path = Path(sa.engine.make_url(url).database or "")
            path.parent.mkdir(parents=True, exist_ok=True)
            threads = self._threads
            self._writer = _sqlite_engine(path, threads, pool_size=1, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(path, threads, pool_size=4, begin="BEGIN")
        else:
            self._writer = create_async_engine(
                url.replace("postgresql://", "postgresql+asyncpg://", 1),
                pool_size=POOL_SIZE,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                hide_parameters=True,  # errors are logged; prompts and hashes must not be
                connect_args={
                    "timeout": CONNECT_TIMEOUT_S,
                    "command_timeout": COMMAND_TIMEOUT_S,
                    # to compile a query takes 0.2 s, and pays in no query of ours
                    "server_settings": {"jit": "off"},
                },
            )
            _ping_after_a_rest(self._writer)
            # the same pool. At READ COMMITTED each query has a snapshot of its own anyway, so the
            # BEGIN and ROLLBACK around it would be two round trips for nothing
            self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def read(self, *, planned_anew: bool = False) -> AsyncGenerator[AsyncSession]:
        """A session for queries.

        Args:
            planned_anew: for each, PostgreSQL makes a plan for its very values. The one plan for
                all that it keeps after a few times is a thousand times slower for some searches.

        Raises:
            StorageUnavailable: the database cannot be reached or does not answer in time.
        """
        anew = planned_anew and not self.is_sqlite
        engine = self._writer if anew else self._reader  # a setting needs a transaction to end with
        with _translated():
            async with AsyncSession(engine, expire_on_commit=False) as session:
                if anew:
                    await session.execute(sa.text("SET LOCAL plan_cache_mode = force_custom_plan"))
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """A session inside one transaction: committed when the block ends, rolled back on an error.

        Raises:
            Undone: another transaction stood in the way; begin again.
            StorageUnavailable: the database cannot be reached or does not answer in time.
        """
        with _translated():
            async with (
                AsyncSession(self._writer, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session

    @asynccontextmanager
    async def look(self) -> AsyncGenerator[Link]:
        """A link outside any transaction: each statement is one of its own. On SQLite for queries
        only.

        Raises:
            IntegrityError: a unique key is taken.
            Undone: another transaction stood in the way; begin again.
            StorageUnavailable: the database cannot be reached or does not answer in time.
        """
        with _translated():
            if self.is_sqlite:
                async with self._reader.connect() as connection:
                    yield Link(connection=connection)
            else:
                async with self._driver() as driver:
                    yield Link(driver)

    @asynccontextmanager
    async def _driver(self) -> AsyncGenerator[Any]:
        """A connection of the pool as the driver knows it."""
        pooled = await self._writer.raw_connection()
        driver: Any = pooled.driver_connection
        cut = False
        try:
            yield driver
        except (asyncio.CancelledError, asyncpg.InternalClientError):
            cut = True  # the driver may still be at it, and nobody else may come upon that
            raise
        finally:
            if cut or driver.is_closed():
                pooled.invalidate()
            pooled.close()

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
        # a query that was cancelled leaves its connection to a thread, which tells the event loop
        # when it is done: the loop must be there then
        for thread in list(self._threads):
            await asyncio.to_thread(thread.join, CLOSE_TIMEOUT_S)


def new_row(kind: Any, **values: Any) -> Row:
    """What `kind(**values)` would be, as values by column, at a tenth of its cost. Ids and moments
    have no default here."""
    return {**_defaults(kind), **values}


@cache
def _defaults(kind: Any) -> Row:
    told = {name: field.get_default() for name, field in kind.model_fields.items()}
    return {column.name: None for column in table_of(kind).columns} | {
        name: value for name, value in told.items() if value is not PydanticUndefined
    }


def table_of(kind: Any) -> sa.Table:
    """The table below a model, for statements that are built once."""
    return kind.__table__


@cache
def _insert_into(kind: Any) -> Statement:
    table = table_of(kind)
    return Statement(sa.insert(table).values({c.name: sa.bindparam(c.name) for c in table.columns}))


class _translated:
    """Turns the driver's words for "not reachable" into ours; other errors are bugs and pass."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, asyncpg.UniqueViolationError):
            raise IntegrityError(None, None, error) from error
        if _sqlstate(getattr(error, "orig", error)) in UNDONE_STATES:
            raise Undone(str(error)[:300]) from error
        lost = isinstance(
            error, OperationalError | InterfaceError | PoolTimeout | OSError
        ) or _says_lost(error)
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


def _says_lost(error: object) -> bool:
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _sqlstate(error.orig)[:2] in UNAVAILABLE_STATES
    # of the driver itself: closed, not yet open, or (internal) at the server's last words
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return not isinstance(error, asyncpg.DataError)
    # the last as the dialect words it, for a connection that is taken without SQLAlchemy's engine
    told = isinstance(error, asyncpg.PostgresError | AsyncAdapt_asyncpg_dbapi.Error)
    return told and _sqlstate(error)[:2] in UNAVAILABLE_STATES


def _sqlstate(error: object) -> str:
    """PostgreSQL's code of an error, "" where it has none; the first two characters are a class."""
    return str(getattr(error, "sqlstate", None) or "")


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _sqlite_engine(
    path: Path, threads: WeakSet[Thread], *, pool_size: int, begin: str
) -> AsyncEngine:
    """`threads` is told of each connection's thread."""

    async def open_driver() -> aiosqlite.Connection:
        driver = aiosqlite.connect(path)
        thread = driver._thread  # pyright: ignore[reportPrivateUsage] - it has no public name
        thread.daemon = True  # as SQLAlchemy makes it
        threads.add(thread)
        return await driver

    engine = create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=open_driver,
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
        connection.create_function("stemmed", 1, stemmed, deterministic=True)  # of the triggers

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
