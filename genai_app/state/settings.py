"""The settings page: opens what its sections show."""

import reflex as rx

from genai_app.state.exports import ExportsState
from genai_app.state.keys import KeysState
from genai_app.state.logins import LoginsState
from genai_app.state.page import open_page
from genai_app.state.readers import ReadersState


class SettingsState(rx.State):
    """Whether the page is there."""

    loaded: bool = False

    @rx.event
    async def open(self):
        """Build the page from cookie and database. Runs at every load and reconnect."""
        for state in (KeysState, LoginsState, ReadersState, ExportsState):
            await (await self.get_state(state))._load()
        self.loaded = True
        return await open_page(self, ExportsState.follow)
