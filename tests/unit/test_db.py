"""Both databases behave as the services take for granted."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.db.failures import Undone
from genai_app.db.statements import Statement
from genai_app.errors import StorageUnavailable
from genai_app.models import User, new_id
from genai_app.services.accounts.users import Users
from genai_app.text import clean_text
from tests.fakes.services import PostgresServer, free_port

TASKS, ROUNDS = 8, 20


@pytest.fixture
async def on_postgres(
    postgres: PostgresServer, postgres_template: str
) -> AsyncGenerator[tuple[PostgresServer, Database]]:
    """A server to break, and a database on it. The server runs again afterwards."""
    name = "faults"
    database = Database(postgres.create_database(name, template=postgres_template))
    yield postgres, database
    await database.close()
    postgres.stop()
    postgres.start()
    postgres.drop_database(name)


async def test_no_update_is_lost(db: Database, alice: User) -> None:
    """N2: 160 read-modify-write transactions of 8 tasks add up, and nobody is told "locked"."""

    async def add_up() -> None:
        for _ in range(ROUNDS):
            async with db.write() as session:
                user = await session.get_one(User, alice.id, with_for_update=True)
                user.full_name = str(int(user.full_name or 0) + 1)

    async with db.write() as session:
        await session.execute(sa.update(User).values(full_name="0"))
    await asyncio.gather(*(add_up() for _ in range(TASKS)))
    async with db.read() as session:
        assert (await session.get_one(User, alice.id)).full_name == str(TASKS * ROUNDS)


async def test_reading_goes_on_during_a_write(db: Database, alice: User) -> None:
    async with db.write() as writing:
        await writing.execute(sa.update(User).values(full_name="new"))
        async with db.read() as reading:
            assert (await reading.get_one(User, alice.id)).full_name == alice.full_name


async def test_an_error_rolls_back(db: Database, alice: User) -> None:
    """N6: half a change is none."""

    async def half() -> None:
        async with db.write() as session:
            await session.execute(sa.update(User).values(full_name="half"))
            raise LookupError

    with pytest.raises(LookupError):
        await half()
    async with db.read() as session:
        assert (await session.get_one(User, alice.id)).full_name == alice.full_name


async def test_cancelled_writers_free_the_database(db: Database, alice: User) -> None:
    """A closed tab cancels its task in the middle: the next writer is not locked out."""
    started = asyncio.Event()

    async def hang() -> None:
        async with db.write() as session:
            await session.execute(sa.update(User).values(full_name="hang"))
            started.set()
            await asyncio.Event().wait()

    for _ in range(12):  # more than the pool holds
        started.clear()
        task = asyncio.create_task(hang())
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
    async with db.write() as session:
        await session.execute(sa.update(User).values(full_name="free"))


async def test_moments_are_aware_utc(db: Database, users: Users) -> None:
    moscow = datetime(2026, 3, 1, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=3)))
    async with db.write() as session:
        session.add(User(username="eve", created_at=moscow))
    async with db.read() as session:
        row = (await session.scalars(sa.select(User))).one()
        assert row.created_at == moscow
        assert row.created_at.utcoffset() == timedelta(0)
        later = moscow + timedelta(microseconds=1)
        earlier = sa.select(col(User.username)).where(col(User.created_at) < later)
        assert (await session.scalars(earlier)).all() == ["eve"]


async def test_naive_moment_is_a_bug(db: Database) -> None:
    with pytest.raises(StatementError, match="naive"):
        async with db.write() as session:
            session.add(User(username="eve", created_at=datetime(2026, 3, 1)))  # noqa: DTZ001


async def test_corpus_is_kept(db: Database) -> None:
    """What people type comes back as it was; NUL and lone surrogates become visible."""
    corpus = Path(__file__).parents[1] / "corpora" / "unicode.txt"
    lines = corpus.read_text(encoding="utf-8").split("\n")
    texts = [clean_text(text) for text in [*lines, "a\0b", "a\ud800b", "\udfff"]]
    async with db.write() as session:
        session.add_all([User(username=str(new_id()), full_name=text) for text in texts])
    async with db.read() as session:
        kept = (await session.scalars(sa.select(col(User.full_name)))).all()
    assert sorted(kept) == sorted(texts)


def test_clean_text() -> None:
    assert clean_text("Привет 👩‍👩‍👧 \u2028 é") == "Привет 👩‍👩‍👧 \u2028 é"
    assert clean_text("a\0b") == "a\ufffdb"
    assert clean_text("a\ud800b\udc00") == "a\ufffdb\ufffd"
    assert clean_text("\ud83d\ude00") == "😀"


@given(st.text(alphabet=st.characters(codec=None, categories=None), max_size=50))
def test_clean_text_is_storable_and_stable(text: str) -> None:
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert clean_text(cleaned) == cleaned


async def test_check(db: Database) -> None:
    await db.check()


async def test_errors_hold_no_values(db: Database, alice: User) -> None:
    """What the driver complains about is logged; what was written must not be."""
    canary = "canary-6f1f"
    with pytest.raises(IntegrityError) as caught:
        async with db.write() as session:
            session.add(User(username="alice", full_name=canary))
    assert canary not in str(caught.value)


async def test_nobody_listens() -> None:
    database = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    with pytest.raises(StorageUnavailable):
        await database.check()
    await database.close()


async def test_server_stopped_and_back(on_postgres: tuple[PostgresServer, Database]) -> None:
    """An outage is StorageUnavailable, never a crash; afterwards the same pool serves again."""
    server, database = on_postgres
    await database.check()
    server.stop()
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            await database.check()
    server.start()
    await database.check()


async def test_server_killed_in_a_transaction(
    on_postgres: tuple[PostgresServer, Database],
) -> None:
    server, database = on_postgres

    async def write() -> None:
        async with database.write() as session:
            session.add(User(username="eve"))
            await session.flush()
            await asyncio.to_thread(server.kill)
            await session.execute(sa.text("SELECT 1"))

    with pytest.raises(StorageUnavailable):
        await write()
    server.start()
    async with database.read() as session:
        assert (await session.scalars(sa.select(User))).all() == []


async def test_a_conflict_of_transactions_is_undone(
    on_postgres: tuple[PostgresServer, Database],
) -> None:
    """Who loses is told to begin again, whichever way it came; the winner's change stays."""
    _, database = on_postgres
    change = sa.update(User).values(full_name="changed")
    snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"

    async def by_session() -> None:
        async with database.write() as session:
            await session.execute(sa.text(snapshot))
            await session.scalar(sa.select(sa.func.count()).select_from(User))
            async with database.write() as other:
                await other.execute(change)
            await session.execute(change)

    async def by_link() -> None:
        async with database.statement_runner() as runner:
            await runner.fetch(Statement(sa.select(sa.text("undo()"))))

    async with database.write() as session:
        session.add(User(username="eve"))
        await session.execute(
            sa.text(
                "CREATE FUNCTION undo() RETURNS int LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$"
            )
        )
    for way in (by_session, by_link):
        with pytest.raises(Undone):
            await way()
    async with database.read() as session:
        assert await session.scalar(sa.select(col(User.full_name))) == "changed"


async def test_killed_at_commit(on_postgres: tuple[PostgresServer, Database]) -> None:
    """N6: a commit that got no answer is an error."""
    server, database = on_postgres

    async def write() -> None:
        async with database.write() as session:
            session.add(User(username="eve"))
            await session.flush()
            await asyncio.to_thread(server.kill)

    with pytest.raises(StorageUnavailable):
        await write()


async def test_database_that_takes_nobody(on_postgres: tuple[PostgresServer, Database]) -> None:
    """Refusals of a server that does listen (starting up, too many clients) are an outage too."""
    server, _ = on_postgres
    for url in (
        server.url("template0"),
        server.url("no_such_database"),
        server.url().replace("postgres@", "nobody@"),
    ):
        database = Database(url)
        with pytest.raises(StorageUnavailable):
            await database.check()
        with pytest.raises(StorageUnavailable):
            async with database.statement_runner():
                raise AssertionError("it let us in")
        await database.close()


async def test_nobody_gets_a_connection_that_is_still_at_work(
    on_postgres: tuple[PostgresServer, Database],
) -> None:
    """A query that is cancelled takes its connection with it."""
    _, database = on_postgres
    slow, quick = (Statement(sa.select(sa.text(each))) for each in ("pg_sleep(30)", "7"))

    async def ask(statement: Statement) -> object:
        async with database.statement_runner() as runner:
            return [tuple(row) for row in await runner.fetch(statement)]

    for wait_s in (0.0, 0.001, 0.005, 0.02) * 5:
        asking = asyncio.create_task(ask(slow))
        await asyncio.sleep(wait_s)
        asking.cancel()
        answers = await asyncio.gather(*(ask(quick) for _ in range(5)))
        assert answers == [[(7,)]] * 5
        with pytest.raises(asyncio.CancelledError):
            await asking


@pytest.mark.parametrize("turns", range(4))
async def test_the_server_said_goodbye_a_moment_ago(
    on_postgres: tuple[PostgresServer, Database], turns: int
) -> None:
    """A query comes upon a connection that the server has ended, at whatever stage of that: before
    its last words are read, after them, and after the socket's end."""
    server, database = on_postgres
    pid, seven = (Statement(sa.select(sa.text(each))) for each in ("pg_backend_pid()", "7"))

    async def ended(backend: int) -> None:
        with psycopg2.connect(server.url()) as other, other.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend({backend}, 5000)")
        other.close()
        time.sleep(0.05)  # noqa: ASYNC251 - the event loop must not see it come
        for _ in range(turns):
            await asyncio.sleep(0)

    async def by_link() -> None:
        async with database.statement_runner() as runner:
            await ended((await runner.fetch(pid))[0][0])
            await runner.fetch(seven)

    async def by_session() -> None:
        async with database.read() as session:
            await ended(await session.scalar(pid.core) or 0)
            await session.execute(seven.core)

    for way in (by_link, by_session):
        with pytest.raises(StorageUnavailable):
            await way()
        await database.check()


def test_time_is_utc() -> None:
    assert User(username="eve").created_at.tzinfo is UTC


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_closing_waits_for_the_threads_of_cancelled_queries(database_url: str) -> None:
    """A query that was cancelled twice leaves its connection to a thread; when the database is
    closed nothing of it runs any more, and the event loop may go."""
    before = set(threading.enumerate())
    database = Database(database_url)

    async def count() -> None:
        async with database.read() as session:
            await session.execute(
                sa.text(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                    " WHERE i < 1000000) SELECT max(i) FROM n"
                )
            )

    await database.check()
    counting = asyncio.create_task(count())
    await asyncio.wait([counting], timeout=0.05)
    for _ in range(2):
        counting.cancel()
        await asyncio.wait([counting], timeout=0.05)
    assert counting.done()
    await database.close()
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if "_connection_worker_thread" in thread.name]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("steps", range(12))
async def test_closing_waits_for_the_threads_of_cancelled_openings(
    database_url: str, steps: int
) -> None:
    before = set(threading.enumerate())
    database = Database(database_url)
    opening = asyncio.create_task(database.check())
    for _ in range(steps):
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])
    await database.close()
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if "_connection_worker_thread" in thread.name]
