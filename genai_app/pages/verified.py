"""`/admin/verified`: the answers that reviewers write."""

import reflex as rx

from genai_app.components.admin.frame import admin_page
from genai_app.components.review.verified_form import verified_form
from genai_app.components.review.verified_list import verified_list
from genai_app.components.text import t
from genai_app.site_map import VERIFIED
from genai_app.state.review.verified import VerifiedState


def verified_page() -> rx.Component:
    return admin_page(
        VERIFIED,
        rx.el.section(
            rx.el.p(t("verified.hint"), class_name="hint"), verified_form(), verified_list()
        ),
        loaded=VerifiedState.loaded,
    )
