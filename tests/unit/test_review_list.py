"""The list of all dialogs and the search in it: filters, pages, excerpts."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import BadCursor, InvalidInput
from genai_app.models import Channel, Message, Role, Source, Status
from genai_app.services.cursors import Cursors
from genai_app.services.review.listing import Filters
from genai_app.services.review.reviews import Reviews
from genai_app.services.review.search import READ_CHARS, excerpt
from tests.unit.review_rows import (
    SECRET,
    MakeReviews,
    change_review,
    enter_as,
    events_of,
    put_answer,
    put_review,
)

pytest_plugins = ("tests.unit.review_fixtures",)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
JUNK = [
    "' OR 1=1",
    "'; DROP TABLE reviews; --",
    "%",
    "_",
    "\\",
    '"',
    "''",
    "zqxj\x00wvkq",
    "\ud800",
    "!&|()<>:*",
    'foo" AND "bar',
    "NEAR(a b)",
    "-",
    "…«»—",
    "я" * 10_000,
    "' " * 5_000,
    "a:* & !b",
    "🙂",
]


async def found(reviews: Reviews, actor: Actor, **filters: object) -> set[uuid.UUID]:
    page = await reviews.list_dialogs(actor, Filters(**filters))  # type: ignore[arg-type]
    return {each.id for each in page.items}


async def all_pages(reviews: Reviews, actor: Actor, limit: int, **filters: object):
    """The ids in order, page after page."""
    ids: list[uuid.UUID] = []
    cursor = None
    while True:
        page = await reviews.list_dialogs(actor, Filters(**filters), cursor, limit)  # type: ignore[arg-type]
        assert len(page.items) <= limit
        ids += [each.id for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return ids


async def test_a_row_says_what_a_reviewer_looks_for(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    dialog_id, *_ = await put_review(
        db, as_alice, title="Отпуск", at=NOON, channel=Channel.API, status=Status.FAILED
    )
    (row,) = (await reviews.list_dialogs(as_rita)).items
    assert (row.id, row.title, row.updated_at) == (dialog_id, "Отпуск", NOON)
    assert (row.person.full_name, row.person.username) == ("Алиса Петрова", "alice")
    assert (row.department, row.channel, row.model) == ("Бухгалтерия", "api", "qwen3-32b")
    assert (row.source, row.status, row.state) == ("model", "failed", "new")
    assert (row.rating, row.verdict, row.deleted, row.excerpt) == ("", "", False, None)


async def test_pages_by_key_also_at_equal_times(
    db: Database, reviews: Reviews, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    """Each dialog once, newest first, whatever the size of the page."""
    for n in range(7):
        await put_review(db, as_alice if n % 2 else as_bob, at=NOON)
    for n in range(4):
        await put_review(db, as_bob, at=NOON - timedelta(minutes=n))
    whole = await all_pages(reviews, as_rita, 50)
    assert len(set(whole)) == 11
    for limit in (1, 2, 3, 7, 11):
        assert await all_pages(reviews, as_rita, limit) == whole
    bobs = await all_pages(reviews, as_rita, 2, user="bob")
    assert bobs == [each for each in whole if each in set(bobs)]
    assert len(bobs) == 8


async def test_each_filter_finds_its_own(
    db: Database, reviews: Reviews, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    plain, *_ = await put_review(db, as_alice, at=NOON)
    cached, *_ = await put_review(db, as_alice, at=NOON, source=Source.CACHE)
    api, *_ = await put_review(db, as_bob, at=NOON, channel=Channel.API, model="gpt-oss-20b")
    broken, *_ = await put_review(db, as_bob, at=NOON, status=Status.INTERRUPTED)
    old, *_ = await put_review(db, as_bob, at=NOON - timedelta(days=9))
    await change_review(db, api, rating="down")
    await change_review(db, broken, state="judged", verdict="wrong", assignee_id=as_rita.user_id)
    everything = {plain, cached, api, broken, old}
    for filters, expected in (
        ({}, everything),
        ({"user": "alice"}, {plain, cached}),
        ({"user": "петров"}, {plain, cached}),
        ({"user": "SMITH"}, {api, broken, old}),
        ({"user": str(as_bob.user_id)}, {api, broken, old}),
        ({"user": str(uuid.uuid4())}, set()),
        ({"department": "ИТ"}, {api, broken, old}),
        ({"model": "GPT-oss"}, {api}),
        ({"source": "cache"}, {cached}),
        ({"source": "model"}, everything - {cached}),
        ({"channel": "api"}, {api}),
        ({"channel": "web"}, everything - {api}),
        ({"rating": "down"}, {api}),
        ({"state": "new"}, everything - {broken}),
        ({"state": "judged"}, {broken}),
        ({"verdict": "wrong"}, {broken}),
        ({"verdict": "good"}, set()),
        ({"status": "interrupted"}, {broken}),
        ({"status": "complete"}, everything - {broken}),
        ({"mine": True}, {broken}),
        ({"since": NOON}, everything - {old}),
        ({"until": NOON}, {old}),
        ({"since": NOON, "until": NOON + timedelta(seconds=1), "user": "bob"}, {api, broken}),
        ({"user": "bob", "channel": "api", "rating": "down"}, {api}),
        ({"user": "alice", "state": "judged"}, set()),
    ):
        assert await found(reviews, as_rita, **filters) == expected, filters


async def test_a_name_that_very_many_have(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    """More users than are listed one by one are found by the query itself."""
    await put_review(db, as_alice)
    several = [await enter_as(db, f"clerk-{n}", full_name=f"Клерк {n}") for n in range(60)]
    ids = {(await put_review(db, each))[0] for each in several[:3]}
    assert await found(reviews, as_rita, user="клерк") == ids


async def test_a_value_that_no_column_holds_is_refused(reviews: Reviews, as_rita: Actor) -> None:
    for name in ("source", "channel", "rating", "state", "verdict", "status"):
        with pytest.raises(InvalidInput):
            await reviews.list_dialogs(as_rita, Filters(**{name: "x' OR 1=1"}))  # type: ignore[arg-type]
    for cursor in ("", "x", "0" * 300, "\ud800", "-1", "1" * 40, "٣"):
        with pytest.raises(BadCursor):
            await reviews.list_dialogs(as_rita, Filters(), cursor)
        with pytest.raises(BadCursor):
            await reviews.list_dialogs(as_rita, Filters(query="отпуск"), cursor)


async def test_words_are_found_in_all_their_forms(
    db: Database, reviews: Reviews, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    """ё is е, stems of Russian and English, no case; the last word may be only begun."""
    report, *_ = await put_review(db, as_alice, [("Где годовой отчёт?", "В папке отчётов.")])
    deal, *_ = await put_review(db, as_bob, [("Договоры подряда", "Подписаны вчера.")])
    servers, *_ = await put_review(db, as_bob, [("Restarting servers", "Use systemctl.")])
    for query, expected in (
        ("отчет", {report}),
        ("ОТЧЁТЫ", {report}),
        ("отчетами годовых", {report}),
        ("договор", {deal}),
        ("договорам подряда", {deal}),
        ("догов", {deal}),
        ("restart server", {servers}),
        ("Restarted", {servers}),
        ("отчёт договор", set()),
        ("нетакогослова", set()),
        ("подписан", {deal}),
    ):
        assert await found(reviews, as_rita, query=query) == expected, query
    assert await found(reviews, as_rita, query="договор", user="alice") == set()
    assert await found(reviews, as_rita, query="договор", user="bob", state="new") == {deal}
    assert await found(reviews, as_rita, query="договор", source="cache") == set()


async def test_a_search_shows_what_stands_around_the_newest_hit(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    """The same ranges on both databases, each a word that was looked for."""
    long = "Слова до него. " * 40 + "А вот и отчёт, годовой. " + "Слова после. " * 40
    dialog_id, _, _, question, _ = await put_review(
        db, as_alice, [("Старый отчёт", "Ответ"), (long, "Нет")]
    )
    (row,) = (await reviews.list_dialogs(as_rita, Filters(query="отчеты годовые"))).items
    assert row.id == dialog_id
    assert row.excerpt is not None
    assert row.excerpt.message_id == question
    assert row.excerpt.author == "user"
    shown = row.excerpt.text
    assert [shown[start:end] for start, end in row.excerpt.hits] == ["отчёт", "годовой"]
    assert shown.startswith("…")
    assert shown.endswith("…")
    assert len(shown) < 260


async def test_a_search_pages_by_hits_and_groups_by_dialog(
    db: Database, reviews: Reviews, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    first, *_ = await put_review(db, as_alice, [("отпуск раз", "отпуск два")] * 3)
    others = [(await put_review(db, as_bob, [("мой отпуск", "да")]))[0] for _ in range(4)]
    newest_first = [*others[::-1], first]
    assert await all_pages(reviews, as_rita, 50, query="отпуск") == newest_first
    assert await all_pages(reviews, as_rita, 2, query="отпуск") == newest_first
    assert list(dict.fromkeys(await all_pages(reviews, as_rita, 1, query="отпуск"))) == newest_first


async def test_very_many_hits_in_one_dialog(
    db: Database, reviews: Reviews, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    """A page is bounded work; the next one goes on where it ended."""
    older, *_ = await put_review(db, as_bob, [("аванс", "аванс")])
    newer, *_ = await put_review(db, as_alice, [("аванс", "аванс")] * 320)
    ids = await all_pages(reviews, as_rita, 5, query="аванс")
    assert list(dict.fromkeys(ids)) == [newer, older]


async def test_a_hit_that_the_excerpt_does_not_reach() -> None:
    far = excerpt(uuid.uuid4(), "user", ("слово " * READ_CHARS)[:READ_CHARS], "иголка")
    assert far.text.startswith("слово слово")
    assert far.hits == []
    near = excerpt(uuid.uuid4(), "user", "слово " * 2_000 + "иголка в сене", "иголка")
    assert [near.text[start:end] for start, end in near.hits] == ["иголка"]


@pytest.mark.parametrize("junk", JUNK, ids=lambda text: repr(text[:12]))
async def test_junk_is_literal(
    junk: str, db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    """In every text of the filters: nothing is raised, and nothing matches but itself."""
    dialog_id, *_ = await put_review(
        db, as_alice, [("Простой вопрос", "Простой ответ")], model="qwen3"
    )
    for name in ("query", "user", "department", "model"):
        assert await found(reviews, as_rita, **{name: junk}) == set(), name
    pair = await found(reviews, as_rita, query=f"простой {junk}")
    # what is no word says nothing; a word that stands nowhere finds nothing
    assert pair in ({dialog_id}, set())


async def test_wildcards_stand_for_themselves(
    db: Database, reviews: Reviews, as_rita: Actor
) -> None:
    """`%` and `_` in a name."""
    odd = await enter_as(db, "odd_one", full_name="100% Реальный")
    mine, *_ = await put_review(db, odd, model="a_b%c")
    plain = await enter_as(db, "oddsone", full_name="1000 Реальный")
    await put_review(db, plain, model="aXbYc")
    assert await found(reviews, as_rita, user="odd_") == {mine}
    assert await found(reviews, as_rita, user="100%") == {mine}
    assert await found(reviews, as_rita, model="a_b%") == {mine}


async def test_a_list_is_audited_by_its_filters_names(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    """Each page; what was looked for is not written down."""
    for _ in range(3):
        await put_review(db, as_alice, [("тайна", "тайна")])
    page = await reviews.list_dialogs(as_rita, Filters(user="alice"), None, 2)
    await reviews.list_dialogs(as_rita, Filters(user="alice"), page.next_cursor, 2)
    await reviews.list_dialogs(as_rita, Filters(query="тайна", state="new"))
    await reviews.list_dialogs(as_rita)
    first, further, second, third = await events_of(db, "dialog_list")
    for each in (first, further):
        assert (each.actor_name, each.details) == ("rita", "filters=user")
    assert second.details == "filters=query,state"
    assert third.details == "filters=none"


async def test_a_pseudonym_is_the_only_name(
    db: Database, make_reviews: MakeReviews, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    """Stable, found by itself alone; a department of fewer than five people is hidden."""
    reviews = make_reviews("pseudonymous")
    for actor in (as_alice, as_alice, as_bob):
        await put_review(db, actor)
    rows = (await reviews.list_dialogs(as_rita)).items
    told = repr(rows)
    for secret in (as_alice, as_bob):
        for text in (secret.username, secret.full_name, str(secret.user_id)):
            assert text not in told
    codes = [row.person.code for row in rows]
    assert codes[1] == codes[2] != codes[0]
    assert [row.department for row in rows] == ["", "", ""]
    for name in ("alice", "Петрова", str(as_alice.user_id), "", " "):
        if name.strip():
            assert await found(reviews, as_rita, user=name) == set()
    assert await found(reviews, as_rita, user=codes[1].lower()) == {rows[1].id, rows[2].id}
    assert await found(reviews, as_rita, user=f"Сотрудник {codes[0]}") == {rows[0].id}
    assert await found(reviews, as_rita, user=codes[1], query="вопрос") == {rows[1].id, rows[2].id}


async def test_deleted_dialogs_are_shown_and_marked(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    from genai_app.services.dialogs.history import History

    dialog_id, *_ = await put_review(db, as_alice, [("слово", "ответ")])
    await History(db, Cursors(SECRET)).delete(as_alice, dialog_id)
    (row,) = (await reviews.list_dialogs(as_rita)).items
    assert row.deleted
    (row,) = (await reviews.list_dialogs(as_rita, Filters(query="слово"))).items
    assert row.deleted


async def test_a_new_answer_brings_a_closed_dialog_back(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    dialog_id, question, _ = await put_review(db, as_alice, at=clock.now() - timedelta(days=1))
    await change_review(db, dialog_id, state="closed")
    await put_answer(db, question, "Ещё один")
    assert await found(reviews, as_rita, state="new") == {dialog_id}


async def test_an_older_answer_that_goes_on_leaves_the_dialog_in_its_place(
    db: Database, reviews: Reviews, as_alice: Actor, as_rita: Actor
) -> None:
    """Its end is the last one, but the newest question was asked later."""
    dialog_id, question, answer = await put_review(
        db,
        as_alice,
        at=clock.now() - timedelta(days=3),
        status=Status.STOPPED,
        model="m-old",
    )
    await put_answer(db, question, "Другой")
    (before,) = (await reviews.list_dialogs(as_rita)).items
    assert before.model == ""
    await change_review(db, dialog_id, state="closed")
    for status in (Status.RUNNING, Status.TRUNCATED):
        async with db.write() as session:
            await session.execute(
                sa.update(Message).where(col(Message.id) == answer).values(status=status)
            )
    (row,) = (await reviews.list_dialogs(as_rita)).items
    assert row.updated_at == before.updated_at
    assert (row.status, row.model, row.state) == ("truncated", "m-old", "new")


async def test_departments_of_all_users(
    reviews: Reviews, as_alice: Actor, as_bob: Actor, as_rita: Actor
) -> None:
    assert await reviews.list_departments(as_rita) == ["Бухгалтерия", "ИТ"]
    assert as_rita.role is Role.REVIEWER
