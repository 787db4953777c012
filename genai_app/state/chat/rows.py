"""Display rows: what a page needs of a dialog or a message, and nothing else."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from genai_app import clock
from genai_app.markdown.guard import GuardedText
from genai_app.models import Author, Dialog, Message, Source, Status, VerifiedAnswer
from genai_app.services.dialogs.history import Branch, details_of
from genai_app.services.dialogs.key_folders import MOST_COUNTED, KeyFolder
from genai_app.state.chat.shown_answers import shown_answers
from genai_app.state.dates import age, clock_text, day_text
from genai_app.zones import local_time


@dataclass
class MessageRow:
    """A message on the page. Times are strings in the browser's time zone."""

    id: str
    author: str
    text: str = ""
    shown: str = ""  # what is rendered in place of `text`; "" for the text itself
    left_plain: bool = False  # a part of it is too complex to be formatted
    status: str = Status.COMPLETE
    error_code: str = ""
    error_reason: str = ""  # the model server's own words
    error_what: str = ""  # what did not fit into the model, and by how much
    error_over_chars: int = 0
    is_blank: bool = False  # an answer of white space
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
    """A dialog in the sidebar."""

    id: str
    title: str


@dataclass
class KeyFolderRow:
    """The folder of an API key in the sidebar. `count`: as a text, `1000+` for more than that."""

    key_id: str
    name: str
    count: str


@dataclass
class DialogGroup:
    """Dialogs of one period: `today`, `yesterday`, `week`, `month` or `older`."""

    period: str
    dialogs: list[DialogRow]


def message_row(
    message: Message,
    siblings: Sequence[uuid.UUID] = (),
    verified: VerifiedAnswer | None = None,
    shown: GuardedText | None = None,
) -> MessageRow:
    seconds, details = "", details_of(message)
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
        shown=shown.text if shown and shown.text != message.text else "",
        left_plain=shown is not None and shown.left_plain,
        status=message.status,
        error_code=message.error_code or "",
        error_reason=str(details.get("reason", "")),
        error_what=str(details.get("what", "")),
        error_over_chars=int(details.get("over_chars", 0)),
        is_blank=not message.text.strip(),
        source=message.source or "",
        model=message.model or "",
        seconds=seconds,
        time=clock_text(message.created_at),
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
    shown = shown_answers(branch.messages)
    return [
        message_row(m, branch.siblings.get(m.id, ()), branch.verified.get(m.id), shown.get(m.id))
        for m in branch.messages
        if m.author != Author.SYSTEM
    ]


def group_by_day(dialogs: Sequence[Dialog], today: date) -> list[DialogGroup]:
    """Groups in the order of `dialogs` (newest first). `today` is the date where the browser is."""
    groups: list[DialogGroup] = []
    for dialog in dialogs:
        period = _period(dialog.updated_at, today)
        if not groups or groups[-1].period != period:
            groups.append(DialogGroup(period, []))
        groups[-1].dialogs.append(DialogRow(str(dialog.id), dialog.title))
    return groups


def key_folder_row(folder: KeyFolder) -> KeyFolderRow:
    more = "+" if folder.count >= MOST_COUNTED else ""
    return KeyFolderRow(str(folder.key_id), folder.name, f"{folder.count}{more}")


def _period(moment: datetime, today: date) -> str:
    day = local_time(moment).date()
    if day >= today:
        return "today"
    if day == today - timedelta(days=1):
        return "yesterday"
    if day > today - timedelta(days=7):
        return "week"
    return "month" if day > today - timedelta(days=30) else "older"
