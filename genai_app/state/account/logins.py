"""The user's sessions, in browsers and through the API."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.account.rows import LoginRow, login_rows


class LoginsState(rx.State):
    """Logins of this account, the present one first."""

    logins: list[LoginRow] = []
    loaded: bool = False
    error_code: str = ""

    async def _load(self) -> None:
        actor = acting()
        try:
            sessions = await services().sessions.list_of(actor.user_id)
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        self.logins = login_rows(sessions, actor.session_id)
        self.loaded = True

    @rx.event
    @allowed(Role.USER)
    async def end(self, session_id: str):
        try:
            await services().sessions.end_own(acting(), session_id)
        except AppError as error:
            self.error_code = error.code
            return
        await self._load()

    @rx.event
    @allowed(Role.USER)
    async def end_others(self):
        try:
            await services().sessions.end_others(acting())
        except AppError as error:
            self.error_code = error.code
            return
        await self._load()
