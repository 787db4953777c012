"""Processes that die, stall or end: no answer runs for ever, and no text is thrown away."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import Status
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.search import Search
from genai_app.services.generation import generations as generation
from genai_app.services.generation.checkpoints import LEASE_S
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hang, Hold, Say
from tests.fakes.services import PostgresServer
from tests.unit.review_rows import SECRET
from tests.unit.talk import (
    MakeTalk,
    Talk,
    aborted,
    age_leases,
    called,
    everything,
    heard,
    read,
    read_until,
    run_of,
    saved,
)

pytest_plugins = ("tests.unit.talk_fixtures",)

WORDS = Say(("one ", "two ", "three"))


async def test_lease_is_renewed(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """N3: nobody takes a run from a process that lives, however long the model is silent."""
    fake.script(WORDS, Hang())
    turn = await talk.ask(as_alice)
    before = (await run_of(talk.db, turn.answer_id)).lease_until

    async with asyncio.timeout(60):
        while (await run_of(talk.db, turn.answer_id)).lease_until <= before:
            pass

    assert (await saved(talk.db, turn.answer_id)).status == Status.RUNNING


@pytest.mark.parametrize("by", ["reaper", "reader"])
async def test_lease_that_ran_out(
    fake: ModelServer,
    make_talk: MakeTalk,
    as_alice: Actor,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    """N3: whoever sees it first, another process or its reader, marks the answer interrupted."""
    if by == "reader":
        monkeypatch.setattr(generation, "REAP_S", 3600)
    dead, alive = await make_talk(opened=False), await make_talk()
    fake.script(WORDS, Hang())
    turn = await dead.ask(as_alice)
    await called(fake)
    follower = alive.chat.follow(as_alice, turn.answer_id)
    reading = asyncio.create_task(read(follower))

    with heard("generation.interrupted") as logged:
        await age_leases(alive.db, LEASE_S - 1)
        await alive.generations.stop(turn.answer_id)  # a round trip: nobody is there to hear it
        assert (await saved(alive.db, turn.answer_id)).status == Status.RUNNING
        await age_leases(alive.db, 2)
        async with asyncio.timeout(60):
            await logged.wait()
            assert await reading == ("", Status.INTERRUPTED)

    row, run = await saved(alive.db, turn.answer_id), await run_of(alive.db, turn.answer_id)
    assert (row.status, row.error_code) == (Status.INTERRUPTED, "process_lost")
    assert run.ended_at == row.finished_at is not None


async def test_checkpoint_outlives_its_process(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """N2: what was saved before the process was lost is in the interrupted answer."""
    owner, other = await make_talk(), await make_talk(opened=False)
    fake.script(WORDS, Hang())
    turn = await owner.ask(as_alice)
    follower = other.generations.follow(turn.answer_id)
    await read_until(follower, "three")
    for loop in owner.generations._loops:  # pyright: ignore[reportPrivateUsage]
        loop.cancel()  # as if killed

    await age_leases(other.db, LEASE_S + 1)
    async with asyncio.timeout(60):
        assert await read(follower) == ("", Status.INTERRUPTED)
    assert (await saved(other.db, turn.answer_id)).text == "one two three"


async def test_owner_that_lost_its_lease(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """N3, N5: a process that hung and wakes up lets the model go, and tells its readers what the
    row says."""
    owner, reaper = await make_talk(opened=False), await make_talk(opened=False)
    fake.script(WORDS, Hang())
    turn = await owner.ask(as_alice)
    follower = owner.generations.follow(turn.answer_id)
    await read_until(follower, "three")
    await age_leases(owner.db, LEASE_S + 1)
    with heard("generation.interrupted") as logged:
        await reaper.generations.open()
        async with asyncio.timeout(60):
            await logged.wait()
    marked = await saved(owner.db, turn.answer_id)

    await owner.generations.open()

    assert await aborted(await called(fake))
    async with asyncio.timeout(60):
        _, status = await read(follower)
    row = await saved(owner.db, turn.answer_id)
    assert (row.error_code, row.finished_at) == ("process_lost", marked.finished_at)
    assert status == row.status == Status.INTERRUPTED
    assert (marked.text, row.text) == ("", "one two three")
    search = Search(owner.db, Cursors(SECRET))
    found = await search.find(as_alice, "three")
    assert [each.dialog.id for each in found.items] == [turn.dialog_id]


async def test_orphans_of_a_sole_process(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """N3: alone with its database, a process need not wait for the leases of the one before."""
    dead = await make_talk(opened=False)
    fake.script(WORDS, Hang())
    orphans = [await dead.ask(as_alice), await dead.ask(as_bob)]
    await called(fake, 2)
    fake.script(WORDS, End())
    ended = await dead.answer(as_alice, "done")
    before = await saved(dead.db, ended.answer_id)

    one_of_many = await make_talk()
    for turn in orphans:
        assert (await saved(dead.db, turn.answer_id)).status == Status.RUNNING
    await one_of_many.generations.close()
    await make_talk(sole_process=True)

    for turn in orphans:
        row = await saved(dead.db, turn.answer_id)
        assert (row.status, row.error_code) == (Status.INTERRUPTED, "process_lost")
        assert (await run_of(dead.db, turn.answer_id)).ended_at == row.finished_at is not None
    assert await saved(dead.db, ended.answer_id) == before


async def test_close_saves_and_marks(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """N2: an orderly end costs no text; the model is let go; readers are told."""
    talk = await make_talk(opened=False)  # no checkpoint has saved anything
    fake.script(WORDS, Hang())
    turn = await talk.ask(as_alice)
    follower = talk.generations.follow(turn.answer_id)
    await read_until(follower, "three")

    await talk.generations.close()

    assert await aborted(await called(fake))
    assert await read(follower) == ("", Status.INTERRUPTED)
    row = await saved(talk.db, turn.answer_id)
    assert (row.text, row.status, row.error_code) == (
        "one two three",
        Status.INTERRUPTED,
        "shutdown",
    )
    assert (await run_of(talk.db, turn.answer_id)).ended_at is not None


@pytest.mark.parametrize("name", ["DRAIN_S", "SOLE_DRAIN_S"])
async def test_close_lets_answers_end(
    fake: ModelServer,
    make_talk: MakeTalk,
    as_alice: Actor,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """An answer that needs one more moment gets it."""
    monkeypatch.setattr(generation, name, 5.0)
    talk = await make_talk(sole_process=name == "SOLE_DRAIN_S")
    fake.script(WORDS, Hold("go"), Say((" four",)), End())
    turn = await talk.ask(as_alice)
    await read_until(talk.generations.follow(turn.answer_id), "three")

    closing = asyncio.create_task(talk.generations.close())
    await asyncio.sleep(0)
    fake.release("go")
    await closing

    row = await saved(talk.db, turn.answer_id)
    assert (row.text, row.status) == ("one two three four", Status.COMPLETE)


async def test_close_with_nothing_to_do(make_talk: MakeTalk) -> None:
    for opened in (False, True):
        talk = await make_talk(opened=opened)
        await talk.generations.close()
        await talk.generations.close()
        assert await everything(talk.db) == []


@pytest_asyncio.fixture
async def outage(db: Database, postgres: PostgresServer) -> AsyncGenerator[PostgresServer]:
    """The server below `db`, to stop and start. It runs again afterwards."""
    yield postgres
    try:
        await db.check()
    except StorageUnavailable:
        postgres.start()


@pytest.mark.parametrize("engine", ["postgresql"])
@pytest.mark.parametrize("ends", ["away", "back"])
async def test_database_away_during_an_answer(
    fake: ModelServer, talk: Talk, as_alice: Actor, outage: PostgresServer, ends: str
) -> None:
    """The reader goes on reading, the text is kept in memory and saved whole on return; also
    when the model ends while the database is away."""
    fake.script(WORDS, Hold("away"), Say((" four",)), Hold("back"), Say((" five",)), End())
    turn = await talk.ask(as_alice)
    follower = talk.generations.follow(turn.answer_id)
    await read_until(follower, "three")

    with heard("storage.unavailable") as checkpoint_failed:
        outage.stop()
        await checkpoint_failed.wait()
    fake.release("away")
    assert await read_until(follower, "four") == " four"
    reading = asyncio.create_task(read(follower))
    if ends == "away":
        with heard("generation.save_delayed") as save_failed:
            fake.release("back")
            await save_failed.wait()
        assert not reading.done()  # N6: not told before it is saved
    outage.start()  # not in a thread: the server would end with it
    fake.release("back")

    assert await reading == (" five", Status.COMPLETE)
    row = await saved(talk.db, turn.answer_id)
    assert (row.text, row.status) == ("one two three four five", Status.COMPLETE)
    assert (await run_of(talk.db, turn.answer_id)).ended_at == row.finished_at
