"""Brings the database to the schema of this version. Synchronous: it runs before the event loop."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from genai_app.errors import Conflict, StorageUnavailable
from genai_app.words import stemmed

log = structlog.stdlib.get_logger(__name__)

HEAD = "0005"  # the last revision in alembic/versions; a test compares, so alembic stays unimported
INI = Path(__file__).parent.parent / "alembic.ini"
# what the models do not have: SQLite's full text tables, PostgreSQL's index over the words
BESIDE_MODELS = ("message_words", "ix_message_search_words")
LOCK_KEY = 0x67656E6169  # "genai": one number for all starters of one database
SERVING_KEY = LOCK_KEY + 1
LOCK_TIMEOUT_S = 600
HELD_TIMEOUT_S = 30
LOCK_NOT_AVAILABLE = "55P03"
CONNECT_TIMEOUT_S = 5


def driver_url(url: str) -> str:
    """`url` with the synchronous driver that migrations use."""
    return url.replace("postgresql://", "postgresql+psycopg2://", 1)


def is_modelled(name: str | None) -> bool:
    """Whether a table or index is one of the models'."""
    return not (name or "").startswith(BESIDE_MODELS)


def is_current(url: str) -> bool:
    """Whether nothing is to be migrated. One short query; alembic is not imported.

    Raises:
        StorageUnavailable: the database cannot be reached.
    """
    return _revisions(url) == {HEAD}


def is_known(revision: str) -> bool:
    """Whether this version can migrate from `revision`."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(Config(str(INI)))
    return revision in {script.revision for script in scripts.walk_revisions()}


def state_of(url: str) -> Literal["current", "none", "older", "newer"]:
    """How the database stands to this version.

    Raises:
        StorageUnavailable: the database cannot be reached.
    """
    found = _revisions(url)
    if found == {HEAD}:
        return "current"
    if not found:
        return "none"
    return "older" if all(is_known(each) for each in found) else "newer"


def upgrade(url: str) -> None:
    """Run every migration that is missing. Many starters at once are safe: one works, others wait.

    Args:
        url: `postgresql://...` or `sqlite:///path` (the directory is made), without a driver.

    Raises:
        StorageUnavailable: the database cannot be reached, or the lock was not had in time.
        Conflict: the database was migrated by a newer version of the product.
    """
    found = _revisions(url)
    if found == {HEAD}:
        return
    from alembic import command  # 0.2 s that only a start with something to migrate pays
    from alembic.config import Config

    config = Config(str(INI))
    if unknown := sorted(each for each in found if not is_known(each)):
        raise Conflict(f"unknown revisions {unknown}", code="database_newer")
    with locked_connection(url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    log.info("database.migrated", before=sorted(found), revision=HEAD)


@contextmanager
def locked_connection(url: str) -> Generator[sa.Connection]:
    """A connection that no other migration of this database has at the same time.

    PostgreSQL: a session advisory lock, so that each migration keeps its own transaction. SQLite:
    the file's write lock, held by one transaction around everything.

    Raises:
        StorageUnavailable: the database cannot be reached, or the lock was not had in time.
    """
    with _engine(url) as engine, engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            event.listen(engine, "begin", _begin_immediate)
            with connection.begin():
                yield connection
        else:
            connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK_KEY})")
            connection.commit()
            yield connection  # closing the connection frees the lock


@contextmanager
def database_held(url: str, *, shared: bool) -> Generator[bool]:
    """Keep others off a PostgreSQL database while the block lasts, as long as the connection does:
    all others, or those who want it alone. What is about to end is waited for.

    Gives whether it is held; False when others have it.
    """
    kind = "_shared" if shared else ""
    with _engine(url) as engine, engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql(f"SET lock_timeout = '{HELD_TIMEOUT_S}s'")
        try:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock{kind}({SERVING_KEY})")
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
                raise
            yield False
        else:
            yield True


@contextmanager
def _engine(url: str) -> Generator[sa.Engine]:
    path = _sqlite_path(url)
    if path is None:
        arguments: dict[str, object] = {"connect_timeout": CONNECT_TIMEOUT_S}
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        # isolation_level None: the driver opens no transaction of its own
        arguments = {"timeout": LOCK_TIMEOUT_S, "isolation_level": None}
    engine = sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool, connect_args=arguments)
    if path is not None:
        event.listen(engine, "connect", _add_functions)
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
    parsed = sa.engine.make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def _add_functions(connection: Any, _record: object) -> None:
    connection.create_function("stemmed", 1, stemmed, deterministic=True)


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _revisions(url: str) -> set[str]:
    path = _sqlite_path(url)
    if path is not None and not path.exists():
        return set()  # to connect would create it
    with _engine(url) as engine, engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return set()
        return set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))
