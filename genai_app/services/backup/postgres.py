"""Backup of a PostgreSQL database: what is dumped, counted and hashed is one snapshot."""

import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
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
DRILL_LOCK = 0x67656E61_00000006  # of PostgreSQL's advisory locks: one drill at a time
SCRATCH = "genai_drill_"
# with their schema: a pooler may lend a session whose search path another client has emptied
_FUNCTIONS = """
    SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


@contextmanager
def connected(url: str, *, autocommit: bool = False) -> Generator[Any]:
    """A connection; without `autocommit` in one read-only snapshot, to which nothing is added.

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
            # behind a pooler another client, pg_dump say, may have left one of its own
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL search_path TO DEFAULT")
        yield connection
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise StorageUnavailable(str(error)[:300]) from error
    finally:
        if connection is not None:
            connection.close()


def server_of(cursor: Any) -> tuple[str, int]:
    """Version of the server as it says it, and the major one."""
    cursor.execute("SELECT current_setting('server_version'), version()")
    version: str = cursor.fetchone()[0]
    return version.split()[0], int(version.partition(".")[0].split()[0])


def revision_of(cursor: Any) -> str:
    """The last migration. Raises Conflict: backup_nothing, where there was none."""
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
) -> tuple[Sums, str, str, int]:
    """The dump goes into the archive. Returns the rows, the revision, the server's version and
    pg_dump's.

    Args:
        dumped: is told the bytes so far.

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
        size, stored = 0, zipfile.ZipInfo(DATABASE)  # it is compressed already
        with archive.open(stored, "w", force_zip64=True) as member:

            def write(chunk: bytes) -> None:
                nonlocal size
                member.write(chunk)
                size += len(chunk)
                dumped(size)

            dump(url, program, snapshot, write)
        return sums_of_postgres(connection, counted), revision, version, tools


def read_dump(
    url: str,
    archive: zipfile.ZipFile,
    manifest: Manifest,
    loaded: Callable[[int], object],
    *,
    before: list[str] | None = None,
) -> None:
    """Load an archive's database into an empty one, or after the statements `before`; all of it or
    nothing.

    Raises:
        Conflict: pg_tools_missing, pg_tools_old.
        Unavailable: pg_tool_failed.
    """
    programs = tuple(find_program(name, manifest.tools)[0] for name in ("pg_restore", "psql"))
    with archive.open(DATABASE) as source:
        load(url, (programs[0], programs[1]), source, before or [], loaded)


def sums_at(url: str, counted: Progress) -> Sums:
    """The rows that are there now."""
    with connected(url) as connection:
        return sums_of_postgres(connection, counted)


def prepare(url: str, *, replace: bool) -> list[str]:
    """See that the database holds nothing, or may be emptied. Returns the statements that empty it.

    Raises:
        Conflict: restore_not_empty.
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
    # for whoever looks at a table by other means; forgotten with the transaction
    drops = [f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"]
    drops += [f"DROP TABLE {quoted(schema)}.{quoted(name)} CASCADE" for schema, name in tables]
    return drops + [f"DROP FUNCTION IF EXISTS {name} CASCADE" for name in functions]


@contextmanager
def scratch_database(url: str) -> Generator[str]:
    """The address of an empty database beside the one at `url`, which is dropped afterwards; what
    an earlier drill left behind is dropped as well.

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
        # of a transaction, which a pooler keeps together
        lock.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        lock.execute("SELECT pg_try_advisory_xact_lock(%s)", (DRILL_LOCK,))
        if not lock.fetchone()[0]:
            raise Conflict(code="backup_running", directory=SCRATCH)
        cursor.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
            " AND pg_has_role(datdba, 'MEMBER')",
            (SCRATCH,),
        )
        for (left,) in cursor.fetchall():
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted(left)} WITH (FORCE)")
        try:
            cursor.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE template0 ENCODING 'UTF8'")
        except pg.InsufficientPrivilege as error:
            raise Conflict(str(error)[:300], code="drill_no_right") from error
        try:
            yield replace_database(url, name)
        finally:
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")
