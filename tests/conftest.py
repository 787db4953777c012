"""The cast and the real services of all tests."""

import logging
import os
import shutil
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import structlog

from genai_app import log, migrations
from genai_app.db import Database
from genai_app.models import Role, User
from genai_app.services.users import Users
from genai_app.settings import PREFIX, Settings, load_settings
from tests.cast import PASSWORDS
from tests.fakes.services import PostgresServer

TEMPLATE = "genai_template"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """No setting of the developer's shell reaches a test, no log context of one test another."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    yield
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def clean_logging() -> Generator[None]:
    """For tests that configure logging: everything is as before afterwards."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])
    for name in log.QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres() -> Generator[PostgresServer]:
    """A PostgreSQL server of this test run. Whoever stops it starts it again."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    """Name of a database with this version's schema, to be cloned."""
    migrations.upgrade(postgres.create_database(TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with this version's schema, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Every test that asks for a database runs on both."""
    return request.param


@pytest.fixture
def empty_database_url(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Generator[str]:
    """A database of its own for each test, without tables; on SQLite not even a file."""
    if engine == "sqlite":
        yield f"sqlite:///{tmp_path / 'sub' / 'genai.sqlite3'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"empty_{uuid.uuid4().hex}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture
def database_url(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Generator[str]:
    """A database of its own for each test, with this version's tables."""
    if engine == "sqlite":
        path = tmp_path / "genai.sqlite3"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    template: str = request.getfixturevalue("postgres_template")
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"test_{uuid.uuid4().hex}"
    yield server.create_database(name, template=template)
    server.drop_database(name)


@pytest.fixture
async def db(database_url: str) -> AsyncGenerator[Database]:
    """Our own way into `database_url`."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Makes settings from keyword arguments alone, in an empty working directory."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def make(**overrides: Any) -> Settings:
        return load_settings(**{"data_dir": tmp_path / "data", **overrides})

    return make


@pytest.fixture
def users(db: Database) -> Users:
    return Users(db)


@pytest.fixture
async def alice(users: Users) -> User:
    """A user."""
    return await users.add("alice", PASSWORDS["alice"], full_name="Алиса Петрова")


@pytest.fixture
async def bob(users: Users) -> User:
    """A stranger to Alice: what is hers he must not see."""
    return await users.add("bob", PASSWORDS["bob"], full_name="Bob Smith")


@pytest.fixture
async def carol(users: Users) -> User:
    """An administrator."""
    return await users.add("carol", PASSWORDS["carol"], Role.ADMIN, "Carol Jones")


@pytest.fixture
async def dan(users: Users) -> User:
    """Disabled: he has a password and no way in."""
    user = await users.add("dan", PASSWORDS["dan"], full_name="Dan Brown")
    await users.disable("dan")
    return await users.get(user.id)
