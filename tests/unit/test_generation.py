"""Every end that an answer can come to, as its row tells it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa

from genai_app.access import Actor
from genai_app.clock import now
from genai_app.models import Generation, Status
from genai_app.services.generation import model_call
from tests import corpora
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Close, End, ErrorEvent, Hang, Hold, Raw, Reset, Say, Step
from tests.fakes.model_steps import Status as Refuse
from tests.fakes.model_wire import MODEL, event
from tests.unit.talk import (
    MakeTalk,
    Talk,
    aborted,
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
TOO_LONG = Refuse(400, "This model's maximum context length is 10 tokens.")
LOST = (Status.INTERRUPTED, "events_lost")
WHOLE = (Status.COMPLETE, None)
FINISHED = Raw(event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
# script: status, error_code, text, tokens as the row has them
ENDS: dict[str, tuple[Sequence[Step], Status, str | None, str, int]] = {
    "complete": ((WORDS, End()), Status.COMPLETE, None, "one two three", 3),
    "empty": ((Say(()), End()), Status.COMPLETE, "empty_answer", "", 0),
    "blank": ((Say((" \n", "\t")), End()), Status.COMPLETE, "empty_answer", " \n\t", 2),
    "filtered": ((WORDS, End("content_filter")), Status.FILTERED, None, "one two three", 3),
    "lost": ((WORDS, Raw(b"data: {half\n\n"), End()), *LOST, "one two three", 3),
    "late junk": ((WORDS, FINISHED, Raw(b"data: {half\n\n")), *WHOLE, "one two three", 3),
    "no done": ((WORDS, FINISHED, Close()), *WHOLE, "one two three", 3),
    "truncated": ((WORDS, End("length")), Status.TRUNCATED, None, "one two three", 3),
    "reset": ((WORDS, Reset()), Status.INTERRUPTED, "model_interrupted", "one two three", 3),
    "closed": ((WORDS, Close()), Status.INTERRUPTED, "model_interrupted", "one two three", 3),
    "no finish": ((WORDS,), Status.INTERRUPTED, "model_interrupted", "one two three", 3),
    "error event": ((WORDS, ErrorEvent()), Status.FAILED, "model_failed", "one two three", 3),
    "error first": ((ErrorEvent(),), Status.FAILED, "model_failed", "", 0),
    "context": ((TOO_LONG,), Status.FAILED, "context_too_long", "", 0),
    "refused": ((Refuse(400, "no"),), Status.FAILED, "model_refused", "", 0),
    "busy": ((Refuse(429, retry_after="600"),), Status.FAILED, "model_busy", "", 0),
    "key": ((Refuse(401),), Status.FAILED, "model_auth", "", 0),
}


@pytest.mark.parametrize("name", ENDS)
async def test_end(fake: ModelServer, talk: Talk, as_alice: Actor, name: str) -> None:
    """What came is kept, and the row says how and when it ended."""
    script, status, code, text, tokens = ENDS[name]
    fake.script(*script)
    before = now()

    turn = await talk.ask(as_alice, "What now, please?")
    assert await read(talk.generations.follow(turn.answer_id)) == (text, status)

    assert len(fake.answers) == 1
    row, run = await saved(talk.db, turn.answer_id), await run_of(talk.db, turn.answer_id)
    assert (row.text, row.status, row.error_code) == (text, status, code)
    assert row.completion_tokens == tokens
    finished = code in (None, "empty_answer", "events_lost")
    counted = finished and any(isinstance(step, End) for step in script)
    assert (row.model, row.prompt_tokens) == (MODEL if finished else None, 3 if counted else None)
    assert row.finished_at is not None
    assert before <= row.created_at <= (row.first_token_at or row.finished_at) <= row.finished_at
    assert (row.first_token_at is not None) == bool(text)
    assert run.ended_at == row.finished_at <= now()
    assert run.stop_requested_at is None


@pytest.mark.parametrize("failures", [1, 2])
async def test_503(fake: ModelServer, talk: Talk, as_alice: Actor, failures: int) -> None:
    """One retry; after the second refusal the answer has failed and can be asked for again."""
    for _ in range(failures):
        fake.script_once(Refuse(503))

    turn = await talk.answer(as_alice)
    row = await saved(talk.db, turn.answer_id)

    assert len(fake.answers) == 2
    if failures == 1:
        assert (row.status, row.text) == (Status.COMPLETE, fake.answers[1].sent_text)
        return
    assert (row.status, row.error_code, row.text) == (Status.FAILED, "model_unavailable", "")
    again = await talk.chat.regenerate(as_alice, turn.answer_id)
    await read(talk.generations.follow(again.answer_id))
    assert (await saved(talk.db, again.answer_id)).status == Status.COMPLETE


STOPPED_AT: dict[str, tuple[Sequence[Step], str]] = {
    "at once": ((Say(()), Hang()), ""),
    "no headers": ((Hang(),), ""),
    "before first token": ((Say(()), Hang()), ""),
    "mid": ((WORDS, Hang()), "one two three"),
}


@pytest.mark.parametrize("when", STOPPED_AT)
async def test_stop(fake: ModelServer, talk: Talk, as_alice: Actor, when: str) -> None:
    """The model is let go within a second, the text is kept; a second Stop, however soon
    after the first, changes nothing."""
    script, text = STOPPED_AT[when]
    fake.script(*script)
    for ticks in (None, 0, 1, 2, 3, 5, 8):  # of the event loop, before the second Stop
        turn = await talk.ask(as_alice)
        calls = len(fake.answers)
        follower = talk.generations.follow(turn.answer_id)
        if when == "mid":
            await read_until(follower, "three")
        elif when != "at once":
            await called(fake, calls + 1)

        await talk.chat.stop(as_alice, turn.answer_id)
        if ticks is not None:
            for _ in range(ticks):
                await asyncio.sleep(0)
            await talk.chat.stop(as_alice, turn.answer_id)

        async with asyncio.timeout(1):
            assert await read(follower) == ("", Status.STOPPED)
        for record in fake.answers[calls:]:
            assert await aborted(record)
        row = await saved(talk.db, turn.answer_id)
        assert (row.status, row.error_code, row.text) == (Status.STOPPED, None, text)
        assert row.finished_at is not None
        assert (await run_of(talk.db, turn.answer_id)).ended_at == row.finished_at


async def test_stop_after_the_end(talk: Talk, as_alice: Actor) -> None:
    """An answer that has ended stays as it is."""
    turn = await talk.answer(as_alice)
    before = await everything(talk.db)
    await talk.chat.stop(as_alice, turn.answer_id)
    await talk.generations.stop(turn.answer_id)
    assert await everything(talk.db) == before


async def test_stopping_one_leaves_the_others(
    fake: ModelServer, talk: Talk, as_alice: Actor, as_bob: Actor
) -> None:
    """N7."""
    fake.script(Say(("one ",)), Hold("go"), Say(("two",)), End())
    hers, his = await talk.ask(as_alice), await talk.ask(as_bob)
    for turn in (hers, his):
        await read_until(talk.generations.follow(turn.answer_id), "one ")

    await talk.chat.stop(as_alice, hers.answer_id)
    fake.release("go")

    assert await read(talk.chat.follow(as_alice, hers.answer_id)) == ("one ", Status.STOPPED)
    assert await read(talk.chat.follow(as_bob, his.answer_id)) == ("one two", Status.COMPLETE)


async def test_deleting_the_dialog_stops_its_answer(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N3: what nobody can read any more does not hold the model."""
    fake.script(WORDS, Hang())
    turn = await talk.ask(as_alice)
    follower = talk.generations.follow(turn.answer_id)
    await read_until(follower, "three")

    await talk.history.delete(as_alice, turn.dialog_id)

    assert await aborted(await called(fake))
    _, status = await read(follower)
    assert status == Status.STOPPED
    assert (await saved(talk.db, turn.answer_id)).text == "one two three"


async def test_any_text(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """What the model says is what is kept; NUL becomes visible, never a failed save."""
    samples = corpora.load("unicode")
    fake.script(Say(samples), End())

    turn = await talk.ask(as_alice)
    text, status = await read(talk.generations.follow(turn.answer_id))

    whole = "".join(samples).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert text == whole.replace("\0", "\ufffd") != whole
    assert status == Status.COMPLETE
    assert (await saved(talk.db, turn.answer_id)).text == text


async def test_endless_answer(
    fake: ModelServer, talk: Talk, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that never comes to an end is let go, and what it said is kept."""
    monkeypatch.setattr(model_call, "MAX_ANSWER_CHARS", 1000)
    fake.script(Say(["again and "] * 200), Hang())

    turn = await talk.answer(as_alice)

    row = await saved(talk.db, turn.answer_id)
    assert row.status == Status.TRUNCATED
    assert len(row.text) > 1000
    assert fake.answers[0].sent_text.startswith(row.text)
    assert await aborted(fake.answers[0])


async def test_save_that_can_never_succeed(
    engine: str, fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """N3: an end that cannot be written is still one, for the readers and then in the row."""
    talk, other = await make_talk(), await make_talk()
    async with talk.db.write() as session:
        for statement in REFUSE_COMPLETE[engine]:
            await session.execute(sa.text(statement))
    fake.script(WORDS, Hold("go"), End())

    turn = await talk.ask(as_alice)
    follower = talk.generations.follow(turn.answer_id)
    await read_until(follower, "three")
    fake.release("go")

    with heard("generation.bug") as logged:
        async with asyncio.timeout(60):
            await logged.wait()
    async with asyncio.timeout(60):
        _, status = await read(follower)
    assert status != Status.COMPLETE
    async with talk.db.write() as session:  # as if ten seconds had passed
        past = now() - timedelta(seconds=1)
        await session.execute(sa.update(Generation).values(lease_until=past))
    async with asyncio.timeout(60):
        text, status = await read(other.generations.follow(turn.answer_id))
    assert status in (Status.INTERRUPTED, Status.FAILED)
    assert "one two three".startswith(text)


REFUSE_COMPLETE = {
    "sqlite": [
        "CREATE TRIGGER refuse BEFORE UPDATE ON messages WHEN NEW.status = 'complete'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    ],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'refused'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON messages FOR EACH ROW"
        " WHEN (NEW.status = 'complete') EXECUTE FUNCTION refuse()",
    ],
}
