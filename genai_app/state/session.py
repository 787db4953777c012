"""Who is logged in, for display. The identity itself is looked up anew at every event."""

import reflex as rx

from genai_app.access import Actor
from genai_app.services import services
from genai_app.state.ui import UiState


class SessionState(rx.State):
    """The user's name and what the page says about the installation."""

    username: str = ""
    full_name: str = ""
    role: str = ""
    demo_model: bool = False

    def _show(self, actor: Actor) -> None:
        self.username = actor.username
        self.full_name = actor.full_name or actor.username
        self.role = actor.role
        self.demo_model = services().settings.demo_model


class LoginState(rx.State):
    """The login page: why the last try was refused, and where to go after it."""

    error_code: str = ""
    target: str = "/"
    contact: str = ""  # whom somebody without access may ask

    @rx.event
    async def load(self):
        ui = await self.get_state(UiState)
        ui._settle()
        query = self.router.url.query_parameters
        self.error_code = query.get("error", "")[:40]
        self.target = query.get("next", "/")[:200]
        if self.error_code == "no_access_contact":
            self.contact = services().settings.ldap_contact
