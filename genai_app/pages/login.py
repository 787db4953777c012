"""`/login`: a plain form that the browser posts; works as soon as the page is drawn."""

import reflex as rx

from genai_app.components.browser_zone import browser_zone
from genai_app.components.chat.sidebar import preferences
from genai_app.components.native_form import native_form
from genai_app.components.text import error_text, of_locale, t
from genai_app.state.session import LoginState
from genai_app.state.ui import UiState


def _field(name: str, label: rx.Var[str], **props) -> rx.Component:
    return rx.el.label(
        rx.el.span(label),
        rx.el.input(
            name=name,
            required=True,
            custom_attrs={"data-testid": f"login-{name}"},
            **props,
        ),
        class_name="field",
    )


def login() -> rx.Component:
    return rx.el.main(
        browser_zone(has_times=False),
        rx.el.div(
            rx.el.span(rx.icon("sparkles", size=22), class_name="login-mark"),
            rx.el.h1(t("login.title")),
            rx.el.p(t("login.subtitle"), class_name="muted"),
            rx.cond(
                LoginState.error_code != "",
                rx.el.p(
                    rx.icon("circle-alert", size=16),
                    rx.el.span(
                        error_text(
                            LoginState.error_code,
                            contact=LoginState.contact,
                            wait=of_locale(LoginState.wait),
                        )
                    ),
                    class_name="note note-danger",
                    role="alert",
                ),
            ),
            native_form(
                _field("username", t("login.username"), auto_complete="username", auto_focus=True),
                _field(
                    "password",
                    t("login.password"),
                    type="password",
                    auto_complete="current-password",
                ),
                rx.el.input(type="hidden", name="next", value=LoginState.target, read_only=True),
                rx.el.button(
                    t("login.submit"),
                    type="submit",
                    class_name="primary-button",
                    custom_attrs={"data-testid": "login-submit"},
                ),
                action="/login",
                method="post",
            ),
            class_name="login-card",
        ),
        rx.el.div(preferences(), class_name="login-preferences"),
        class_name="login",
        lang=UiState.locale,
    )
