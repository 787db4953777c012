"""`/settings`: the account, how the product looks, own instructions, the limit, API keys, logins,
who read the dialogs, and the user's data."""

import reflex as rx

from genai_app.components.account.api_keys import api_keys
from genai_app.components.account.files import my_files
from genai_app.components.account.imports import imports
from genai_app.components.account.instructions import instructions
from genai_app.components.account.logins import logins
from genai_app.components.account.messengers import messengers
from genai_app.components.account.password_form import password_form
from genai_app.components.account.readers import readers
from genai_app.components.account.section import choice, fact, section
from genai_app.components.chat.notification import notification_section
from genai_app.components.exports import my_exports
from genai_app.components.frame import page_of_sections
from genai_app.components.notices import connection_notice, error_notice, limit_left
from genai_app.components.text import t
from genai_app.components.theme import theme_choice
from genai_app.state.account.settings import SettingsState
from genai_app.state.chat.limits import LimitState
from genai_app.state.session import SessionState
from genai_app.state.ui import UiState


def _account() -> rx.Component:
    role = rx.match(
        SessionState.role,
        ("admin", t("role.admin")),
        ("reviewer", t("role.reviewer")),
        t("role.user"),
    )
    return section(
        t("settings.account"),
        rx.el.dl(
            fact(t("settings.name"), SessionState.full_name, class_name="written"),
            fact(t("settings.username"), SessionState.username, class_name="written"),
            fact(t("settings.role"), role),
            class_name="facts",
        ),
    )


def _look() -> rx.Component:
    return section(
        t("settings.look"),
        choice(
            t("settings.language"),
            ("Русский", UiState.locale == "ru", UiState.choose_locale("ru")),
            ("English", UiState.locale == "en", UiState.choose_locale("en")),
            class_name="written",
        ),
        theme_choice(),
    )


def _usage() -> rx.Component:
    return section(
        t("settings.usage"),
        rx.cond(
            LimitState.limit > 0,
            rx.el.div(
                rx.el.progress(
                    value=LimitState.limit - LimitState.remaining,
                    max=LimitState.limit,
                    aria_label=t("settings.usage"),
                    class_name=rx.cond(LimitState.low, "usage-bar low", "usage-bar"),
                ),
                rx.el.p(
                    rx.cond(
                        LimitState.remaining < LimitState.limit,
                        limit_left(),
                        t("settings.all_left", limit=LimitState.limit),
                    )
                ),
                class_name="usage",
            ),
        ),
        hint=t("settings.usage_hint"),
    )


def settings_page() -> rx.Component:
    return page_of_sections(
        t("settings.title"),
        connection_notice(),
        error_notice(),
        _account(),
        _look(),
        instructions(),
        notification_section(),
        _usage(),
        password_form(),
        api_keys(),
        logins(),
        messengers(),
        readers(),
        my_files(),
        my_exports(),
        imports(),
        loaded=SettingsState.loaded,
    )
