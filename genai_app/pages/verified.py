"""`/admin/verified`: the answers that reviewers write."""

import reflex as rx

from genai_app.components.admin_frame import admin_page
from genai_app.components.text import t
from genai_app.components.verified_form import verified_form
from genai_app.components.verified_list import verified_list
from genai_app.state.verified import VerifiedState


def verified_page() -> rx.Component:
    return admin_page(
        "/admin/verified",
        rx.el.section(
            rx.el.p(t("verified.hint"), class_name="hint"), verified_form(), verified_list()
        ),
        loaded=VerifiedState.loaded,
    )
