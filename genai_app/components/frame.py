"""The frame of the pages of a logged-in user: the sidebar, and a head on narrow screens."""

import reflex as rx

from genai_app.components.browser_zone import browser_zone
from genai_app.components.chat.sidebar import MENU_ID, sidebar
from genai_app.components.focus import focus_keeper
from genai_app.components.icon_button import icon_button
from genai_app.components.life_sign import life_sign
from genai_app.components.native_link import native_link
from genai_app.components.text import t
from genai_app.state.chat.conversation import COMPOSER_ID
from genai_app.state.ui import UiState

CONTENT_ID = "content"


def frame(
    title: rx.Var[str], *content: rx.Component, look: rx.Var[str], composer: bool = False
) -> rx.Component:
    """A page.

    Args:
        title: of the head on narrow screens.
        look: "app", or "app loading" until the page has what it shows.
        composer: True on the page with the composer, in which a new dialog begins.
    """
    return rx.el.div(
        focus_keeper(),
        _skip_link(composer=composer),
        life_sign(),
        browser_zone(),
        sidebar(composer=composer),
        rx.el.div(
            class_name="shade narrow-only",
            on_click=UiState.toggle_sidebar,
            aria_hidden=True,
            custom_attrs={"data-focus": MENU_ID},
        ),
        rx.el.main(_bar(title), *content, id=CONTENT_ID, tab_index=-1),
        class_name=look,
        lang=UiState.locale,
    )


def page_of_sections(
    title: rx.Var[str], *sections: rx.Component, loaded: rx.Var[bool]
) -> rx.Component:
    """A page that is a heading and a column of sections."""
    column = rx.el.div(rx.el.h1(title), *sections, class_name="settings")
    scrolled = rx.el.div(column, class_name="page-scroll")
    return frame(title, scrolled, look=rx.cond(loaded, "app", "app loading"))


def _skip_link(*, composer: bool) -> rx.Component:
    """The first tab stop: past the sidebar."""
    target = COMPOSER_ID if composer else CONTENT_ID
    return native_link(
        t("nav.skip_to_composer" if composer else "nav.skip_to_content"),
        href=f"#{target}",
        class_name="skip-link",
        custom_attrs={"data-skip": target},
    )


def _bar(title: rx.Var[str]) -> rx.Component:
    return rx.el.header(
        icon_button("menu", t("nav.menu"), size=20, on_click=UiState.toggle_sidebar, id=MENU_ID),
        rx.el.span(title, class_name="bar-title"),
        rx.el.a(
            rx.icon("square-pen", size=20),
            href="/",
            class_name="icon-button",
            aria_label=t("nav.new"),
            title=t("nav.new"),
        ),
        class_name="bar narrow-only",
    )
