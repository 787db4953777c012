"""The same question at two processes at one moment: one run, which nobody ends for the other."""

import asyncio
import uuid
from dataclasses import replace

import msgspec
import pytest
import pytest_asyncio

from genai_app.access import Actor
from genai_app.adapters import redis_slots
from genai_app.adapters.redis import Entries
from genai_app.models import Channel, Status
from genai_app.services import generation, relay, slots
from genai_app.services.chat import Options, Turn
from genai_app.services.shared_flights import PREFIX, Claim
from tests.fakes.app_process import eventually
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Close, End, Hold, Say, Step
from tests.fakes.services import RedisServer
from tests.unit.talk import MakeTalk, Talk, Two, aborted, called, read, read_until, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

TOKENS = [f"слово{n} " for n in range(60)]
TEXT = "".join(TOKENS)
WITHIN_S = 20.0
Pair = tuple[Talk, Talk]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the pace of a loop, or for a Redis that is new to be trusted."""
    monkeypatch.setattr(redis_slots, "WARM_MS", 100)
    for module in (slots, generation):
        monkeypatch.setattr(module, "RENEW_S", 0.05)
    for name in ("SEND_S", "ASK_S"):
        monkeypatch.setattr(relay, name, 0.05)


@pytest_asyncio.fixture
async def pair(two: Two) -> Pair:
    """Two processes that know of each other and share their answers."""
    made = await two(cache_scope="company", max_parallel=50)
    await know_each_other(made)
    return made


async def know_each_other(pair: Pair) -> None:
    async def known() -> bool:
        return all(each.slots.processes == 2 for each in pair)

    await eventually(known, WITHIN_S)


def claims(redis: RedisServer) -> list[str]:
    """The keys that are claimed now."""
    return [line for line in redis.command("KEYS", "*").split() if line.startswith(PREFIX)]


async def half_way(
    fake: ModelServer, pair: Pair, alice: Actor, bob: Actor, *rest: Step
) -> tuple[Turn, Turn, asyncio.Task[tuple[str, Status]]]:
    """Alice asks at one process, Bob at the other, and Bob has read the first half of one answer.
    The second half comes at `fake.release("go")`: the given steps, or all the words to the end."""
    fake.script(Say(TOKENS[:30]), Hold("go"), *(rest or (Say(TOKENS[30:]), End())))
    first = await pair[0].ask(alice, "Shared?")
    await called(fake)
    second = await pair[1].ask(bob, "Shared?")
    reading = pair[1].generations.follow(second.answer_id)
    begun = await asyncio.wait_for(read_until(reading, TOKENS[29]), WITHIN_S)
    assert begun == "".join(TOKENS[:30])

    async def to_the_end() -> tuple[str, Status]:
        text, status = await asyncio.wait_for(read(reading), WITHIN_S)
        return begun + text, status

    return first, second, asyncio.create_task(to_the_end())


async def test_twenty_at_once_are_one_run(
    fake: ModelServer, pair: Pair, as_alice: Actor, as_bob: Actor
) -> None:
    """Whoever asks, and at whichever process."""
    asking = [
        (pair[number % 2], replace((as_alice, as_bob)[number // 2 % 2], channel=Channel.API))
        for number in range(20)
    ]
    turns = await asyncio.gather(*(talk.ask(who, "Now?") for talk, who in asking))
    said = await asyncio.gather(
        *(read(talk.chat.follow_turn(turn)) for (talk, _), turn in zip(asking, turns, strict=True))
    )
    assert len(fake.answers) == 1
    assert set(said) == {(fake.answers[0].sent_text, Status.COMPLETE)}
    rows = [await saved(pair[0].db, turn.answer_id) for turn in turns]
    assert sorted(str(row.source) for row in rows) == ["cache"] * 19 + ["model"]
    whole = {(row.text, row.model, row.prompt_tokens, row.completion_tokens) for row in rows}
    assert len(whole) == 1


async def test_who_began_it_may_stop(
    fake: ModelServer, pair: Pair, as_alice: Actor, as_bob: Actor
) -> None:
    """It goes on for the other process' reader, and what came of it is kept for all."""
    first, second, reading = await half_way(fake, pair, as_alice, as_bob)
    await pair[0].chat.stop(as_alice, first.answer_id)
    assert (await read(pair[0].chat.follow_turn(first)))[1] is Status.STOPPED
    fake.release("go")
    assert await reading == (TEXT, Status.COMPLETE)
    assert (await saved(pair[1].db, second.answer_id)).text == TEXT
    third = await pair[0].ask(as_alice, "Shared?")
    assert await read(pair[0].chat.follow_turn(third)) == (TEXT, Status.COMPLETE)
    assert len(fake.answers) == 1


async def test_who_joined_may_stop(
    fake: ModelServer, pair: Pair, as_alice: Actor, as_bob: Actor
) -> None:
    first, second, reading = await half_way(fake, pair, as_alice, as_bob)
    await pair[1].chat.stop(as_bob, second.answer_id)
    assert (await reading)[1] is Status.STOPPED
    fake.release("go")
    assert await read(pair[0].chat.follow_turn(first)) == (TEXT, Status.COMPLETE)


async def test_when_all_have_stopped_the_model_is_left_alone(
    fake: ModelServer,
    pair: Pair,
    as_alice: Actor,
    as_bob: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """N4, as soon as nobody elsewhere asks for more."""
    monkeypatch.setattr(relay, "WANTED_S", 0.5)
    first, second, reading = await half_way(fake, pair, as_alice, as_bob)
    await pair[0].chat.stop(as_alice, first.answer_id)
    assert not await aborted(fake.answers[0], 1.0)
    await pair[1].chat.stop(as_bob, second.answer_id)
    assert (await reading)[1] is Status.STOPPED
    assert await aborted(fake.answers[0], WITHIN_S)


async def test_a_closing_process_gives_what_it_has(
    fake: ModelServer, pair: Pair, as_alice: Actor, as_bob: Actor
) -> None:
    """Without time to drain: the text stays, and its reader is told that it broke off."""
    _, second, reading = await half_way(fake, pair, as_alice, as_bob)
    await pair[0].generations.close()
    assert await reading == ("".join(TOKENS[:30]), Status.INTERRUPTED)
    assert (await saved(pair[1].db, second.answer_id)).error_code == "model_interrupted"


@pytest.mark.parametrize(
    ("rest", "status"),
    [((Close(),), Status.INTERRUPTED), ((End("length"),), Status.TRUNCATED)],
    ids=["cut", "length"],
)
async def test_its_end_is_everybodys(
    fake: ModelServer,
    pair: Pair,
    as_alice: Actor,
    as_bob: Actor,
    rest: tuple[Step, ...],
    status: Status,
) -> None:
    first, _, reading = await half_way(fake, pair, as_alice, as_bob, *rest)
    fake.release("go")
    half = "".join(TOKENS[:30])
    assert await reading == (half, status)
    assert await read(pair[0].chat.follow_turn(first)) == (half, status)
    assert len(fake.answers) == 1


async def test_what_failed_before_its_first_word_is_tried_by_the_other(
    fake: ModelServer, pair: Pair, as_alice: Actor, as_bob: Actor
) -> None:
    for _ in range(2):  # it tries a second time itself
        fake.script_once(Hold("go"), Close())
    fake.script(Say(TOKENS), End())
    first = await pair[0].ask(as_alice, "Shared?")
    await called(fake)
    second = await pair[1].ask(as_bob, "Shared?")
    fake.release("go")
    assert (await read(pair[0].chat.follow_turn(first)))[0] == ""
    assert await read(pair[1].chat.follow_turn(second)) == (TEXT, Status.COMPLETE)
    assert len(fake.answers) == 3
    assert (await saved(pair[1].db, second.answer_id)).source == "model"


@pytest.mark.parametrize("fault", ["kill", "freeze", "empty"])
async def test_redis_may_vanish(
    fake: ModelServer,
    pair: Pair,
    as_alice: Actor,
    as_bob: Actor,
    redis_server: RedisServer,
    fault: str,
) -> None:
    """G2, G3. Who is told goes on from the database."""
    first, _, reading = await half_way(fake, pair, as_alice, as_bob)
    if fault == "kill":
        redis_server.kill()
    elif fault == "freeze":
        redis_server.freeze()
    else:
        redis_server.command("FLUSHALL")
    fake.release("go")
    assert await reading == (TEXT, Status.COMPLETE)
    assert await read(pair[0].chat.follow_turn(first)) == (TEXT, Status.COMPLETE)
    assert len(fake.answers) == 1


async def test_scopes_share_nothing(
    fake: ModelServer, two: Two, as_alice: Actor, as_bob: Actor
) -> None:
    """C19: under scope `user` two users are two runs."""
    made = await two(cache_scope="user")
    await know_each_other(made)
    fake.script(Say(TOKENS), Hold("go"), End())
    turns = [await made[0].ask(as_alice, "Now?"), await made[1].ask(as_bob, "Now?")]
    await called(fake, 2)
    fake.release("go")
    for talk, turn in zip(made, turns, strict=True):
        assert await read(talk.chat.follow_turn(turn)) == (TEXT, Status.COMPLETE)


async def test_who_asks_the_model_again_joins_nobody(
    fake: ModelServer, pair: Pair, as_alice: Actor, as_bob: Actor
) -> None:
    first, _, reading = await half_way(fake, pair, as_alice, as_bob)
    again = await pair[1].chat.ask(
        as_bob, "Shared?", client_id=None, options=Options(read_cache=False)
    )
    await called(fake, 2)
    fake.release("go")
    assert await read(pair[1].chat.follow_turn(again)) == (TEXT, Status.COMPLETE)
    assert await reading == (TEXT, Status.COMPLETE)
    assert await read(pair[0].chat.follow_turn(first)) == (TEXT, Status.COMPLETE)


@pytest.mark.parametrize("claim", ["junk", "gone"])
async def test_a_claim_that_leads_nowhere(
    fake: ModelServer, pair: Pair, as_alice: Actor, redis_server: RedisServer, claim: str
) -> None:
    """Of another version, or of a process whose database is another one: it holds up nobody."""
    fake.script(Say(TOKENS), Hold("go"), End())
    turn = await pair[0].ask(as_alice, "Shared?")
    await called(fake)
    (name,) = claims(redis_server)
    entries = Entries(redis_server.url)
    value = b"\xff junk"
    if claim == "gone":
        value = msgspec.msgpack.encode(Claim("nobody", uuid.uuid4(), uuid.uuid4()))
    await entries.set(name, value, ttl_s=60)
    await entries.aclose()
    other = await pair[1].ask(as_alice, "Shared?")
    await called(fake, 2)
    fake.release("go")
    for talk, each in ((pair[0], turn), (pair[1], other)):
        assert await read(talk.chat.follow_turn(each)) == (TEXT, Status.COMPLETE)


async def test_a_process_that_is_alone_claims_nothing(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, redis_server: RedisServer
) -> None:
    """Nor does it cost Redis anything."""
    talk = await make_talk(cache_scope="company", redis_url=redis_server.url)
    fake.script(Say(TOKENS), Hold("go"), End())
    turn = await talk.ask(as_alice, "Shared?")
    await called(fake)
    assert claims(redis_server) == []
    fake.release("go")
    assert await read(talk.chat.follow_turn(turn)) == (TEXT, Status.COMPLETE)
