"""Any other address."""

import reflex as rx

from genai_app.components.text import t
from genai_app.state.ui import UiState


def not_found() -> rx.Component:
    return rx.el.main(
        rx.el.div(
            rx.el.h1(t("error.not_found_page")),
            rx.el.a(t("error.to_start"), href="/", class_name="primary-button"),
            class_name="login-card",
        ),
        class_name="login",
        lang=UiState.locale,
    )
