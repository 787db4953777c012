"""Display rows of the chat: what the page shows of a message, and nothing else."""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from genai_app import clock
from genai_app.markdown.guard import GuardedText
from genai_app.models import Author, Message, Source, Status, VerifiedAnswer
from genai_app.services.chat.cut_answers import can_go_on
from genai_app.services.dialogs.branches import Branch
from genai_app.services.dialogs.history import details_of
from genai_app.services.files.usage import files_used
from genai_app.state.chat.shown_answers import shown_answers
from genai_app.state.chat.shown_files import FileUseRow, used_files
from genai_app.state.dates import age, clock_text, day_text
from genai_app.state.files import FileRow, file_row

FOLDED_LINES = 12  # of a question; styles.css folds it there
CHARS_PER_LINE = 64  # of a bubble on a wide page


@dataclass
class ShownMessage:
    """The fields of a message that the chat and the review show alike."""

    id: str
    author: str
    text: str = ""
    shown: str = ""  # what is rendered in place of `text`; "" for the text itself
    left_plain: bool = False  # a part of it is too complex to be formatted
    status: str = Status.COMPLETE
    error_code: str = ""
    error_reason: str = ""  # the model server's own words
    source: str = ""
    model: str = ""
    variant: str = ""  # of an answer: `shorter`, `longer` or ""
    thought: bool = False  # the model has thought before it, for so many seconds
    thought_s: int = 0
    sibling: int = 0  # 1-based place among the messages under the same parent; 0: the only one
    siblings: list[str] = field(default_factory=list[str])

    @classmethod
    def of(
        cls, message: Message, siblings: Sequence[uuid.UUID] = (), shown: GuardedText | None = None
    ) -> Self:
        """Returns a row in which the fields of the page's own row have their defaults."""
        return cls(
            id=str(message.id),
            author=message.author,
            text=message.text,
            shown=shown.text if shown and shown.text != message.text else "",
            left_plain=shown is not None and shown.left_plain,
            status=message.status,
            error_code=message.error_code or "",
            error_reason=str(details_of(message).get("reason", "")),
            source=message.source or "",
            model=message.model or "",
            thought=message.reasoning_ms is not None,
            thought_s=(message.reasoning_ms or 0) // 1000,
            variant=message.variant or "",
            sibling=siblings.index(message.id) + 1 if siblings else 0,
            siblings=[str(each) for each in siblings],
        )


@dataclass
class MessageRow(ShownMessage):
    """A message in the chat. Times are strings in the browser's time zone."""

    error_what: str = ""  # what did not fit into the model, and by how much
    error_over_chars: int = 0
    is_blank: bool = False  # an answer of white space
    seconds: str = ""  # from the question to the end of the answer
    time: str = ""
    made: int = 0  # an answer from the cache: how old its text is, and in what
    made_unit: str = ""  # `moment`, `minutes`, `hours` or `days`; "" for an answer of its own
    verified_by: str = ""  # of a verified answer: whose it is, and until when
    verified_until: dict[str, str] = field(default_factory=dict[str, str])
    trimmed: int = 0
    is_long: bool = False  # a question that is shown folded
    can_go_on: bool = False  # an answer that was cut, at the end of the branch
    files: list[FileRow] = field(default_factory=list[FileRow])  # of a question
    used: list[FileUseRow] = field(default_factory=list[FileUseRow])  # by an answer


def message_row(
    message: Message,
    siblings: Sequence[uuid.UUID] = (),
    verified: VerifiedAnswer | None = None,
    shown: GuardedText | None = None,
) -> MessageRow:
    row, details = MessageRow.of(message, siblings, shown), details_of(message)
    row.error_what = str(details.get("what", ""))
    row.error_over_chars = int(details.get("over_chars", 0))
    row.is_blank = not message.text.strip()
    if message.author == Author.ASSISTANT:
        row.seconds = answer_seconds(message)
        row.used = used_files(files_used(message.files_used))
    row.is_long = message.author == Author.USER and _is_long(message.text)
    row.time = clock_text(message.created_at)
    if message.source == Source.CACHE and message.made_at is not None:
        row.made, row.made_unit = age(clock.now() - message.made_at)
    row.verified_by = verified.owner_name if verified else ""
    row.verified_until = day_text(verified.review_by if verified else None)
    row.trimmed = message.trimmed
    return row


def answer_seconds(answer: Message) -> str:
    """Returns the seconds from the question to the end of the answer, without the pauses before it
    went on."""
    paused = timedelta(milliseconds=answer.paused_ms or 0)
    return seconds_text(answer.created_at + paused, answer.finished_at)


def seconds_text(start: datetime, end: datetime | None) -> str:
    """Returns the seconds between two times with one decimal; "" without an end."""
    return "" if end is None else f"{max((end - start).total_seconds(), 0):.1f}"


def message_rows(branch: Branch) -> list[MessageRow]:
    """Returns the rows of a branch, without the instructions that a client of the API sent."""
    shown = shown_answers(branch.messages)
    rows = [
        message_row(m, branch.siblings.get(m.id, ()), branch.verified.get(m.id), shown.get(m.id))
        for m in branch.messages
        if m.author != Author.SYSTEM
    ]
    files = {str(key): [file_row(each) for each in of] for key, of in branch.files.items()}
    for row in rows:
        row.files = files.get(row.id, [])
    last = branch.messages[-1] if branch.messages else None
    if last is not None and last.id == branch.dialog.leaf_id:
        rows[-1].can_go_on = can_go_on(last)
    return rows


def _is_long(text: str) -> bool:
    """Returns whether a question takes more than FOLDED_LINES lines on the page, about."""
    lines = text.rstrip().splitlines()
    return sum(max(math.ceil(len(line) / CHARS_PER_LINE), 1) for line in lines) > FOLDED_LINES
