"""The settings page: opens what its sections show."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.accounts.passwords import MIN_CHARACTERS
from genai_app.state.account.files import MyFilesState
from genai_app.state.account.imports import ImportsState
from genai_app.state.account.instructions import InstructionsState
from genai_app.state.account.keys import KeysState
from genai_app.state.account.logins import LoginsState
from genai_app.state.account.messengers import MessengersState
from genai_app.state.account.readers import ReadersState
from genai_app.state.chat.draft_files import DraftFilesState
from genai_app.state.exports import ExportsState
from genai_app.state.page import open_page

LEAST_PASSWORD = MIN_CHARACTERS
CHANGED = "changed"  # how the form of the password went, in the address


class SettingsState(rx.State):
    """Opens the settings page. Its sections have States of their own."""

    loaded: bool = False
    has_password: bool = False  # it is kept here
    password_changed: bool = False
    password_error: str = ""

    @rx.event
    @allowed(Role.USER)
    async def open(self):
        """Build the page from cookie and database. Runs at every load and reconnect."""
        outcome = str(self.router.url.query_parameters.get("password", ""))[:40]
        self.password_changed = outcome == CHANGED
        self.password_error = "" if self.password_changed else outcome
        try:
            self.has_password = await services().auth.has_password(acting())
        except AppError as error:
            self.password_error = error.code
        sections = (KeysState, LoginsState, MessengersState, ReadersState, ExportsState)
        for state in (*sections, MyFilesState, ImportsState):
            await (await self.get_state(state))._load()
        (await self.get_state(InstructionsState))._show(acting())
        (await self.get_state(DraftFilesState))._settle()
        self.loaded = True
        return await open_page(self, ExportsState.follow, ImportsState.follow)
