"""The user's files, and how much room they take."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.chat.sends import is_uuid
from genai_app.state.files import FileRow, file_row, size_text


class MyFilesState(rx.State):
    """The newest first. Sizes are a number and its unit."""

    files: list[FileRow] = []
    count: int = 0  # of all files
    percent: int = 0  # of the room that is used
    used: str = ""
    used_unit: str = ""
    most: str = ""
    most_unit: str = ""
    loaded: bool = False
    has_more: bool = False
    deleting: str = ""
    error_code: str = ""
    _cursor: str = ""

    async def _load(self) -> None:
        self.files, self._cursor, self.loaded, self.deleting = [], "", False, ""
        await self._add_page()

    async def _add_page(self) -> None:
        try:
            page = await services().files.list(acting(), cursor=self._cursor or None)
            await self._show_usage()
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code, self.loaded = "", True
        self.files = [*self.files, *map(file_row, page.items)]
        self._cursor, self.has_more = page.next_cursor or "", page.next_cursor is not None

    async def _show_usage(self) -> None:
        usage = await services().files.usage(acting())
        self.count = usage.files
        self.percent = min(-(-100 * usage.bytes // max(usage.most_bytes, 1)), 100)
        self.used, self.used_unit = size_text(usage.bytes)
        self.most, self.most_unit = size_text(usage.most_bytes)

    @rx.event
    @allowed(Role.USER)
    async def load_more(self):
        if self.has_more:
            await self._add_page()

    @rx.event
    @allowed(Role.USER)
    def ask_delete(self, file_id: str):
        """Ask whether a file shall be deleted; "" for none."""
        self.deleting = file_id if is_uuid(file_id) else ""

    @rx.event
    @allowed(Role.USER)
    async def delete(self, file_id: str):
        """Delete a file of the user with what was read in it."""
        self.deleting = ""
        try:
            await services().files.delete(acting(), file_id)
            await self._show_usage()
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self.files = [row for row in self.files if row.id != file_id]
