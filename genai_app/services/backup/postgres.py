"""Backup of a PostgreSQL database. The dump and the sums of the rows are of one snapshot."""

import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import errors as pg

from genai_app import clock
from genai_app.adapters.postgres_tools import LOCK_WAIT, dump, find_program, load
from genai_app.errors import Conflict, StorageUnavailable
from genai_app.models import new_id
from genai_app.services.backup.archive import DATABASE, Manifest
from genai_app.services.backup.row_sums import (
    Progress,
    Sums,
    postgres_tables,
    quoted,
    sums_of_postgres,
)
from genai_app.settings.database_url import parse_database_url, replace_database

CONNECT_S = 5
DRILL_LOCK = 0x67656E61_00000006  # a PostgreSQL advisory lock: one drill at a time
SCRATCH = "genai_drill_"
# with schema names: a pooler may give us a session whose search path another client emptied
_FUNCTIONS = """
    SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


@dataclass(frozen=True, slots=True)
class WrittenDatabase:
    """The database in an archive: sums of its rows, the last migration, version of the server,
    major version of pg_dump."""

    sums: Sums
    revision: str
    server: str = ""
    tools: int = 0


@contextmanager
def connected(url: str, *, autocommit: bool = False) -> Generator[Any]:
    """Opens a connection; without `autocommit` in one read-only snapshot.

    Raises:
        StorageUnavailable: the database cannot be reached, or went away.
    """
    connection: Any = None
    try:
        keywords: dict[str, Any] = {"connect_timeout": str(CONNECT_S)}
        keywords |= parse_database_url(url).keywords(application="genai backup")
        connection = psycopg2.connect(**keywords)
        if autocommit:
            connection.autocommit = True
        else:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            # behind a pooler another client, such as pg_dump, may have changed it
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL search_path TO DEFAULT")
        yield connection
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise StorageUnavailable(str(error)[:300]) from error
    finally:
        if connection is not None:
            connection.close()


def server_of(cursor: Any) -> tuple[str, int]:
    """Returns the version of the server as text, and its major number."""
    cursor.execute("SELECT current_setting('server_version'), version()")
    version: str = cursor.fetchone()[0]
    return version.split()[0], int(version.partition(".")[0].split()[0])


def revision_of(cursor: Any) -> str:
    """Returns the last migration. Raises Conflict: backup_nothing, when there is none."""
    cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
    if cursor.fetchone()[0]:
        cursor.execute("SELECT version_num FROM alembic_version")
        if row := cursor.fetchone():
            return row[0]
    raise Conflict(code="backup_nothing")


def write_dump(
    url: str,
    archive: zipfile.ZipFile,
    dumped: Callable[[int], object],
    counted: Progress,
) -> WrittenDatabase:
    """Writes a dump into the archive.

    Args:
        dumped: is called with the bytes so far.
        counted: is called with the rows so far.

    Raises:
        Conflict: backup_nothing, pg_tools_missing, pg_tools_old.
        Unavailable: pg_tool_failed.
    """
    with connected(url) as connection, connection.cursor() as cursor:
        version, major = server_of(cursor)
        program, tools = find_program("pg_dump", major)
        revision = revision_of(cursor)
        cursor.execute("SELECT pg_export_snapshot()")
        snapshot: str = cursor.fetchone()[0]
        size, stored = 0, zipfile.ZipInfo(DATABASE)  # stored: the dump is already compressed
        with archive.open(stored, "w", force_zip64=True) as member:

            def write(chunk: bytes) -> None:
                nonlocal size
                member.write(chunk)
                size += len(chunk)
                dumped(size)

            dump(url, program, snapshot, write)
        return WrittenDatabase(sums_of_postgres(connection, counted), revision, version, tools)


def read_dump(
    url: str,
    archive: zipfile.ZipFile,
    manifest: Manifest,
    loaded: Callable[[int], object],
    *,
    before: list[str] | None = None,
) -> None:
    """Loads an archive's database into an empty one, in one transaction.

    Args:
        loaded: is called with the bytes so far.
        before: statements that run first in the transaction and empty the database.

    Raises:
        Conflict: pg_tools_missing, pg_tools_old.
        Unavailable: pg_tool_failed.
    """
    programs = tuple(find_program(name, manifest.tools)[0] for name in ("pg_restore", "psql"))
    with archive.open(DATABASE) as source:
        load(url, (programs[0], programs[1]), source, before or [], loaded)


def sums_at(url: str, counted: Progress) -> Sums:
    """Returns the sums of the rows in the database at `url`."""
    with connected(url) as connection:
        return sums_of_postgres(connection, counted)


def prepare(url: str, *, replace: bool) -> list[str]:
    """Returns the statements that empty the database.

    Raises:
        Conflict: restore_not_empty: it has rows, and `replace` is False.
    """
    with connected(url) as connection, connection.cursor() as cursor:
        tables = [(schema, name) for schema, name, _ in postgres_tables(cursor)]
        if not replace:
            for schema, name in tables:
                if name != "alembic_version":
                    table = f"{quoted(schema)}.{quoted(name)}"
                    cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {table})")  # noqa: S608
                    if cursor.fetchone()[0]:
                        raise Conflict(code="restore_not_empty")
        cursor.execute(_FUNCTIONS)
        functions: list[str] = [name for (name,) in cursor.fetchall()]
    # another session may hold a lock on a table; the setting ends with the transaction
    drops = [f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"]
    drops += [f"DROP TABLE {quoted(schema)}.{quoted(name)} CASCADE" for schema, name in tables]
    return drops + [f"DROP FUNCTION IF EXISTS {name} CASCADE" for name in functions]


@contextmanager
def scratch_database(url: str) -> Generator[str]:
    """Creates an empty database on the server of `url`, yields its address and drops it afterwards.
    Databases that an earlier drill left are dropped too.

    Raises:
        Conflict: drill_no_right, backup_running.
    """
    name = f"{SCRATCH}{clock.now():%Y%m%d}_{new_id().hex[-12:]}"
    with (
        connected(url) as holder,
        holder.cursor() as lock,
        connected(url, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        # locks of a transaction: a pooler keeps its session for us
        lock.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        lock.execute("SELECT pg_try_advisory_xact_lock(%s)", (DRILL_LOCK,))
        if not lock.fetchone()[0]:
            raise Conflict(code="backup_running", directory=SCRATCH)
        cursor.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
            " AND pg_has_role(datdba, 'MEMBER')",
            (SCRATCH,),
        )
        for (old,) in cursor.fetchall():
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted(old)} WITH (FORCE)")
        try:
            cursor.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE template0 ENCODING 'UTF8'")
        except pg.InsufficientPrivilege as error:
            raise Conflict(str(error)[:300], code="drill_no_right") from error
        try:
            yield replace_database(url, name)
        finally:
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")
