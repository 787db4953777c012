"""Display rows of the pages of review."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from genai_app.errors import InvalidInput
from genai_app.models import Author, Message, ReviewNote, Verdict
from genai_app.services.dialogs.history import details_of
from genai_app.services.review.listing import Excerpt, Filters, ReviewedDialog
from genai_app.services.review.reviews import Reading
from genai_app.state.chat.shown_answers import shown_answers
from genai_app.state.dates import moment_text
from genai_app.zones import day_bound

FILTER_NAMES = (
    *("query", "user", "department", "model", "source", "channel", "rating", "state", "verdict"),
    *("status", "mine", "since", "until"),
)
NO_GOOD = (Verdict.WRONG, Verdict.UNSAFE, Verdict.NEEDS_KNOWLEDGE)


@dataclass
class ExcerptPiece:
    """A piece of an excerpt; `hit`: a word that was looked for."""

    text: str
    hit: bool


@dataclass
class ReviewRow:
    """A dialog in the list and above its messages. `name` is "" while only `code` may be known."""

    id: str = ""
    title: str = ""
    name: str = ""
    username: str = ""
    code: str = ""
    department: str = ""
    channel: str = ""
    source: str = ""
    status: str = ""
    rating: str = ""
    verdict: str = ""
    state: str = ""
    assignee: str = ""
    mine: bool = False
    deleted: bool = False
    updated: dict[str, str] = field(default_factory=lambda: moment_text(None))
    pieces: list[ExcerptPiece] = field(default_factory=list[ExcerptPiece])


@dataclass
class ReviewMessageRow:
    """A message, what it took, and what is said of it. Seconds and tokens as texts; "": unknown."""

    id: str
    author: str
    text: str
    shown: str = ""  # what is rendered in place of `text`; "" for the text itself
    left_plain: bool = False  # a part of it is too complex to be formatted
    status: str = ""
    error_code: str = ""
    error_reason: str = ""  # the model server's own words
    source: str = ""
    model: str = ""
    first: str = ""  # seconds until the first token
    total: str = ""
    tokens: str = ""  # `120 + 340`: of the question, of the answer
    asked: dict[str, str] = field(default_factory=lambda: moment_text(None))
    rating: str = ""
    reason: str = ""  # a code
    comment: str = ""
    verdict: str = ""
    judge: str = ""
    question: str = ""  # of an answer that was no good: what was asked
    sibling: int = 0  # 1-based place among the answers to the same question; 0: the only one
    siblings: list[str] = field(default_factory=list[str])


@dataclass
class NoteRow:
    """A note that a reviewer wrote for the others."""

    id: str
    author: str
    text: str
    at: dict[str, str]


def pieces_of(excerpt: Excerpt | None) -> list[ExcerptPiece]:
    """The whole excerpt, cut where hits begin and end."""
    if excerpt is None:
        return []
    pieces: list[ExcerptPiece] = []
    done = 0
    for start, end in excerpt.hits:
        if start > done:
            pieces.append(ExcerptPiece(excerpt.text[done:start], hit=False))
        pieces.append(ExcerptPiece(excerpt.text[start:end], hit=True))
        done = end
    if done < len(excerpt.text):
        pieces.append(ExcerptPiece(excerpt.text[done:], hit=False))
    return pieces


def review_row(dialog: ReviewedDialog, me: uuid.UUID) -> ReviewRow:
    return ReviewRow(
        id=str(dialog.id),
        title=dialog.title,
        name=dialog.person.full_name,
        username=dialog.person.username,
        code=dialog.person.code,
        department=dialog.department,
        channel=dialog.channel,
        source=dialog.source,
        status=dialog.status,
        rating=dialog.rating,
        verdict=dialog.verdict,
        state=dialog.state,
        assignee=dialog.assignee_name,
        mine=dialog.assignee_id == me,
        deleted=dialog.deleted,
        updated=moment_text(dialog.updated_at),
        pieces=pieces_of(dialog.excerpt),
    )


def message_rows(reading: Reading) -> list[ReviewMessageRow]:
    asked = {each.id: each.text for each in reading.messages if each.author == Author.USER}
    shown = shown_answers(reading.messages)
    rows: list[ReviewMessageRow] = []
    for message in reading.messages:
        row = _message_row(message, reading)
        if (safe := shown.get(message.id)) is not None:
            row.shown = safe.text if safe.text != message.text else ""
            row.left_plain = safe.left_plain
        if row.verdict in NO_GOOD and message.parent_id is not None:
            row.question = asked.get(message.parent_id, "")
        rows.append(row)
    return rows


def _message_row(message: Message, reading: Reading) -> ReviewMessageRow:
    row = ReviewMessageRow(
        id=str(message.id),
        author=message.author,
        text=message.text,
        status=message.status,
        error_code=message.error_code or "",
        error_reason=str(details_of(message).get("reason", "")),
        asked=moment_text(message.created_at),
    )
    if message.author != Author.ASSISTANT:
        return row
    row.source, row.model = message.source or "", message.model or ""
    row.first = _seconds(message.created_at, message.first_token_at)
    row.total = _seconds(message.created_at, message.finished_at)
    used = (message.prompt_tokens, message.completion_tokens)
    if used != (None, None):
        row.tokens = " + ".join(str(each or 0) for each in used)
    if feedback := reading.feedback.get(message.id):
        row.rating, row.reason = feedback.rating, feedback.reason
        row.comment = feedback.comment
    if verdict := reading.verdicts.get(message.id):
        row.verdict, row.judge = verdict.verdict, verdict.reviewer_name
    family: Sequence[uuid.UUID] = reading.siblings.get(message.id, ())
    row.sibling = family.index(message.id) + 1 if family else 0
    row.siblings = [str(each) for each in family]
    return row


def _seconds(start: datetime, end: datetime | None) -> str:
    return "" if end is None else f"{max((end - start).total_seconds(), 0):.1f}"


def note_row(note: ReviewNote) -> NoteRow:
    return NoteRow(
        id=str(note.id), author=note.author_name, text=note.text, at=moment_text(note.created_at)
    )


def filters_of(chosen: Mapping[str, str]) -> Filters:
    """Filters of what a form holds; both days of a date range are in it.

    Raises InvalidInput for what is no day.
    """
    texts = {name: chosen.get(name, "") for name in FILTER_NAMES}
    since, until = _day(texts.pop("since")), _day(texts.pop("until"), after=True)
    mine = bool(texts.pop("mine"))
    return Filters(**texts, mine=mine, since=since, until=until)  # pyright: ignore[reportArgumentType] - the others are texts


def _day(text: str, *, after: bool = False) -> datetime | None:
    """Returns the beginning of a day in the browser's time zone. Raises InvalidInput."""
    try:
        return day_bound(text, after=after)
    except ValueError:
        raise InvalidInput(param="date") from None
