"""Answers that are given again, and runs that are joined, and the scope of both."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from genai_app.access import Actor
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.adapters.redis.client import Entries
from genai_app.models import Channel, Source, Status
from genai_app.services.chat.placement import Options
from genai_app.services.chat.turns import Turn
from genai_app.services.reuse.cache import AnswerCache, CachedAnswer
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Close, End, Hold, Say
from tests.fakes.services import RedisServer
from tests.unit.talk import MakeTalk, Talk, called, enter, read, saved

pytest_plugins = ("tests.unit.talk_fixtures",)


async def _say(talk: Talk, actor: Actor, text: str, **options: object) -> tuple[str, Source]:
    """Ask, read to the end; the text and where it came from."""
    turn = await talk.chat.ask(
        actor,
        text,
        client_id=None,
        options=Options(**options),  # pyright: ignore[reportArgumentType]
    )
    said = ""
    async for increment in talk.chat.follow_turn(turn):
        said += increment.text
    row = await saved(talk.db, turn.answer_id)
    assert row.text == said
    assert row.status == Status.COMPLETE
    assert row.source is not None
    return said, Source(row.source)


async def test_the_same_question_again(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """One call for the whole company; model, counts and age are those of the answer."""
    talk = await make_talk(cache_scope="company")
    first = await _say(talk, as_alice, "What is our VPN?")
    again = await _say(talk, as_bob, "What is our VPN?")
    assert (first[1], again) == (Source.MODEL, (first[0], Source.CACHE))
    assert len(fake.answers) == 1


async def test_scope_user(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """What one user was told is told to nobody else."""
    talk = await make_talk(cache_scope="user")
    sources = [(await _say(talk, who, "Mine?"))[1] for who in (as_alice, as_bob, as_alice)]
    assert sources == [Source.MODEL, Source.MODEL, Source.CACHE]
    assert len(fake.answers) == 2


async def test_scope_off(fake: ModelServer, make_talk: MakeTalk, as_alice: Actor) -> None:
    talk = await make_talk(cache_scope="off")
    assert [(await _say(talk, as_alice, "x"))[1] for _ in range(2)] == [Source.MODEL] * 2


@pytest.mark.parametrize(
    "options",
    [{"model": "other"}, {"max_tokens": 7}, {"temperature": 0.5}, {"sampling": (("top_p", 0.5),)}],
    ids=str,
)
async def test_another_parameter_misses(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, options: dict[str, object]
) -> None:
    talk = await make_talk(cache_scope="company")
    await _say(talk, as_alice, "The same")
    assert (await _say(talk, as_alice, "The same", **options))[1] == Source.MODEL
    assert (await _say(talk, as_alice, "The same "))[1] == Source.MODEL
    assert len(fake.answers) == 3


async def test_another_history_or_system_prompt_misses(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """The key covers the whole conversation."""
    talk = await make_talk(cache_scope="company")
    first = await talk.answer(as_alice, "Hello")
    await talk.answer(as_alice, "And now?", first.dialog_id)
    await talk.answer(as_alice, "And now?")
    assert len(fake.answers) == 3
    other = await make_talk(cache_scope="company", system_prompt="Be brief.")
    await other.answer(as_alice, "Hello")
    assert fake.answers[-1].messages[0] == {"role": "system", "content": "Be brief."}
    assert len(fake.answers) == 4


async def test_time_to_live_and_reading_and_writing(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """no-cache asks the model and keeps what it says, no-store keeps nothing."""
    talk = await make_talk(cache_scope="company")
    fake.script_once(Say(("old",)), End())
    fake.script_once(Say(("new",)), End())
    assert (await _say(talk, as_alice, "Q", write_cache=False))[0] == "old"
    assert await _say(talk, as_alice, "Q", read_cache=False) == ("new", Source.MODEL)
    assert await _say(talk, as_bob, "Q") == ("new", Source.CACHE)
    assert await _say(talk, as_bob, "Q", write_cache=False) == ("new", Source.CACHE)


async def test_ask_the_model_again(fake: ModelServer, make_talk: MakeTalk, as_alice: Actor) -> None:
    """A cached answer can be asked for anew; the new one takes its place."""
    talk = await make_talk(cache_scope="company")
    fake.script_once(Say(("old",)), End())
    fake.script_once(Say(("new",)), End())
    await _say(talk, as_alice, "Q")
    turn = await talk.ask(as_alice, "Q")
    assert turn.source == Source.CACHE
    again = await talk.chat.regenerate(as_alice, turn.answer_id)
    assert await read(talk.chat.follow_turn(again)) == ("new", Status.COMPLETE)
    assert await _say(talk, as_alice, "Q") == ("new", Source.CACHE)


@pytest.mark.parametrize(
    "script", [(Say(("half",)), Close()), (Say(("a",)), End("length"))], ids=str
)
async def test_only_whole_answers_are_kept(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, script: Sequence[object]
) -> None:
    talk = await make_talk(cache_scope="company")
    fake.script_once(*script)  # pyright: ignore[reportArgumentType]
    await talk.answer(as_alice, "Q")
    await talk.answer(as_alice, "Q")
    assert len(fake.answers) == 2


async def test_twenty_at_once_are_one_run(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """Single flight: everybody has the whole answer in a message of his own."""
    talk = await make_talk(cache_scope="company", max_parallel=50)
    turns = await asyncio.gather(
        *(talk.ask(replace(who, channel=Channel.API), "Now?") for who in (as_alice, as_bob) * 10)
    )
    said = await asyncio.gather(*(read(talk.chat.follow_turn(turn)) for turn in turns))
    assert len(fake.answers) == 1
    assert len(set(said)) == 1
    rows = [await saved(talk.db, turn.answer_id) for turn in turns]
    assert {row.text for row in rows} == {said[0][0]}
    assert sorted(str(row.source) for row in rows) == ["cache"] * 19 + ["model"]


async def test_joined_runs_stay_within_the_scope(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """Under scope `user` two users are two runs."""
    talk = await make_talk(cache_scope="user", max_parallel=50)
    turns = await asyncio.gather(*(talk.ask(who, "Now?") for who in (as_alice, as_bob)))
    await asyncio.gather(*(read(talk.chat.follow_turn(turn)) for turn in turns))
    assert len(fake.answers) == 2


async def test_who_stops_stops_for_himself(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """The one who began it leaves; the other reads to the end. Nobody left: the run ends."""
    fake.script(Say(("one ",)), Hold("go"), Say(("two",)), End())
    talk = await make_talk(cache_scope="company")
    turns: list[Turn] = []
    for who in (as_alice, as_bob):
        turns.append(await talk.ask(who, "Shared?"))
    await called(fake, 1)
    reading = asyncio.create_task(read(talk.chat.follow_turn(turns[1])))
    await talk.chat.stop(as_alice, turns[0].answer_id)
    assert (await read(talk.chat.follow_turn(turns[0])))[1] == Status.STOPPED
    fake.release("go")
    assert await reading == ("one two", Status.COMPLETE)
    assert len(fake.answers) == 1
    assert await _say(talk, as_alice, "Shared?") == ("one two", Source.CACHE)


async def test_failure_is_everybodys(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    fake.script(Say(("part",)), Hold("go"), Close())
    talk = await make_talk(cache_scope="company")
    turns = [await talk.ask(who, "Shared?") for who in (as_alice, as_bob)]
    fake.release("go")
    ends = [await read(talk.chat.follow_turn(turn)) for turn in turns]
    assert ends == [("part", Status.INTERRUPTED)] * 2


def _answer(text: str) -> CachedAnswer:
    from genai_app import clock

    return CachedAnswer(text, "m", 1, 2, clock.now())


async def test_a_cancellation_that_the_driver_loses(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is stopped in the middle of a call is stopped, whatever the call makes of it."""
    entries = Entries(redis_server.url)
    asked = asyncio.Event()

    async def deaf(_key: str) -> bytes:
        asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return b"found"

    monkeypatch.setattr(entries._client, "get", deaf)
    asking = asyncio.create_task(entries.get("key"))
    await asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await entries.get("key") is None  # out of time
    await entries.aclose()


async def test_redis_keeps_for_its_time(redis_server: RedisServer) -> None:
    """Over two processes; a Redis that is away is an empty cache, at once."""
    entries = [Entries(redis_server.url) for _ in range(2)]
    first, second = (AnswerCache(one, scope="company", ttl_s=60) for one in entries)
    key = first.key(uuid.uuid4(), [ChatTurn("user", "ё 🎉")], model="m", parameters=())
    assert key is not None
    await first.keep(key, _answer("да\u2028нет"))
    found = await second.find(key)
    assert found is not None
    assert found.text == "да\u2028нет"
    assert redis_server.command("TTL", key.name).strip() in (":60", ":59")

    redis_server.freeze()
    begin = asyncio.get_running_loop().time()
    assert await first.find(key) is None
    assert asyncio.get_running_loop().time() - begin < 5
    begin = asyncio.get_running_loop().time()
    assert await first.find(key) is None
    assert asyncio.get_running_loop().time() - begin < 0.9  # no second wait
    redis_server.thaw()
    for one in entries:
        await one.aclose()


async def test_an_openai_clients_next_call_goes_on_with_its_dialog(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    """The history that a client sends back is known again; somebody else's is not."""
    fake.script(Say(("4",)), End())
    talk = await make_talk()
    program = replace(as_alice, channel=Channel.API)
    first = await talk.chat.ask(program, "2+2?", client_id=None, earlier=[])
    await read(talk.chat.follow_turn(first))
    history = [ChatTurn("user", "2+2?"), ChatTurn("assistant", "4")]
    second = await talk.chat.ask(program, "Sure?", client_id=None, earlier=history)
    await read(talk.chat.follow_turn(second))
    assert second.dialog_id == first.dialog_id
    stranger = replace(await enter(talk.db, "greta"), channel=Channel.API)
    other = await talk.chat.ask(stranger, "Sure?", client_id=None, earlier=history)
    await read(talk.chat.follow_turn(other))
    assert other.dialog_id != first.dialog_id
    branch = await talk.history.get_branch(stranger, other.dialog_id)
    assert [message.text for message in branch.messages] == ["2+2?", "4", "Sure?", "4"]
