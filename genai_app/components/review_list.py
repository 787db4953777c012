"""The left pane of review: a line for each dialog, with what was found in it."""

import reflex as rx

from genai_app.components.admin_frame import list_state
from genai_app.components.review_words import badge, person, state_badge, verdict_badge, word
from genai_app.components.text import of_locale, t
from genai_app.models import Channel, Rating, Source, Status
from genai_app.state.review_dialog import ReviewDialogState
from genai_app.state.review_list import ReviewListState
from genai_app.state.review_rows import Piece, ReviewRow


def _piece(piece: rx.Var[Piece]) -> rx.Component:
    return rx.cond(piece.hit, rx.el.mark(piece.text), rx.el.span(piece.text))


def _badges(row: rx.Var[ReviewRow]) -> rx.Component:
    return rx.el.span(
        state_badge(row),
        verdict_badge(row.verdict),
        rx.cond(
            row.rating == Rating.DOWN,
            rx.el.span(
                rx.icon("thumbs-down", size=13, aria_hidden=True),
                rx.el.span(t("review.rating_down"), class_name="visually-hidden"),
                class_name="badge badge-danger",
            ),
        ),
        rx.cond(
            (row.status != Status.COMPLETE) & (row.status != ""),
            badge(word("status", row.status), "badge-warning"),
        ),
        rx.cond(row.source != Source.MODEL, badge(word("source", row.source), "badge-quiet")),
        rx.cond(row.channel != Channel.WEB, badge(word("channel", row.channel), "badge-quiet")),
        rx.cond(row.deleted, badge(t("review.deleted"), "badge-quiet")),
        class_name="badges",
    )


def _inside(row: rx.Var[ReviewRow]) -> rx.Component:
    return rx.fragment(
        rx.el.span(
            rx.cond(row.title != "", row.title, t("nav.untitled")), class_name="review-title"
        ),
        rx.el.span(
            rx.el.span(person(row), class_name="written"),
            rx.cond(row.department != "", rx.el.span(row.department, class_name="written")),
            rx.el.span(of_locale(row.updated)),
            class_name="meta",
        ),
        rx.cond(
            row.pieces.length() > 0,
            rx.el.span(rx.foreach(row.pieces, _piece), class_name="excerpt written"),
        ),
        _badges(row),
    )


def _row(row: rx.Var[ReviewRow], index: rx.Var[int]) -> rx.Component:
    opened = row.id == ReviewDialogState.dialog_id
    shared = {
        "type": "button",
        "class_name": rx.cond(opened, "review-row current", "review-row"),
        "aria_current": rx.cond(opened, "true", "false"),
        "on_click": ReviewDialogState.show(row.id),
        "custom_attrs": {"data-testid": "admin-dialog-row"},
    }
    return rx.el.li(
        # another key is another button: it takes the focus, and comes into sight, as it appears
        rx.cond(
            index == ReviewListState.at,
            rx.el.button(_inside(row), key="here", auto_focus=True, **shared),
            rx.el.button(_inside(row), key="row", **shared),
        ),
        key=row.id,
    )


def review_list() -> rx.Component:
    return rx.el.section(
        rx.el.h2(t("review.list"), class_name="visually-hidden"),
        list_state(
            loading=ReviewListState.loading,
            error_code=ReviewListState.error_code,
            is_empty=ReviewListState.rows.length() == 0,
            empty=rx.cond(
                ReviewListState.narrowed, t("review.nothing_found"), t("review.nothing_yet")
            ),
            icon="messages-square",
        ),
        rx.el.ul(rx.foreach(ReviewListState.rows, _row)),
        rx.cond(
            ReviewListState.has_more,
            rx.el.button(
                t("nav.more"),
                type="button",
                class_name="quiet-button",
                on_click=ReviewListState.load_more,
                custom_attrs={"data-testid": "review-more"},
            ),
        ),
        class_name="review-list",
        custom_attrs={"data-testid": "review-list"},
    )
