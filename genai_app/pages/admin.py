"""`/admin`: what the assistant is used for, and whether everything it needs is well."""

import reflex as rx

from genai_app.components.admin_frame import admin_page
from genai_app.components.directory_card import directory_card
from genai_app.components.overview_figures import overview_figures
from genai_app.state.admin import AdminState
from genai_app.state.session import SessionState


def admin() -> rx.Component:
    return admin_page(
        "/admin",
        overview_figures(),
        rx.cond(SessionState.role == "admin", directory_card()),
        loaded=AdminState.loaded,
    )
