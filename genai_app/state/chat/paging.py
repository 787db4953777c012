"""Handlers that load more of the dialog on the screen, wherever its reader comes to an end of what
is loaded."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.dialogs.branches import Branch
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.earlier import EarlierState
from genai_app.state.chat.shown_files import with_files


class PagingState(ChatState):
    """Each takes the id of the message at that end: a second click asks for no more."""

    @rx.event
    @allowed(Role.USER)
    async def load_older(self, message_id: str = ""):
        """Show older messages above the first one."""
        earlier = await self.get_state(EarlierState)
        first = earlier.first or (self.messages[0].id if self.messages else "")
        has_older = earlier.has_older if earlier.first else self.has_older
        if not first or not has_older or (message_id and message_id != first):
            return
        if branch := await self._read(above=first):
            earlier._add_above(branch)

    @rx.event
    @allowed(Role.USER)
    async def fill_down(self, message_id: str = ""):
        """Show the next messages at the upper end of the gap."""
        earlier = await self.get_state(EarlierState)
        upper = earlier.gap_from
        if upper and message_id in ("", upper) and (branch := await self._read(below=upper)):
            earlier._fill_down(branch)

    @rx.event
    @allowed(Role.USER)
    async def fill_up(self, message_id: str = ""):
        """Show the messages before the lower end of the gap."""
        earlier = await self.get_state(EarlierState)
        lower = earlier.gap_to
        if lower and message_id in ("", lower) and (branch := await self._read(above=lower)):
            earlier._fill_up(branch)

    async def _read(self, *, above: str = "", below: str = "") -> Branch | None:
        """Returns the messages there; None where there are none, or they cannot be read."""
        history = services().history
        try:
            if above:
                branch = await history.get_branch(acting(), self.dialog_id, above=above)
            else:
                branch = await history.get_part(acting(), self.dialog_id, below=below)
            branch = await with_files(branch, acting())
        except AppError as error:
            self.error_code = error.code
            return None
        return branch if branch.messages else None
