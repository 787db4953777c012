"""Display rows of the sidebar: what it shows of a dialog or a folder, and nothing else."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from genai_app.services.dialogs.sidebar import (
    MOST_COUNTED,
    DialogList,
    FolderContent,
    ListedDialog,
)
from genai_app.zones import local_time

# The dialogs by day are shown in parts, each a var of its own: a change in one leaves the others
# as they were drawn, and those off the screen are not drawn at all.
PARTS = 100
PART = 50

Bound = tuple[datetime, uuid.UUID]


@dataclass
class DialogRow:
    """A dialog in the sidebar. `folder_id`: "" for none."""

    id: str
    title: str
    folder_id: str


@dataclass
class DialogGroup:
    """Dialogs of one period: `today`, `yesterday`, `week`, `month` or `older`. `goes_on`: the group
    before it, in the part before, is of the same period."""

    period: str
    dialogs: list[DialogRow]
    goes_on: bool = False


@dataclass
class FolderRow:
    """A folder, or the dialogs of an API key. `count`: a text; `1000+` for more. `dialogs` is empty
    while it is folded."""

    id: str
    name: str
    count: str
    is_open: bool
    dialogs: list[DialogRow]
    has_more: bool


def dialog_row(dialog: ListedDialog) -> DialogRow:
    return DialogRow(str(dialog.id), dialog.title, str(dialog.folder_id or ""))


def dialog_rows(listed: DialogList) -> list[DialogRow]:
    return [dialog_row(each) for each in listed.dialogs]


def folder_row(folder: FolderContent, is_open: bool) -> FolderRow:
    more = "+" if folder.count >= MOST_COUNTED else ""
    return FolderRow(
        id=str(folder.id),
        name=folder.name,
        count=f"{folder.count}{more}",
        is_open=is_open,
        dialogs=dialog_rows(folder.list),
        has_more=folder.list.has_more,
    )


def group_by_day(
    dialogs: Sequence[ListedDialog], today: date, period_before: str = ""
) -> list[DialogGroup]:
    """Groups dialogs by period in their order, newest first.

    Args:
        today: the date in the browser's time zone.
        period_before: of the dialog before the first one.
    """
    groups: list[DialogGroup] = []
    for dialog in dialogs:
        period = _period(dialog.updated_at, today)
        if not groups or groups[-1].period != period:
            groups.append(DialogGroup(period, [], goes_on=not groups and period == period_before))
        groups[-1].dialogs.append(dialog_row(dialog))
    return groups


def parts_of(
    dialogs: Sequence[ListedDialog], bounds: Sequence[Bound]
) -> tuple[list[list[ListedDialog]], list[Bound]]:
    """Returns the dialogs in at most PARTS parts, and the last dialog's time and id of each part
    that is full. The bounds of the call before keep a dialog in its part, whatever came before
    it."""
    if bounds and sum((each.updated_at, each.id) >= bounds[0] for each in dialogs) > 2 * PART:
        bounds = []
    kept = list(bounds)
    parts: list[list[ListedDialog]] = [[]]
    for dialog in dialogs:
        moment = (dialog.updated_at, dialog.id)
        full = len(parts)
        while full <= len(kept) and moment < kept[full - 1]:
            parts.append([])
            full += 1
        if full > len(kept) and len(parts[-1]) >= PART and full < PARTS:
            last = parts[-1][-1]
            kept.append((last.updated_at, last.id))
            parts.append([])
        parts[-1].append(dialog)
    return parts, kept[: len(parts)]


def _period(moment: datetime, today: date) -> str:
    day = local_time(moment).date()
    if day >= today:
        return "today"
    if day == today - timedelta(days=1):
        return "yesterday"
    if day > today - timedelta(days=7):
        return "week"
    return "month" if day > today - timedelta(days=30) else "older"
