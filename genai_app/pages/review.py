"""`/admin/dialogs`: everybody's dialogs, as reviewers and administrators see and judge them."""

import reflex as rx

from genai_app.components.admin.frame import admin_page
from genai_app.components.review.dialog import opened_dialog
from genai_app.components.review.files import reviewed_preview
from genai_app.components.review.filters import review_filters
from genai_app.components.review.keys import keyboard
from genai_app.components.review.list import review_list
from genai_app.components.text import t
from genai_app.site_map import REVIEW
from genai_app.state.review.dialog import ReviewDialogState
from genai_app.state.review.list import ReviewListState


def review() -> rx.Component:
    panes = rx.el.div(
        review_list(),
        opened_dialog(),
        class_name=rx.cond(ReviewDialogState.dialog_id != "", "review-panes open", "review-panes"),
    )
    is_off = rx.el.div(
        rx.icon("eye-off", size=36, stroke_width=1.25, aria_hidden=True),
        rx.el.p(t("error.review_off")),
        class_name="nothing",
        custom_attrs={"data-testid": "review-off"},
    )
    return admin_page(
        REVIEW,
        rx.cond(
            ReviewListState.mode == "off",
            is_off,
            rx.el.div(keyboard(), review_filters(), panes, reviewed_preview(), class_name="review"),
        ),
        loaded=ReviewDialogState.loaded,
    )
