"""What the user must know now: a lost connection, an error and what to do, a demo model."""

import reflex as rx
from reflex_components_core.core.banner import has_connection_errors

from genai_app.components.icon_button import icon_button
from genai_app.components.text import error_text, t
from genai_app.state.chat import ChatState
from genai_app.state.session import SessionState


def connection_notice() -> rx.Component:
    return rx.cond(
        has_connection_errors,
        rx.el.p(
            rx.icon("wifi-off", size=16),
            rx.el.span(t("connection.lost")),
            class_name="note note-warning",
            role="status",
        ),
    )


def error_notice() -> rx.Component:
    return rx.cond(
        ChatState.error_code != "",
        rx.el.div(
            rx.icon("circle-alert", size=16),
            rx.el.span(error_text(ChatState.error_code, over_by=ChatState.over_by)),
            icon_button("x", t("chat.dismiss"), size=14, on_click=ChatState.dismiss_error),
            class_name="note note-danger",
            role="alert",
            custom_attrs={"data-testid": "error"},
        ),
    )


def demo_notice() -> rx.Component:
    return rx.cond(
        SessionState.demo_model & (ChatState.messages.length() == 0),
        rx.el.div(
            rx.icon("flask-conical", size=16),
            rx.el.span(rx.el.strong(t("demo.title"), ". "), t("demo.text")),
            class_name="note note-info",
            role="note",
            custom_attrs={"data-testid": "demo-notice"},
        ),
    )
