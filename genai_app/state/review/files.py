"""Files of the dialog that is open in review: their rows, and the preview. Each opening is audited
by the service and shown to the file's user."""

from dataclasses import dataclass, fields

import reflex as rx

from genai_app.errors import AppError, NotFound
from genai_app.models import Attachment, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.chat.sends import is_uuid
from genai_app.state.file_page import PreviewPage, read_page
from genai_app.state.files import FileRow, file_row


@dataclass
class ReviewedFileRow(FileRow):
    """A file of a question. `can_open`: its bytes are there, and so may be those of a deleted file
    under a legal hold."""

    can_open: bool = False


def reviewed_file_row(row: Attachment) -> ReviewedFileRow:
    """Returns the row of a file before it is opened: without what its reader noticed in it, and
    without a picture, which is a look into it."""
    shown = file_row(row)
    shown.warnings, shown.has_thumbnail = [], False
    values = {each.name: getattr(shown, each.name) for each in fields(shown)}
    return ReviewedFileRow(**values, can_open=row.wiped_at is None)


class ReviewFileState(rx.State):
    """The file in the preview and the page of it, from the dialog `dialog_id`."""

    dialog_id: str = ""
    shown: PreviewPage = PreviewPage()
    loaded: bool = False
    error_code: str = ""

    @rx.event
    @allowed(Role.REVIEWER)
    async def open(self, file_id: str, page: int = 0):
        """Show a file of the dialog, at a page."""
        if not self.dialog_id or not is_uuid(file_id) or not isinstance(page, int):
            return
        self._begin(self.dialog_id)
        yield
        await self._read(file_id, page)
        self.loaded = True

    @rx.event
    @allowed(Role.REVIEWER)
    async def turn(self, step: int):
        """Show the next page, or the one before."""
        if step in (1, -1) and self.shown.file.id:
            await self._read(self.shown.file.id, self.shown.page + step, is_further=True)

    def _begin(self, dialog_id: str) -> None:
        """Forgets the file that was shown. The next one is of this dialog."""
        self.dialog_id, self.shown = dialog_id, PreviewPage()
        self.loaded, self.error_code = False, ""

    async def _read(self, file_id: str, page: int, *, is_further: bool = False) -> None:
        reviewed = services().reviewed_files
        try:
            row = await reviewed.open(acting(), self.dialog_id, file_id, is_further=is_further)
            self.shown = await read_page(row, page)
        except AppError as error:
            self.shown = PreviewPage()
            self.error_code = "file_gone" if isinstance(error, NotFound) else error.code
        self.shown.file.has_thumbnail = False
