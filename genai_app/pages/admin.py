"""`/admin`: what administrators see of the installation."""

import reflex as rx

from genai_app.components.directory_card import directory_card
from genai_app.components.frame import page_of_sections
from genai_app.components.notices import connection_notice
from genai_app.components.text import t
from genai_app.state.admin import AdminState


def admin() -> rx.Component:
    return page_of_sections(
        t("admin.title"), connection_notice(), directory_card(), loaded=AdminState.loaded
    )
