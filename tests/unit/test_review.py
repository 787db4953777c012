"""Reading a dialog in review, whose it is, and what is done with it."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import (
    AppError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    StorageUnavailable,
)
from genai_app.models import Dialog, Feedback, MessageVerdict, Status, Verdict
from genai_app.services.audit.events import Audit
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.history import History
from genai_app.services.review import names as review_names
from genai_app.services.review import reviews as review_service
from genai_app.services.review.admission import Admission
from genai_app.services.review.reviews import Reviews
from genai_app.services.review.workflow import ReviewWork
from tests.unit.review_rows import (
    SECRET,
    MakeReviews,
    MakeWork,
    events_of,
    put_answer,
    put_review,
    review_of,
)
from tests.unit.talk import later

pytest_plugins = ("tests.unit.review_fixtures",)

REASON = "Жалоба на грубый ответ"


class AwayWhenWriting(Database):
    """A database that answers questions and takes nothing."""

    def write(self) -> Any:
        raise StorageUnavailable


async def test_a_reading_is_audited_and_whole(
    db: Database, reviews: Reviews, work: ReviewWork, as_alice: Actor, as_rita: Actor
) -> None:
    """Who, whose, which; then text, timings, feedback, verdicts, notes."""
    dialog_id, question, answer = await put_review(
        db, as_alice, [("Сколько дней?", "28")], title="Отпуск", prompt_tokens=7
    )
    async with db.write() as session:
        session.add(
            Feedback(
                message_id=answer,
                dialog_id=dialog_id,
                user_id=as_alice.user_id,
                rating="down",
                comment="Неверно",
            )
        )
    await work.judge(as_rita, answer, "wrong")
    await work.add_note(as_rita, dialog_id, "Проверить приказ")
    reading = await reviews.read_dialog(as_rita, str(dialog_id))
    (event,) = await events_of(db, "dialog_read")
    assert (event.actor_id, event.subject_id) == (as_rita.user_id, as_alice.user_id)
    assert (event.target, event.outcome) == (str(dialog_id), "done")
    assert reading.dialog.title == "Отпуск"
    assert reading.dialog.person.full_name == "Алиса Петрова"
    assert [each.id for each in reading.messages] == [question, answer]
    assert reading.messages[1].first_token_at is not None
    assert reading.messages[1].prompt_tokens == 7
    assert reading.feedback[answer].comment == "Неверно"
    assert reading.verdicts[answer].verdict == "wrong"
    assert [each.text for each in reading.notes] == ["Проверить приказ"]
    assert not reading.own


async def test_what_the_audit_cannot_take_is_not_read(
    database_url: str, db: Database, as_alice: Actor, as_rita: Actor
) -> None:
    """No event, no text: the refusal of the database is the answer."""
    dialog_id, *_ = await put_review(db, as_alice)
    away = AwayWhenWriting(database_url)
    reviews = Reviews(away, Admission(Audit(away), "pseudonymous"), SECRET, "pseudonymous")
    for call in (
        reviews.read_dialog(as_rita, dialog_id),
        reviews.list_messages(as_rita, dialog_id),
        reviews.list_dialogs(as_rita),
        reviews.reveal(as_rita, dialog_id, REASON),
    ):
        with pytest.raises(StorageUnavailable):
            await call
    await away.close()


async def test_long_dialogs_come_in_pieces(
    db: Database,
    reviews: Reviews,
    as_alice: Actor,
    as_rita: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The newest first, then what stands before; one reading is one event."""
    monkeypatch.setattr(review_service, "PAGE", 4)
    dialog_id, *ids = await put_review(db, as_alice, [(f"q{n}", f"a{n}") for n in range(5)])
    reading = await reviews.read_dialog(as_rita, dialog_id)
    seen = [each.id for each in reading.messages]
    while reading.has_older:
        reading = await reviews.read_dialog(as_rita, dialog_id, above=seen[0])
        seen = [each.id for each in reading.messages] + seen
    assert seen == ids
    assert len(await events_of(db, "dialog_read")) == 1


async def test_going_on_without_having_opened_is_audited(
    db: Database,
    reviews: Reviews,
    as_alice: Actor,
    as_rita: Actor,
    as_roman: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody else's reading counts, nor one of long ago."""
    dialog_id, *ids = await put_review(db, as_alice)
    await reviews.read_dialog(as_roman, dialog_id)
    await reviews.read_dialog(as_rita, dialog_id, above=ids[1])
    assert [each.actor_name for each in await events_of(db, "dialog_read")] == ["roman", "rita"]
    page = await reviews.list_messages(as_rita, dialog_id, limit=1)
    assert len(await events_of(db, "dialog_read")) == 3
    await reviews.list_messages(as_rita, dialog_id, page.next_cursor)
    assert len(await events_of(db, "dialog_read")) == 3
    (further,) = await events_of(db, "dialog_list")
    assert (further.target, further.subject_id) == (str(dialog_id), as_alice.user_id)
    later(monkeypatch, review_names.ONE_READING_S + 1)
    await reviews.list_messages(as_rita, dialog_id, page.next_cursor)
    assert len(await events_of(db, "dialog_read")) == 4


async def test_branches_are_chosen_beside_the_user(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    """The user's own choice stays."""
    dialog_id, question, first = await put_review(db, as_alice)
    second = await put_answer(db, question, "Другой")
    reading = await reviews.read_dialog(as_rita, dialog_id)
    assert reading.messages[-1].id == first
    assert reading.siblings[first] == (first, second)
    reading = await reviews.read_dialog(as_rita, dialog_id, through=second)
    assert reading.messages[-1].id == second
    async with db.read() as session:
        assert (await session.get_one(Dialog, dialog_id)).leaf_id == first
    page = await reviews.list_messages(as_rita, dialog_id)
    assert [each.id for each in page.items] == [question, first, second]


async def test_messages_of_another_dialog_are_not_there(
    db: Database, reviews: Reviews, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    dialog_id, *_ = await put_review(db, as_alice)
    _, *others = await put_review(db, as_bob)
    for which in ({"above": others[1]}, {"through": others[1]}, {"above": "no id"}):
        with pytest.raises(NotFound):
            await reviews.read_dialog(as_rita, dialog_id, **which)


async def test_deleted_dialogs_stay_readable(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    dialog_id, *_ = await put_review(db, as_alice)
    await History(db, Cursors(SECRET)).delete(as_alice, dialog_id)
    assert (await reviews.read_dialog(as_rita, dialog_id)).dialog.deleted


async def test_what_is_not_answered_yet_is_not_there(
    db: Database, reviews: Reviews, work: ReviewWork, as_alice: Actor, as_rita: Actor
) -> None:
    """The same as an id that never was."""
    dialog_id, _, answer = await put_review(db, as_alice, status=Status.RUNNING)
    for key in (dialog_id, uuid.uuid4(), "nonsense", None, 5, "x" * 1000, "\x00"):
        for call in (reviews.read_dialog, work.take, work.close, work.reopen):
            with pytest.raises(NotFound):
                await call(as_rita, key)
        with pytest.raises(NotFound):
            await work.add_note(as_rita, key, "text")
        with pytest.raises(NotFound):
            await work.judge(as_rita, answer if key == dialog_id else key, "good")


Call = Callable[[Reviews, ReviewWork, Actor, list[uuid.UUID]], Awaitable[object]]
CALLS: dict[str, Call] = {
    "list": lambda r, w, who, ids: r.list_dialogs(who),
    "departments": lambda r, w, who, ids: r.list_departments(who),
    "read": lambda r, w, who, ids: r.read_dialog(who, ids[0]),
    "earlier": lambda r, w, who, ids: r.read_dialog(who, ids[0], above=ids[2]),
    "messages": lambda r, w, who, ids: r.list_messages(who, ids[0]),
    "summary": lambda r, w, who, ids: r.summary(who, ids[0]),
    "reveal": lambda r, w, who, ids: r.reveal(who, ids[0], REASON),
    "take": lambda r, w, who, ids: w.take(who, ids[0]),
    "close": lambda r, w, who, ids: w.close(who, ids[0]),
    "reopen": lambda r, w, who, ids: w.reopen(who, ids[0]),
    "verdict": lambda r, w, who, ids: w.judge(who, ids[2], "good"),
    "note": lambda r, w, who, ids: w.add_note(who, ids[0], "text"),
}


def test_every_method_is_in_the_table() -> None:
    methods = [*vars(Reviews), *vars(ReviewWork)]
    public = [name for name in methods if not name.startswith("_")]
    assert len(public) == len(set(CALLS) - {"earlier"})


@pytest.mark.parametrize("name", CALLS)
async def test_users_may_nothing_even_with_their_own(
    name: str, db: Database, reviews: Reviews, work: ReviewWork, as_alice: Actor
) -> None:
    """Refused by the service itself, and audited."""
    ids = await put_review(db, as_alice)
    with pytest.raises(Forbidden) as error:
        await CALLS[name](reviews, work, as_alice, ids)
    assert error.value.code == "forbidden"
    (event,) = await events_of(db, "access")
    assert (event.outcome, event.actor_name) == ("refused", "alice")


@pytest.mark.parametrize("name", CALLS)
async def test_where_review_is_off_nobody_may(
    name: str,
    db: Database,
    make_reviews: MakeReviews,
    make_work: MakeWork,
    as_alice: Actor,
    as_carol: Actor,
) -> None:
    ids = await put_review(db, as_alice)
    with pytest.raises(Forbidden) as error:
        await CALLS[name](make_reviews("off"), make_work("off"), as_carol, ids)
    assert error.value.code == "review_off"
    (event,) = await events_of(db, "access")
    assert event.details == "reason=review_off"
    assert await events_of(db, "dialog_read") == []


async def test_a_name_for_a_reason_and_an_hour(
    db: Database,
    make_reviews: MakeReviews,
    as_alice: Actor,
    as_rita: Actor,
    as_roman: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of this reviewer and this dialog alone; the audit has it before the name is told."""
    reviews = make_reviews("pseudonymous")
    dialog_id, *_ = await put_review(db, as_alice)
    other_id, *_ = await put_review(db, as_alice)
    hidden = await reviews.read_dialog(as_rita, dialog_id)
    assert not hidden.revealed
    assert "Алиса" not in repr(hidden.dialog)
    person = await reviews.reveal(as_rita, dialog_id, f"  {REASON}  ")
    assert (person.full_name, person.username) == ("Алиса Петрова", "alice")
    (event,) = await events_of(db, "dialog_reveal")
    assert (event.reason, event.subject_id) == (REASON, as_alice.user_id)
    assert event.target == str(dialog_id)
    shown = await reviews.read_dialog(as_rita, dialog_id)
    assert shown.revealed
    assert shown.dialog.person == person
    assert shown.dialog.person.code == hidden.dialog.person.code
    assert not (await reviews.read_dialog(as_rita, other_id)).revealed
    assert not (await reviews.read_dialog(as_roman, dialog_id)).revealed
    later(monkeypatch, 3601)
    assert not (await reviews.read_dialog(as_rita, dialog_id)).revealed


@pytest.mark.parametrize(
    "reason", ["", "   ", "short", "a b c d e f", "." * 50, "x" * 501, "\x00" * 20]
)
async def test_a_reveal_without_a_reason_is_refused(
    reason: str, db: Database, make_reviews: MakeReviews, as_alice: Actor, as_rita: Actor
) -> None:
    reviews = make_reviews("pseudonymous")
    dialog_id, *_ = await put_review(db, as_alice)
    with pytest.raises(InvalidInput) as error:
        await reviews.reveal(as_rita, dialog_id, reason)
    assert error.value.code == "bad_reason"
    assert await events_of(db, "dialog_reveal") == []
    assert not (await reviews.read_dialog(as_rita, dialog_id)).revealed


async def test_under_names_there_is_nothing_to_reveal(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    dialog_id, *_ = await put_review(db, as_alice)
    with pytest.raises(Conflict):
        await reviews.reveal(as_rita, dialog_id, REASON)


async def test_the_way_of_a_dialog(
    db: Database, work: ReviewWork, as_alice: Actor, as_rita: Actor
) -> None:
    """new -> taken -> judged -> closed -> new; each step audited."""
    dialog_id, _, answer = await put_review(db, as_alice)
    await work.take(as_rita, dialog_id)
    await work.take(as_rita, dialog_id)  # again changes nothing
    row = await review_of(db, dialog_id)
    assert (row.state, row.assignee_id) == ("taken", as_rita.user_id)
    assert row.assignee_name == "Рита Орлова"
    assert await work.judge(as_rita, answer, "needs_knowledge") == dialog_id
    row = await review_of(db, dialog_id)
    assert (row.state, row.verdict) == ("judged", "needs_knowledge")
    await work.judge(as_rita, answer, "wrong")
    await work.close(as_rita, dialog_id)
    row = await review_of(db, dialog_id)
    assert (row.state, row.verdict) == ("closed", "wrong")
    await work.reopen(as_rita, dialog_id)
    row = await review_of(db, dialog_id)
    assert (row.state, row.assignee_id, row.assignee_name) == ("new", None, "")
    assert row.verdict == "wrong"
    steps = [each.details for each in await events_of(db, "review_state")]
    assert steps == ["to=taken", "to=judged", "to=closed", "to=new"]
    verdicts = await events_of(db, "verdict")
    assert [each.details.split()[0] for each in verdicts] == [
        "verdict=needs_knowledge",
        "verdict=wrong",
    ]
    async with db.read() as session:
        (kept,) = await session.scalars(sa.select(MessageVerdict))
    assert (kept.verdict, kept.reviewer_name) == ("wrong", "Рита Орлова")


async def test_steps_that_do_not_fit(
    db: Database, work: ReviewWork, as_alice: Actor, as_rita: Actor
) -> None:
    dialog_id, _, answer = await put_review(db, as_alice)

    async def refused(call: Awaitable[object], code: str) -> None:
        with pytest.raises(Conflict) as error:
            await call
        assert error.value.code == code

    await refused(work.close(as_rita, dialog_id), "review_not_judged")
    await refused(work.reopen(as_rita, dialog_id), "review_not_closed")
    await work.take(as_rita, dialog_id)
    await refused(work.close(as_rita, dialog_id), "review_not_judged")
    await work.judge(as_rita, answer, "good")
    await work.close(as_rita, dialog_id)
    await refused(work.close(as_rita, dialog_id), "review_closed")
    await refused(work.take(as_rita, dialog_id), "review_closed")
    await refused(work.judge(as_rita, answer, "good"), "review_closed")


async def test_what_somebody_else_has(
    db: Database,
    work: ReviewWork,
    as_alice: Actor,
    as_rita: Actor,
    as_roman: Actor,
    as_carol: Actor,
) -> None:
    """A conflict for a reviewer; an administrator takes over."""
    dialog_id, _, answer = await put_review(db, as_alice)
    await work.take(as_rita, dialog_id)
    for call in (
        work.take(as_roman, dialog_id),
        work.judge(as_roman, answer, "good"),
    ):
        with pytest.raises(Conflict) as error:
            await call
        assert error.value.code == "review_taken"
        assert "Рита Орлова" in error.value.user_text("ru")
    await work.judge(as_carol, answer, "unsafe")
    row = await review_of(db, dialog_id)
    assert (row.assignee_id, row.state) == (as_carol.user_id, "judged")
    with pytest.raises(Conflict):
        await work.close(as_rita, dialog_id)
    await work.close(as_carol, dialog_id)
    assert "to=taken_over" in [each.details for each in await events_of(db, "review_state")]


async def test_a_verdict_is_told_after_it_is_committed(
    db: Database, make_work: MakeWork, as_alice: Actor, as_rita: Actor
) -> None:
    told: list[tuple[str, uuid.UUID, Verdict, str]] = []

    async def listen(actor: Actor, message_id: uuid.UUID, verdict: Verdict) -> None:
        async with db.read() as session:
            row = await session.get_one(MessageVerdict, message_id)
        told.append((actor.username, message_id, verdict, row.verdict))

    work = make_work("named", listen)
    _, _, answer = await put_review(db, as_alice)
    await work.judge(as_rita, str(answer), "wrong")
    assert told == [("rita", answer, Verdict.WRONG, "wrong")]


async def test_nobody_judges_answers_to_their_own_questions(
    db: Database, reviews: Reviews, work: ReviewWork, as_rita: Actor
) -> None:
    dialog_id, question, answer = await put_review(db, as_rita)
    assert (await reviews.read_dialog(as_rita, dialog_id)).own
    with pytest.raises(Forbidden) as error:
        await work.judge(as_rita, answer, "good")
    assert error.value.code == "own_answer"
    (event,) = await events_of(db, "access")
    assert (event.outcome, event.details) == ("refused", "reason=own_answer")
    with pytest.raises(NotFound):
        await work.judge(as_rita, question, "good")  # a question has none


@pytest.mark.parametrize("verdict", ["", "GOOD", "x" * 10_000, None, 5, ["good"]])
async def test_verdicts_are_of_four_kinds(
    verdict: Any, db: Database, work: ReviewWork, as_alice: Actor, as_rita: Actor
) -> None:
    _, _, answer = await put_review(db, as_alice)
    with pytest.raises(InvalidInput):
        await work.judge(as_rita, answer, verdict)


async def test_notes(
    db: Database, reviews: Reviews, work: ReviewWork, as_alice: Actor, as_rita: Actor
) -> None:
    dialog_id, *_ = await put_review(db, as_alice)
    for text in ("", " \n ", "x" * 2001):
        with pytest.raises(InvalidInput) as error:
            await work.add_note(as_rita, dialog_id, text)
        assert error.value.code == "bad_note"
    await work.add_note(as_rita, dialog_id, " первая\x00 ")
    await work.add_note(as_rita, dialog_id, "x" * 2000)
    notes = (await reviews.read_dialog(as_rita, dialog_id)).notes
    assert [each.text for each in notes] == ["первая\ufffd", "x" * 2000]
    assert notes[0].author_name == "Рита Орлова"
    assert [each.target for each in await events_of(db, "review_note")] == [str(dialog_id)] * 2


async def test_every_code_has_its_sentences() -> None:
    for code in (
        "review_off",
        "review_taken",
        "review_closed",
        "review_not_judged",
        "review_not_closed",
        "own_answer",
        "bad_note",
        "bad_reason",
        "nothing_to_reveal",
    ):
        for locale in ("ru", "en"):
            assert AppError(code=code, name="R").user_text(locale)


async def test_nothing_in_review_deletes(db: Database, as_alice: Actor) -> None:
    """A reviewer can delete neither dialog, note nor verdict: there is no such method."""
    methods = [*vars(Reviews), *vars(ReviewWork)]
    assert not [name for name in methods if "delete" in name or "remove" in name]
    assert col(Dialog.id) is not None
