"""Answers that reviewers write: which question they answer, for how long, and who is told whose."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.db.database import Database
from genai_app.errors import BadCursor, Conflict, Forbidden, InvalidInput, NotFound, RateLimited
from genai_app.models import AuditEvent, Channel, Role, Source, Status, VerifiedAnswer
from genai_app.services.chat.placement import Options
from genai_app.services.cursors import Cursors
from genai_app.services.reuse.verified import Verified, Which, question_hash
from tests.fakes.model_server import ModelServer
from tests.unit.review_rows import SECRET
from tests.unit.talk import MakeTalk, Talk, enter, everything, later, read, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

QUESTION = "Сколько дней отпуска?"
ANSWER = "28 календарных дней."


@pytest_asyncio.fixture
async def as_rita(db: Database) -> Actor:
    """A reviewer."""
    return await enter(db, "rita", Role.REVIEWER)


async def _rows(db: Database) -> list[VerifiedAnswer]:
    async with db.read() as session:
        return list(
            await session.scalars(sa.select(VerifiedAnswer).order_by(col(VerifiedAnswer.id)))
        )


async def _events(db: Database) -> list[tuple[str, str, str, str]]:
    async with db.read() as session:
        found = await session.scalars(sa.select(AuditEvent).order_by(col(AuditEvent.id)))
        return [(row.action, row.outcome, row.actor_name, row.target) for row in found]


async def _source(talk: Talk, actor: Actor, text: str = QUESTION, **more: object) -> Source:
    turn = await talk.chat.ask(actor, text, client_id=None, **more)  # pyright: ignore[reportArgumentType]
    await read(talk.chat.follow_turn(turn))
    return Source((await saved(talk.db, turn.answer_id)).source or "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Сколько дней отпуска?", "  сколько   ДНЕЙ\nотпуска "),
        ("Где ёлка?", "где елка"),
        ("«Что такое VPN»?!", "Что такое VPN…"),
        ("Ⅻ месяцев", "XII месяцев"),
        ("STRASSE", "straße"),
        ("от\u00adпуск", "отпуск\u200b"),
        ("— Как дела?", "Как дела"),
        ("й", "й"),
    ],
)
def test_one_question_spelled_twice(one: str, other: str) -> None:
    assert question_hash(one) == question_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Что такое C#?", "Что такое C?"),
        ("Что такое C++?", "Что такое C?"),
        (".NET", "NET"),
        ("f()", "f"),
        ("Сколько дней отпуска", "Сколько дня отпуска"),
        ("?", "!"),
        ("a b", "ab"),
    ],
)
def test_two_questions(one: str, other: str) -> None:
    assert question_hash(one) != question_hash(other)


async def test_it_answers_from_then_on(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    """At once in the process that wrote it; the model is not called, not even for its name."""
    talk = await make_talk(opened=False, cache_scope="company")
    assert await _source(talk, as_alice) == Source.MODEL
    row = await talk.verified.write(as_rita, QUESTION, ANSWER)
    calls = len(fake.answers)
    turn = await talk.chat.ask(as_alice, "сколько дней ОТПУСКА", client_id=None)
    assert (turn.source, turn.text) == (Source.VERIFIED, ANSWER)
    assert turn.budget is not None
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.text, answer.status, answer.source) == (ANSWER, Status.COMPLETE, "verified")
    assert (answer.verified_id, answer.model, answer.made_at) == (row.id, None, row.updated_at)
    assert await read(talk.chat.follow(as_alice, turn.answer_id)) == (ANSWER, Status.COMPLETE)
    assert len(fake.answers) == calls
    branch = await talk.history.get_branch(as_alice, turn.dialog_id)
    assert branch.verified[turn.answer_id].owner_name == "Rita"


async def test_a_repeated_send_is_one_message(
    make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    """N4. As for any other answer; the hit is counted once."""
    talk = await make_talk(opened=False)
    row = await talk.verified.write(as_rita, QUESTION, ANSWER)
    key = uuid.uuid4()
    turns = await asyncio.gather(
        *(talk.chat.ask(as_alice, QUESTION, client_id=key) for _ in range(5))
    )
    assert len({turn.answer_id for turn in turns}) == 1
    assert {turn.source for turn in turns} == {Source.VERIFIED}
    assert sorted(turn.repeated for turn in turns) == [False, True, True, True, True]
    await talk.verified.save_hits()
    assert (await talk.verified.get(as_rita, row.id)).hits == 1


async def test_only_a_question_alone(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    """What came before gives the same words another meaning."""
    talk = await make_talk(opened=False)
    await talk.verified.write(as_rita, QUESTION, ANSWER)
    program = replace(as_alice, channel=Channel.API)
    assert await _source(talk, program, earlier=[]) == Source.VERIFIED
    earlier = [ChatTurn("system", "В этой фирме 40 дней.")]
    assert await _source(talk, program, earlier=earlier) == Source.MODEL
    assert await _source(talk, program, options=Options(read_cache=False)) == Source.MODEL
    first = await talk.chat.ask(as_alice, QUESTION, client_id=None)
    assert await _source(talk, as_alice, dialog_id=first.dialog_id) == Source.MODEL
    again = await talk.chat.regenerate(as_alice, first.answer_id)
    await read(talk.chat.follow_turn(again))
    assert (await saved(talk.db, again.answer_id)).source == Source.MODEL
    assert await _source(talk, as_alice, "Сколько дней отпуска у стажёра?") == Source.MODEL


async def test_it_takes_a_unit(make_talk: MakeTalk, as_alice: Actor, as_rita: Actor) -> None:
    """As an answer from the cache does; what is refused is no hit."""
    talk = await make_talk(opened=False, rate="2/minute")
    row = await talk.verified.write(as_rita, QUESTION, ANSWER)
    for _ in range(2):
        assert await _source(talk, as_alice) == Source.VERIFIED
    before = await everything(talk.db)
    with pytest.raises(RateLimited):
        await talk.ask(as_alice, QUESTION)
    assert await everything(talk.db) == before
    await talk.verified.save_hits()
    assert (await talk.verified.get(as_rita, row.id)).hits == 2


async def test_past_its_date_the_model_answers(
    make_talk: MakeTalk, as_alice: Actor, as_rita: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = await make_talk(opened=False)
    row = await talk.verified.write(
        as_rita, QUESTION, ANSWER, review_by=clock.now() + timedelta(seconds=60)
    )
    assert await _source(talk, as_alice) == Source.VERIFIED
    with monkeypatch.context() as patch:
        later(patch, 61)
        assert await _source(talk, as_alice) == Source.MODEL
        await talk.verified.change(as_rita, row.id)
        assert await _source(talk, as_alice) == Source.VERIFIED
    await talk.verified.retire(as_rita, row.id)
    assert await _source(talk, as_alice) == Source.MODEL


async def test_other_processes_know_within_a_moment(
    make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    first, second = await make_talk(opened=False), await make_talk(opened=False)
    row = await first.verified.write(as_rita, QUESTION, ANSWER)
    assert await _source(second, as_alice) == Source.MODEL
    await second.verified.refresh()
    assert await _source(second, as_alice) == Source.VERIFIED
    await second.verified.retire(as_rita, row.id)
    assert await _source(first, as_alice) == Source.MODEL  # the one read tells
    await first.verified.refresh()
    assert await _source(first, as_alice) == Source.MODEL
    await first.verified.write(as_rita, QUESTION, ANSWER)
    await second.verified.refresh()
    assert await _source(second, as_alice) == Source.VERIFIED


async def test_a_process_that_starts_knows_what_is_there(
    make_talk: MakeTalk, as_alice: Actor, as_rita: Actor
) -> None:
    await (await make_talk(opened=False)).verified.write(as_rita, QUESTION, ANSWER)
    assert await _source(await make_talk(), as_alice) == Source.VERIFIED


async def test_hits_are_exact(
    make_talk: MakeTalk, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    """Of two processes that save at the same moment, and of one that closes."""
    talks = [await make_talk(opened=False) for _ in range(2)]
    row = await talks[0].verified.write(as_rita, QUESTION, ANSWER)
    await talks[1].verified.refresh()
    for _ in range(3):
        await asyncio.gather(
            *(talk.ask(who, QUESTION) for talk in talks for who in (as_alice, as_bob))
        )
        await asyncio.gather(*(talk.verified.save_hits() for talk in talks))
    found = await talks[0].verified.get(as_rita, row.id)
    assert found.hits == 12
    assert found.last_hit_at is not None
    assert found.last_hit_at > row.created_at


async def test_a_new_one_takes_the_place_of_the_old(
    db: Database, as_alice: Actor, as_rita: Actor
) -> None:
    verified = Verified(db, Cursors(SECRET), days=180)
    first = await verified.write(as_rita, QUESTION, ANSWER)
    second = await verified.write(as_rita, "сколько дней отпуска", "31 день.")
    third = await verified.change(as_rita, second.id, answer="30 дней.")
    rows = await _rows(db)
    assert [row.id for row in rows] == [first.id, second.id, third.id]
    assert [row.retired_at is None for row in rows] == [False, False, True]
    found = await verified.find(QUESTION)
    assert found is not None
    assert found.answer == "30 дней."
    with pytest.raises(Conflict):
        await verified.change(as_rita, first.id, answer="?")
    assert await _events(db) == [
        ("verified_write", "done", "rita", str(row.id)) for row in (first, second, third)
    ]
    async with db.read() as session:
        for row in await session.scalars(sa.select(AuditEvent)):
            assert "дней" not in row.details + row.target


async def test_many_write_at_once(db: Database, as_rita: Actor) -> None:
    """One answers; nobody is told an error of the database."""
    verified = Verified(db, Cursors(SECRET), days=180)
    results = await asyncio.gather(
        *(verified.write(as_rita, QUESTION, f"{n} дней") for n in range(3)),
        return_exceptions=True,
    )
    assert all(isinstance(each, VerifiedAnswer | Conflict) for each in results)
    assert sum(row.retired_at is None for row in await _rows(db)) == 1


async def test_only_reviewers(db: Database, as_alice: Actor, as_rita: Actor) -> None:
    verified = Verified(db, Cursors(SECRET), days=180)
    row = await verified.write(as_rita, QUESTION, ANSWER)
    for deed in (
        verified.write(as_alice, QUESTION, "hers"),
        verified.change(as_alice, row.id, answer="hers"),
        verified.retire(as_alice, row.id),
        verified.get(as_alice, row.id),
        verified.list_page(as_alice),
    ):
        with pytest.raises(Forbidden):
            await deed
    assert len(await _rows(db)) == 1


async def test_what_is_refused(db: Database, as_rita: Actor) -> None:
    verified = Verified(db, Cursors(SECRET), days=180)
    moment = clock.now()
    for question, answer in ((" ", "x"), ("x", "\n"), ("x" * 100_001, "x"), ("x", "x" * 100_001)):
        with pytest.raises(InvalidInput) as refused:
            await verified.write(as_rita, question, answer)
        assert refused.value.code == "bad_verified"
    for date in (moment, moment + timedelta(days=4000), moment.replace(tzinfo=None)):
        with pytest.raises(InvalidInput) as refused:
            await verified.write(as_rita, QUESTION, ANSWER, review_by=date)
        assert refused.value.code == "bad_review_by"
    for message_id in (uuid.uuid4(), "no id"):
        with pytest.raises(NotFound):
            await verified.write(as_rita, QUESTION, ANSWER, message_id=message_id)
    for deed in (verified.retire, verified.change, verified.get):
        with pytest.raises(NotFound):
            await deed(as_rita, uuid.uuid4())
    assert await _rows(db) == []
    assert await verified.find(QUESTION) is None


async def test_the_list_page_by_page(db: Database, as_rita: Actor) -> None:
    """The first to be reviewed first, each once."""
    verified = Verified(db, Cursors(SECRET), days=180)
    made = [
        await verified.write(
            as_rita, f"Вопрос {n}", ANSWER, review_by=clock.now() + timedelta(days=n)
        )
        for n in (30, 3, 20, 10, 1)
    ]
    await verified.retire(as_rita, made[3].id)
    await verified.retire(as_rita, made[3].id)  # once more changes nothing
    found: list[str] = []
    cursor = None
    while True:
        page = await verified.list_page(as_rita, limit=2, cursor=cursor)
        found += [row.question for row in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert found == ["Вопрос 1", "Вопрос 3", "Вопрос 20", "Вопрос 30"]
    due = await verified.list_page(as_rita, which=Which.DUE)
    assert [row.question for row in due.items] == ["Вопрос 1", "Вопрос 3"]
    retired = await verified.list_page(as_rita, which=Which.RETIRED)
    assert [row.id for row in retired.items] == [made[3].id]
    with pytest.raises(BadCursor):
        await verified.list_page(as_rita, cursor="x")
    events = await _events(db)
    assert [each for each in events if each[0] == "verified_retire"] == [
        ("verified_retire", "done", "rita", str(made[3].id))
    ]
    assert events[-1] == ("admin_view", "done", "rita", "verified")
