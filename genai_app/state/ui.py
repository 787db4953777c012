"""Preferences of this browser: they are no secret and decide nothing."""

import reflex as rx

from genai_app.i18n import DEFAULT_LOCALE, LOCALES
from genai_app.models import Role
from genai_app.rights import EVERYBODY, allowed
from genai_app.services import services


class UiState(rx.State):
    """Language and the sidebar of a narrow screen."""

    locale_cookie: str = rx.Cookie(
        "", name="genai_locale", path="/", max_age=365 * 86400, same_site="lax"
    )
    locale: str = DEFAULT_LOCALE
    sidebar_open: bool = False

    _page: tuple[str, str] = ("", "")  # the page on the screen, by its State, and its socket

    def _settle(self) -> None:
        """The browser's choice of language, else the company's; the sidebar closed."""
        self.sidebar_open, self._page = False, ("", "")
        chosen = self.locale_cookie
        self.locale = chosen if chosen in LOCALES else services().settings.locale

    @rx.event
    @allowed(EVERYBODY)
    def open(self):
        """A page opens that shows words only."""
        self._settle()

    @rx.event
    @allowed(EVERYBODY)
    def choose_locale(self, locale: str):
        if locale in LOCALES:
            self.locale_cookie = self.locale = locale

    @rx.event
    @allowed(Role.USER)
    def toggle_sidebar(self):
        self.sidebar_open = not self.sidebar_open
