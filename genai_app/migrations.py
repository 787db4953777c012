"""Migrates the database to the schema of this version. Synchronous: runs before the event loop."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psycopg2
import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from genai_app.errors import Conflict, StorageUnavailable
from genai_app.settings.database_url import is_postgresql, parse_database_url
from genai_app.stemming import stemmed

log = structlog.stdlib.get_logger(__name__)

# the last revision in alembic/versions (a test compares them), so that alembic need not be imported
HEAD = "0016"
INI = Path(__file__).parent.parent / "alembic.ini"
# tables and indexes without a model: SQLite's full text tables, PostgreSQL's index over the words
BESIDE_MODELS = ("message_words", "ix_message_search_words")
LOCK_KEY = 0x67656E6169  # "genai": the same number in all processes of one database
SERVING_KEY = LOCK_KEY + 1
LOCK_TIMEOUT_S = 600
HELD_TIMEOUT_S = 30
LOCK_NOT_AVAILABLE = "55P03"
CONNECT_TIMEOUT_S = 5


def is_modelled(name: str | None) -> bool:
    """Returns whether a table or index belongs to a model."""
    return not (name or "").startswith(BESIDE_MODELS)


def is_current(url: str) -> bool:
    """Returns whether the schema is up to date. Makes one short query and does not import alembic.

    Raises:
        StorageUnavailable: the database cannot be reached.
    """
    return _revisions(url) == {HEAD}


def can_migrate_from(revision: str) -> bool:
    """Returns whether this version can migrate from `revision`."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(Config(str(INI)))
    return revision in {script.revision for script in scripts.walk_revisions()}


def state_of(url: str) -> Literal["current", "none", "older", "newer"]:
    """Returns the state of the schema, compared with this version.

    Raises:
        StorageUnavailable: the database cannot be reached.
    """
    revisions = _revisions(url)
    if revisions == {HEAD}:
        return "current"
    if not revisions:
        return "none"
    return "older" if all(can_migrate_from(each) for each in revisions) else "newer"


def upgrade(url: str) -> None:
    """Runs all missing migrations. Several processes may call it at once: one migrates, others
    wait.

    Args:
        url: `postgresql://...` or `sqlite:///path` (the directory is created), without a driver.

    Raises:
        StorageUnavailable: the database cannot be reached, or the lock was not obtained in time.
        Conflict: the database was migrated by a newer version of the product.
    """
    revisions = _revisions(url)
    if revisions == {HEAD}:
        return
    from alembic import command  # takes 0.2 s, so it is imported only if needed
    from alembic.config import Config

    config = Config(str(INI))
    if unknown := sorted(each for each in revisions if not can_migrate_from(each)):
        raise Conflict(f"unknown revisions {unknown}", code="database_newer")
    with locked_connection(url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    log.info("database.migrated", before=sorted(revisions), revision=HEAD)


@contextmanager
def locked_connection(url: str) -> Generator[sa.Connection]:
    """Yields a connection for migrations, of which only one can run at a time.

    PostgreSQL: a second connection keeps an advisory lock in a transaction, so that each migration
    has its own transaction, also behind a pooler. SQLite: one transaction around everything keeps
    the file's write lock.

    Raises:
        StorageUnavailable: the database cannot be reached, or the lock was not obtained in time.
    """
    with _engine(url) as engine:
        if engine.dialect.name == "sqlite":
            event.listen(engine, "begin", _begin_immediate)
            with engine.begin() as connection:
                yield connection
            return
        with engine.begin() as holder:
            _take_lock(holder, "pg_advisory_xact_lock", LOCK_KEY, LOCK_TIMEOUT_S)
            with engine.connect() as connection:
                yield connection


def _take_lock(holder: sa.Connection, function: str, key: int, timeout_s: int) -> None:
    """Waits for a lock in the open transaction of `holder`, and allows that transaction to stay
    idle."""
    holder.exec_driver_sql(f"SET LOCAL lock_timeout = '{timeout_s}s'")
    holder.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    holder.exec_driver_sql(f"SELECT {function}({key})")


@contextmanager
def database_held(url: str, *, shared: bool) -> Generator[bool]:
    """Locks a PostgreSQL database against other processes while the block and its connection last.

    A process that is about to end is waited for. Yields False if another process has the lock.

    Args:
        shared: allow other processes that also ask for a shared lock; else the lock is exclusive.
    """
    kind = "_shared" if shared else ""
    with _engine(url) as engine, engine.connect() as connection:
        # behind a pooler a lock lasts only for a transaction, so one stays open for the whole block
        pooled = is_pooled(connection)
        connection.rollback()
        if not pooled:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            if pooled:
                function = f"pg_advisory_xact_lock{kind}"
                _take_lock(connection, function, SERVING_KEY, HELD_TIMEOUT_S)
            else:
                connection.exec_driver_sql(f"SET lock_timeout = '{HELD_TIMEOUT_S}s'")
                connection.exec_driver_sql(f"SELECT pg_advisory_lock{kind}({SERVING_KEY})")
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
                raise
            yield False
        else:
            yield True


def is_pooled(connection: sa.Connection) -> bool:
    """Returns whether a pooler such as PgBouncer answers instead of the server: then the
    connection's process number differs from the server's."""
    driver: Any = connection.connection.dbapi_connection
    return connection.scalar(sa.text("SELECT pg_backend_pid()")) != driver.info.backend_pid


def sync_engine(url: str, **options: Any) -> sa.Engine:
    """Returns an engine with a synchronous driver and without a pool. `options`: of
    create_engine."""
    path = _sqlite_path(url)
    if path is not None:
        # isolation_level None: the driver itself does not begin transactions
        arguments = {"timeout": LOCK_TIMEOUT_S, "isolation_level": None}
        engine = sa.create_engine(
            url, poolclass=sa.pool.NullPool, connect_args=arguments, **options
        )
        event.listen(engine, "connect", _add_functions)
        return engine
    keywords: dict[str, Any] = {"connect_timeout": str(CONNECT_TIMEOUT_S)} | parse_database_url(
        url
    ).keywords()
    return sa.create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(**keywords),
        poolclass=sa.pool.NullPool,
        **options,
    )


@contextmanager
def _engine(url: str) -> Generator[sa.Engine]:
    path = _sqlite_path(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    engine = sync_engine(url)
    if path is None:
        event.listen(engine, "begin", _own_search_path)
    try:
        yield engine
    except (OperationalError, InterfaceError) as error:
        raise StorageUnavailable(str(error)[:300]) from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise StorageUnavailable(str(error)[:300]) from error
    finally:
        engine.dispose()


def _sqlite_path(url: str) -> Path | None:
    return None if is_postgresql(url) else Path(sa.engine.make_url(url).database or "")


def _add_functions(connection: Any, _record: object) -> None:
    connection.create_function("stemmed", 1, stemmed, deterministic=True)


def _own_search_path(connection: sa.Connection) -> None:
    """Resets the search path: behind a pooler, another client such as pg_dump may have changed
    it."""
    connection.exec_driver_sql("SET LOCAL search_path TO DEFAULT")


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _revisions(url: str) -> set[str]:
    path = _sqlite_path(url)
    if path is not None and not path.exists():
        return set()  # a connection would create the file
    with _engine(url) as engine, engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return set()
        return set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))
