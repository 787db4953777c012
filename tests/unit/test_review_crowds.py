"""Under pseudonyms no list tells whose a code is: N7 for the people behind the codes."""

from datetime import timedelta
from typing import Any

import pytest

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import InvalidInput
from genai_app.models import Action
from genai_app.services.audit.events import event
from genai_app.services.review.listing import Filters
from genai_app.services.review.reviews import is_reason
from genai_app.zones import utc_day
from tests.unit.review_rows import MakeReviews, enter_as, put_review

pytest_plugins = ("tests.unit.review_fixtures",)


async def put_department(db: Database, name: str, people: int) -> list[Actor]:
    """Users of a department, each with a dialog."""
    made = [await enter_as(db, f"{name}-{n}", department=name) for n in range(people)]
    for each in made:
        await put_review(db, each, model="qwen3-32b")
    return made


async def test_times_are_days(db: Database, make_reviews: MakeReviews, as_rita: Actor) -> None:
    """In the list, the search, the dialog and its messages; how long an answer took stays."""
    (person,) = await put_department(db, "IT", 1)
    reviews = make_reviews("pseudonymous")
    today = utc_day(clock.now())
    for filters in (Filters(), Filters(query="Ответ")):
        (row,) = (await reviews.list_dialogs(as_rita, filters)).items
        assert (row.updated_at, row.department) == (today, "")
    reading = await reviews.read_dialog(as_rita, row.id)
    assert reading.dialog.updated_at == today
    for messages in (reading.messages, (await reviews.list_messages(as_rita, row.id)).items):
        assert {each.created_at for each in messages} == {today}
        assert messages[-1].finished_at == today + timedelta(seconds=2)
    await reviews.reveal(as_rita, row.id, "Жалоба на этот ответ")
    known = await reviews.read_dialog(as_rita, row.id)
    assert known.dialog.updated_at != today
    assert known.dialog.department == "IT"
    assert known.messages[0].created_at != today
    (named,) = (await make_reviews().list_dialogs(as_rita)).items
    assert named.updated_at != today
    assert named.person.user_id == person.user_id


async def test_a_filter_of_few_is_refused(
    db: Database, make_reviews: MakeReviews, as_rita: Actor
) -> None:
    """A department of one's own, and filters that are narrow only together."""
    await put_department(db, "IT", 5)
    await put_department(db, "alone", 1)
    reviews, now = make_reviews("pseudonymous"), clock.now()
    page = await reviews.list_dialogs(as_rita, Filters(department="IT"))
    assert [each.department for each in page.items] == ["IT"] * 5
    everybody = await reviews.list_dialogs(as_rita)
    assert sorted(each.department for each in everybody.items) == ["", *["IT"] * 5]
    assert await reviews.list_departments(as_rita) == ["IT"]
    # a span within a day is the whole day
    inside = Filters(since=now - timedelta(seconds=1), until=now + timedelta(seconds=1))
    assert len((await reviews.list_dialogs(as_rita, inside)).items) == 6
    narrow: list[dict[str, Any]] = [
        {"department": "alone"},
        {"department": "nobody"},
        {"department": "IT", "rating": "down"},
        {"department": "IT", "channel": "api"},
        {"model": "another"},
        {"until": now - timedelta(days=3)},
        {"department": "alone", "query": "Ответ"},
    ]
    for given in narrow:
        with pytest.raises(InvalidInput) as caught:
            await reviews.list_dialogs(as_rita, Filters(**given))
        assert caught.value.code == "too_few_people", given
        assert await make_reviews().list_dialogs(as_rita, Filters(**given))


async def test_a_department_given_today_counts_from_tomorrow(
    db: Database, make_reviews: MakeReviews, as_rita: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may set departments singles nobody out by it."""
    people = await put_department(db, "IT", 5)
    moved = event(Action.SETTING_CHANGE, by="carol", target=people[0].username, department="IT")
    async with db.write() as session:
        session.add(moved)
    reviews = make_reviews("pseudonymous")
    with pytest.raises(InvalidInput):
        await reviews.list_dialogs(as_rita, Filters(department="IT"))
    page = await reviews.list_dialogs(as_rita)
    assert sorted(each.department for each in page.items) == ["", *["IT"] * 4]
    tomorrow = clock.now() + timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: tomorrow)
    assert len((await reviews.list_dialogs(as_rita, Filters(department="IT"))).items) == 5


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("Жалоба на ответ", True),
        ("Complaint about this answer", True),
        ("проверка 2026-11-28 по запросу", True),
        ("aaaaaaaaaa", False),
        ("aaaaa bbbbb", False),
        ("абабаб абабаб", False),
        ("1234567890 12345", False),
        ("unverstaendlich", False),
        ("..........", False),
        ("жалоба жалоба", False),
    ],
)
def test_a_reason_has_words(text: str, good: bool) -> None:
    assert is_reason(text) is good
