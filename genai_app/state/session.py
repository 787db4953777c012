"""The logged-in user, for display. The identity itself is looked up anew at every event."""

import reflex as rx

from genai_app.access import Actor
from genai_app.i18n import LOCALES, duration_text
from genai_app.rights import EVERYBODY, allowed
from genai_app.services import services
from genai_app.services.accounts.sessions import COOKIE
from genai_app.state.ui import UiState

MAX_TARGET = 4000


class SessionState(rx.State):
    """The user's name and what the page says about the installation."""

    username: str = ""
    user_key: str = ""  # under which the browser keeps what is this user's
    full_name: str = ""
    role: str = ""
    demo_model: bool = False

    def _show(self, actor: Actor) -> None:
        self.username = actor.username
        self.user_key = str(actor.user_id)
        self.full_name = actor.full_name or actor.username
        self.role = actor.role
        self.demo_model = services().settings.demo_model


class LoginState(rx.State):
    """The login page: why the last try was refused, and where to go after it."""

    error_code: str = ""
    target: str = "/"
    contact: str = ""  # whom somebody without access may ask
    wait: dict[str, str] = {"ru": "", "en": ""}  # until the next try, by language

    @rx.event
    @allowed(EVERYBODY)
    async def load(self):
        ui = await self.get_state(UiState)
        ui._settle()
        query = self.router.url.query_parameters
        self.error_code = query.get("error", "")[:40]
        self.target = query.get("next", "/")[:MAX_TARGET]
        if not self.error_code and f"{COOKIE}=" in self.router.headers.cookie:
            self.error_code = "session_ended"  # there was one: a live session does not come here
        wait_s = query.get("wait", "")
        if wait_s.isdecimal() and len(wait_s) < 7:
            self.wait = {locale: duration_text(locale, int(wait_s)) for locale in LOCALES}
        elif self.error_code == "too_many_logins":
            self.error_code = "rate_limited"
        if self.error_code == "no_access_contact":
            self.contact = services().settings.ldap_contact
