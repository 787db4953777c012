"""The user's dialogs by section, and the user's own corner."""

import reflex as rx

from genai_app.components.chat.dialog_menu import MORE_ID, sidebar_menus
from genai_app.components.chat.dialog_rows import LIST_ID, dialog_list, dialogs_by_day
from genai_app.components.chat.drafts import forget
from genai_app.components.chat.folders import archive, key_folders, own_folders
from genai_app.components.chat.palette import palette, palette_hint
from genai_app.components.chat.search import search_field, search_results
from genai_app.components.icon_button import icon_button
from genai_app.components.native_form import native_form
from genai_app.components.text import error_text, t
from genai_app.components.theme import theme_button
from genai_app.models import Role
from genai_app.site_map import OVERVIEW, REVIEW, SETTINGS
from genai_app.state.chat.conversation import COMPOSER_ID
from genai_app.state.chat.dialogs import PART_NAMES, DialogsState
from genai_app.state.chat.search import SearchState
from genai_app.state.session import SessionState
from genai_app.state.ui import UiState

MENU_ID = "menu"  # the button that opens the sidebar of a narrow screen


def _pinned() -> rx.Component:
    return rx.cond(
        DialogsState.pinned.length() > 0,
        rx.el.section(
            rx.el.h2(t("nav.pinned")),
            dialog_list(DialogsState.pinned, pinned=True),
            custom_attrs={"data-testid": "pinned"},
        ),
    )


def _dialogs() -> rx.Component:
    return rx.fragment(
        _pinned(),
        own_folders(),
        key_folders(),
        *(dialogs_by_day(getattr(DialogsState, name), name) for name in PART_NAMES),
        rx.cond(
            DialogsState.loaded & DialogsState.empty, rx.el.p(t("nav.empty"), class_name="empty")
        ),
        rx.cond(
            DialogsState.has_more,
            rx.el.button(
                t("nav.more"),
                id=MORE_ID,
                type="button",
                class_name="text-button",
                on_click=DialogsState.load_more("days"),
            ),
        ),
        archive(),
    )


def _corner() -> rx.Component:
    return rx.el.footer(
        rx.el.a(
            rx.el.span(SessionState.full_name[:1].upper(), class_name="avatar", aria_hidden=True),
            rx.el.span(SessionState.full_name, class_name="user-name"),
            rx.el.span(", ", t("nav.settings"), class_name="visually-hidden"),
            href=SETTINGS.address,
            title=t("nav.settings"),
            class_name="user",
            custom_attrs={"data-testid": "settings-link"},
        ),
        rx.cond(
            (SessionState.role == Role.ADMIN) | (SessionState.role == Role.REVIEWER),
            rx.el.a(
                rx.icon("shield-check", size=16),
                href=rx.cond(SessionState.role == Role.ADMIN, OVERVIEW.address, REVIEW.address),
                class_name="icon-button",
                aria_label=t("nav.admin"),
                title=t("nav.admin"),
                custom_attrs={"data-testid": "admin-link"},
            ),
        ),
        preferences(),
        native_form(
            icon_button("log-out", t("nav.logout"), size=16, type="submit", testid="logout"),
            action="/logout",
            method="post",
            custom_attrs={"onSubmit": forget},
        ),
        class_name="corner",
    )


def preferences() -> rx.Component:
    """Language and theme."""
    other = rx.cond(UiState.locale == "ru", "en", "ru")
    return rx.fragment(
        rx.el.button(
            t("nav.language_short"),
            type="button",
            class_name="icon-button language",
            aria_label=t("nav.language"),
            title=t("nav.language"),
            on_click=UiState.choose_locale(other),
            custom_attrs={"data-testid": "language"},
        ),
        theme_button(),
    )


def sidebar(*, composer: bool = True) -> rx.Component:
    """`composer`: whether the page has one, that a new dialog shall begin in."""
    return rx.el.aside(
        rx.el.header(
            rx.el.span(rx.icon("sparkles", size=18), t("app.name"), class_name="brand"),
            icon_button(
                "x",
                t("nav.close"),
                size=18,
                class_name="narrow-only",
                on_click=UiState.toggle_sidebar,
                closes=True,
                custom_attrs={"data-focus": MENU_ID},
            ),
        ),
        rx.el.a(
            rx.icon("square-pen", size=16),
            t("nav.new"),
            href="/",
            on_click=rx.set_focus(COMPOSER_ID) if composer else rx.noop(),
            class_name="new-dialog",
            custom_attrs={"data-testid": "new-dialog"},
        ),
        search_field(palette_hint()),
        rx.cond(
            DialogsState.error_code != "",
            rx.el.p(
                error_text(DialogsState.error_code), class_name="note note-danger", role="alert"
            ),
        ),
        rx.el.nav(
            rx.cond(SearchState.query != "", search_results(), _dialogs()),
            id=LIST_ID,
            aria_label=t("nav.dialogs"),
            custom_attrs={"data-testid": "dialog-list", "data-rove": "arrows"},
        ),
        _corner(),
        sidebar_menus(),
        palette(composer=composer),
        class_name=rx.cond(UiState.sidebar_open, "sidebar open", "sidebar"),
    )
