"""Rows of every table, counted and hashed: by this a restored database is known to be the same.

The tables are those that are there, not those of the models: a backup of an older version has its
own. Blocking: for the command line.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec

Progress = Callable[[int], object]
"""Told how many rows have been read so far."""

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
# how COPY writes a value depends on these alone
_SPELLING = (
    "SET TIME ZONE 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601';"
    " SET bytea_output = 'hex'; SET extra_float_digits = 1; SET client_encoding = 'UTF8';"
    " SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
)


class TableSum(msgspec.Struct, frozen=True):
    """How many rows a table has, and the SHA-256 over all of them in the order of their keys."""

    rows: int
    sha256: str


Sums = dict[str, TableSum]


def differences(told: Sums, found: Sums) -> list[str]:
    """Names of the tables that are not the same in both."""
    return sorted(name for name in told.keys() | found.keys() if told.get(name) != found.get(name))


def postgres_tables(cursor: Any) -> list[tuple[str, str, int]]:
    """Schema, name and oid of all tables but the system's."""
    cursor.execute(_USER_TABLES)
    return cursor.fetchall()


def sums_of_postgres(connection: Any, progress: Progress) -> Sums:
    """Of every table, in the transaction that is open on a connection of psycopg2."""
    sums: Sums = {}
    read = 0
    with connection.cursor() as cursor:
        cursor.execute(_SPELLING)
        for schema, name, oid in postgres_tables(cursor):
            cursor.execute(_COLUMNS, (oid,))
            columns: list[tuple[str, bool, bool]] = cursor.fetchall()
            chosen = ", ".join(quoted(column) for column, _, _ in columns)
            # the order of texts is a matter of locale, which another server may not have
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
    """What COPY writes to: a line is a row, as line ends within a value are escaped."""

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
    """Of every table that has rows of its own, full text tables included, in the transaction that
    is open."""
    sums: Sums = {}
    read = 0
    for name in sqlite_tables(connection):
        told = connection.execute(f"PRAGMA table_info({quoted(name)})").fetchall()
        keys = [each[1] for each in sorted(told, key=lambda each: each[5]) if each[5]]
        order = ", ".join(quoted(key) for key in keys) or "rowid"
        chosen = ", ".join(quoted(each[1]) for each in told)
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
    """Tables that keep rows: not the virtual ones, whose rows are others'."""
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%'"
        " ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    )
    return [name for (name,) in connection.execute(query)]


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
