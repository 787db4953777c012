"""One budget per person, exact while counters come and go."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.adapters.redis.client import close_storage, limit_storage
from genai_app.db.database import Database
from genai_app.errors import NotAuthenticated, RateLimited
from genai_app.models import AuditEvent, Channel, Message, User
from genai_app.services.chat.turns import Turn
from genai_app.services.limits import parallel as answers_at_once
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Hang, Say
from tests.fakes.services import RedisServer
from tests.unit.talk import MakeTalk, Talk, enter, later, read

pytest_plugins = ("tests.unit.talk_fixtures",)

DEAD_REDIS = "redis://127.0.0.1:1/0"


def _by_program(actor: Actor) -> Actor:
    return replace(actor, channel=Channel.API)


async def _ask_many(talks: Sequence[Talk], actor: Actor, count: int) -> Counter[str]:
    """Ask `count` questions at once, over the processes in turn; what came of them."""

    async def one(number: int) -> str:
        talk = talks[number % len(talks)]
        try:
            await talk.chat.ask(actor, f"question {uuid.uuid4()}", client_id=None)
        except RateLimited as error:
            return error.code
        return "answered"

    return Counter(await asyncio.gather(*(one(number) for number in range(count))))


async def _committed(db: Database, actor: Actor) -> int:
    async with db.read() as session:
        found = await session.scalar(
            sa.select(sa.func.count())
            .select_from(Message)
            .where(col(Message.user_id) == actor.user_id, col(Message.source).is_not(None))
        )
    return found or 0


async def test_exactly_the_limit_passes(
    make_talk: MakeTalk, redis_server: RedisServer, as_alice: Actor
) -> None:
    """50 at once against 30, over two processes and one Redis."""
    stores = [limit_storage(redis_server.url) for _ in range(2)]
    talks = [await make_talk(rate="30/minute", max_parallel=100, storage=one) for one in stores]

    outcomes = await _ask_many(talks, _by_program(as_alice), 50)

    assert outcomes == {"answered": 30, "rate_limited": 20}
    assert await _committed(talks[0].db, as_alice) == 30
    for one in stores:
        await close_storage(one)


async def test_exactly_the_limit_passes_when_redis_stops_in_the_middle(
    make_talk: MakeTalk, redis_server: RedisServer, as_alice: Actor
) -> None:
    """The units that Redis had granted and those that are counted are one budget."""
    stores = [limit_storage(redis_server.url) for _ in range(2)]
    talks = [await make_talk(rate="30/minute", max_parallel=100, storage=one) for one in stores]
    actor = _by_program(as_alice)

    before = await _ask_many(talks, actor, 12)
    asking = asyncio.create_task(_ask_many(talks, actor, 38))
    await asyncio.sleep(0)
    await asyncio.to_thread(redis_server.kill)
    outcomes = before + await asking

    assert outcomes == {"answered": 30, "rate_limited": 20}
    assert await _committed(talks[0].db, as_alice) == 30
    for one in stores:
        await close_storage(one)


async def test_emptied_counters_give_nothing_away(
    make_talk: MakeTalk, redis_server: RedisServer, as_alice: Actor
) -> None:
    """N: Redis may be emptied at any moment; then the committed messages count."""
    store = limit_storage(redis_server.url)
    talk = await make_talk(rate="5/minute", max_parallel=100, storage=store)
    actor = _by_program(as_alice)
    assert await _ask_many([talk], actor, 4) == {"answered": 4}

    redis_server.command("FLUSHALL")

    assert await _ask_many([talk], actor, 1) == {"answered": 1}
    assert await _ask_many([talk], actor, 3) == {"rate_limited": 3}
    await close_storage(store)


async def test_counters_that_are_whole_are_trusted(
    make_talk: MakeTalk, redis_server: RedisServer, as_alice: Actor
) -> None:
    """Questions in quick succession are not taken for forgotten ones, and after a loss the messages
    are counted for one window, not for ever."""
    store = limit_storage(redis_server.url)
    talk = await make_talk(rate="100/minute", max_parallel=100, storage=store)
    actor = _by_program(as_alice)
    for _ in range(3):
        assert await _ask_many([talk], actor, 1) == {"answered": 1}
    assert await _counted_until(talk.db) is None

    redis_server.command("FLUSHALL")
    assert await _ask_many([talk], actor, 1) == {"answered": 1}
    until = await _counted_until(talk.db)
    assert until is not None
    assert await _ask_many([talk], actor, 3) == {"answered": 3}
    assert await _counted_until(talk.db) == until
    await close_storage(store)


async def _counted_until(db: Database) -> datetime | None:
    async with db.read() as session:
        return await session.scalar(
            sa.select(col(User.counted_until)).where(col(User.username) == "alice")
        )


async def test_a_new_process_remembers(make_talk: MakeTalk, as_alice: Actor) -> None:
    """Without Redis the counters die with the process; the budget does not."""
    actor = _by_program(as_alice)
    first = await make_talk(rate="3/minute", max_parallel=100)
    assert await _ask_many([first], actor, 2) == {"answered": 2}
    second = await make_talk(rate="3/minute", max_parallel=100)
    assert await _ask_many([second], actor, 4) == {"answered": 1, "rate_limited": 3}


async def test_redis_that_never_was(make_talk: MakeTalk, as_alice: Actor) -> None:
    """Never unlimited."""
    store = limit_storage(DEAD_REDIS)
    talk = await make_talk(rate="4/minute", max_parallel=100, storage=store)
    outcomes = await _ask_many([talk], _by_program(as_alice), 9)
    assert outcomes == {"answered": 4, "rate_limited": 5}
    budget = await talk.limits.look(as_alice)
    assert (budget.limit, budget.remaining) == (4, 0)
    assert 50 < budget.reset_s <= 60


async def test_one_budget_over_all_channels(make_talk: MakeTalk, as_alice: Actor) -> None:
    """Web, API and bot."""
    talk = await make_talk(rate="3/minute")
    for channel in (Channel.WEB, Channel.API, Channel.TELEGRAM):
        await talk.answer(replace(as_alice, channel=channel))
    with pytest.raises(RateLimited) as caught:
        await talk.ask(as_alice)
    assert caught.value.params["budget"].remaining == 0  # pyright: ignore[reportAttributeAccessIssue]


async def test_wait_is_until_the_next_unit_and_refusals_do_not_extend_it(
    make_talk: MakeTalk, as_alice: Actor
) -> None:
    """Retry-After is the time to the next free place, however often one tries."""
    talk = await make_talk(rate="2/minute")
    for _ in range(2):
        await talk.answer(as_alice)
    waits: list[int] = []
    for _ in range(20):
        with pytest.raises(RateLimited) as caught:
            await talk.ask(as_alice)
        assert caught.value.retry_after_s is not None
        waits.append(caught.value.retry_after_s)
    assert waits == sorted(waits, reverse=True)
    assert 1 <= waits[-1] <= waits[0] <= 60


async def test_units_come_back(
    make_talk: MakeTalk, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One window after they were taken, when they are counted too."""
    store = limit_storage(DEAD_REDIS)
    talk = await make_talk(rate="2/minute", max_parallel=100, storage=store)
    actor = _by_program(as_alice)
    assert await _ask_many([talk], actor, 3) == {"answered": 2, "rate_limited": 1}
    later(monkeypatch, 61)
    assert await _ask_many([talk], actor, 3) == {"answered": 2, "rate_limited": 1}


async def test_what_was_not_committed_costs_nothing(make_talk: MakeTalk, as_alice: Actor) -> None:
    """A dialog that is not there, and a repeated send."""
    talk = await make_talk(rate="5/minute")
    client_id = uuid.uuid4()
    for _ in range(4):
        await talk.chat.ask(as_alice, "Once", client_id=client_id)
    with pytest.raises(Exception, match="not_found"):
        await talk.ask(as_alice, dialog_id=uuid.uuid4())
    assert (await talk.limits.look(as_alice)).remaining == 4


async def test_own_and_role_limits(make_talk: MakeTalk, as_alice: Actor) -> None:
    """A user's own limit comes before that of the role."""
    talk = await make_talk(rate="1/minute")
    generous = replace(as_alice, rate_limit="3/minute")
    assert (await talk.limits.look(generous)).limit == 3
    await talk.answer(generous)
    assert (await talk.limits.look(generous)).remaining == 2


async def test_disabled_between_door_and_commit(make_talk: MakeTalk, as_alice: Actor) -> None:
    """What counts is the table at the moment of the commit."""
    talk = await make_talk()
    async with talk.db.write() as session:
        user = await session.get_one(User, as_alice.user_id)
        user.disabled_at = user.created_at
        session.add(user)
    with pytest.raises(NotAuthenticated):
        await talk.ask(as_alice)


async def test_third_answer_at_once(
    fake: ModelServer,
    make_talk: MakeTalk,
    as_alice: Actor,
    as_bob: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person is told at once, a program after a wait; others are not held up."""
    monkeypatch.setattr(answers_at_once, "SLOT_WAIT_S", 0.05)
    fake.script(Say(("a ",)), Hang())
    talk = await make_talk(rate="30/minute")
    turns: list[Turn] = [await talk.ask(as_alice) for _ in range(2)]
    for actor in (as_alice, _by_program(as_alice)):
        with pytest.raises(RateLimited) as caught:
            await talk.ask(actor)
        assert caught.value.code == "too_many_answers"
        assert caught.value.retry_after_s
    assert (await talk.limits.look(as_alice)).remaining == 28
    await talk.ask(as_bob)

    await talk.chat.stop(as_alice, turns[0].answer_id)
    await read(talk.generations.follow(turns[0].answer_id))
    await talk.ask(_by_program(as_alice))


async def test_third_answer_at_once_over_two_processes(
    fake: ModelServer,
    make_talk: MakeTalk,
    as_alice: Actor,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers of other processes count; a program that waits goes on when one of them ends."""
    monkeypatch.setattr(answers_at_once, "ELSEWHERE_S", 0.01)
    fake.script(Say(("a ",)), Hang())
    stores = [limit_storage(redis_server.url) for _ in range(2)]
    here, there = [await make_talk(rate="30/minute", storage=one) for one in stores]
    turns: list[Turn] = [await talk.ask(as_alice) for talk in (here, there)]
    for talk in (here, there):
        with pytest.raises(RateLimited) as caught:
            await talk.ask(as_alice)
        assert caught.value.code == "too_many_answers"
    waiting = asyncio.create_task(here.ask(_by_program(as_alice)))
    await there.chat.stop(as_alice, turns[1].answer_id)
    await asyncio.wait_for(waiting, answers_at_once.SLOT_WAIT_S)
    for store in stores:
        await close_storage(store)


async def test_limit_hits_are_audited_once_a_minute(make_talk: MakeTalk, db: Database) -> None:
    """An event, no content, and no flood of them."""
    talk = await make_talk(rate="1/minute")
    actor = await enter(db, "frank")
    await talk.answer(actor, "secret words")
    for _ in range(5):
        with pytest.raises(RateLimited):
            await talk.ask(actor)
    async with db.read() as session:
        rows = list(await session.scalars(sa.select(AuditEvent)))
    assert [(row.action, row.outcome, row.actor_name) for row in rows] == [
        ("limit_hit", "refused", "frank")
    ]
    assert "secret" not in rows[0].details
