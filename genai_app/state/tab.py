"""Keeps an open page in step with what the user does in other tabs and by other channels."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.dialogs import DialogsState
from genai_app.state.chat.stream import StreamState
from genai_app.state.presence import Page

PRESENCE_S = 30.0  # how often it looks whether its page is still there


class TabState(rx.State):
    """The background event of an open page. `beat` is written past the State by the heartbeat,
    and says that the connection is alive."""

    beat: str = ""

    @rx.event(background=True, supersedes=True)
    @allowed(Role.USER)
    async def watch(self):
        """Show each change of the user's dialogs: in the sidebar, and of the one on the screen."""
        page = Page()
        async with services().dialog_changes.watch(acting().user_id) as watcher:
            while page.is_there:
                changes = await watcher.wait(PRESENCE_S)
                if not changes or not page.is_there:
                    continue
                moments = {str(dialog_id): at.isoformat() for dialog_id, at in changes.items()}
                try:
                    async with self:
                        chat = await self.get_state(ChatState)
                        before = chat._running_answer()
                        await chat._catch_up(moments)
                        answer_id = chat._running_answer()
                        await (await self.get_state(DialogsState))._catch_up(moments)
                except AppError:
                    continue  # the next change, or the next event of the page, shows it
                if answer_id not in ("", before):
                    yield StreamState.follow(answer_id)
