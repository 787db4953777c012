"""The form that changes the password of a local account."""

import reflex as rx

from genai_app.components.account.section import section, section_error
from genai_app.components.native_form import native_form
from genai_app.components.text import t
from genai_app.state.account.settings import LEAST_PASSWORD, SettingsState
from genai_app.state.session import SessionState


def _field(name: str, label: rx.Var[str], **props) -> rx.Component:
    return rx.el.label(
        rx.el.span(label),
        rx.el.input(
            name=name,
            type="password",
            required=True,
            custom_attrs={"data-testid": f"password-{name}"},
            **props,
        ),
        class_name="field",
    )


def _form() -> rx.Component:
    new = {"auto_complete": "new-password", "min_length": LEAST_PASSWORD}
    return native_form(
        rx.el.input(  # for the browser's store of passwords
            type="hidden",
            name="username",
            value=SessionState.username,
            auto_complete="username",
            read_only=True,
        ),
        _field("current", t("password.current"), auto_complete="current-password"),
        _field("new", t("password.new"), **new),
        _field("repeat", t("password.repeat"), **new),
        rx.el.button(
            t("password.submit"),
            type="submit",
            class_name="quiet-button",
            custom_attrs={"data-testid": "password-submit"},
        ),
        action="/settings/password",
        method="post",
        class_name="row-form",
    )


def password_form() -> rx.Component:
    """The section of the settings page; only of accounts whose password is kept here."""
    return rx.cond(
        SettingsState.has_password,
        section(
            t("password.title"),
            section_error(SettingsState.password_error),
            rx.cond(
                SettingsState.password_changed,
                rx.el.p(
                    rx.icon("check", size=16),
                    rx.el.span(t("password.changed")),
                    class_name="note note-good",
                    role="status",
                    custom_attrs={"data-testid": "password-changed"},
                ),
            ),
            _form(),
            hint=t("password.hint"),
            id="password",
        ),
    )
