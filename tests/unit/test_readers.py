"""Who read my dialogs: what each user sees of it."""

import pytest

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import BadCursor
from genai_app.services.audit.events import Action, event
from genai_app.services.cursors import Cursors
from genai_app.services.review.readers import Readers
from genai_app.services.review.workflow import ReviewWork
from tests.unit.review_rows import SECRET, MakeReviews, put_review

pytest_plugins = ("tests.unit.review_fixtures",)


@pytest.mark.parametrize("mode", ["named", "pseudonymous"])
async def test_the_user_sees_who_when_and_why(
    mode: str,
    db: Database,
    make_reviews: MakeReviews,
    work: ReviewWork,
    as_alice: Actor,
    as_bob: Actor,
    as_rita: Actor,
    as_carol: Actor,
) -> None:
    reviews = make_reviews(mode)
    dialog_id, _, answer = await put_review(db, as_alice, title="Отпуск")
    others, *_ = await put_review(db, as_bob, title="Не ваше")
    await reviews.list_dialogs(as_rita)
    await reviews.read_dialog(as_rita, others)
    await reviews.read_dialog(as_rita, dialog_id)
    await work.judge(as_rita, answer, "good")
    expected = ["dialog_read"]
    if mode == "pseudonymous":
        await reviews.reveal(as_rita, dialog_id, "Жалоба на ответ")
        expected.insert(0, "dialog_reveal")
    async with db.write() as session:
        session.add(event(Action.EXPORT, by=as_carol, target="csv", subject=as_alice.user_id))
    page = await Readers(db, Cursors(SECRET)).list(as_alice)
    assert [each.action for each in page.items] == ["export", *expected]
    assert [each.name for each in page.items] == ["Carol Jones"] + ["Рита Орлова"] * len(expected)
    assert page.items[0].dialog_id is None
    assert {(each.dialog_id, each.title) for each in page.items[1:]} == {(dialog_id, "Отпуск")}
    if mode == "pseudonymous":
        assert page.items[1].reason == "Жалоба на ответ"


async def test_it_pages_and_leaves_out_oneself(
    db: Database, make_reviews: MakeReviews, as_alice: Actor, as_rita: Actor
) -> None:
    reviews, readers = make_reviews(), Readers(db, Cursors(SECRET))
    dialog_id, *_ = await put_review(db, as_alice)
    own, *_ = await put_review(db, as_rita)
    for _ in range(5):
        await reviews.read_dialog(as_rita, dialog_id)
    await reviews.read_dialog(as_rita, own)
    assert (await readers.list(as_rita)).items == []
    seen, cursor = [], None
    while True:
        page = await readers.list(as_alice, limit=2, cursor=cursor)
        seen += [each.id for each in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert len(set(seen)) == len(seen) == 5
    with pytest.raises(BadCursor):
        await readers.list(as_alice, cursor="nonsense")
