"""Thumbs under an answer, and why it is no good."""

import reflex as rx

from genai_app.components.icon_button import icon_button
from genai_app.components.text import error_text, t
from genai_app.models import Rating, Reason
from genai_app.state.chat.feedback import FeedbackState
from genai_app.state.chat.rows import MessageRow

MAX_COMMENT_CHARS = 1000


def _reasons() -> list[tuple[Reason, rx.Var[str]]]:
    return [
        (Reason.WRONG, t("feedback.wrong")),
        (Reason.INCOMPLETE, t("feedback.incomplete")),
        (Reason.UNCLEAR, t("feedback.unclear")),
        (Reason.OUTDATED, t("feedback.outdated")),
        (Reason.UNSAFE, t("feedback.unsafe")),
        (Reason.OTHER, t("feedback.other")),
    ]


def thumbs(row: rx.Var[MessageRow]) -> rx.Component:
    """Pressed again, a thumb is taken back."""
    rating = FeedbackState.ratings[row.id]
    reason = FeedbackState.reasons[row.id]
    named = rx.match(reason, *[(str(each), text) for each, text in _reasons()], "")
    return rx.fragment(
        icon_button(
            "thumbs-up",
            t("chat.good"),
            class_name="thumb",
            aria_pressed=rating == Rating.UP,
            on_click=FeedbackState.rate(row.id, Rating.UP.value),
            testid="thumb-up",
        ),
        icon_button(
            "thumbs-down",
            t("chat.bad"),
            class_name="thumb",
            aria_pressed=rating == Rating.DOWN,
            on_click=FeedbackState.rate(row.id, Rating.DOWN.value),
            testid="thumb-down",
        ),
        rx.cond(
            (rating == Rating.DOWN) & (FeedbackState.opened != row.id),
            rx.el.button(
                rx.cond(named != "", named, t("feedback.add")),
                type="button",
                class_name="text-button with-icon",
                aria_label=rx.cond(
                    named != "", t("feedback.change", reason=named), t("feedback.add")
                ),
                on_click=FeedbackState.begin(row.id),
                custom_attrs={"data-testid": "reason"},
            ),
        ),
    )


def feedback_form(row: rx.Var[MessageRow]) -> rx.Component:
    """Below the answer that was just called bad. A reason counts as soon as it is chosen."""
    return rx.cond(FeedbackState.opened == row.id, _form(row))


def _form(row: rx.Var[MessageRow]) -> rx.Component:
    chips = [
        rx.el.button(
            text,
            type="button",
            class_name="chip",
            aria_pressed=FeedbackState.reasons[row.id] == reason,
            on_click=FeedbackState.choose(row.id, reason.value),
            custom_attrs={"data-testid": f"reason-{reason}"},
        )
        for reason, text in _reasons()
    ]
    return rx.el.section(
        rx.el.header(
            rx.el.h3(t("feedback.title")),
            icon_button("x", t("feedback.close"), on_click=FeedbackState.close, closes=True),
        ),
        rx.el.div(*chips, role="group", aria_label=t("feedback.reasons"), class_name="chips"),
        rx.el.form(
            rx.el.textarea(
                name="text",
                default_value=FeedbackState.comments[row.id],
                max_length=MAX_COMMENT_CHARS,
                rows=2,
                aria_label=t("feedback.comment"),
                placeholder=t("feedback.comment_example"),
                custom_attrs={"data-testid": "comment"},
            ),
            rx.el.button(
                t("feedback.save"),
                type="submit",
                class_name="quiet-button",
                custom_attrs={"data-testid": "save-comment"},
            ),
            # not row.id: Reflex lifts the handler of a form out of the loop
            on_submit=lambda form: FeedbackState.comment(
                FeedbackState.opened, form.to(dict[str, str])["text"]
            ),
        ),
        class_name="feedback",
        aria_label=t("feedback.title"),
        custom_attrs={"data-testid": "feedback", "data-layer": ""},
    )


def feedback_error() -> rx.Component:
    """The error of a thumb, where the page shows its other errors."""
    return rx.cond(
        FeedbackState.error_code != "",
        rx.el.div(
            rx.icon("circle-alert", size=16),
            rx.el.span(error_text(FeedbackState.error_code)),
            icon_button("x", t("chat.dismiss"), size=14, on_click=FeedbackState.close, closes=True),
            class_name="note note-danger",
            role="alert",
        ),
    )
