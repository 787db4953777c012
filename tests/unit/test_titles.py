"""Titles that the model writes: once, only while it has nothing else to do, never over a user's."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col
from structlog.testing import capture_logs

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import Dialog, Message, TitledBy
from genai_app.services.chat import titles as service
from genai_app.services.chat.placement import Options
from genai_app.services.chat.titles import MOST_TRIES, Titles
from genai_app.services.chat.turns import Turn
from genai_app.services.dialogs.edits import DialogEdit, DialogEdits
from tests.fakes.model_reading import MakeLlm
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say, Think
from tests.unit.talk import MakeTalk, Talk, Two, called, everything, read

pytest_plugins = ("tests.unit.talk_fixtures",)

QUESTION = "Сколько дней отпуска положено за год?"
TITLE = "Дни отпуска"


@pytest.fixture
def make_titles(make_llm: MakeLlm) -> Callable[..., Titles]:
    """Makes the writer of titles of a process."""

    def make(talk: Talk, **options: Any) -> Titles:
        return Titles(
            *(talk.db, make_llm(), talk.slots, talk.chat.reasoning),
            **{"by_model": True, **options},
        )

    return make


@pytest.fixture
def titles(talk: Talk, make_titles: Callable[..., Titles]) -> Titles:
    return make_titles(talk)


async def dialog_of(db: Database, turn: Turn) -> Dialog:
    async with db.read() as session:
        return await session.get_one(Dialog, turn.dialog_id)


def say_title(fake: ModelServer, text: str = TITLE) -> None:
    fake.script_once(Say((text,)), End())


async def test_the_first_whole_answer_brings_a_title(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    turn = await talk.answer(as_alice, QUESTION)
    before = await dialog_of(talk.db, turn)
    assert (before.title, before.titled_by) == (QUESTION, TitledBy.QUESTION)
    say_title(fake, f"«{TITLE}».")
    assert await titles.write(turn.answer_id)

    dialog = await dialog_of(talk.db, turn)
    assert (dialog.title, dialog.titled_by, dialog.title_lease_until) == (TITLE, "model", None)
    assert dialog.updated_at == before.updated_at
    assert dialog.changed_at is not None
    assert before.changed_at is not None
    assert dialog.changed_at > before.changed_at  # open pages see it
    record = await called(fake, 2)
    assert QUESTION in record.messages[-1]["content"]
    assert "this is the scripted model" in record.messages[-1]["content"]

    # once only
    second = await talk.answer(as_alice, "И ещё?", turn.dialog_id)
    assert not await titles.write(second.answer_id)
    assert len(fake.answers) == 3


async def test_it_is_no_question(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    """It takes no unit of the limit, and is no message."""
    turn = await talk.answer(as_alice, QUESTION)
    remaining = (await talk.limits.look(as_alice)).remaining
    async with talk.db.read() as session:
        messages = await session.scalar(sa.select(sa.func.count()).select_from(Message))
    say_title(fake)
    assert await titles.write(turn.answer_id)
    assert (await talk.limits.look(as_alice)).remaining == remaining
    async with talk.db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(Message)) == messages


async def test_the_task_writes_after_the_end_of_an_answer(
    fake: ModelServer, talk: Talk, make_titles: Callable[..., Titles], as_alice: Actor
) -> None:
    written = asyncio.Event()
    titles = make_titles(talk, on_change=written.set)
    talk.chat.turn_ended = titles.note
    work = asyncio.create_task(titles.run())
    fake.script(Say((TITLE,)), End())
    turn = await talk.answer(as_alice, QUESTION)
    async with asyncio.timeout(60):
        await written.wait()
    assert (await dialog_of(talk.db, turn)).title == TITLE
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_an_answer_from_the_cache_brings_a_title(
    fake: ModelServer, make_talk: MakeTalk, make_titles: Callable[..., Titles], as_alice: Actor
) -> None:
    talk = await make_talk(cache_scope="company")
    noted: list[uuid.UUID] = []
    await talk.answer(as_alice, QUESTION)
    talk.chat.turn_ended = noted.append
    turn = await talk.ask(as_alice, QUESTION)
    assert turn.answer_id in noted
    say_title(fake)
    assert await make_titles(talk).write(turn.answer_id)


async def test_nothing_is_asked_unless_the_setting_allows(
    fake: ModelServer, talk: Talk, make_titles: Callable[..., Titles], as_alice: Actor
) -> None:
    titles = make_titles(talk, by_model=False)
    talk.chat.turn_ended = titles.note
    work = asyncio.create_task(titles.run())
    turn = await talk.answer(as_alice, QUESTION)
    for _ in range(5):
        await asyncio.sleep(0)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    dialog = await dialog_of(talk.db, turn)
    assert (dialog.title, dialog.title_tries, len(fake.answers)) == (QUESTION, 0, 1)


@pytest.mark.parametrize("reply", ["", "слово " * 40, "«»"])
async def test_a_reply_that_is_no_title_leaves_the_old_one(
    reply: str, fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    """Three tries at most, one at each answer."""
    turn = await talk.answer(as_alice, QUESTION)
    before = await dialog_of(talk.db, turn)
    say_title(fake, reply)
    assert not await titles.write(turn.answer_id)
    dialog = await dialog_of(talk.db, turn)
    assert (dialog.title, dialog.titled_by, dialog.title_tries) == (QUESTION, "question", 1)
    assert dialog.changed_at == before.changed_at

    for _ in range(MOST_TRIES - 1):
        turn = await talk.answer(as_alice, "Ещё?", turn.dialog_id)
        say_title(fake, reply)
        assert not await titles.write(turn.answer_id)
    calls = len(fake.answers)
    turn = await talk.answer(as_alice, "Ещё?", turn.dialog_id)
    assert not await titles.write(turn.answer_id)
    assert len(fake.answers) == calls + 1  # the answer alone


async def test_a_cut_reply_is_no_title(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    turn = await talk.answer(as_alice, QUESTION)
    fake.script_once(Say((TITLE,)), End("length"))
    assert not await titles.write(turn.answer_id)
    assert (await dialog_of(talk.db, turn)).title == QUESTION


@pytest.mark.parametrize(
    "directive", ["fake:tokens=4,cut=2", "fake:reason=length", "fake:status=500"]
)
async def test_an_answer_that_is_not_whole_brings_none(
    directive: str, fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    turn = await talk.answer(as_alice, f"fake:{directive}")
    calls = len(fake.answers)
    assert not await titles.write(turn.answer_id)
    assert len(fake.answers) == calls
    assert (await dialog_of(talk.db, turn)).title_tries == 0


async def test_a_title_of_the_user_stays(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    """Also the same words as before, and one that is written while the model thinks of another."""
    edits = DialogEdits(talk.db)
    turn = await talk.answer(as_alice, QUESTION)
    await edits.change(as_alice, turn.dialog_id, DialogEdit(title=QUESTION))
    assert not await titles.write(turn.answer_id)
    assert len(fake.answers) == 1

    turn = await talk.answer(as_alice, QUESTION)
    fake.script_once(Hold("title"), Say((TITLE,)), End())
    writing = asyncio.create_task(titles.write(turn.answer_id))
    await called(fake, 3)
    await edits.change(as_alice, turn.dialog_id, DialogEdit(title="Моё"))
    fake.release("title")
    assert not await writing
    dialog = await dialog_of(talk.db, turn)
    assert (dialog.title, dialog.titled_by) == ("Моё", TitledBy.USER)


async def test_other_changes_of_the_user_leave_the_title_to_the_model(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    turn = await talk.answer(as_alice, QUESTION)
    await DialogEdits(talk.db).change(as_alice, turn.dialog_id, DialogEdit(pinned=True))
    say_title(fake)
    assert await titles.write(turn.answer_id)


@pytest.mark.parametrize("how", ["before", "meanwhile", "erased"])
async def test_a_deleted_dialog_gets_none(
    how: str, fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    turn = await talk.answer(as_alice, QUESTION)
    if how == "before":
        await talk.history.delete(as_alice, turn.dialog_id)
        assert not await titles.write(turn.answer_id)
        assert len(fake.answers) == 1
        return
    fake.script_once(Hold("title"), Say((TITLE,)), End())
    writing = asyncio.create_task(titles.write(turn.answer_id))
    await called(fake, 2)
    if how == "meanwhile":
        await talk.history.delete(as_alice, turn.dialog_id)
    else:
        async with talk.db.write() as session:
            await session.execute(sa.delete(Dialog).where(col(Dialog.id) == turn.dialog_id))
    fake.release("title")
    assert not await writing
    if how == "meanwhile":
        assert (await dialog_of(talk.db, turn)).title == QUESTION
    else:
        assert await everything(talk.db) == []


async def test_a_dialog_that_is_not_kept_gets_none(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    turn = await talk.chat.ask(
        as_alice, QUESTION, client_id=None, options=Options(keep=False), earlier=[]
    )
    await read(talk.generations.follow(turn.answer_id))
    assert not await titles.write(turn.answer_id)
    assert len(fake.answers) == 1


async def test_a_dialog_of_an_api_key_keeps_its_question(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    turn = await talk.answer(as_alice, QUESTION)
    async with talk.db.write() as session:
        await session.execute(sa.update(Dialog).values(key_id=uuid.uuid4()))
    assert not await titles.write(turn.answer_id)
    assert len(fake.answers) == 1


async def test_it_is_not_asked_for_while_every_slot_is_taken(
    fake: ModelServer, make_talk: MakeTalk, make_titles: Callable[..., Titles], as_alice: Actor
) -> None:
    """Not even in the queue: it would keep the next question back."""
    talk = await make_talk(slots=1)
    titles = make_titles(talk)
    turn = await talk.answer(as_alice, QUESTION)
    fake.script_once(Hold("long"), Say(), End())
    other = await talk.ask(as_alice, "long one")
    await called(fake, 2)
    assert not await titles.write(turn.answer_id)
    assert len(fake.answers) == 2
    assert talk.slots.waiting == 0
    assert (await dialog_of(talk.db, turn)).title_tries == 1
    fake.release("long")
    await read(talk.generations.follow(other.answer_id))

    # at the next answer of the dialog
    turn = await talk.answer(as_alice, "И ещё?", turn.dialog_id)
    say_title(fake)
    assert await titles.write(turn.answer_id)


async def test_it_makes_room_for_an_answer_that_waits(
    fake: ModelServer, make_talk: MakeTalk, make_titles: Callable[..., Titles], as_alice: Actor
) -> None:
    talk = await make_talk(slots=1)
    titles = make_titles(talk)
    turn = await talk.answer(as_alice, QUESTION)
    fake.script_once(Hold("never"), Say((TITLE,)), End())
    writing = asyncio.create_task(titles.write(turn.answer_id))
    record = await called(fake, 2)
    async with asyncio.timeout(60):
        await talk.answer(as_alice, "Скорее!")
    assert await asyncio.to_thread(record.wait_aborted)
    assert not await writing
    assert (await dialog_of(talk.db, turn)).title == QUESTION


@pytest.mark.parametrize("switch", [True, False])
async def test_a_model_that_thinks_is_told_not_to(
    switch: bool,
    fake: ModelServer,
    make_talk: MakeTalk,
    make_titles: Callable[..., Titles],
    as_alice: Actor,
) -> None:
    """Thoughts that come all the same are no part of the title."""
    talk = await make_talk(reasoning="on" if switch else "auto")
    turn = await talk.answer(as_alice, QUESTION)
    fake.script_once(Think(("hm, ", "leave")), Say((TITLE,)), End())
    assert await make_titles(talk).write(turn.answer_id)
    assert (await dialog_of(talk.db, turn)).title == TITLE
    body = fake.answers[-1].parameters
    kwargs = {"enable_thinking": False} if switch else None
    assert body.get("chat_template_kwargs") == kwargs
    assert body["max_tokens"] == service.TITLE_TOKENS


async def test_one_process_asks_for_a_title(
    fake: ModelServer, two: Two, make_titles: Callable[..., Titles], as_alice: Actor
) -> None:
    here, there = await two()
    await there.answer(as_alice, "Hello?")  # it knows of both: slots are granted from now on
    turn = await here.answer(as_alice, QUESTION)
    fake.script_once(Hold("title"), Say((TITLE,)), End())
    writing = asyncio.create_task(make_titles(here).write(turn.answer_id))
    await called(fake, 3)
    assert not await make_titles(there).write(turn.answer_id)
    fake.release("title")
    assert await writing
    assert len(fake.answers) == 3
    assert (await dialog_of(here.db, turn)).title_tries == 1


async def test_a_process_that_died_costs_only_the_title(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    """Its claim runs out, and the next answer tries again."""
    turn = await talk.answer(as_alice, QUESTION)
    async with talk.db.write() as session:  # as it leaves the row
        await session.execute(
            sa.update(Dialog).values(
                title_tries=1, title_lease_until=clock.now() + timedelta(seconds=60)
            )
        )
    assert not await titles.write(turn.answer_id)
    async with talk.db.write() as session:
        await session.execute(
            sa.update(Dialog).values(title_lease_until=clock.now() - timedelta(seconds=1))
        )
    say_title(fake)
    assert await titles.write(turn.answer_id)


async def test_a_cancelled_call_ends_its_claim(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    turn = await talk.answer(as_alice, QUESTION)
    fake.script_once(Hold("never"), Say(), End())
    writing = asyncio.create_task(titles.write(turn.answer_id))
    record = await called(fake, 2)
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing
    assert await asyncio.to_thread(record.wait_aborted)
    assert (await dialog_of(talk.db, turn)).title_lease_until is None


async def test_a_slow_model_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
    fake: ModelServer,
    talk: Talk,
    titles: Titles,
    as_alice: Actor,
) -> None:
    monkeypatch.setattr(service, "CALL_S", 0.2)
    turn = await talk.answer(as_alice, QUESTION)
    fake.script_once(Hold("never"), Say(), End())
    assert not await titles.write(turn.answer_id)
    assert (await dialog_of(talk.db, turn)).title_lease_until is None


async def test_no_text_is_logged(
    fake: ModelServer, talk: Talk, titles: Titles, as_alice: Actor
) -> None:
    turn = await talk.answer(as_alice, QUESTION)
    with capture_logs() as entries:
        say_title(fake, "секрет " * 40)
        await titles.write(turn.answer_id)
        turn = await talk.answer(as_alice, QUESTION, turn.dialog_id)
        say_title(fake, TITLE)
        await titles.write(turn.answer_id)
    assert entries
    for word in ("секрет", QUESTION, TITLE):
        assert word not in repr(entries)
