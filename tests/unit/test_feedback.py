"""Thumbs, reasons and comments, and what the list of all dialogs shows of them."""

import asyncio
import uuid

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import Channel, Feedback, Message, Rating, Review
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.feedback import MAX_COMMENT_CHARS, Feedbacks, Opinion
from genai_app.services.dialogs.history import History
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.unit.review_rows import SECRET
from tests.unit.talk import MakeTalk, put_dialog

pytest_plugins = ("tests.unit.talk_fixtures",)


@pytest.fixture
def feedbacks(db: Database) -> Feedbacks:
    return Feedbacks(db)


async def _rating(db: Database, dialog_id: uuid.UUID) -> str:
    async with db.read() as session:
        return (await session.get_one(Review, dialog_id)).rating


async def _count(db: Database) -> int:
    async with db.read() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(Feedback)) or 0


async def test_the_last_word_counts(db: Database, feedbacks: Feedbacks, as_alice: Actor) -> None:
    dialog_id, _, answer_id = await put_dialog(db, as_alice, ["Q", "A"])
    assert await feedbacks.give(as_alice, answer_id, "up") == Opinion(Rating.UP)
    assert await _rating(db, dialog_id) == "up"
    said = await feedbacks.give(
        as_alice, str(answer_id), "down", reason="outdated", comment=" с 2024 иначе \x00"
    )
    assert said == Opinion(Rating.DOWN, "outdated", "с 2024 иначе \ufffd")
    assert await feedbacks.of_dialog(as_alice, dialog_id) == {answer_id: said}
    assert (await _rating(db, dialog_id), await _count(db)) == ("down", 1)
    for _ in range(2):
        assert await feedbacks.give(as_alice, answer_id, None) is None
        assert (await _rating(db, dialog_id), await _count(db)) == ("", 0)


async def test_an_answer_from_elsewhere_does_not_count(
    db: Database, feedbacks: Feedbacks, as_alice: Actor
) -> None:
    """The user's opinion of it is kept; the list of all dialogs is about the model here."""
    dialog_id, _, imported, _, own = await put_dialog(db, as_alice, ["Q", "A", "Q", "A"])
    async with db.write() as session:
        await session.execute(
            sa.update(Message)
            .where(col(Message.id) == imported)
            .values(channel=Channel.IMPORT, source=None)
        )
    assert await feedbacks.give(as_alice, imported, "down") == Opinion(Rating.DOWN)
    assert await feedbacks.of_dialog(as_alice, dialog_id) == {imported: Opinion(Rating.DOWN)}
    assert await _rating(db, dialog_id) == ""
    await feedbacks.give(as_alice, own, "up")
    assert await _rating(db, dialog_id) == "up"


async def test_a_dialog_is_as_its_worst_answer(
    db: Database, feedbacks: Feedbacks, as_alice: Actor
) -> None:
    dialog_id, _, first, _, second = await put_dialog(db, as_alice, ["Q", "A", "Q", "A"])
    for answer_id, rating, expected in (
        (first, "up", "up"),
        (second, "down", "down"),
        (first, "down", "down"),
        (second, None, "down"),
        (first, "up", "up"),
        (first, None, ""),
    ):
        await feedbacks.give(as_alice, answer_id, rating)
        assert await _rating(db, dialog_id) == expected


async def test_two_thumbs_at_once(db: Database, feedbacks: Feedbacks, as_alice: Actor) -> None:
    """Neither overlooks the other: the dialog's rating is that of both."""
    for _ in range(10):
        dialog_id, _, first, _, second = await put_dialog(db, as_alice, ["Q", "A", "Q", "A"])
        await asyncio.gather(
            feedbacks.give(as_alice, first, "down"), feedbacks.give(as_alice, second, "up")
        )
        assert await _rating(db, dialog_id) == "down"


async def test_what_is_not_mine_is_not_there(
    db: Database, feedbacks: Feedbacks, as_alice: Actor, as_bob: Actor
) -> None:
    """Somebody else's answer, one's own question, a deleted dialog: as an id of nobody."""
    dialog_id, question_id, answer_id = await put_dialog(db, as_alice, ["Q", "A"])
    gone, _, gone_answer = await put_dialog(db, as_alice, ["Q", "A"])
    await History(db, Cursors(SECRET)).delete(as_alice, gone)
    for actor, message_id in (
        (as_bob, answer_id),
        (as_alice, question_id),
        (as_alice, gone_answer),
        (as_alice, uuid.uuid4()),
        (as_alice, "no id"),
        (as_alice, None),
        (as_alice, dialog_id),
    ):
        with pytest.raises(NotFound):
            await feedbacks.give(actor, message_id, "down")
    assert await _count(db) == 0
    await feedbacks.give(as_alice, answer_id, "up")
    assert await feedbacks.of_dialog(as_bob, dialog_id) == {}


@pytest.mark.parametrize(
    ("rating", "reason", "comment"),
    [
        ("bad", None, None),
        ("", None, None),
        ("down", "ugly", None),
        ("up", "wrong", None),
        (None, "wrong", None),
        (None, None, "x"),
        ("down", "wrong", "x" * (MAX_COMMENT_CHARS + 1)),
    ],
)
async def test_what_is_refused(
    rating: str | None,
    reason: str | None,
    comment: str | None,
    db: Database,
    feedbacks: Feedbacks,
    as_alice: Actor,
) -> None:
    _, _, answer_id = await put_dialog(db, as_alice, ["Q", "A"])
    with pytest.raises(InvalidInput) as refused:
        await feedbacks.give(as_alice, answer_id, rating, reason=reason, comment=comment)
    assert refused.value.code == "bad_feedback"
    assert await _count(db) == 0


async def test_an_answer_that_is_being_written(
    fake: ModelServer, make_talk: MakeTalk, feedbacks: Feedbacks, as_alice: Actor
) -> None:
    talk = await make_talk()
    fake.script_once(Say(("half",)), Hold("go"), End())
    turn = await talk.ask(as_alice)
    with pytest.raises(Conflict):
        await feedbacks.give(as_alice, turn.answer_id, "down")
    fake.release("go")


async def test_a_deleted_user_takes_it_along(
    db: Database, feedbacks: Feedbacks, as_alice: Actor
) -> None:
    """What is kept of a dialog goes with it."""
    dialog_id, _, answer_id = await put_dialog(db, as_alice, ["Q", "A"])
    await feedbacks.give(as_alice, answer_id, "down")
    from genai_app.models import Dialog

    async with db.write() as session:
        await session.execute(sa.delete(Dialog).where(col(Dialog.id) == dialog_id))
    assert await _count(db) == 0
