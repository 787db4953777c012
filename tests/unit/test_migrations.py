"""The migrated schema is the one of models.py, however many start at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from genai_app import migrations, models
from genai_app.errors import Conflict, StorageUnavailable
from tests.fakes.services import free_port

ROOT = Path(migrations.__file__).parent.parent


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
