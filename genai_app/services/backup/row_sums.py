"""Counts and hashes the rows of every table, to check that a restored database is the same.

The tables are read from the database, not from the models: a backup of an older version has other
tables. The functions block: they are for the command line.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

Progress = Callable[[int], object]
"""Called with the number of rows read so far."""

BATCH = 2000
CHUNK = 1 << 16
_USER_TABLES = """
    SELECT n.nspname, c.relname, c.oid
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""
_COLUMNS = """
    SELECT a.attname, a.atttypid IN ('text'::regtype, 'varchar'::regtype),
           coalesce(a.attnum = ANY (i.indkey::int2[]), false)
    FROM pg_attribute a
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
# all settings that change how COPY writes a value
_SPELLING = (
    "SET TIME ZONE 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601';"
    " SET bytea_output = 'hex'; SET extra_float_digits = 1; SET client_encoding = 'UTF8';"
    " SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
)


class TableSum(msgspec.Struct, frozen=True):
    """The number of rows of a table, and the SHA-256 over all rows in the order of their keys."""

    rows: int
    sha256: str


EMPTY = TableSum(0, hashlib.sha256().hexdigest())
Sums = dict[str, TableSum]


def differences(expected: Sums, actual: Sums) -> list[str]:
    """Returns the names of the tables that differ."""
    names = expected.keys() | actual.keys()
    return sorted(name for name in names if expected.get(name) != actual.get(name))


def postgres_tables(cursor: Any) -> list[tuple[str, str, int]]:
    """Returns schema, name and oid of all tables but those of the system."""
    cursor.execute(_USER_TABLES)
    return cursor.fetchall()


def sums_of_postgres(connection: Any, progress: Progress) -> Sums:
    """Returns the sums of every table, read in the open transaction of a psycopg2 connection."""
    sums: Sums = {}
    read = 0
    with connection.cursor() as cursor:
        cursor.execute(_SPELLING)
        for schema, name, oid in postgres_tables(cursor):
            cursor.execute(_COLUMNS, (oid,))
            columns: list[tuple[str, bool, bool]] = cursor.fetchall()
            chosen = ", ".join(quoted(column) for column, _, _ in columns)
            # the order of texts depends on the locale, which another server may lack
            keys = [
                quoted(column) + (' COLLATE "C"' if is_text else "")
                for column, is_text, is_key in columns
                if is_key
            ]
            order = ", ".join(keys) or 't::text COLLATE "C"'
            table = f"{quoted(schema)}.{quoted(name)}"
            rows = _CountedLines(read, progress)
            rows.digest.update(chosen.encode())
            cursor.copy_expert(
                f"COPY (SELECT {chosen} FROM {table} t ORDER BY {order}) TO STDOUT",  # noqa: S608
                rows,
                CHUNK,
            )
            sums[name if schema == "public" else f"{schema}.{name}"] = TableSum(
                rows.count, rows.digest.hexdigest()
            )
            read += rows.count
    return sums


class _CountedLines:
    """The file that COPY writes to. A line is a row, because line ends within values are
    escaped."""

    def __init__(self, before: int, progress: Progress) -> None:
        self.digest = hashlib.sha256()
        self.count = 0
        self._before = before
        self._progress = progress

    def write(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        lines = chunk.count(b"\n")
        if (self.count + lines) // BATCH != self.count // BATCH:
            self._progress(self._before + self.count + lines)
        self.count += lines


def sums_of_sqlite(connection: sqlite3.Connection, progress: Progress) -> Sums:
    """Returns the sums of every table that stores rows, full text tables included, read in the open
    transaction."""
    sums: Sums = {}
    read = 0
    for name in sqlite_tables(connection):
        columns = connection.execute(f"PRAGMA table_info({quoted(name)})").fetchall()
        keys = [each[1] for each in sorted(columns, key=lambda each: each[5]) if each[5]]
        order = ", ".join(quoted(key) for key in keys) or "rowid"
        chosen = ", ".join(quoted(each[1]) for each in columns)
        digest = hashlib.sha256(chosen.encode())
        count = 0
        query = f"SELECT {chosen} FROM {quoted(name)} ORDER BY {order}"  # noqa: S608
        for row in connection.execute(query):
            digest.update(repr(row).encode())
            count += 1
            if count % BATCH == 0:
                progress(read + count)
        sums[name] = TableSum(count, digest.hexdigest())
        read += count
    return sums


def sqlite_tables(connection: sqlite3.Connection) -> list[str]:
    """Returns the tables that store rows; virtual tables store theirs in other tables."""
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%'"
        " ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    )
    return [name for (name,) in connection.execute(query)]


def quoted(name: str) -> str:
    """Returns a name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'
