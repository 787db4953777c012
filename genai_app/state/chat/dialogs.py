"""The sidebar: the user's dialogs by section, renaming and deleting."""

import uuid
from collections.abc import Iterable
from datetime import date

import reflex as rx

from genai_app import clock
from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.dialogs.edits import DialogEdit
from genai_app.services.dialogs.history import PAGE
from genai_app.services.dialogs.sidebar import ListedDialog, SidebarContent, Unfolded
from genai_app.state.chat.sidebar_rows import (
    PART,
    PARTS,
    Bound,
    DialogGroup,
    DialogRow,
    FolderRow,
    dialog_row,
    dialog_rows,
    folder_row,
    group_by_day,
    parts_of,
)
from genai_app.state.chat.undo import UndoState
from genai_app.zones import local_time

MAX_PAGES = PART * PARTS // PAGE  # of a section; older dialogs are found by search
MAX_OPEN = 20  # folders; the one that was opened first is closed then
PART_NAMES = [f"part_{number}" for number in range(PARTS)]


class DialogsState(rx.State):
    """Dialogs as far as they are loaded, and which of them is being renamed. `part_0` to `part_99`
    hold those by day, as list[DialogGroup]."""

    pinned: list[DialogRow] = []
    folders: list[FolderRow] = []
    key_folders: list[FolderRow] = []
    count: int = 0  # of the dialogs by day
    has_more: bool = False
    archive: list[DialogRow] = []
    archive_open: bool = False
    archive_has_more: bool = False
    has_archive: bool = False
    empty: bool = False  # there is nothing to show at all
    loaded: bool = False
    renaming: str = ""
    error_code: str = ""

    _socket: str = ""
    _pages: dict[str, int] = {}  # by section; 1 where there is none
    _open_folders: list[str] = []
    _open_key: str = ""
    _bounds: list[Bound] = []
    _versions: dict[str, str] = {}  # when each dialog of the list was changed last

    async def _catch_up(self, moments: dict[str, str]) -> None:
        """Read the list again where a dialog changed after it was read.

        Args:
            moments: when dialogs were changed last, by id.
        """
        if any(self._versions.get(key) != moment for key, moment in moments.items()):
            await self._load()
            # also of those that are not in the list: a key began them, or they are far down
            self._versions = self._versions | moments

    @rx.event
    @allowed(Role.USER)
    async def load(self):
        await self._load()

    async def _load(self) -> None:
        """Read the list again, as long as it was."""
        if self._socket != self.router.session.session_id:  # the page was loaded anew, at its top
            self._socket, self._pages, self._bounds = self.router.session.session_id, {}, []
            (await self.get_state(UndoState))._clear()
        try:
            content = await services().sidebar.read(acting(), self._unfolded())
        except AppError as error:
            self.error_code = error.code
            return
        ids = [str(each.id) for each in content.folders]
        self._open_folders = [each for each in self._open_folders if each in ids]
        shown, self._bounds = _shown(content, self._bounds, local_time(clock.now()).date())
        shown["folders"] = [
            folder_row(each, str(each.id) in self._open_folders) for each in content.folders
        ]
        shown["key_folders"] = [
            folder_row(each, str(each.id) == self._open_key) for each in content.keys
        ]
        for name, value in shown.items():
            if getattr(self, name) != value:  # what is set is sent, the same again too
                setattr(self, name, value)
        self._versions = _versions(content)
        self.error_code = ""
        self.loaded = True

    def _unfolded(self) -> Unfolded:
        """Returns what is read of each section."""
        rows = {name: PAGE * pages for name, pages in self._pages.items()}
        return Unfolded(
            days=rows.get("days", PAGE),
            folders=frozenset(map(uuid.UUID, self._open_folders)),
            in_folder=rows.get("folder", PAGE),
            key=uuid.UUID(self._open_key) if self._open_key else None,
            in_key=rows.get("key", PAGE),
            archive=rows.get("archive", PAGE) if self.archive_open else 0,
        )

    @rx.event
    @allowed(Role.USER)
    async def load_more(self, section: str = "days"):
        """Show another page of the dialogs by day, of the open folders or key, or of the
        archive."""
        if section not in ("days", "folder", "key", "archive"):
            return
        pages = self._pages.get(section, 1)
        self._pages = self._pages | {section: min(pages + 1, MAX_PAGES)}
        await self._load()

    @rx.event
    @allowed(Role.USER)
    async def toggle_folder(self, folder_id: str):
        """Open a folder, or close it."""
        key = _id_text(folder_id)
        opened = [each for each in self._open_folders if each != key]
        if key and len(opened) == len(self._open_folders):
            opened = [*opened, key][-MAX_OPEN:]
        self._open_folders = opened
        await self._load()

    @rx.event
    @allowed(Role.USER)
    async def toggle_key(self, key_id: str):
        """Open the folder of a key, or close it."""
        key = _id_text(key_id)
        self._open_key = "" if key == self._open_key else key
        await self._load()

    @rx.event
    @allowed(Role.USER)
    async def toggle_archive(self):
        self.archive_open = not self.archive_open
        await self._load()

    @rx.event
    @allowed(Role.USER)
    def begin_rename(self, dialog_id: str):
        self.renaming = str(dialog_id)[:40]

    @rx.event
    @allowed(Role.USER)
    def cancel(self):
        self.renaming = ""

    @rx.event
    @allowed(Role.USER)
    async def rename(self, dialog_id: str, title: str):
        try:
            edit = DialogEdit(title=str(title)[:1000])
            await services().dialog_edits.change(acting(), dialog_id, edit)
        except AppError as error:
            self.error_code = error.code
            return
        self.renaming = ""
        services().dialog_changes.look_soon()
        await self._load()

    @rx.event
    @allowed(Role.USER)
    async def delete(self, dialog_id: str):
        """Delete, offer to undo it, and leave the dialog's page if it is on the screen."""
        try:
            await services().history.delete(acting(), dialog_id)
        except AppError as error:
            self.error_code = error.code
            return None
        is_open = self.router.url.path.rstrip("/").endswith(f"/c/{dialog_id}")
        (await self.get_state(UndoState))._offer("deleted", str(dialog_id), was_open=is_open)
        services().dialog_changes.look_soon()
        await self._load()
        return rx.redirect("/") if is_open else None


for _name in PART_NAMES:
    DialogsState.add_var(_name, list[DialogGroup], [])


def _id_text(value: object) -> str:
    """Returns an id that a page sent, as a UUID is written; "" for anything else."""
    if not isinstance(value, str) or len(value) != 36:
        return ""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return ""


def _shown(
    content: SidebarContent, bounds: list[Bound], today: date
) -> tuple[dict[str, object], list[Bound]]:
    """Returns the vars of the dialogs outside of folders by name, and the bounds of the parts."""
    parts, bounds = parts_of(content.days.dialogs, bounds)
    groups: list[list[DialogGroup]] = []
    period = ""
    for part in parts:
        groups.append(group_by_day(part, today, period))
        period = groups[-1][-1].period if groups[-1] else period
    groups += [[]] * (PARTS - len(groups))
    nothing = not (content.pinned or content.folders or content.keys or content.days.dialogs)
    shown: dict[str, object] = {
        **dict(zip(PART_NAMES, groups, strict=True)),
        "pinned": [dialog_row(each) for each in content.pinned],
        "count": len(content.days.dialogs),
        "has_more": content.days.has_more and len(content.days.dialogs) < MAX_PAGES * PAGE,
        "archive": dialog_rows(content.archive),
        "archive_has_more": content.archive.has_more,
        "has_archive": content.has_archive,
        "empty": nothing and not content.has_archive,
    }
    return shown, bounds


def _versions(content: SidebarContent) -> dict[str, str]:
    """Returns when each listed dialog was changed last, by id."""
    inner = [each.list.dialogs for each in (*content.folders, *content.keys)]
    lists: Iterable[Iterable[ListedDialog]] = (
        *(content.pinned, content.days.dialogs, content.archive.dialogs),
        *inner,
    )
    return {
        str(each.id): each.changed_at.isoformat()
        for dialogs in lists
        for each in dialogs
        if each.changed_at
    }
