"""Branches: an edited question, a shorter or longer answer, and the branch that opens again."""

import asyncio
import uuid

import pytest

from genai_app.access import Actor
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.errors import InvalidInput, NotFound, RateLimited
from genai_app.models import MAX_PROMPT_CHARS, Author, Role, Source, Status, Variant
from genai_app.services.chat.placement import Fork
from genai_app.services.chat.turns import Turn
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say
from tests.unit.talk import MakeTalk, Talk, enter, everything, leaf_of, read, saved

pytest_plugins = ("tests.unit.talk_fixtures",)


async def edit(
    talk: Talk, actor: Actor, question_id: object, text: str, client_id: uuid.UUID | None = None
) -> Turn:
    """Ask another question in place of one, and wait for the answer."""
    turn = await talk.chat.ask(
        actor, text, client_id=client_id or uuid.uuid4(), fork=Fork(beside=question_id)
    )
    await read(talk.generations.follow(turn.answer_id))
    return turn


async def shown(talk: Talk, actor: Actor, dialog_id: uuid.UUID) -> list[uuid.UUID]:
    return [each.id for each in (await talk.history.get_branch(actor, dialog_id)).messages]


async def test_an_edited_question(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """A sibling under the same answer, with an answer of its own; the old branch stays."""
    first = await talk.answer(as_alice, "one")
    second = await talk.answer(as_alice, "two", first.dialog_id)
    third = await talk.answer(as_alice, "three", first.dialog_id)

    edited = await edit(talk, as_alice, str(second.question_id), "two, but better")

    assert edited.dialog_id == first.dialog_id
    question = await saved(talk.db, edited.question_id)
    assert (question.parent_id, question.depth) == (first.answer_id, 2)
    sent = [each["content"] for each in fake.answers[-1].messages]
    assert sent == ["one", fake.answers[0].sent_text, "two, but better"]
    branch = await talk.history.get_branch(as_alice, first.dialog_id)
    assert [each.id for each in branch.messages] == [
        *(first.question_id, first.answer_id, edited.question_id, edited.answer_id)
    ]
    assert branch.siblings == {edited.question_id: (second.question_id, edited.question_id)}
    await talk.history.choose_branch(as_alice, second.question_id)
    assert await leaf_of(talk.db, first.dialog_id) == third.answer_id


async def test_the_first_question_is_edited(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """A second root of the same dialog, whose title stays."""
    first = await talk.answer(as_alice, "one")
    other = await talk.answer(as_alice, "another dialog")
    edited = await edit(talk, as_alice, first.question_id, "uno")
    assert edited.dialog_id == first.dialog_id
    question = await saved(talk.db, edited.question_id)
    assert (question.parent_id, question.depth) == (None, 0)
    branch = await talk.history.get_branch(as_alice, first.dialog_id)
    assert branch.siblings == {edited.question_id: (first.question_id, edited.question_id)}
    assert branch.dialog.title == "one"
    assert not branch.has_older
    assert (await talk.history.get_branch(as_alice, other.dialog_id)).siblings == {}
    await talk.history.choose_branch(as_alice, first.question_id)
    assert await shown(talk, as_alice, first.dialog_id) == [first.question_id, first.answer_id]


async def test_an_edit_that_is_sent_again(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """N4. The same message; with another text or beside another question it is refused."""
    first = await talk.answer(as_alice, "one")
    key = uuid.uuid4()
    results = await asyncio.gather(
        *(edit(talk, as_alice, first.question_id, "uno", key) for _ in range(4))
    )
    assert len({each.answer_id for each in results}) == 1
    assert len(fake.answers) == 2
    for text, beside in (("due", first.question_id), ("uno", results[0].question_id)):
        with pytest.raises(InvalidInput) as caught:
            await edit(talk, as_alice, beside, text, key)
        assert caught.value.code == "client_id_reused"


async def test_a_refused_edit_changes_nothing(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor, as_bob: Actor
) -> None:
    talk = await make_talk(rate="2/hour")
    first = await talk.answer(as_alice, "one")
    his = await talk.answer(as_bob, "his")
    before = await everything(talk.db)
    for beside in (his.question_id, first.answer_id, uuid.uuid4(), "no id"):
        with pytest.raises(NotFound):
            await edit(talk, as_alice, beside, "uno")
    for text in (" ", "x" * (MAX_PROMPT_CHARS + 1)):
        with pytest.raises(Exception, match=r"empty_prompt|prompt_too_long"):
            await edit(talk, as_alice, first.question_id, text)
    assert await everything(talk.db) == before
    await edit(talk, as_alice, first.question_id, "uno")
    before = await everything(talk.db)
    with pytest.raises(RateLimited):
        await edit(talk, as_alice, first.question_id, "due")
    assert await everything(talk.db) == before


async def test_a_question_below_any_answer(
    fake: ModelServer, talk: Talk, as_alice: Actor, as_bob: Actor
) -> None:
    """`parent_id` of the API."""
    first = await talk.answer(as_alice, "one")
    await talk.answer(as_alice, "two", first.dialog_id)
    other = await talk.answer(as_alice, "elsewhere")

    async def ask(actor: Actor, parent: object, dialog_id: object = None) -> Turn:
        turn = await talk.chat.ask(
            actor, "below", client_id=None, dialog_id=dialog_id, fork=Fork(below=parent)
        )
        await read(talk.generations.follow(turn.answer_id))
        return turn

    below = await ask(as_alice, str(first.answer_id))
    assert (await saved(talk.db, below.question_id)).parent_id == first.answer_id
    assert (await ask(as_alice, first.answer_id, first.dialog_id)).dialog_id == first.dialog_id
    root = await ask(as_alice, None, str(first.dialog_id))
    assert (await saved(talk.db, root.question_id)).parent_id is None
    before = await everything(talk.db)
    with pytest.raises(InvalidInput) as caught:
        await ask(as_alice, first.question_id)
    assert (caught.value.code, caught.value.params["param"]) == (
        *("parent_is_no_answer", "parent_id"),
    )
    for actor, parent, dialog_id in (
        (as_bob, first.answer_id, None),
        (as_bob, None, first.dialog_id),
        (as_alice, first.answer_id, other.dialog_id),
        (as_alice, uuid.uuid4(), None),
        (as_alice, "no id", None),
    ):
        with pytest.raises(NotFound):
            await ask(actor, parent, dialog_id)
    assert await everything(talk.db) == before


async def test_an_edited_first_question_may_be_verified(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """It is asked alone, as the first question of a dialog is."""
    first = await talk.answer(as_alice, "one")
    rita = await enter(talk.db, "rita", Role.REVIEWER)
    await talk.verified.write(rita, "How many days?", "28 days.")
    edited = await edit(talk, as_alice, first.question_id, "How many days?")
    assert (await saved(talk.db, edited.answer_id)).source == Source.VERIFIED


async def test_the_branch_that_was_looked_at_last_opens(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """Not always the newest: what was left last below the chosen question or answer."""
    first = await talk.answer(as_alice, "one")
    old = await talk.answer(as_alice, "old", first.dialog_id)
    new = await edit(talk, as_alice, old.question_id, "new")
    await talk.history.choose_branch(as_alice, old.question_id)
    other = await edit(talk, as_alice, first.question_id, "another beginning")

    async def choose(message_id: uuid.UUID) -> uuid.UUID | None:
        await talk.history.choose_branch(as_alice, message_id)
        return await leaf_of(talk.db, first.dialog_id)

    assert await choose(first.question_id) == old.answer_id
    assert await choose(new.question_id) == new.answer_id
    assert await choose(new.question_id) == new.answer_id
    assert await choose(first.question_id) == new.answer_id
    assert await choose(other.question_id) == other.answer_id
    assert await choose(first.question_id) == new.answer_id
    deeper = await talk.answer(as_alice, "deeper", first.dialog_id)
    again = await talk.chat.regenerate(as_alice, old.answer_id)
    await read(talk.generations.follow(again.answer_id))
    assert await choose(other.question_id) == other.answer_id
    assert await choose(first.question_id) == again.answer_id
    assert await choose(new.question_id) == deeper.answer_id
    assert await choose(first.answer_id) == deeper.answer_id


@pytest.mark.parametrize(
    ("question", "variant", "words"),
    [
        ("Why?", Variant.SHORTER, "Answer as briefly as you can"),
        ("Why?", Variant.LONGER, "Answer in more detail"),
        ("Почему?", Variant.SHORTER, "Ответь как можно короче"),
        ("Почему?", Variant.LONGER, "Ответь подробнее"),
    ],
)
async def test_a_shorter_or_longer_answer(
    fake: ModelServer,
    make_talk: MakeTalk,
    as_alice: Actor,
    question: str,
    variant: Variant,
    words: str,
) -> None:
    """The wish goes to the model with the one call: it is in no message, no later prompt and no
    cached answer."""
    talk = await make_talk(cache_scope="company")
    first = await talk.answer(as_alice, question)
    fake.script_once(Say(("Because.",)), End())
    turn = await talk.chat.regenerate(as_alice, first.answer_id, variant)
    await read(talk.generations.follow(turn.answer_id))

    (message,) = fake.answers[-1].messages
    assert message["content"].startswith(f"{question}\n\n{words}")
    answer = await saved(talk.db, turn.answer_id)
    assert (answer.text, answer.variant, answer.status) == ("Because.", variant, Status.COMPLETE)
    assert (await saved(talk.db, first.answer_id)).variant is None
    assert (await saved(talk.db, turn.question_id)).text == question
    await talk.answer(as_alice, "And?", first.dialog_id)
    assert [each["content"] for each in fake.answers[-1].messages] == [
        *(question, "Because.", "And?")
    ]
    cached = await talk.answer(as_alice, question)
    assert (await saved(talk.db, cached.answer_id)).text == fake.answers[0].sent_text
    literal = await talk.answer(as_alice, message["content"])
    assert (await saved(talk.db, literal.answer_id)).source == Source.MODEL


async def test_questions_of_a_client_are_siblings_too(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """A program that goes on twice from one answer makes two branches, and the page shows both."""
    first = await talk.chat.ask(as_alice, "one", client_id=None, earlier=())
    await read(talk.generations.follow(first.answer_id))
    text = (await saved(talk.db, first.answer_id)).text
    earlier = [ChatTurn(Author.USER, "one"), ChatTurn(Author.ASSISTANT, text)]
    turns = [
        await talk.chat.ask(as_alice, words, client_id=None, earlier=earlier)
        for words in ("two", "three")
    ]
    for turn in turns:
        await read(talk.generations.follow(turn.answer_id))
    branch = await talk.history.get_branch(as_alice, first.dialog_id)
    assert branch.siblings == {turns[1].question_id: tuple(each.question_id for each in turns)}


async def test_siblings_of_a_long_dialog(talk: Talk, as_alice: Actor) -> None:
    """A page without the beginning says nothing of the first question."""
    first = await talk.answer(as_alice, "one")
    await edit(talk, as_alice, first.question_id, "uno")
    branch = await talk.history.get_branch(as_alice, first.dialog_id, limit=1)
    assert branch.has_older
    assert branch.siblings == {}
