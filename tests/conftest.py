"""The cast and the real services of all tests."""

import asyncio
import gc
import logging
import os
import shutil
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from genai_app import log, migrations
from genai_app.db.database import Database
from genai_app.models import Role, User
from genai_app.services.accounts.users import Users
from genai_app.settings.settings import PREFIX, Settings, load_settings
from genai_app.zones import set_viewer_zone
from tests.cast import PASSWORDS
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import AppProcess
from tests.fakes.app_start import starter
from tests.fakes.certificates import Authority
from tests.fakes.log_lines import log_plainly
from tests.fakes.memory import write_to_memory
from tests.fakes.model_server import ModelServer
from tests.fakes.page_client import PageClient
from tests.fakes.services import PostgresServer, RedisServer

TEMPLATE = "genai_template"

write_to_memory()
gc.disable()  # nothing that is collected is garbage: looking for it took a third of the time


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


log_plainly()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escapes lone surrogates in what a test wrote: a worker cannot send them to the terminal."""
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def only_authority(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of the one authority that clients trust by themselves: to read the machine's 140
    takes 25 ms each time."""
    return str(Authority(tmp_path_factory.mktemp("only-authority")).ca_file)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, only_authority: str) -> Generator[None]:
    """No setting of the developer's shell reaches a test, no log context or file mask of one test
    another."""
    mask = os.umask(0o022)
    monkeypatch.setenv("SSL_CERT_FILE", only_authority)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    yield
    os.umask(mask)
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def clean_logging() -> Generator[None]:
    """For tests that configure logging: everything is as before afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in log.QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.captureWarnings(capture=False)
    log_plainly()


@pytest.fixture
def moscow() -> Generator[None]:
    """The viewer's time zone, three hours before UTC."""
    set_viewer_zone("Europe/Moscow")
    yield
    set_viewer_zone(None)


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


@pytest.fixture(scope="session")
def redis_process() -> Generator[RedisServer]:
    """One Redis for this test run; tests take `redis_server`."""
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def redis_server(redis_process: RedisServer) -> RedisServer:
    """A Redis that runs and is empty, to be frozen, stopped or killed at will."""
    redis_process.thaw()
    if not redis_process.alive:
        redis_process.start()
    redis_process.command("FLUSHALL")
    return redis_process


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
async def rita(users: Users) -> User:
    """A reviewer."""
    return await users.add("rita", PASSWORDS["rita"], Role.REVIEWER, "Рита Орлова")


@pytest.fixture
async def dan(users: Users) -> User:
    """Disabled: he has a password and no way in."""
    user = await users.add("dan", PASSWORDS["dan"], full_name="Dan Brown")
    await users.disable("dan")
    return await users.get(user.id)


async def _put_cast(url: str) -> None:
    """Alice, Bob, Carol, Rita and Dan into the database of a product that will be started."""
    database = Database(url)
    users = Users(database)
    await users.add("alice", PASSWORDS["alice"], full_name="Алиса Петрова")
    await users.add("bob", PASSWORDS["bob"], full_name="Bob Smith")
    await users.add("carol", PASSWORDS["carol"], Role.ADMIN, "Carol Jones")
    await users.add("rita", PASSWORDS["rita"], Role.REVIEWER, "Рита Орлова")
    await users.add("dan", PASSWORDS["dan"], full_name="Dan Brown")
    await users.disable("dan")
    await database.close()


def put_cast(url: str) -> None:
    """In a thread: the caller may have an event loop that runs."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(_put_cast(url))).result()


@pytest.fixture(scope="session")
def sqlite_with_cast(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the cast in it, to be copied."""
    path = tmp_path_factory.mktemp("cast") / "genai.sqlite3"
    shutil.copy(sqlite_template, path)
    put_cast(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_with_cast(postgres: PostgresServer, postgres_template: str) -> str:
    """Name of a database with the cast in it, to be cloned."""
    put_cast(postgres.create_database("genai_cast", template=postgres_template))
    return "genai_cast"


@pytest.fixture(scope="session")
def model() -> Generator[ModelServer]:
    """The scripted model server behind `app`. Say what it shall do by `fake:` in the question."""
    with ModelServer() as running:
        yield running


@pytest.fixture(scope="session")
def app(
    model: ModelServer, sqlite_with_cast: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[AppProcess]:
    """The product over SQLite with the cast, one process for all tests that leave it alive.

    It trusts one proxy, so that each request of raw_http.ask comes from a client of its own: else
    the wrong logins of all tests would be counted together.
    """
    process = AppProcess(tmp_path_factory.mktemp("app"), llm_url=model.url, trusted_proxy_hops=1)
    shutil.copy(sqlite_with_cast, process.data_dir / "genai.sqlite3")
    with process:
        yield process


StartApp = Callable[..., AppProcess]


@pytest.fixture
def start_app(
    request: pytest.FixtureRequest, tmp_path: Path, model: ModelServer
) -> Generator[StartApp]:
    """Starts products of a test's own, with the cast: `start_app("postgresql", session_ttl_s=60)`.

    `llm_url` is another model server than `model`; `database_url` and `secret_key` of a running one
    make a second process beside it.
    """
    with starter(request, tmp_path, model.url) as start:
        yield start


@pytest.fixture(scope="module")
def start_once(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model: ModelServer
) -> Generator[StartApp]:
    """`start_app` for a module's own fixtures: the product is one for all its tests."""
    with starter(request, tmp_path_factory.mktemp("apps"), model.url) as start:
        yield start


@pytest.fixture
async def app_db(app: AppProcess) -> AsyncGenerator[Database]:
    """Our own way into the database of `app`."""
    database = Database(app.database_url)
    yield database
    await database.close()


@pytest.fixture
async def newcomer(app_db: Database) -> tuple[str, str]:
    """Name and password of one more user of `app`, to be disabled or renamed at will."""
    name, password = f"erin-{uuid.uuid4().hex[:8]}", "erin: here for a moment 5"
    await Users(app_db).add(name, password)
    return name, password


OpenApi = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def open_api(request: pytest.FixtureRequest) -> AsyncGenerator[OpenApi]:
    """Opens clients of the HTTP API: `await open_api()` for somebody new at `app`, with a limit of
    their own; `await open_api("alice", at=process)` for one of the cast."""
    opened: list[httpx.AsyncClient] = []

    async def open_one(who: str = "", *, at: AppProcess | None = None) -> httpx.AsyncClient:
        process: AppProcess = at or request.getfixturevalue("app")
        password = PASSWORDS.get(who, "somebody: who asks by scripts 6")
        if not who:
            who = f"script-{uuid.uuid4().hex[:8]}"
            database = Database(process.database_url)
            await Users(database).add(who, password)
            await database.close()
        client = client_of(process, await new_token(process, who, password))
        opened.append(client)
        return client

    yield open_one
    for client in opened:
        await client.aclose()


OpenPage = Callable[..., Awaitable[PageClient]]


@pytest.fixture
async def open_page(request: pytest.FixtureRequest) -> AsyncGenerator[OpenPage]:
    """Opens pages of `app`, or of the process given: `await open_page("alice", "/")`.

    Without a name nobody logs in; with the path "" no page is opened.
    """
    opened: list[PageClient] = []

    async def open_one(
        who: str = "", path: str = "/", *, at: AppProcess | None = None, **options: Any
    ) -> PageClient:
        process: AppProcess = at or request.getfixturevalue("app")
        page = PageClient(process.url, **options)
        opened.append(page)
        if who:
            await page.log_in(who, PASSWORDS[who])
        if path:
            await page.open(path)
        return page

    yield open_one
    for page in opened:
        await page.aclose()
