"""Reading an answer, from anywhere at any time: nothing lost, nothing doubled."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from functools import partial

import pytest
import pytest_asyncio

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import Source, Status
from genai_app.services.generation import generations as generation
from tests.fakes.model_records import RequestRecord
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hang, Hold, Say
from tests.unit.talk import (
    MakeTalk,
    Talk,
    aborted,
    called,
    read,
    read_in_parts,
    read_until,
    run_of,
    saved,
)

pytest_plugins = ("tests.unit.talk_fixtures",)

TOKENS = [f"слово{n} " for n in range(300)]
TEXT = "".join(TOKENS)


@pytest_asyncio.fixture
async def elsewhere(database_url: str, make_talk: MakeTalk) -> AsyncGenerator[Talk]:
    """Another process over the same database, with connections of its own."""
    database = Database(database_url)
    talk = await make_talk(at=database)
    yield talk
    await talk.generations.close()
    await database.close()


@contextmanager
def _loop_is_free(within_s: float = 2.0) -> Generator[None]:
    """AssertionError when the event loop is not given back in that time."""

    def complain(_number: int, _frame: object) -> None:
        raise AssertionError("the event loop was held")

    before = signal.signal(signal.SIGALRM, complain)
    signal.setitimer(signal.ITIMER_REAL, within_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


async def test_many_readers_cut_at_random(
    fake: ModelServer, talk: Talk, elsewhere: Talk, as_alice: Actor
) -> None:
    """N5: each reader, here or in another process, however often it breaks off, has the text."""
    fake.script(Say(TOKENS, delay_s=0.001), End())
    turn = await talk.ask(as_alice)

    part = partial(read_in_parts, most=29, pauses=(0.0, 0.0, 0.001, 0.01))
    texts = await asyncio.gather(
        *(part(talk, as_alice, turn.answer_id, seed) for seed in range(20)),
        *(part(elsewhere, as_alice, turn.answer_id, seed) for seed in range(4)),
    )

    assert [text == TEXT for text in texts] == [True] * 24
    assert len(fake.answers) == 1


async def test_from_any_place(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """N5: from the begin, the middle and the end, while it grows and when it has ended."""
    fake.script(Say(TOKENS[:100]), Hold("go"), Say(TOKENS[100:]), End())
    turn = await talk.ask(as_alice)
    half = "".join(TOKENS[:100])
    await read_until(talk.generations.follow(turn.answer_id), half)
    places = [0, 1, 50, len(half) - 1, len(half)]

    growing = [
        asyncio.create_task(read(talk.generations.follow(turn.answer_id, from_length=place)))
        for place in places
    ]
    await asyncio.sleep(0)
    fake.release("go")
    for place, task in zip(places, growing, strict=True):
        assert await task == (TEXT[place:], Status.COMPLETE)
    for place in [*places, len(TEXT) - 1, len(TEXT), len(TEXT) + 5]:
        follower = talk.chat.follow(as_alice, turn.answer_id, from_length=place)
        [last] = [increment async for increment in follower]
        assert (last.text, last.status) == (TEXT[place:], Status.COMPLETE)
        assert last.end is not None
        assert last.end.source == Source.MODEL


@pytest.mark.parametrize("place", [-5, 1000])
async def test_from_a_place_that_is_not_there(
    fake: ModelServer, talk: Talk, as_alice: Actor, place: int
) -> None:
    """A reader with a wrong idea of the length holds up nobody and gets nothing twice."""
    fake.script(Say(("one ", "two ")), Hold("go"), Say(("three",)), End())
    turn = await talk.ask(as_alice)
    await read_until(talk.generations.follow(turn.answer_id), "two ")

    with _loop_is_free():
        reading = asyncio.create_task(
            read(talk.generations.follow(turn.answer_id, from_length=place))
        )
        await asyncio.sleep(0)
        fake.release("go")
        text, status = await reading

    assert status == Status.COMPLETE
    assert text == ("one two three" if place < 0 else "")


async def test_pause(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """With a pause the increments are few and lie that far apart; the text is the same."""
    fake.script(Say(TOKENS, delay_s=0.001), End())
    turn = await talk.ask(as_alice)
    moments: list[float] = []
    text = ""
    async for increment in talk.chat.follow(as_alice, turn.answer_id, pause_s=0.1):
        moments.append(time.monotonic())
        text += increment.text

    assert text == TEXT
    assert len(moments) <= (moments[-1] - moments[0]) / 0.1 + 2
    assert len(moments) < len(TOKENS) / 5


async def test_reader_that_goes_away(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """The run belongs to no reader: it goes on without any."""
    fake.script(Say(TOKENS[:10]), Hold("go"), Say(TOKENS[10:]), End())
    turn = await talk.ask(as_alice)
    reading = asyncio.create_task(read(talk.chat.follow(as_alice, turn.answer_id)))
    await read_until(talk.generations.follow(turn.answer_id), TOKENS[9])
    reading.cancel()
    await asyncio.wait([reading])
    fake.release("go")

    assert await read(talk.chat.follow(as_alice, turn.answer_id)) == (TEXT, Status.COMPLETE)
    assert (await saved(talk.db, turn.answer_id)).text == TEXT


async def test_end_is_told_when_it_is_saved(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """N6: a reader that sees a final state finds it in the database."""
    for _ in range(20):
        turn = await talk.ask(as_alice)
        _, status = await read(talk.generations.follow(turn.answer_id))
        assert (await saved(talk.db, turn.answer_id)).status == status == Status.COMPLETE


async def test_follow_from_another_process(
    fake: ModelServer, talk: Talk, elsewhere: Talk, as_alice: Actor
) -> None:
    """N5: another process sees the checkpoints while the answer grows, and its end."""
    fake.script(Say(TOKENS[:10]), Hold("go"), Say(TOKENS[10:]), End())
    turn = await talk.ask(as_alice)

    follower = elsewhere.chat.follow(as_alice, turn.answer_id)
    assert await read_until(follower, TOKENS[9]) == "".join(TOKENS[:10])
    first_token_at = (await saved(talk.db, turn.answer_id)).first_token_at
    assert first_token_at is not None
    fake.release("go")
    assert await read(follower) == ("".join(TOKENS[10:]), Status.COMPLETE)

    row = await saved(talk.db, turn.answer_id)
    assert (row.text, row.status) == (TEXT, Status.COMPLETE)
    assert row.first_token_at == first_token_at


@pytest.mark.parametrize("times", [1, 2])
async def test_stop_from_another_process(
    fake: ModelServer, talk: Talk, elsewhere: Talk, as_alice: Actor, times: int
) -> None:
    """Stop reaches the process that runs the answer."""
    fake.script(Say(("one ", "two")), Hang())
    turn = await talk.ask(as_alice)
    follower = elsewhere.chat.follow(as_alice, turn.answer_id)
    await read_until(follower, "two")

    for _ in range(times):
        await elsewhere.chat.stop(as_alice, turn.answer_id)

    assert await aborted(await called(fake))
    assert await read(follower) == ("", Status.STOPPED)
    assert (await saved(talk.db, turn.answer_id)).text == "one two"
    assert (await run_of(talk.db, turn.answer_id)).ended_at is not None


def _said_before(record: RequestRecord, moment: float) -> str:
    return "".join(sent.text for sent in list(record.sent) if sent.mono < moment)


async def test_saved_within_a_second(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N2: at any time the database has all that the model had said a second before."""
    monkeypatch.setattr(generation, "CHECKPOINT_S", 0.5)  # as it is shipped
    talk = await make_talk()
    fake.script(Say(TOKENS[:90], delay_s=0.02), End())
    turn = await talk.ask(as_alice)
    record = await called(fake)

    looks = 0
    async for _ in talk.chat.follow(as_alice, turn.answer_id, pause_s=0.05):
        moment = time.monotonic()
        kept = (await saved(talk.db, turn.answer_id)).text
        due = _said_before(record, moment - 1.0)
        assert kept.startswith(due)
        assert record.sent_text.startswith(kept)
        looks += bool(due)

    assert looks > 5
    assert (await saved(talk.db, turn.answer_id)).text == record.sent_text
