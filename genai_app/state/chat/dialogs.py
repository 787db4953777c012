"""The sidebar: the user's dialogs by day, renaming and deleting."""

import uuid

import reflex as rx

from genai_app import clock
from genai_app.errors import AppError
from genai_app.models import Dialog, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.chat.rows import (
    DialogGroup,
    DialogRow,
    KeyFolderRow,
    group_by_day,
    key_folder_row,
)
from genai_app.zones import local_time

MAX_PAGES = 40  # of the sidebar; older dialogs are found by search


class DialogsState(rx.State):
    """Dialogs as far as they are loaded, and which of them is being edited. Those that API keys
    began stand in a folder for each key, of which one may be open."""

    key_folders: list[KeyFolderRow] = []
    open_key: str = ""
    key_dialogs: list[DialogRow] = []
    key_has_more: bool = False
    groups: list[DialogGroup] = []
    has_more: bool = False
    loaded: bool = False
    renaming: str = ""
    deleting: str = ""
    error_code: str = ""

    _pages: int = 1
    _key_pages: int = 1
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
        key_dialogs, key_has_more = list[Dialog](), False
        try:
            dialogs, has_more = await _read(self._pages)
            folders = await services().key_folders.list(acting())
            if self.open_key not in [str(each.key_id) for each in folders]:
                self.open_key = ""
            if self.open_key:
                key_dialogs, key_has_more = await _read(self._key_pages, uuid.UUID(self.open_key))
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self._versions = {
            str(each.id): each.changed_at.isoformat() for each in dialogs if each.changed_at
        }
        self.groups = group_by_day(dialogs, local_time(clock.now()).date())
        self.has_more = has_more
        self.key_folders = [key_folder_row(each) for each in folders]
        self.key_dialogs = [DialogRow(str(each.id), each.title) for each in key_dialogs]
        self.key_has_more = key_has_more
        self.loaded = True

    @rx.event
    @allowed(Role.USER)
    async def load_more(self):
        self._pages = min(self._pages + 1, MAX_PAGES)
        await self._load()

    @rx.event
    @allowed(Role.USER)
    async def toggle_key(self, key_id: str):
        """Open the folder of a key, or close it."""
        self.open_key = "" if key_id == self.open_key else str(key_id)[:40]
        self._key_pages = 1
        await self._load()

    @rx.event
    @allowed(Role.USER)
    async def load_more_of_key(self):
        self._key_pages = min(self._key_pages + 1, MAX_PAGES)
        await self._load()

    @rx.event
    @allowed(Role.USER)
    def begin_rename(self, dialog_id: str):
        self.renaming, self.deleting = str(dialog_id)[:40], ""

    @rx.event
    @allowed(Role.USER)
    def ask_delete(self, dialog_id: str):
        self.deleting, self.renaming = str(dialog_id)[:40], ""

    @rx.event
    @allowed(Role.USER)
    def cancel(self):
        self.renaming = self.deleting = ""

    @rx.event
    @allowed(Role.USER)
    async def rename(self, dialog_id: str, title: str):
        try:
            await services().history.rename(acting(), dialog_id, str(title)[:1000])
        except AppError as error:
            self.error_code = error.code
            return
        self.renaming = ""
        services().dialog_changes.look_soon()
        await self._load()

    @rx.event
    @allowed(Role.USER)
    async def delete(self, dialog_id: str):
        """Delete, and leave the dialog's page if it is on the screen."""
        try:
            await services().history.delete(acting(), dialog_id)
        except AppError as error:
            self.error_code = error.code
            return None
        self.deleting = ""
        services().dialog_changes.look_soon()
        await self._load()
        if self.router.url.path.rstrip("/").endswith(f"/c/{dialog_id}"):
            return rx.redirect("/")
        return None


async def _read(pages: int, key_id: uuid.UUID | None = None) -> tuple[list[Dialog], bool]:
    """Returns the first pages of the dialogs that a key began, or that none did, and whether there
    are more."""
    dialogs: list[Dialog] = []
    cursor = None
    for _ in range(pages):
        page = await services().history.list_dialogs(
            acting(), cursor=cursor, key_id=key_id, own=key_id is None
        )
        dialogs += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    return dialogs, cursor is not None
