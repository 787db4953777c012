"""Display rows: what a page needs of a dialog or a message, and nothing else."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from genai_app import clock
from genai_app.models import Author, Dialog, Message, Source, Status, VerifiedAnswer
from genai_app.services.history import Branch
from genai_app.state.dates import age, day_text


@dataclass
class MessageRow:
    """One message on the page. Times are strings in the server's time zone."""

    id: str
    author: str
    text: str = ""
    status: str = Status.COMPLETE
    error_code: str = ""
    source: str = ""
    model: str = ""
    seconds: str = ""  # from the question to the end of the answer
    time: str = ""
    made: int = 0  # an answer from the cache: how old its text is, and in what
    made_unit: str = ""  # `moment`, `minutes`, `hours` or `days`; "" for an answer of its own
    verified_by: str = ""  # of a verified answer: whose it is, and until when
    verified_until: dict[str, str] = field(default_factory=dict[str, str])
    trimmed: int = 0
    sibling: int = 0  # 1-based place among the answers to the same question; 0: the only one
    siblings: list[str] = field(default_factory=list)


@dataclass
class DialogRow:
    """One line of the sidebar."""

    id: str
    title: str


@dataclass
class DialogGroup:
    """Dialogs of one period: `today`, `yesterday`, `week`, `month` or `older`."""

    period: str
    dialogs: list[DialogRow]


def message_row(
    message: Message,
    siblings: Sequence[uuid.UUID] = (),
    verified: VerifiedAnswer | None = None,
) -> MessageRow:
    seconds = ""
    made, made_unit = 0, ""
    if message.source == Source.CACHE and message.made_at is not None:
        made, made_unit = age(clock.now() - message.made_at)
    if message.author == Author.ASSISTANT and message.finished_at is not None:
        passed = message.finished_at - message.created_at
        seconds = f"{max(passed.total_seconds(), 0):.1f}"
    return MessageRow(
        id=str(message.id),
        author=message.author,
        text=message.text,
        status=message.status,
        error_code=message.error_code or "",
        source=message.source or "",
        model=message.model or "",
        seconds=seconds,
        time=message.created_at.astimezone().strftime("%H:%M"),
        made=made,
        made_unit=made_unit,
        verified_by=verified.owner_name if verified else "",
        verified_until=day_text(verified.review_by if verified else None),
        trimmed=message.trimmed,
        sibling=siblings.index(message.id) + 1 if siblings else 0,
        siblings=[str(i) for i in siblings],
    )


def message_rows(branch: Branch) -> list[MessageRow]:
    """A client's own instructions to the model are no part of what was said."""
    return [
        message_row(m, branch.siblings.get(m.id, ()), branch.verified.get(m.id))
        for m in branch.messages
        if m.author != Author.SYSTEM
    ]


def group_by_day(dialogs: Sequence[Dialog], today: date) -> list[DialogGroup]:
    """Groups in the order of `dialogs` (newest first). `today` is the server's local date."""
    groups: list[DialogGroup] = []
    for dialog in dialogs:
        period = _period(dialog.updated_at, today)
        if not groups or groups[-1].period != period:
            groups.append(DialogGroup(period, []))
        groups[-1].dialogs.append(DialogRow(str(dialog.id), dialog.title))
    return groups


def _period(moment: datetime, today: date) -> str:
    day = moment.astimezone().date()
    if day >= today:
        return "today"
    if day == today - timedelta(days=1):
        return "yesterday"
    if day > today - timedelta(days=7):
        return "week"
    return "month" if day > today - timedelta(days=30) else "older"
