"""Display rows of the pages of review."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from genai_app.errors import InvalidInput
from genai_app.markdown.guard import GuardedText
from genai_app.models import Author, Message, ReviewNote, Verdict
from genai_app.services.files.usage import files_used
from genai_app.services.review.listing import Excerpt, Filters, ReviewedDialog
from genai_app.services.review.reviews import Reading
from genai_app.state.chat.rows import ShownMessage, answer_seconds, seconds_text
from genai_app.state.chat.shown_answers import shown_answers
from genai_app.state.chat.shown_files import FileUseRow, used_files
from genai_app.state.dates import moment_text
from genai_app.state.review.files import ReviewedFileRow, reviewed_file_row
from genai_app.zones import day_bound

FILTER_NAMES = (
    *("query", "user", "department", "model", "source", "channel", "rating", "state", "verdict"),
    *("status", "mine", "since", "until"),
)
SHOWN_REASONING_CHARS = 20_000  # of an answer: there may be fifty on the page
BAD_VERDICTS = (Verdict.WRONG, Verdict.UNSAFE, Verdict.NEEDS_KNOWLEDGE)


@dataclass
class ExcerptPiece:
    """A piece of an excerpt. `hit`: it is a word of the query."""

    text: str
    hit: bool


@dataclass
class ReviewRow:
    """A dialog in the list and above its messages. `name`: "" while names are hidden; then `code`,
    the pseudonym, is shown."""

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
class ReviewMessageRow(ShownMessage):
    """A message in review with its times, tokens, feedback and verdict. Seconds and tokens are
    texts, "" where they are unknown."""

    reasoning: str = ""
    reasoning_cut: bool = False  # only its beginning is here
    first: str = ""  # seconds until the first token
    total: str = ""
    tokens: str = ""  # `120 + 340`: of the question and of the answer
    asked: dict[str, str] = field(default_factory=lambda: moment_text(None))
    rating: str = ""
    reason: str = ""  # a code
    comment: str = ""
    verdict: str = ""
    judge: str = ""
    question: str = ""  # the question of an answer with a bad verdict
    files: list[ReviewedFileRow] = field(default_factory=list[ReviewedFileRow])  # of a question
    used: list[FileUseRow] = field(default_factory=list[FileUseRow])  # by an answer


@dataclass
class NoteRow:
    """A note of a reviewer for other reviewers."""

    id: str
    author: str
    text: str
    at: dict[str, str]


def pieces_of(excerpt: Excerpt | None) -> list[ExcerptPiece]:
    """Returns an excerpt, divided at the start and end of each hit."""
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
    questions = {each.id: each.text for each in reading.messages if each.author == Author.USER}
    shown = shown_answers(reading.messages)
    rows: list[ReviewMessageRow] = []
    for message in reading.messages:
        row = _message_row(message, reading, shown.get(message.id))
        if row.verdict in BAD_VERDICTS and message.parent_id is not None:
            row.question = questions.get(message.parent_id, "")
        rows.append(row)
    return rows


def _message_row(message: Message, reading: Reading, shown: GuardedText | None) -> ReviewMessageRow:
    row = ReviewMessageRow.of(message, reading.siblings.get(message.id, ()), shown)
    row.asked = moment_text(message.created_at)
    row.files = [reviewed_file_row(each) for each in reading.files.get(message.id, ())]
    row.used = used_files(files_used(message.files_used))
    if message.author != Author.ASSISTANT:
        return row
    row.reasoning = message.reasoning[:SHOWN_REASONING_CHARS]
    row.reasoning_cut = len(message.reasoning) > SHOWN_REASONING_CHARS
    row.first = seconds_text(message.created_at, message.first_token_at)
    row.total = answer_seconds(message)
    tokens = (message.prompt_tokens, message.completion_tokens)
    if tokens != (None, None):
        row.tokens = " + ".join(str(each or 0) for each in tokens)
    if feedback := reading.feedback.get(message.id):
        row.rating, row.reason = feedback.rating, feedback.reason
        row.comment = feedback.comment
    if verdict := reading.verdicts.get(message.id):
        row.verdict, row.judge = verdict.verdict, verdict.reviewer_name
    return row


def note_row(note: ReviewNote) -> NoteRow:
    return NoteRow(
        id=str(note.id), author=note.author_name, text=note.text, at=moment_text(note.created_at)
    )


def filters_of(chosen: Mapping[str, str]) -> Filters:
    """Returns the filters of the chosen values. A date range includes both of its days.

    Raises InvalidInput for a text that is no date.
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
