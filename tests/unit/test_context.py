"""What of a dialog is sent to the model, and what a dialog is called."""

import random
from itertools import pairwise

import pytest

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import Author, Status
from genai_app.services.chat.turns import TITLE_CHARS, make_title
from genai_app.services.generation.context import (
    CHARS_PER_TOKEN,
    MAX_CONTEXT_MESSAGES,
    TEMPLATE_TOKENS,
    estimate_tokens,
)
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say
from tests.fakes.model_steps import Status as Refuse
from tests.unit.talk import MakeTalk, Talk, put_dialog, read, saved

pytest_plugins = ("tests.unit.talk_fixtures",)

WINDOW, LONGEST = 2000, 500
BUDGET = WINDOW - LONGEST
TOO_LONG = Refuse(400, "This model's maximum context length is 10 tokens.")


def _sent(fake: ModelServer) -> list[tuple[str, str]]:
    """Roles and texts of the last call."""
    return [(each["role"], each["content"]) for each in fake.answers[-1].messages]


async def test_order_and_roles(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    fake.script_once(Say(("4",)), End())
    fake.script_once(Say(("6",)), End())
    first = await talk.answer(as_alice, "2+2?")
    await talk.answer(as_alice, "3+3?", first.dialog_id)
    turn = await talk.answer(as_alice, "Sure?", first.dialog_id)

    assert _sent(fake) == [
        ("user", "2+2?"),
        ("assistant", "4"),
        ("user", "3+3?"),
        ("assistant", "6"),
        ("user", "Sure?"),
    ]
    assert (await saved(talk.db, turn.answer_id)).trimmed == 0


async def test_longest_answer(fake: ModelServer, make_talk: MakeTalk, as_alice: Actor) -> None:
    """At least half of the window is the prompt's."""
    for given, sent in ((300, 300), (5000, 1000)):
        talk = await make_talk(context_tokens=2000, max_tokens=given)
        await talk.answer(as_alice)
        assert fake.answers[-1].parameters["max_tokens"] == sent


async def test_failed_empty_answer_is_left_out(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """An answer that failed before its first word says nothing; its question does."""
    fake.script_once(Refuse(400, "no"))
    failed = await talk.answer(as_alice, "My name is Alice")
    assert (await saved(talk.db, failed.answer_id)).text == ""

    await talk.answer(as_alice, "What is my name?", failed.dialog_id)

    sent = _sent(fake)
    assert all(text for _, text in sent)
    assert "My name is Alice" in sent[0][1]
    assert sent[-1][1].endswith("What is my name?")


async def test_after_a_question_that_does_not_fit(
    fake: ModelServer, talk: Talk, as_alice: Actor
) -> None:
    """It is kept and named; the shorter one is sent without it, or it would not fit again."""
    fake.script_once(TOO_LONG)
    failed = await talk.answer(as_alice, "Too much")
    row = await saved(talk.db, failed.answer_id)
    assert (row.status, row.error_code, row.text) == (Status.FAILED, "context_too_long", "")
    assert (await saved(talk.db, failed.question_id)).text == "Too much"

    turn = await talk.answer(as_alice, "Less", failed.dialog_id)

    assert _sent(fake) == [("user", "Less")]
    assert (await saved(talk.db, turn.answer_id)).status == Status.COMPLETE


async def test_roles_take_turns(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """Templates of Mistral and Gemma refuse two questions in a row, for ever in that dialog."""
    for _ in range(2):
        fake.script_once(Refuse(400, "no"))
    dialog_id = (await talk.answer(as_alice, "one")).dialog_id
    await talk.answer(as_alice, "two", dialog_id)
    await talk.answer(as_alice, "three", dialog_id)

    roles = [role for role, _ in _sent(fake)]
    assert all(role != after for role, after in pairwise(roles))


async def test_part_of_an_answer_is_sent(fake: ModelServer, talk: Talk, as_alice: Actor) -> None:
    """Stopped or broken off: what the user saw, the model sees."""
    first = await talk.answer(as_alice, "Count fake:error=3")
    await talk.answer(as_alice, "Go on", first.dialog_id)
    assert _sent(fake)[1] == ("assistant", "w0 w1 w2 ")


async def test_trimmed_to_the_window(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """The newest messages that fit, whole and in order; the rest stays in the database."""
    talk = await make_talk(context_tokens=WINDOW, max_tokens=LONGEST)
    random_ = random.Random(42)
    texts = [f"{n} " + "слово " * random_.randrange(60) for n in range(400)]
    dialog_id, *_ = await put_dialog(talk.db, as_alice, texts)

    turn = await talk.answer(as_alice, "the newest", dialog_id)

    sent = _sent(fake)
    words = [text for _, text in sent]
    assert words == [*texts[-len(sent) + 1 :], "the newest"]
    assert [role for role, _ in sent] == ["user", "assistant"] * (len(sent) // 2) + ["user"]
    assert sum(map(estimate_tokens, words)) <= BUDGET
    pair_more = sum(map(estimate_tokens, [*texts[-len(sent) - 1 :], "the newest"]))
    assert pair_more > BUDGET
    assert (await saved(talk.db, turn.answer_id)).trimmed == 401 - len(sent)
    assert (await saved(talk.db, turn.question_id)).depth == 400
    branch = await talk.history.get_branch(as_alice, dialog_id, limit=500)
    assert [message.text for message in branch.messages[:400]] == texts


async def test_many_short_messages(fake: ModelServer, make_talk: MakeTalk, as_alice: Actor) -> None:
    """A bound on their number too, and still a question comes first."""
    talk = await make_talk(context_tokens=1_000_000)
    texts = [str(n) for n in range(500)]
    dialog_id, *_ = await put_dialog(talk.db, as_alice, texts)

    turn = await talk.answer(as_alice, "the newest", dialog_id)

    sent = _sent(fake)
    assert len(sent) in (MAX_CONTEXT_MESSAGES - 1, MAX_CONTEXT_MESSAGES)
    assert sent[0][0] == Author.USER
    assert [text for _, text in sent] == [*texts[-len(sent) + 1 :], "the newest"]
    assert (await saved(talk.db, turn.answer_id)).trimmed == 501 - len(sent)


async def test_newest_question_is_always_sent(
    fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """Even one that alone is too long: whether it is, the model server knows better."""
    talk = await make_talk(context_tokens=WINDOW, max_tokens=LONGEST)
    for size in (1, BUDGET * 2, BUDGET * 4):
        dialog_id, *_ = await put_dialog(talk.db, as_alice, ["old question", "old answer " * 400])
        turn = await talk.answer(as_alice, "x" * size, dialog_id)
        assert _sent(fake) == [("user", "x" * size)]
        assert (await saved(talk.db, turn.answer_id)).trimmed == 2


async def test_any_dialog(
    engine: str, db: Database, fake: ModelServer, make_talk: MakeTalk, as_alice: Actor
) -> None:
    """Over dialogs of random lengths: fits, begins with a question, ends with the newest, and
    every message is either sent or counted."""
    talk = await make_talk(context_tokens=300, max_tokens=100)
    random_ = random.Random(engine)
    for _ in range(25):
        texts = ["y" * random_.choice([1, 10, 100, 300, 600]) for _ in range(random_.randrange(9))]
        texts = texts[: len(texts) // 2 * 2]
        dialog_id, *_ = await put_dialog(db, as_alice, texts)
        newest = "x" * random_.choice([1, 50, 450, 900])
        turn = await talk.ask(as_alice, newest, dialog_id)
        await read(talk.generations.follow(turn.answer_id))

        sent = _sent(fake)
        assert sent[0][0] == "user"
        assert [text for _, text in sent] == [*texts[len(texts) + 1 - len(sent) :], newest]
        assert len(sent) == 1 or sum(estimate_tokens(text) for _, text in sent) <= 200
        assert (await saved(db, turn.answer_id)).trimmed == len(texts) + 1 - len(sent)


def test_estimate_tokens() -> None:
    assert estimate_tokens("") == TEMPLATE_TOKENS
    assert estimate_tokens("слово" * 100) == 500 / CHARS_PER_TOKEN + TEMPLATE_TOKENS
    assert estimate_tokens("a" * 1000) < estimate_tokens("a" * 1003)


@pytest.mark.parametrize("text", ["日本語" * 100, "\U0001f469\u200d\U0001f4bb" * 50])
def test_estimate_is_no_lower_than_real(text: str) -> None:
    """A byte-level tokenizer makes of such a character a token or more, seldom less."""
    assert estimate_tokens(text) >= len(text)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello", "Hello"),
        ("  Hello,\n\n\tworld \r\n", "Hello, world"),
        ("x" * TITLE_CHARS, "x" * TITLE_CHARS),
        ("x" * (TITLE_CHARS + 1), "x" * (TITLE_CHARS - 1) + "…"),
        ("слово " * 30, "слово " * 8 + "слово…"),
        ("ab " + "y" * 100, "ab " + "y" * (TITLE_CHARS - 4) + "…"),
        ("word " * 12 + "end", "word " * 10 + "word…"),
        ("a\u00a0b\u2028c", "a b c"),
        (" " * 1000 + "code", "code"),
    ],
)
def test_make_title(text: str, title: str) -> None:
    """One line, whole words where there are some, never longer than TITLE_CHARS."""
    assert make_title(text) == title
    assert len(title) <= TITLE_CHARS


async def test_title_of_a_dialog(talk: Talk, as_alice: Actor) -> None:
    """The first question names it; later ones do not."""
    turn = await talk.answer(as_alice, "What is\nthe weather?")
    await talk.answer(as_alice, "And now?", turn.dialog_id)
    (dialog,) = (await talk.history.list_dialogs(as_alice)).items
    assert dialog.title == "What is the weather?"
