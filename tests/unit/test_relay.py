"""Live text between processes: over Redis as it grows, and whole without it."""

import asyncio
import random
import uuid

import pytest

from genai_app.access import Actor
from genai_app.adapters.redis.bus import CHANNEL, Bus
from genai_app.errors import StorageUnavailable
from genai_app.models import Status
from genai_app.services.generation import generations as generation
from genai_app.services.generation import relay
from genai_app.services.generation.checkpoints import SavedAnswer
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.services import RedisServer
from tests.unit.talk import Two, read, read_in_parts, read_until, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

TOKENS = [f"слово{n} " for n in range(300)]
TEXT = "".join(TOKENS)
PAUSES = (0.0, 0.001, 0.05)


async def test_text_comes_before_the_database_has_it(
    fake: ModelServer, two: Two, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "CHECKPOINT_S", 60)
    here, elsewhere = await two()
    fake.script(Say(TOKENS[:100]), Hold("go"), Say(TOKENS[100:]), End())
    turn = await here.ask(as_alice)

    follower = elsewhere.generations.follow(turn.answer_id)
    begun = await asyncio.wait_for(read_until(follower, TOKENS[99]), 60)
    assert (await saved(here.db, turn.answer_id)).text == ""
    fake.release("go")
    text, status = await read(follower)
    assert (begun + text, status) == (TEXT, Status.COMPLETE)


@pytest.mark.parametrize("seed", range(3))
async def test_lost_messages_lose_no_text(
    fake: ModelServer, two: Two, as_alice: Actor, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """N5. A third of the messages never arrives, and readers break off again and again."""
    random_ = random.Random(seed)
    send = Bus.send

    async def lossy(bus: Bus, address: str, message: bytes) -> bool:
        return random_.random() < 0.33 or await send(bus, address, message)

    monkeypatch.setattr(Bus, "send", lossy)
    for name in ("SEND_S", "ASK_S"):
        monkeypatch.setattr(relay, name, 0.01)
    here, elsewhere = await two()
    fake.script(Say(TOKENS, delay_s=0.003), End())
    turn = await here.ask(as_alice)
    readers = (
        read_in_parts(elsewhere, as_alice, turn.answer_id, seed * 9 + n, most=9, pauses=PAUSES)
        for n in range(6)
    )
    assert await asyncio.gather(*readers) == [TEXT] * 6
    assert len(fake.answers) == 1


@pytest.mark.parametrize("fault", ["kill", "freeze", "empty"])
async def test_redis_may_vanish(
    fake: ModelServer, two: Two, as_alice: Actor, redis_server: RedisServer, fault: str
) -> None:
    """The reader goes on from the database, and hears again when Redis is back."""
    here, elsewhere = await two()
    fake.script(
        Say(TOKENS[:50]), Hold("a"), Say(TOKENS[50:200]), Hold("b"), Say(TOKENS[200:]), End()
    )
    turn = await here.ask(as_alice)
    follower = elsewhere.generations.follow(turn.answer_id)
    text = await read_until(follower, TOKENS[49])
    if fault == "kill":
        redis_server.kill()
    elif fault == "freeze":
        redis_server.freeze()
    else:
        redis_server.command("FLUSHALL")
    fake.release("a")
    text += await asyncio.wait_for(read_until(follower, TOKENS[199]), 60)
    if fault == "kill":
        redis_server.start()
    redis_server.thaw()
    fake.release("b")
    rest, status = await asyncio.wait_for(read(follower), 60)
    assert (text + rest, status) == (TEXT, Status.COMPLETE)


@pytest.mark.parametrize("moved_to", ["reasoning", "text"])
async def test_an_older_checkpoint_undoes_nothing(moved_to: str) -> None:
    """Text turned into reasoning, or back; the database has it where it was before."""
    far = relay.FarAnswer(uuid.uuid4())
    piece = relay.AnswerPiece(far.message_id, 0, "", ended=False, swaps=1)
    setattr(piece, moved_to, "The user greets me.")
    assert not far.hear(piece)
    text, reasoning = ("The user ", "") if moved_to == "reasoning" else ("", "The user ")
    far.learn(SavedAnswer(text, "here", abandoned=False, end=None, reasoning=reasoning))
    assert {far.text, far.reasoning} == {"The user greets me.", ""}
    assert getattr(far, moved_to) == "The user greets me."
    assert (far.replaced, far.swaps) == (1, 1)


async def test_a_reader_outlives_a_database_that_is_away(
    fake: ModelServer, two: Two, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has begun is waited for; who comes while the database is away is told so."""
    here, elsewhere = await two()
    fake.script(Say(TOKENS[:50]), Hold("go"), Say(TOKENS[50:]), End())
    turn = await here.ask(as_alice)
    follower = elsewhere.generations.follow(turn.answer_id)
    text = await read_until(follower, TOKENS[49])
    away = True
    answers = elsewhere.generations.answers
    read_it = answers.read

    async def read_if_there(message_id: uuid.UUID) -> SavedAnswer | None:
        if away:
            raise StorageUnavailable
        return await read_it(message_id)

    monkeypatch.setattr(answers, "read", read_if_there)
    reading = asyncio.create_task(read(follower))
    with pytest.raises(StorageUnavailable):
        await read(elsewhere.generations.follow(turn.answer_id))
    fake.release("go")
    await read(here.generations.follow(turn.answer_id))
    away = False
    rest, status = await asyncio.wait_for(reading, 60)
    assert (text + rest, status) == (TEXT, Status.COMPLETE)


async def test_who_reads_where_it_is_made_costs_redis_nothing(
    fake: ModelServer, two: Two, as_alice: Actor, redis_server: RedisServer
) -> None:
    here, _ = await two()
    redis_server.command("CONFIG", "RESETSTAT")
    fake.script(Say(TOKENS, delay_s=0.001), End())
    turn = await here.ask(as_alice)
    await read(here.generations.follow(turn.answer_id))
    assert "cmdstat_publish" not in redis_server.command("INFO", "commandstats")


async def test_junk_in_the_letter_box(
    fake: ModelServer, two: Two, as_alice: Actor, redis_server: RedisServer
) -> None:
    """What another version, or anybody, puts there is ignored."""
    here, elsewhere = await two()
    fake.script(Say(TOKENS[:50]), Hold("go"), Say(TOKENS[50:]), End())
    turn = await here.ask(as_alice)
    follower = elsewhere.generations.follow(turn.answer_id)
    text = await read_until(follower, TOKENS[49])
    told = redis_server.command("PUBSUB", "CHANNELS", f"{CHANNEL}*").split()
    channels = [line for line in told if line.startswith(CHANNEL)]
    assert len(channels) == 2
    for channel in channels:
        for junk in ("", "x", "\u00ff\u0000", "[]", "a" * 100_000):
            redis_server.command("PUBLISH", channel, junk)
    fake.release("go")
    rest, status = await read(follower)
    assert (text + rest, status) == (TEXT, Status.COMPLETE)
