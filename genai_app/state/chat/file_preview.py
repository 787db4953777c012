"""The preview of a file: what it is, what a user should know of it, and its text page by page."""

import reflex as rx

from genai_app.errors import AppError, NotFound
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.chat.sends import is_uuid
from genai_app.state.file_page import PreviewPage, read_page


class PreviewState(rx.State):
    """The file in the preview and the page of it."""

    shown: PreviewPage = PreviewPage()
    loaded: bool = False
    error_code: str = ""

    @rx.event
    @allowed(Role.USER)
    async def open(self, file_id: str, page: int = 0):
        """Show a file of the user, at a page."""
        if not is_uuid(file_id) or not isinstance(page, int):
            return
        if file_id != self.shown.file.id:
            self.shown, self.loaded = PreviewPage(), False
            yield
        self.error_code = ""
        try:
            await self._read(file_id, page)
        except AppError as error:
            self.shown = PreviewPage()
            self.error_code = "file_gone" if isinstance(error, NotFound) else error.code
        self.loaded = True

    @rx.event
    @allowed(Role.USER)
    async def turn(self, step: int):
        """Show the next page, or the one before."""
        if step in (1, -1) and self.shown.file.id:
            try:
                await self._read(self.shown.file.id, self.shown.page + step)
            except AppError as error:
                self.error_code = "file_gone" if isinstance(error, NotFound) else error.code

    async def _read(self, file_id: str, page: int) -> None:
        self.shown = await read_page(await services().files.get(acting(), file_id), page)
