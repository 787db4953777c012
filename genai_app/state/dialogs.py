"""The sidebar: the user's dialogs by day, renaming and deleting."""

import reflex as rx

from genai_app import clock
from genai_app.errors import AppError
from genai_app.models import Dialog
from genai_app.services import services
from genai_app.services.acting import acting
from genai_app.state.rows import DialogGroup, group_by_day

MAX_PAGES = 40  # of the sidebar; older dialogs are found by search


class DialogsState(rx.State):
    """Dialogs as far as they are loaded, and which of them is being edited."""

    groups: list[DialogGroup] = []
    has_more: bool = False
    loaded: bool = False
    renaming: str = ""
    deleting: str = ""
    error_code: str = ""

    _pages: int = 1

    @rx.event
    async def load(self):
        await self._load()

    async def _load(self) -> None:
        """Read the list again, as long as it was."""
        dialogs: list[Dialog] = []
        cursor = None
        try:
            for _ in range(self._pages):
                page = await services().history.list_dialogs(acting(), cursor=cursor)
                dialogs += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self.groups = group_by_day(dialogs, clock.now().astimezone().date())
        self.has_more = cursor is not None
        self.loaded = True

    @rx.event
    async def load_more(self):
        self._pages = min(self._pages + 1, MAX_PAGES)
        await self._load()

    @rx.event
    def begin_rename(self, dialog_id: str):
        self.renaming, self.deleting = str(dialog_id)[:40], ""

    @rx.event
    def ask_delete(self, dialog_id: str):
        self.deleting, self.renaming = str(dialog_id)[:40], ""

    @rx.event
    def cancel(self):
        self.renaming = self.deleting = ""

    @rx.event
    async def rename(self, dialog_id: str, title: str):
        try:
            await services().history.rename(acting(), dialog_id, str(title)[:1000])
        except AppError as error:
            self.error_code = error.code
            return
        self.renaming = ""
        await self._load()

    @rx.event
    async def delete(self, dialog_id: str):
        """Delete, and leave the dialog's page if it is on the screen."""
        try:
            await services().history.delete(acting(), dialog_id)
        except AppError as error:
            self.error_code = error.code
            return None
        self.deleting = ""
        await self._load()
        if self.router.url.path.rstrip("/").endswith(f"/c/{dialog_id}"):
            return rx.redirect("/")
        return None
