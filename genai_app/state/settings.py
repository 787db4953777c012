"""The settings page: opens what its sections show."""

import reflex as rx

from genai_app.services.acting import acting
from genai_app.state.chat import ChatState
from genai_app.state.dialogs import DialogsState
from genai_app.state.keys import KeysState
from genai_app.state.limits import LimitState
from genai_app.state.logins import LoginsState
from genai_app.state.session import SessionState
from genai_app.state.ui import UiState


class SettingsState(rx.State):
    """Whether the page is there."""

    loaded: bool = False

    @rx.event
    async def open(self):
        """Build the page from cookie and database. Runs at every load and reconnect."""
        (await self.get_state(UiState))._settle()
        (await self.get_state(SessionState))._show(acting())
        (await self.get_state(ChatState))._leave()
        for state in (DialogsState, KeysState, LoginsState):
            await (await self.get_state(state))._load()
        self.loaded = True
        return await (await self.get_state(LimitState))._refresh()
