"""The migrated schema is the one of models.py, however many start at once."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from genai_app import migrations, models
from genai_app.errors import Conflict, StorageUnavailable
from tests.fakes.services import free_port

ROOT = Path(migrations.__file__).parent.parent
THEN, LATER = "2026-11-01 12:00:00.000000", "2026-11-05 12:00:00.000000"


def _run(url: str, *command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", *command],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "GENAI_DATABASE_URL": url,
            "GENAI_SECRET_KEY": "0123456789abcdef0123456789ABCDEF",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_head_is_the_last_revision() -> None:
    script = ScriptDirectory.from_config(Config(str(migrations.INI)))
    assert script.get_heads() == [migrations.HEAD]


def test_migrated_schema_is_the_models(empty_database_url: str) -> None:
    migrations.upgrade(empty_database_url)

    engine = migrations.sync_engine(empty_database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_server_default": True,
                "include_name": lambda name, *_: migrations.is_modelled(name),
            },
        )
        assert compare_metadata(context, SQLModel.metadata) == []
        tables = set(filter(migrations.is_modelled, sa.inspect(connection).get_table_names()))
    engine.dispose()
    assert tables == {*models.SQLModel.metadata.tables, "alembic_version"}


def test_second_upgrade_does_nothing(empty_database_url: str) -> None:
    assert not migrations.is_current(empty_database_url)
    migrations.upgrade(empty_database_url)
    assert migrations.is_current(empty_database_url)
    migrations.upgrade(empty_database_url)
    assert migrations.is_current(empty_database_url)


def test_a_current_database_costs_no_import_of_alembic(database_url: str) -> None:
    program = (
        "import os, sys; from genai_app import migrations;"
        "migrations.upgrade(os.environ['GENAI_DATABASE_URL']);"
        "sys.exit('alembic' in sys.modules)"
    )
    process = _run(database_url, "-c", program)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_many_starters_at_once(empty_database_url: str) -> None:
    starters = [_run(empty_database_url, "-m", "genai_app", "migrate") for _ in range(4)]
    for starter in starters:
        _, errors = starter.communicate(timeout=60)
        assert starter.returncode == 0, errors
    assert migrations.is_current(empty_database_url)


def test_alembic_command_line_takes_the_address_from_the_settings(
    empty_database_url: str,
) -> None:
    process = _run(empty_database_url, "-m", "alembic", "upgrade", "head")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert migrations.is_current(empty_database_url)


def test_alembic_prints_sql(empty_database_url: str) -> None:
    process = _run(empty_database_url, "-m", "alembic", "upgrade", "head", "--sql")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "CREATE TABLE users" in output
    assert not migrations.is_current(empty_database_url)


def test_newer_database_is_refused(database_url: str) -> None:
    engine = migrations.sync_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    assert not migrations.is_current(database_url)
    with pytest.raises(Conflict) as caught:
        migrations.upgrade(database_url)
    assert caught.value.code == "database_newer"


def test_is_current_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "none.sqlite3"
    assert not migrations.is_current(f"sqlite:///{path}")
    assert not path.exists()


def test_unreachable_server_is_unavailable() -> None:
    with pytest.raises(StorageUnavailable):
        migrations.upgrade(f"postgresql://nobody@127.0.0.1:{free_port()}/none")


def _insert(connection: sa.Connection, table: str, **values: object) -> None:
    """Inserts a row; columns that must be given are empty."""
    for column in sa.inspect(connection).get_columns(table):
        if not column["nullable"] and column["default"] is None and column["name"] not in values:
            kind = column["type"]
            is_number = isinstance(kind, sa.Integer)
            empty = THEN if isinstance(kind, sa.DateTime) else 0 if is_number else ""
            values[column["name"]] = empty
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)


def test_reviews_that_went_back_in_time_are_mended(empty_database_url: str) -> None:
    """0012. A dialog with a continued answer stood where that one's question was asked; others
    stay."""
    config = Config(str(migrations.INI))
    with migrations.locked_connection(empty_database_url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0011")
    user, continued, other = (uuid.uuid4().hex for _ in range(3))
    moments = sa.text("SELECT dialog_id, updated_at FROM reviews")
    engine = migrations.sync_engine(empty_database_url)
    with engine.begin() as connection:
        _insert(connection, "users", id=user, username="alice")
        for dialog in (continued, other):
            _insert(connection, "dialogs", id=dialog, user_id=user)
            for at in (THEN, LATER):
                answer = {"id": uuid.uuid4().hex, "dialog_id": dialog, "user_id": user}
                ended = {"author": "assistant", "status": "complete", "created_at": at}
                _insert(connection, "messages", **answer, **ended)
        set_status = "UPDATE messages SET status = :status, paused_ms = 1 WHERE dialog_id = :dialog"
        for status in ("running", "complete"):
            connection.execute(
                sa.text(f"{set_status} AND created_at = :at"),
                {"status": status, "dialog": continued, "at": THEN},
            )
        before = [str(row[1]) for row in connection.execute(moments)]
    migrations.upgrade(empty_database_url)
    with engine.begin() as connection:
        after = [str(row[1]) for row in connection.execute(moments)]
    engine.dispose()
    assert sorted(each[:10] for each in before) == [THEN[:10], LATER[:10]]
    assert [each[:10] for each in after] == [LATER[:10]] * 2
