"""The list of verified answers, each with its question, its owner and its review date."""

import reflex as rx

from genai_app.components.admin.frame import filter_choice, list_state
from genai_app.components.confirm_question import confirm_question
from genai_app.components.review.verified_form import answer_field, form_buttons, review_by_field
from genai_app.components.review.words import badge
from genai_app.components.text import of_locale, t
from genai_app.state.review.verified import VerifiedRow, VerifiedState


def verified_list() -> rx.Component:
    return rx.fragment(
        rx.el.div(
            filter_choice(
                t("verified.show"),
                VerifiedState.which,
                (t("verified.live"), "live"),
                (t("verified.due"), "due"),
                (t("verified.retired"), "retired"),
                on_change=VerifiedState.show,
                testid="verified-which",
            ),
            class_name="filters",
        ),
        list_state(
            loading=~VerifiedState.loaded,
            error_code=VerifiedState.error_code,
            is_empty=VerifiedState.rows.length() == 0,
            empty=rx.match(
                VerifiedState.which,
                ("due", t("verified.empty_due")),
                ("retired", t("verified.empty_retired")),
                t("verified.empty"),
            ),
            icon="badge-check",
        ),
        rx.cond(
            VerifiedState.rows.length() > 0,
            rx.el.ul(rx.foreach(VerifiedState.rows, _row), class_name="rows"),
        ),
        rx.cond(
            VerifiedState.cursor != "",
            rx.el.button(
                t("nav.more"),
                type="button",
                class_name="quiet-button",
                on_click=VerifiedState.more,
            ),
        ),
    )


def _row(row: rx.Var[VerifiedRow]) -> rx.Component:
    return rx.el.li(
        rx.match(
            row.id,
            (VerifiedState.editing, _edit_form(row)),
            rx.fragment(
                _text(row),
                rx.cond(
                    row.state != "retired",
                    rx.cond(VerifiedState.retiring == row.id, _retire_question(row), _actions(row)),
                ),
            ),
        ),
        key=row.id,
        class_name="row verified-row",
        custom_attrs={"data-testid": "verified-row"},
    )


def _text(row: rx.Var[VerifiedRow]) -> rx.Component:
    state = rx.match(
        row.state,
        ("due", badge(t("verified.state_due"), "warning")),
        ("expired", badge(t("verified.state_expired"), "danger")),
        ("retired", badge(t("verified.state_retired"), "muted")),
        badge(t("verified.state_live"), ""),
    )
    date = of_locale(row.review_by)
    return rx.el.div(
        rx.el.p(rx.el.strong(row.question, class_name="written"), state, class_name="row-title"),
        rx.el.p(row.answer, class_name="row-answer written"),
        rx.el.p(
            rx.el.span(t("verified.owner", name=row.owner), class_name="written"),
            rx.el.span(
                rx.cond(
                    row.state == "expired",
                    t("verified.was_until", date=date),
                    t("verified.until", date=date),
                )
            ),
            rx.el.span(t("verified.hits", count=row.hits)),
            class_name="meta",
        ),
        class_name="row-text",
    )


def _actions(row: rx.Var[VerifiedRow]) -> rx.Component:
    return rx.el.div(
        rx.el.button(
            t("verified.edit"),
            type="button",
            class_name="text-button",
            aria_label=t("verified.edit_named", question=row.question),
            on_click=VerifiedState.begin(row.id),
            custom_attrs={"data-testid": "verified-edit"},
        ),
        rx.el.button(
            t("verified.retire"),
            type="button",
            class_name="text-button",
            aria_label=t("verified.retire_named", question=row.question),
            on_click=VerifiedState.ask_retire(row.id),
            custom_attrs={"data-testid": "verified-retire"},
        ),
    )


def _retire_question(row: rx.Var[VerifiedRow]) -> rx.Component:
    return confirm_question(
        t("verified.retire_question"),
        t("verified.retire"),
        on_yes=VerifiedState.retire(row.id),
        on_cancel=VerifiedState.cancel,
        testid="confirm-retire",
    )


def _edit_form(row: rx.Var[VerifiedRow]) -> rx.Component:
    return rx.el.form(
        rx.el.strong(row.question, class_name="written"),
        answer_field(row.answer),
        rx.el.div(
            review_by_field(row.day),
            *form_buttons(VerifiedState.cancel),
            class_name="form-foot",
        ),
        class_name="verified-edit",
        # not row.id: Reflex lifts the handler of a form out of the loop
        on_submit=lambda form: VerifiedState.change(VerifiedState.editing, form),
    )
