"""A verdict flips the source of the next ask."""

import asyncio

import pytest
import pytest_asyncio

from genai_app.access import Actor
from genai_app.adapters.redis.client import Entries
from genai_app.db.database import Database
from genai_app.errors import Forbidden, NotFound
from genai_app.models import Role, Source, Verdict
from genai_app.services.chat.turns import Turn
from genai_app.services.reuse.cache import AnswerCache, CachedAnswer, Key, answer_digest
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say
from tests.fakes.services import RedisServer
from tests.unit.talk import MakeTalk, Talk, enter, put_dialog, read, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

WRONG_TEXT = "14 дней"


@pytest_asyncio.fixture
async def as_rita(db: Database) -> Actor:
    """A reviewer."""
    return await enter(db, "rita", Role.REVIEWER)


@pytest.fixture
def stubborn(fake: ModelServer) -> ModelServer:
    """A model that says the same wrong thing each time."""
    fake.script(Say((WRONG_TEXT,)), End())
    return fake


async def _ask(talk: Talk, actor: Actor, text: str = "Отпуск?") -> tuple[Turn, Source]:
    turn = await talk.ask(actor, text)
    await read(talk.chat.follow_turn(turn))
    return turn, Source((await saved(talk.db, turn.answer_id)).source or "")


@pytest.mark.parametrize("verdict", [Verdict.WRONG, Verdict.UNSAFE])
async def test_wrong_is_out_of_the_cache_and_stays_out(
    verdict: Verdict, stubborn: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    """The text that was judged, for that question however it is spelled; good lifts it."""
    talk = await make_talk(cache_scope="company")
    turn, _ = await _ask(talk, as_alice)
    assert (await _ask(talk, as_alice))[1] == Source.CACHE
    await talk.verdicts.on_verdict(as_rita, turn.answer_id, verdict)
    for text in ("Отпуск?", "Отпуск?", "отпуск", "отпуск"):
        assert (await _ask(talk, as_alice, text))[1] == Source.MODEL
    assert [(await _ask(talk, as_alice, "Больничный?"))[1] for _ in range(2)] == [
        Source.MODEL,
        Source.CACHE,
    ]
    await talk.verdicts.on_verdict(as_rita, turn.answer_id, Verdict.GOOD)
    assert [(await _ask(talk, as_alice))[1] for _ in range(2)][1] == Source.CACHE


async def test_another_answer_may_be_kept(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    talk = await make_talk(cache_scope="company")
    for text in (WRONG_TEXT, WRONG_TEXT, "28 дней"):
        fake.script_once(Say((text,)), End())
    turn, _ = await _ask(talk, as_alice)
    await talk.verdicts.on_verdict(as_rita, turn.answer_id, Verdict.WRONG)
    await talk.verdicts.on_verdict(as_rita, turn.answer_id, Verdict.WRONG)
    sources = [(await _ask(talk, as_alice))[1] for _ in range(3)]
    assert sources == [Source.MODEL, Source.MODEL, Source.CACHE]


async def test_needs_knowledge_changes_nothing(
    stubborn: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    talk = await make_talk(cache_scope="company")
    turn, _ = await _ask(talk, as_alice)
    await talk.verdicts.on_verdict(as_rita, turn.answer_id, Verdict.NEEDS_KNOWLEDGE)
    assert (await _ask(talk, as_alice))[1] == Source.CACHE


async def test_other_processes_hear_of_it(
    stubborn: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    """Each has a cache of its own here; also one that starts later keeps the text out."""
    first, second = [await make_talk(opened=False, cache_scope="company") for _ in range(2)]
    turn, _ = await _ask(first, as_alice)
    await _ask(second, as_alice)
    await first.verdicts.on_verdict(as_rita, turn.answer_id, Verdict.WRONG)
    await second.verdicts.refresh()
    assert (await _ask(second, as_alice))[1] == Source.MODEL
    third = await make_talk(cache_scope="company")
    assert [(await _ask(third, as_alice))[1] for _ in range(2)] == [Source.MODEL] * 2
    await third.verdicts.on_verdict(as_rita, turn.answer_id, Verdict.GOOD)
    await first.verdicts.refresh()
    assert [(await _ask(first, as_alice))[1] for _ in range(2)][1] == Source.CACHE


async def test_a_verified_answer_that_is_wrong_is_retired(
    stubborn: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    """And one that is written after a verdict answers the next ask."""
    talk = await make_talk(opened=False, cache_scope="company")
    turn, _ = await _ask(talk, as_alice)
    await talk.verdicts.on_verdict(as_rita, turn.answer_id, Verdict.WRONG)
    await talk.verified.write(as_rita, "Отпуск?", "28 дней", message_id=turn.answer_id)
    turn, source = await _ask(talk, as_alice)
    assert source == Source.VERIFIED
    await talk.verdicts.on_verdict(as_rita, turn.answer_id, Verdict.UNSAFE)
    assert (await _ask(talk, as_alice))[1] == Source.MODEL


async def test_only_reviewers_and_only_answers(
    db: Database, make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    talk = await make_talk(opened=False)
    dialog_id, question_id, answer_id = await put_dialog(db, as_alice, ["Q", "A"])
    with pytest.raises(Forbidden):
        await talk.verdicts.on_verdict(as_alice, answer_id, Verdict.GOOD)
    for message_id in (question_id, dialog_id, "no id", None):
        with pytest.raises(NotFound):
            await talk.verdicts.on_verdict(as_rita, message_id, Verdict.WRONG)


async def test_two_reviewers_at_once(
    db: Database, make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    talk = await make_talk(opened=False)
    _, _, answer_id = await put_dialog(db, as_alice, ["Q", "A"])
    await asyncio.gather(
        *(talk.verdicts.on_verdict(as_rita, answer_id, Verdict.WRONG) for _ in range(4))
    )


async def test_redis_forgets_every_copy(redis_server: RedisServer) -> None:
    """Under whatever key it is kept, at once, for processes too that have not heard of it yet;
    and after Redis was emptied it is not kept again."""
    from genai_app import clock

    entries = [Entries(redis_server.url) for _ in range(2)]
    first, second = (AnswerCache(one, scope="company", ttl_s=60) for one in entries)
    keys = [Key(f"genai:answer:{n}", question) for n, question in enumerate(("Q?", "q", "Other"))]
    answer = CachedAnswer(WRONG_TEXT, "m", 1, 2, clock.now())
    for key in keys:
        await first.keep(key, answer)
    await first.purge(answer_digest("Q", WRONG_TEXT))
    assert [await second.find(key) is None for key in keys] == [True, True, False]
    assert b"genai:answer:0" not in redis_server.command("KEYS", "genai:answer*").encode()
    redis_server.command("FLUSHALL")
    await first.keep(keys[0], answer)
    assert await second.find(keys[0]) is None
    await second.keep(keys[0], answer)  # it has not heard yet
    assert await first.find(keys[0]) is None
    for one in entries:
        await one.aclose()
