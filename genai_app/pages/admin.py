"""`/admin`: what the assistant is used for, and whether everything it needs is well."""

import reflex as rx

from genai_app.components.admin.directory_card import directory_card
from genai_app.components.admin.frame import admin_page
from genai_app.components.admin.overview_figures import overview_figures
from genai_app.site_map import OVERVIEW
from genai_app.state.admin.admin import AdminState
from genai_app.state.session import SessionState


def admin() -> rx.Component:
    return admin_page(
        OVERVIEW,
        overview_figures(),
        rx.cond(SessionState.role == "admin", directory_card()),
        loaded=AdminState.loaded,
    )
