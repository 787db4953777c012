"""The menu of a dialog in the sidebar: pin, folder, archive; and the undo of the last of these that
took a dialog out of the list."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.dialogs.edits import DialogEdit
from genai_app.state.chat.dialogs import DialogsState
from genai_app.state.chat.undo import UndoState

MAX_NAME = 200  # what is read of a name; how long it may be is for the service to say


class DialogMenuState(rx.State):
    """Handlers only."""

    async def _change(self, dialog_id: str, edit: DialogEdit) -> bool:
        """Makes a change and reads the list again. Returns whether it was made."""
        dialogs = await self.get_state(DialogsState)
        try:
            await services().dialog_edits.change(acting(), dialog_id, edit)
        except AppError as error:
            dialogs.error_code = error.code
            return False
        services().dialog_changes.look_soon()
        await dialogs._load()
        return True

    @rx.event
    @allowed(Role.USER)
    async def pin(self, dialog_id: str, pinned: bool):
        await self._change(dialog_id, DialogEdit(pinned=pinned is True))

    @rx.event
    @allowed(Role.USER)
    async def move(self, dialog_id: str, folder_id: str):
        """Move a dialog into a folder; out of its folder with an empty `folder_id`."""
        await self._change(dialog_id, DialogEdit(folder_id=folder_id or None))

    @rx.event
    @allowed(Role.USER)
    async def move_to_new(self, dialog_id: str, name: str):
        """Make a folder and move a dialog into it."""
        name = name[:MAX_NAME] if isinstance(name, str) else ""
        try:
            await services().history.get(acting(), dialog_id)  # else the folder would stay empty
            folder = await services().folders.create(acting(), name)
        except AppError as error:
            (await self.get_state(DialogsState)).error_code = error.code
            return
        dialogs = await self.get_state(DialogsState)
        dialogs._open_folders = [*dialogs._open_folders, str(folder.id)]
        await self._change(dialog_id, DialogEdit(folder_id=folder.id))

    @rx.event
    @allowed(Role.USER)
    async def archive(self, dialog_id: str, archived: bool):
        """Archive a dialog and offer to undo it, or take it out of the archive."""
        made = await self._change(dialog_id, DialogEdit(archived=archived is True))
        if made and archived is True:
            (await self.get_state(UndoState))._offer("archived", str(dialog_id))

    @rx.event
    @allowed(Role.USER)
    async def undo(self):
        """Bring back the dialog that was deleted or archived last."""
        offer = await self.get_state(UndoState)
        done, dialog_id, was_open = offer.done, offer._dialog_id, offer._was_open
        offer._clear()
        if done == "archived":
            await self._change(dialog_id, DialogEdit(archived=False))
        if done != "deleted":
            return None
        dialogs = await self.get_state(DialogsState)
        try:
            await services().dialog_edits.restore(acting(), dialog_id)
        except AppError as error:
            dialogs.error_code = error.code
            return None
        services().dialog_changes.look_soon()
        await dialogs._load()
        return rx.redirect(f"/c/{dialog_id}") if was_open else None

    @rx.event
    @allowed(Role.USER)
    async def dismiss_undo(self):
        (await self.get_state(UndoState))._clear()
