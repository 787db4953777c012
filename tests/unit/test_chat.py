"""The road of a message: committed before the model is called, once however often it is sent."""

import asyncio
import uuid
from collections import Counter
from dataclasses import replace

import pytest
import sqlalchemy as sa

from genai_app.access import Actor
from genai_app.clock import now
from genai_app.errors import AppError, InvalidInput, NotFound, TooLarge
from genai_app.models import MAX_PROMPT_CHARS, Author, Channel, Source, Status, Variant
from genai_app.services.chat.turns import Turn
from tests import corpora
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.unit.talk import Talk, called, everything, leaf_of, read, run_of, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

HELD = (Hold("go"), Say(), End())
BROKEN = {"generations": "ended_at", "messages": "source"}


def _outcome(result: Turn | BaseException) -> str:
    if isinstance(result, BaseException):
        assert isinstance(result, AppError), result
        return result.code
    return "repeated" if result.repeated else "new"


def _ids(turn: Turn) -> tuple[uuid.UUID, ...]:
    return turn.dialog_id, turn.question_id, turn.answer_id


async def test_committed_before_the_call(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """N1: while the model has said nothing, question, empty answer and lease are all there."""
    fake.script(*HELD)

    turn = await talk.ask(as_alice, "Как дела?")
    await called(fake)
    question, answer = await saved(talk.db, turn.question_id), await saved(talk.db, turn.answer_id)
    run = await run_of(talk.db, turn.answer_id)

    assert not turn.repeated
    assert (question.author, question.text, question.status) == (
        Author.USER,
        "Как дела?",
        Status.COMPLETE,
    )
    assert (question.parent_id, question.depth, answer.depth) == (None, 0, 1)
    assert (answer.author, answer.text, answer.status) == (Author.ASSISTANT, "", Status.RUNNING)
    assert (answer.parent_id, answer.source) == (question.id, Source.MODEL)
    assert (answer.first_token_at, answer.finished_at) == (None, None)
    assert {question.dialog_id, answer.dialog_id} == {turn.dialog_id}
    assert {question.user_id, answer.user_id} == {as_alice.user_id}
    assert await leaf_of(talk.db, turn.dialog_id) == answer.id
    assert run.ended_at is None
    assert run.lease_until > now()


@pytest.mark.parametrize("table", BROKEN)
async def test_no_commit_no_call(
    fake: ModelServer, talk: Talk, as_alice: Actor, table: str
) -> None:
    """N1, N6: when one of the rows cannot be written there is no other, and no model is called."""
    async with talk.db.write() as session:
        await session.execute(sa.text(f"ALTER TABLE {table} RENAME {BROKEN[table]} TO gone"))

    with pytest.raises(Exception, match=BROKEN[table]):
        await talk.ask(as_alice)

    async with talk.db.write() as session:
        await session.execute(sa.text(f"ALTER TABLE {table} RENAME gone TO {BROKEN[table]}"))
    assert await everything(talk.db) == []
    assert fake.answers == []


async def test_channel_of_a_message(talk: Talk, as_alice: Actor) -> None:
    turn = await talk.answer(replace(as_alice, channel=Channel.TELEGRAM))
    for message_id in (turn.question_id, turn.answer_id):
        assert (await saved(talk.db, message_id)).channel == Channel.TELEGRAM


async def test_question_is_kept_as_it_was(talk: Talk, as_alice: Actor) -> None:
    """What the database takes stays as it is, the rest becomes visible; never a failed save.

    Sent again in its first form it is still the same message.
    """
    text = "  " + "\n".join(corpora.load("unicode")) + "\0\ud800 \t\n"
    client_id = uuid.uuid4()

    turn = await talk.chat.ask(as_alice, text, client_id=client_id)
    again = await talk.chat.ask(as_alice, text, client_id=client_id)

    assert again == replace(turn, repeated=True, budget=None)
    kept = (await saved(talk.db, turn.question_id)).text
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert kept == whole.replace("\0", "\ufffd")


async def test_blank_question(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    for text in ("", " ", "\n\t\r\n", "\u00a0\u3000", "\u2028", "\x1f"):
        with pytest.raises(InvalidInput) as caught:
            await talk.ask(as_alice, text)
        assert caught.value.code == "empty_prompt"
    assert await everything(talk.db) == []
    assert fake.answers == []


async def test_question_too_long(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """Told by how much; one that just fits is taken."""
    with pytest.raises(TooLarge) as caught:
        await talk.ask(as_alice, "я" * (MAX_PROMPT_CHARS + 7))
    assert (caught.value.code, caught.value.params) == ("prompt_too_long", {"over_by": 7})
    assert "7" in caught.value.user_text("en")
    assert await everything(talk.db) == []

    turn = await talk.answer(as_alice, "я" * MAX_PROMPT_CHARS)
    assert len((await saved(talk.db, turn.question_id)).text) == MAX_PROMPT_CHARS
    assert len(fake.answers) == 1


@pytest.mark.parametrize("when", ["running", "ended"])
async def test_sent_twice(fake: ModelServer, talk: Talk, as_alice: Actor, when: str) -> None:
    """N4: the same message, while it is answered and afterwards; also without the dialog's id."""
    fake.script(*HELD)
    client_id = uuid.uuid4()
    first = await talk.chat.ask(as_alice, "Once", client_id=client_id)
    await called(fake)
    if when == "ended":
        fake.release("go")
        await read(talk.generations.follow(first.answer_id))
    before = await everything(talk.db)

    for dialog_id in (None, first.dialog_id, str(first.dialog_id)):
        again = await talk.chat.ask(as_alice, "Once", client_id=client_id, dialog_id=dialog_id)
        assert again == replace(first, repeated=True, budget=None)

    assert len(fake.answers) == 1
    assert len(await everything(talk.db)) == len(before) == 4


@pytest.mark.parametrize("where", ["new", "known"])
async def test_ten_sends_at_once(
    fake: ModelServer, talk: Talk, as_alice: Actor, where: str
) -> None:
    """N4: ten copies in parallel are one turn and one call, and no copy is refused."""
    dialog_id = None
    if where == "known":
        dialog_id = (await talk.answer(as_alice, "before")).dialog_id
    calls = len(fake.answers)
    client_id = uuid.uuid4()

    results = await asyncio.gather(
        *(
            talk.chat.ask(as_alice, "Once", client_id=client_id, dialog_id=dialog_id)
            for _ in range(10)
        ),
        return_exceptions=True,
    )

    assert Counter(map(_outcome, results)) == {"new": 1, "repeated": 9}
    turns = [result for result in results if isinstance(result, Turn)]
    assert len({(turn.dialog_id, turn.question_id, turn.answer_id) for turn in turns}) == 1
    await read(talk.generations.follow(turns[0].answer_id))
    assert len(fake.answers) == calls + 1
    kept = [row for row in await everything(talk.db) if row.get("client_id") == client_id]
    assert len(kept) == 1


async def test_first_answer_of_a_repeat(talk: Talk, as_alice: Actor) -> None:
    """N4: an answer asked for again later is not the one that belongs to the send."""
    client_id = uuid.uuid4()
    first = await talk.chat.ask(as_alice, "Once", client_id=client_id)
    await read(talk.generations.follow(first.answer_id))
    await talk.chat.regenerate(as_alice, first.answer_id)

    again = await talk.chat.ask(as_alice, "Once", client_id=client_id)
    assert again == replace(first, repeated=True, budget=None)


async def test_another_answer_is_asked_for_once(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N4: the id of a wish for another answer is one as that of a question, and none of both."""
    first = await talk.answer(as_alice, "Once")
    client_id = uuid.uuid4()
    other = await talk.chat.regenerate(as_alice, first.answer_id, client_id=client_id)
    for _ in range(2):  # while it runs and afterwards
        again = await talk.chat.regenerate(as_alice, other.answer_id, client_id=client_id)
        assert again == replace(other, repeated=True, budget=None)
        await read(talk.generations.follow(other.answer_id))
    assert len(fake.answers) == 2
    with pytest.raises(InvalidInput, match="client_id_reused"):
        await talk.chat.ask(as_alice, "Once", client_id=client_id)
    with pytest.raises(InvalidInput, match="client_id_reused"):
        await talk.chat.regenerate(as_alice, other.answer_id, Variant.SHORTER, client_id=client_id)


async def test_another_text_under_the_same_client_id(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N4, N6: never an answer to something else."""
    client_id = uuid.uuid4()
    turn = await talk.chat.ask(as_alice, "One thing", client_id=client_id)
    await read(talk.generations.follow(turn.answer_id))
    before = await everything(talk.db)

    with pytest.raises(InvalidInput) as caught:
        await talk.chat.ask(as_alice, "Another thing", client_id=client_id)

    assert caught.value.code == "client_id_reused"
    assert await everything(talk.db) == before
    assert len(fake.answers) == 1


async def test_client_id_of_another_user(
    fake: ModelServer, talk: Talk, as_alice: Actor, as_bob: Actor
) -> None:
    """N7: client ids of two users know nothing of each other."""
    client_id = uuid.uuid4()
    hers = await talk.chat.ask(as_alice, "Mine", client_id=client_id)
    his = await talk.chat.ask(as_bob, "Not yours", client_id=client_id)

    assert not his.repeated
    assert not set(_ids(hers)) & set(_ids(his))
    assert (await saved(talk.db, his.question_id)).text == "Not yours"
    for turn in (hers, his):
        await read(talk.generations.follow(turn.answer_id))
    assert len(fake.answers) == 2


async def test_not_yours_is_not_found(
    fake: ModelServer, talk: Talk, as_alice: Actor, as_bob: Actor
) -> None:
    """The same answer as for an id that never was, or that is none; nothing changes."""
    fake.script(*HELD)
    turn = await talk.ask(as_alice)
    await called(fake)
    before = await everything(talk.db)

    for target in (uuid.uuid4(), *_ids(turn), str(turn.answer_id), "", "x", "0" * 5000, 7):
        for refused in (
            talk.ask(as_bob, "Let me in", target),
            talk.chat.regenerate(as_bob, target),
            talk.chat.stop(as_bob, target),
            read(talk.chat.follow(as_bob, target)),
        ):
            with pytest.raises(NotFound) as caught:
                await refused
            error = caught.value
            assert (str(error), error.code, error.params) == ("not_found", "not_found", {})

    after = await everything(talk.db)
    assert [_without_lease(row) for row in after] == [_without_lease(row) for row in before]
    assert len(fake.answers) == 1


def _without_lease(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "lease_until"}


async def test_nothing_in_a_deleted_dialog(talk: Talk, as_alice: Actor) -> None:
    """A deleted dialog is not found by its own user either."""
    turn = await talk.answer(as_alice)
    await talk.history.delete(as_alice, turn.dialog_id)

    deeds = (
        talk.ask(as_alice, "Still there?", turn.dialog_id),
        talk.chat.regenerate(as_alice, turn.answer_id),
        talk.chat.stop(as_alice, turn.answer_id),
        read(talk.chat.follow(as_alice, turn.answer_id)),
    )
    for deed in deeds:
        with pytest.raises(NotFound):
            await deed


async def test_a_question_is_no_answer(talk: Talk, as_alice: Actor) -> None:
    turn = await talk.answer(as_alice)
    with pytest.raises(NotFound):
        await talk.chat.regenerate(as_alice, turn.question_id)
    with pytest.raises(NotFound):
        await talk.chat.stop(as_alice, turn.question_id)
    with pytest.raises(NotFound):
        await read(talk.chat.follow(as_alice, turn.question_id))
