"""`/admin`: what administrators see of the installation."""

import reflex as rx

from genai_app.components.admin_frame import admin_page
from genai_app.components.directory_card import directory_card
from genai_app.state.admin import AdminState


def admin() -> rx.Component:
    return admin_page("/admin", directory_card(), loaded=AdminState.loaded)
