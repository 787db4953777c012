"""One answer at a time in a dialog, and several answers to one question."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from genai_app.access import Actor
from genai_app.errors import AppError, Conflict
from genai_app.models import Author, Status
from genai_app.services.chat.turns import Turn
from genai_app.services.generation.checkpoints import LEASE_S
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.unit.talk import (
    MakeTalk,
    Talk,
    age_leases,
    called,
    everything,
    leaf_of,
    read,
    saved,
)

pytest_plugins = ("tests.unit.talk_fixtures",)

HELD = (Hold("go"), Say(), End())


async def test_one_answer_at_a_time(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """While an answer is written there is no other in its dialog; then the next goes below it."""
    fake.script_once(*HELD)
    turn = await talk.ask(as_alice, "first")
    await called(fake)
    count = len(await everything(talk.db))

    for refused in (
        talk.ask(as_alice, "second", turn.dialog_id),
        talk.chat.regenerate(as_alice, turn.answer_id),
    ):
        with pytest.raises(Conflict) as caught:
            await refused
        assert caught.value.code == "answer_running"
    assert len(await everything(talk.db)) == count
    assert len(fake.answers) == 1
    elsewhere = await talk.answer(as_alice, "in another dialog")
    assert elsewhere.dialog_id != turn.dialog_id

    fake.release("go")
    await read(talk.generations.follow(turn.answer_id))
    second = await talk.answer(as_alice, "second", turn.dialog_id)
    question = await saved(talk.db, second.question_id)
    assert (question.parent_id, question.depth) == (turn.answer_id, 2)


@pytest.mark.parametrize("count", [2, 10])
async def test_parallel_asks_to_one_dialog(
    fake: ModelServer, talk: Talk, as_alice: Actor, count: int
) -> None:
    """N1, N6: exactly one is taken; the others are told, and nothing of them is in the dialog."""
    dialog_id = (await talk.answer(as_alice)).dialog_id
    fake.script_once(*HELD)
    fake.script(*HELD)

    results = await asyncio.gather(
        *(talk.ask(as_alice, f"question {n}", dialog_id) for n in range(count)),
        return_exceptions=True,
    )

    codes = [each.code for each in results if isinstance(each, AppError)]
    assert Counter(codes) == {"answer_running": count - 1}
    (turn,) = [each for each in results if isinstance(each, Turn)]
    await called(fake, 2)
    texts = [row["text"] for row in await everything(talk.db) if row.get("author") == Author.USER]
    assert texts == ["Hello?", (await saved(talk.db, turn.question_id)).text]


async def test_running_on_another_branch(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """Looking at the older answer while the newer one is written opens no way to a third run."""
    first = await talk.answer(as_alice)
    fake.script(*HELD)
    second = await talk.chat.regenerate(as_alice, first.answer_id)
    await called(fake, 2)
    await talk.history.choose_branch(as_alice, first.answer_id)

    with pytest.raises(Conflict) as caught:
        await talk.chat.regenerate(as_alice, first.answer_id)
    assert caught.value.code == "answer_running"
    with pytest.raises(Conflict):
        await talk.ask(as_alice, "And now?", first.dialog_id)
    fake.release("go")
    assert await read(talk.chat.follow(as_alice, second.answer_id)) == (
        fake.answers[-1].sent_text,
        Status.COMPLETE,
    )


async def test_ask_below_a_lost_answer(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """N3: an answer whose process died does not hold up its dialog, even before it is reaped."""
    dead, alive = await make_talk(opened=False), await make_talk(opened=False)
    fake.script_once(*HELD)
    lost = await dead.ask(as_alice)
    await called(fake)

    with pytest.raises(Conflict):
        await alive.ask(as_alice, "Anybody there?", lost.dialog_id)
    await age_leases(alive.db, LEASE_S + 1)
    turn = await alive.answer(as_alice, "Anybody there?", lost.dialog_id)

    assert (await saved(alive.db, turn.question_id)).parent_id == lost.answer_id


async def test_regenerate(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """A sibling of the old answer, which stays; the branch on the screen is the new one's."""
    first = await talk.answer(as_alice, "Tell me")
    fake.script(Say(("another", " one")), End())

    second = await talk.chat.regenerate(as_alice, str(first.answer_id))
    assert await leaf_of(talk.db, first.dialog_id) == second.answer_id
    assert await read(talk.chat.follow(as_alice, second.answer_id)) == (
        "another one",
        Status.COMPLETE,
    )

    assert (second.dialog_id, second.question_id) == (first.dialog_id, first.question_id)
    assert second.answer_id != first.answer_id
    old, new = await saved(talk.db, first.answer_id), await saved(talk.db, second.answer_id)
    assert (old.parent_id, old.depth, old.author) == (new.parent_id, new.depth, new.author)
    assert (old.text, old.status) == (fake.answers[0].sent_text, Status.COMPLETE)
    assert fake.answers[0].messages == fake.answers[1].messages
    third = await talk.answer(as_alice, "Go on", first.dialog_id)
    assert (await saved(talk.db, third.question_id)).parent_id == second.answer_id


async def test_regenerate_in_the_middle(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """The model sees what stood above that question, and nothing of what came after it."""
    first = await talk.answer(as_alice, "one")
    second = await talk.answer(as_alice, "two", first.dialog_id)
    await talk.answer(as_alice, "three", first.dialog_id)

    again = await talk.chat.regenerate(as_alice, second.answer_id)
    await read(talk.chat.follow(as_alice, again.answer_id))

    assert fake.answers[-1].messages == fake.answers[1].messages
    branch = await talk.history.get_branch(as_alice, first.dialog_id)
    assert [message.id for message in branch.messages] == [
        *(first.question_id, first.answer_id, second.question_id, again.answer_id)
    ]
    assert branch.siblings == {again.answer_id: (second.answer_id, again.answer_id)}


async def test_parallel_regenerates(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """A double click is one new answer."""
    turn = await talk.answer(as_alice)
    fake.script(*HELD)

    results = await asyncio.gather(
        *(talk.chat.regenerate(as_alice, turn.answer_id) for _ in range(5)),
        return_exceptions=True,
    )

    codes = [each.code for each in results if isinstance(each, AppError)]
    assert Counter(codes) == {"answer_running": 4}
    await called(fake, 2)


async def test_cancelled_between_commit_and_call(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """N3: whoever asked goes away at the worst moment: what is committed is answered."""
    asking = asyncio.create_task(talk.ask(as_alice))

    def cancel(_session: object) -> None:
        asking.cancel()

    event.listen(Session, "after_commit", cancel)
    try:
        await asyncio.wait([asking])
    finally:
        event.remove(Session, "after_commit", cancel)

    (answer,) = [r for r in await everything(talk.db) if r.get("author") == Author.ASSISTANT]
    async with asyncio.timeout(60):
        assert await read(talk.generations.follow(answer["id"])) == (
            (await called(fake)).sent_text,
            Status.COMPLETE,
        )
