"""A migration only adds, so that the version before it goes on while it runs and after it."""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from genai_app import migrations

FIRST = "0004"  # before it nobody had an installation to upgrade
# (revision, what it narrows): why the version before does not notice
ALLOWED: dict[tuple[str, str], str] = {}

Columns = dict[str, sa.engine.interfaces.ReflectedColumn]


class Schema:
    """Tables of a database, with their columns and what rows must satisfy."""

    def __init__(self, connection: sa.Connection) -> None:
        found = sa.inspect(connection)
        names = [name for name in found.get_table_names() if migrations.is_modelled(name)]
        self.columns: dict[str, Columns] = {
            name: {column["name"]: column for column in found.get_columns(name)} for name in names
        }
        self.demands: dict[str, set[tuple[str, ...]]] = {
            name: {
                *(
                    ("unique", *sorted(str(column) for column in index["column_names"]))
                    for index in found.get_indexes(name)
                    if index["unique"]
                ),
                *(
                    ("unique", *sorted(key["column_names"]))
                    for key in found.get_unique_constraints(name)
                ),
                *(("check", key["sqltext"]) for key in found.get_check_constraints(name)),
                *(
                    ("foreign key", *key["constrained_columns"], str(key["referred_table"]))
                    for key in found.get_foreign_keys(name)
                ),
            }
            for name in names
        }


def narrowed(before: Schema, after: Schema) -> list[str]:
    """What a program that knows `before` would miss, or be refused, in `after`."""
    found: list[str] = []
    for table, old in before.columns.items():
        if table not in after.columns:
            found.append(f"{table} is gone")
            continue
        new = after.columns[table]
        for name, column in old.items():
            where = f"{table}.{name}"
            if name not in new:
                found.append(f"{where} is gone")
            elif str(new[name]["type"]) != str(column["type"]):
                found.append(f"{where} has another type")
            elif column["nullable"] and not new[name]["nullable"]:
                found.append(f"{where} must be given")
            elif column["default"] is not None and new[name]["default"] is None:
                found.append(f"{where} has no default any more")
        found += [
            f"{table}.{name} must be given"
            for name, column in new.items()
            if name not in old and not column["nullable"] and column["default"] is None
        ]
        # a demand on new columns alone is met by rows that do not have them
        found += [
            f"{table} demands {' '.join(demand)}"
            for demand in sorted(after.demands[table] - before.demands[table])
            if demand[0] == "check" or set(demand[1:]) & set(old)
        ]
    return found


def test_each_migration_only_adds(empty_database_url: str) -> None:
    """From the first revision with installations on: no table or column goes or changes, no
    old row or writer is refused. What must go is dropped one release after nobody reads it, with
    a line in ALLOWED."""
    config = Config(str(migrations.INI))
    scripts = ScriptDirectory.from_config(config)
    revisions = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    first = revisions.index(FIRST)
    seen: dict[str, list[str]] = {}
    with migrations.locked_connection(empty_database_url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revisions[first - 1])
        before = Schema(connection)
        for revision in revisions[first:]:
            command.upgrade(config, revision)
            after = Schema(connection)
            seen[revision] = [
                each for each in narrowed(before, after) if (revision, each) not in ALLOWED
            ]
            before = after
    assert seen == {revision: [] for revision in revisions[first:]}


@pytest.fixture
def connection(tmp_path: Path) -> Generator[sa.Connection]:
    """Of a database with a table."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'small.sqlite3'}")
    with engine.begin() as opened:
        opened.exec_driver_sql(
            "CREATE TABLE t (id INTEGER NOT NULL, a TEXT, b TEXT NOT NULL DEFAULT '')"
        )
        yield opened
    engine.dispose()


@pytest.fixture
def told(connection: sa.Connection) -> Callable[..., list[str]]:
    """What `narrowed` tells of statements."""

    def tell(*statements: str) -> list[str]:
        before = Schema(connection)
        for each in statements:
            connection.exec_driver_sql(each)
        return narrowed(before, Schema(connection))

    return tell


@pytest.mark.parametrize(
    ("statement", "tells"),
    [
        ("DROP TABLE t", "t is gone"),
        ("ALTER TABLE t DROP COLUMN a", "t.a is gone"),
        ("ALTER TABLE t RENAME COLUMN a TO c", "t.a is gone"),
        ("ALTER TABLE t RENAME TO u", "t is gone"),
        ("CREATE UNIQUE INDEX u ON t (a)", "t demands unique a"),
    ],
)
def test_what_takes_away_is_seen(
    told: Callable[..., list[str]], statement: str, tells: str
) -> None:
    assert told(statement) == [tells]


@pytest.mark.parametrize(
    ("columns", "tells"),
    [
        ("id INTEGER NOT NULL, a INTEGER, b TEXT NOT NULL DEFAULT ''", "t.a has another type"),
        ("id INTEGER NOT NULL, a TEXT NOT NULL, b TEXT NOT NULL DEFAULT ''", "t.a must be given"),
        ("id INTEGER NOT NULL, a TEXT, b TEXT NOT NULL", "t.b has no default any more"),
        (
            "id INTEGER NOT NULL, a TEXT, b TEXT NOT NULL DEFAULT '', c TEXT NOT NULL",
            "t.c must be given",
        ),
        (
            "id INTEGER NOT NULL, a TEXT, b TEXT NOT NULL DEFAULT '', CHECK (a <> 'x')",
            "t demands check a <> 'x'",
        ),
    ],
)
def test_what_narrows_is_seen(told: Callable[..., list[str]], columns: str, tells: str) -> None:
    assert told("DROP TABLE t", f"CREATE TABLE t ({columns})") == [tells]


def test_what_adds_is_nothing(told: Callable[..., list[str]]) -> None:
    assert (
        told(
            "ALTER TABLE t ADD COLUMN c TEXT",
            "ALTER TABLE t ADD COLUMN d TEXT NOT NULL DEFAULT 'x'",
            "CREATE UNIQUE INDEX u ON t (c)",
            "CREATE INDEX i ON t (a)",
            "CREATE TABLE v (id INTEGER NOT NULL)",
        )
        == []
    )
