"""The files of all questions of the dialog on the screen."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.chat.dialog import ChatState
from genai_app.state.files import FileRow, file_row


class DialogFilesState(rx.State):
    """The newest last."""

    files: list[FileRow] = []
    loaded: bool = False
    error_code: str = ""

    @rx.event
    @allowed(Role.USER)
    async def load(self):
        """Show the files of the dialog, each time its drawer is opened."""
        dialog_id = (await self.get_state(ChatState)).dialog_id
        self.error_code = ""
        try:
            rows = await services().files.of_dialog(acting(), dialog_id) if dialog_id else []
        except AppError as error:
            self.files, self.error_code = [], error.code
        else:
            self.files = [file_row(each) for each in rows]
        self.loaded = True
