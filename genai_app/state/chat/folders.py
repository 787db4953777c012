"""Folders in the sidebar: renaming and deleting them."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.chat.dialog_menu import MAX_NAME
from genai_app.state.chat.dialogs import DialogsState


class FoldersState(rx.State):
    """The ids of the folder that is being renamed, and of the one whose deletion is asked about."""

    renaming: str = ""
    deleting: str = ""

    @rx.event
    @allowed(Role.USER)
    def begin_rename(self, folder_id: str):
        self.renaming, self.deleting = str(folder_id)[:40], ""

    @rx.event
    @allowed(Role.USER)
    def ask_delete(self, folder_id: str):
        self.deleting, self.renaming = str(folder_id)[:40], ""

    @rx.event
    @allowed(Role.USER)
    def cancel(self):
        self.renaming = self.deleting = ""

    @rx.event
    @allowed(Role.USER)
    async def rename(self, folder_id: str, name: str):
        dialogs = await self.get_state(DialogsState)
        try:
            text = name[:MAX_NAME] if isinstance(name, str) else ""
            await services().folders.rename(acting(), folder_id, text)
        except AppError as error:
            dialogs.error_code = error.code
            return
        self.renaming = ""
        services().dialog_changes.look_soon()
        await dialogs._load()

    @rx.event
    @allowed(Role.USER)
    async def delete(self, folder_id: str):
        """Delete a folder. Its dialogs go back to their days."""
        dialogs = await self.get_state(DialogsState)
        try:
            await services().folders.delete(acting(), folder_id)
        except AppError as error:
            dialogs.error_code = error.code
            return
        self.deleting = ""
        services().dialog_changes.look_soon()
        await dialogs._load()
