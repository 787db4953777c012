"""What a page is told of dialogs and messages."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from genai_app import clock
from genai_app.i18n import LOCALES, catalogue
from genai_app.models import Author, Dialog, Message, Source, Status, VerifiedAnswer, new_id
from genai_app.services.dialogs.branches import Branch
from genai_app.services.dialogs.sidebar import ListedDialog
from genai_app.state.chat.rows import MessageRow, message_row, message_rows
from genai_app.state.chat.sidebar_rows import PART, PARTS, group_by_day, parts_of

pytestmark = pytest.mark.usefixtures("moscow")

ASKED = datetime(2026, 3, 1, 21, 30, 15, tzinfo=UTC)


def _message(author: Author = Author.ASSISTANT, **more: object) -> Message:
    given = {"id": new_id(), "author": author, "created_at": ASKED, "text": "words"} | more
    return Message(dialog_id=new_id(), user_id=new_id(), **given)  # type: ignore[arg-type]


def test_a_question() -> None:
    message = _message(Author.USER)
    nothing = {"ru": "", "en": ""}
    assert message_row(message) == MessageRow(
        id=str(message.id),
        author="user",
        text="words",
        status="complete",
        time="00:30",
        verified_until=nothing,
    )


def test_an_answer() -> None:
    message = _message(
        status=Status.FAILED,
        error_code="model_failed",
        source="model",
        model="llama",
        trimmed=7,
        finished_at=ASKED + timedelta(seconds=2, milliseconds=349),
    )
    row = message_row(message)
    assert (row.status, row.error_code, row.source) == ("failed", "model_failed", "model")
    assert (row.model, row.seconds, row.trimmed) == ("llama", "2.3", 7)
    assert (row.sibling, row.siblings) == (0, [])


def test_an_answer_from_the_cache() -> None:
    """It says how old its text is; who looks later sees a greater age."""
    made_at = clock.now() - timedelta(minutes=5, seconds=59)
    row = message_row(_message(source=Source.CACHE, made_at=made_at))
    assert (row.source, row.made, row.made_unit) == ("cache", 5, "minutes")
    own = message_row(_message(source=Source.MODEL, made_at=made_at))
    assert (own.made, own.made_unit) == (0, "")


def test_a_verified_answer() -> None:
    """Whose it is, and until when, in both languages; of the cache's age nothing."""
    verified = VerifiedAnswer(
        question_hash=b"",
        question="Q",
        answer="A",
        owner_id=new_id(),
        owner_name="Рита",
        review_by=ASKED,
    )
    row = message_row(_message(source=Source.VERIFIED, made_at=ASKED), verified=verified)
    assert (row.source, row.verified_by, row.made_unit) == ("verified", "Рита", "")
    assert row.verified_until == {"ru": "2 марта 2026", "en": "2 March 2026"}
    assert message_row(_message()).verified_until == {"ru": "", "en": ""}


def test_an_answer_that_grows() -> None:
    """Nulls of the database are empty strings on the page, which knows no null."""
    row = message_row(_message(status=Status.RUNNING, text=""))
    assert (row.text, row.status, row.seconds) == ("", "running", "")
    for each in fields(row):
        assert isinstance(getattr(row, each.name), str | int | list | dict)


def test_siblings() -> None:
    """Each answer knows its place among those to the same question, from 1."""
    question = _message(Author.USER)
    answers = [_message() for _ in range(3)]
    family = tuple(answer.id for answer in answers)
    for place, answer in enumerate(answers, start=1):
        branch = Branch(
            Dialog(user_id=new_id()), [question, answer], {answer.id: family}, has_older=False
        )
        first, second = message_rows(branch)
        assert (first.sibling, first.siblings) == (0, [])
        assert (second.sibling, second.siblings) == (place, [str(key) for key in family])


def _dialog(moment: datetime) -> ListedDialog:
    return ListedDialog(new_id(), moment.isoformat(), moment, None, None)


def test_periods_by_the_days_of_the_viewer() -> None:
    """Midnight is Moscow's: 21:00 UTC. Order and dialogs stay as they were given."""
    today = date(2026, 3, 2)
    midnight = datetime(2026, 3, 1, 21, tzinfo=UTC)
    tick = timedelta(microseconds=1)
    expected = {
        midnight + timedelta(days=3): "today",  # a clock that was set back
        midnight: "today",
        midnight - tick: "yesterday",
        midnight - timedelta(days=1): "yesterday",
        midnight - timedelta(days=1) - tick: "week",
        midnight - timedelta(days=6): "week",
        midnight - timedelta(days=6) - tick: "month",
        midnight - timedelta(days=29): "month",
        midnight - timedelta(days=29) - tick: "older",
        midnight - timedelta(days=4000): "older",
    }
    dialogs = [_dialog(moment) for moment in expected]

    groups = group_by_day(dialogs, today)

    assert [group.period for group in groups] == ["today", "yesterday", "week", "month", "older"]
    found = [(row.id, row.title, group.period) for group in groups for row in group.dialogs]
    assert found == [
        (str(dialog.id), dialog.title, period)
        for dialog, period in zip(dialogs, expected.values(), strict=True)
    ]


def test_no_dialogs() -> None:
    assert group_by_day([], date(2026, 3, 2)) == []
    assert parts_of([], []) == ([[]], [])


def test_a_period_that_goes_on_from_the_part_before() -> None:
    """Its heading is not said twice."""
    today = date(2026, 3, 2)
    dialogs = [_dialog(ASKED - timedelta(days=each)) for each in (50, 60)]
    assert [each.goes_on for each in group_by_day(dialogs, today, "older")] == [True]
    assert [each.goes_on for each in group_by_day(dialogs, today, "month")] == [False]


def test_parts_of_a_long_list() -> None:
    """A new dialog, or an old one that comes to the top, changes the part it comes to and the part
    it left, and no other."""
    dialogs = [_dialog(ASKED - timedelta(minutes=each)) for each in range(4 * PART)]
    parts, bounds = parts_of(dialogs, [])
    assert [len(part) for part in parts] == [PART] * 4
    assert [each for part in parts for each in part] == dialogs
    moved = dialogs[2 * PART + 7]
    again = [replace(moved, updated_at=ASKED + timedelta(minutes=1)), *dialogs]
    again.remove(moved)
    parts_again, bounds_again = parts_of(again, bounds)
    assert bounds_again == bounds
    assert [len(part) for part in parts_again] == [PART + 1, PART, PART - 1, PART]
    assert (parts_again[1], parts_again[3]) == (parts[1], parts[3])
    older = [_dialog(ASKED - timedelta(days=each)) for each in range(20, 20 + PART)]
    longer, _ = parts_of([*dialogs, *older], bounds)
    assert longer == [*parts, older]


def test_a_first_part_that_has_grown_is_cut_anew() -> None:
    dialogs = [_dialog(ASKED - timedelta(minutes=each)) for each in range(2 * PART)]
    _, bounds = parts_of(dialogs, [])
    new = [_dialog(ASKED + timedelta(minutes=PART + 1 - each)) for each in range(PART + 1)]
    parts, _ = parts_of([*new, *dialogs], bounds)
    assert [len(part) for part in parts] == [PART, PART, PART, 1]


def test_no_more_parts_than_there_are_vars() -> None:
    dialogs = [_dialog(ASKED - timedelta(minutes=each)) for each in range(PART * PARTS + 9)]
    parts, _ = parts_of(dialogs, [])
    assert [len(part) for part in parts] == [*([PART] * (PARTS - 1)), PART + 9]


@pytest.mark.parametrize("locale", LOCALES)
def test_every_period_has_a_name(locale: str) -> None:
    for period in ("today", "yesterday", "week", "month", "older"):
        assert catalogue(locale)[f"period.{period}"]
