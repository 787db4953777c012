"""The form for a verified answer, below an answer under review or on the page of the list."""

import reflex as rx

from genai_app.components.account.section import section_error
from genai_app.components.text import t
from genai_app.state.review.verified import NEW, VerifiedFormState

MAX_CHARS = 100_000


def verified_form(message_id: rx.Var[str] | str = NEW, question: rx.Var[str] | str = ""):
    """Returns a button that opens the form, or the open form.

    Args:
        message_id: the answer to replace. A page may have many of these buttons.
        question: the question of that answer, to start with.
    """
    return rx.el.div(
        rx.cond(
            VerifiedFormState.opened == message_id,
            _form(message_id, question),
            rx.fragment(
                rx.el.button(
                    rx.icon("badge-check", size=16),
                    t("verified.new"),
                    type="button",
                    class_name="quiet-button with-icon",
                    on_click=VerifiedFormState.open(message_id),
                    custom_attrs={"data-testid": "verified-new"},
                ),
                rx.cond(
                    VerifiedFormState.saved == message_id,
                    rx.el.p(
                        rx.icon("check", size=16),
                        rx.el.span(t("verified.saved")),
                        class_name="note note-good",
                        role="status",
                    ),
                ),
            ),
        ),
        class_name="verified-form",
    )


def _form(message_id: rx.Var[str] | str, question: rx.Var[str] | str) -> rx.Component:
    return rx.el.form(
        section_error(VerifiedFormState.error_code),
        # a field and not an argument: Reflex moves the handler of a form out of a loop
        rx.el.input(type="hidden", name="message_id", default_value=message_id),
        rx.el.label(
            rx.el.span(t("verified.question")),
            rx.el.textarea(
                name="question",
                default_value=question,
                required=True,
                max_length=MAX_CHARS,
                rows=2,
                custom_attrs={"data-testid": "verified-question"},
            ),
            class_name="field",
        ),
        answer_field(),
        rx.el.div(
            review_by_field(hint=t("verified.review_by_hint", days=VerifiedFormState.days)),
            *form_buttons(VerifiedFormState.close),
            class_name="form-foot",
        ),
        on_submit=VerifiedFormState.write,
    )


def answer_field(value: rx.Var[str] | str = "") -> rx.Component:
    return rx.el.label(
        rx.el.span(t("verified.answer")),
        rx.el.textarea(
            name="answer",
            default_value=value,
            required=True,
            max_length=MAX_CHARS,
            rows=6,
            auto_focus=True,
            custom_attrs={"data-testid": "verified-answer"},
        ),
        class_name="field",
    )


def review_by_field(value: rx.Var[str] | str = "", hint: rx.Var[str] | str = "") -> rx.Component:
    return rx.el.label(
        rx.el.span(t("verified.review_by")),
        rx.el.input(
            type="date",
            name="review_by",
            default_value=value,
            custom_attrs={"data-testid": "verified-review-by"},
        ),
        rx.cond(hint != "", rx.el.span(hint, class_name="hint")),
        class_name="field",
    )


def form_buttons(close) -> tuple[rx.Component, rx.Component]:
    return (
        rx.el.button(
            t("verified.save"),
            type="submit",
            class_name="primary-button",
            custom_attrs={"data-testid": "verified-save"},
        ),
        rx.el.button(
            t("nav.cancel"),
            type="button",
            class_name="quiet-button",
            on_click=close,
            custom_attrs={"data-esc": ""},
        ),
    )
