"""Questions that wait, as cards above the composer: for the end of an answer, or for the
connection."""

import reflex as rx

from genai_app.components.chat.drafts import waiting
from genai_app.components.files import message_files
from genai_app.components.icon_button import icon_button
from genai_app.components.text import error_text, t
from genai_app.models import MAX_PROMPT_CHARS, Status
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.queued import EDITING, PASSING, QueuedRow, QueuedState
from genai_app.state.files import FileRow

# the caret stands behind the text, where writing goes on
_TO_END = "(e) => e.target.setSelectionRange(e.target.value.length, e.target.value.length)"


def waiting_questions() -> rx.Component:
    """The questions of the dialog that wait, and the one that the server has not got yet."""
    return rx.el.div(
        rx.cond(
            (QueuedState.questions.length() > 0)
            & (QueuedState.dialog_id == ChatState.dialog_id)
            & (ChatState.dialog_id != ""),
            rx.el.ul(
                rx.foreach(QueuedState.questions, _question),
                class_name="queue",
                aria_label=t("queued.list"),
            ),
        ),
        _error(),
        rx.cond(
            waiting.value != "",
            _card(t("queued.waits"), t("queued.offline"), waiting.value, role="status"),
        ),
        class_name="queues",
    )


def _question(question: rx.Var[QueuedRow]) -> rx.Component:
    return rx.el.li(
        rx.cond(question.id == QueuedState.editing, _form(), _waiting(question)), key=question.id
    )


def _waiting(question: rx.Var[QueuedRow]) -> rx.Component:
    may_pass = [(code, t("queued.waits")) for code in ("", *PASSING)]
    return _card(
        rx.match(question.error_code, *may_pass, t("queued.not_sent")),
        _reason(question.error_code),
        question.text,
        rx.el.span(
            icon_button(
                "arrow-up",
                rx.cond(
                    ChatState.messages[-1].status == Status.RUNNING,
                    t("queued.stop_and_send"),
                    t("queued.send_now"),
                ),
                on_click=QueuedState.send_now(question.id),
                testid="queued-send",
            ),
            icon_button(
                "pencil",
                t("queued.edit"),
                on_click=QueuedState.begin_edit(question.id),
                testid="queued-edit",
            ),
            icon_button(
                "trash-2",
                t("queued.delete"),
                on_click=QueuedState.delete(question.id),
                testid="queued-delete",
            ),
            class_name="queued-actions",
        ),
        files=question.files,
        is_held=~rx.Var.create(["", *PASSING]).contains(question.error_code),
    )


def _reason(code: rx.Var[str]) -> rx.Var[str]:
    """Why it waits, and what happens or is to be done next."""
    return rx.match(
        code,
        ("", t("queued.after_answer")),
        ("limit_reached", t("queued.limit_reached")),
        ("too_many_answers", t("queued.too_many_answers")),
        ("model_unavailable", t("queued.model_unavailable")),
        ("model_busy", t("queued.model_busy")),
        ("account_disabled", t("queued.account_disabled")),
        (EDITING, t("queued.editing")),
        error_text(code),
    )


def _card(
    state: rx.Var[str],
    reason: rx.Var[str],
    text: rx.Var[str],
    *actions: rx.Component,
    is_held: rx.Var[bool] | bool = False,
    files: rx.Var[list[FileRow]] | None = None,
    **props,
) -> rx.Component:
    return rx.el.div(
        rx.icon("clock", size=16, aria_hidden=True),
        rx.el.p(rx.el.strong(state), " ", reason, class_name="queued-state"),
        *actions,
        rx.el.p(text, class_name="queued-text written"),
        *([] if files is None else [message_files(files)]),
        class_name=rx.cond(is_held, "queued held", "queued"),
        custom_attrs={"data-testid": "queued"},
        **props,
    )


def _form() -> rx.Component:
    """The question as a field, in the place of its card."""
    return rx.el.form(
        rx.el.textarea(
            name="question",
            default_value=QueuedState.edited_text,
            max_length=MAX_PROMPT_CHARS,
            auto_focus=True,
            enter_key_submit=True,
            auto_complete="off",
            rows="2",
            aria_label=t("queued.field"),
            custom_attrs={"data-testid": "queued-field", "onFocus": rx.Var(_TO_END)},
        ),
        rx.el.div(
            rx.el.button(
                t("nav.cancel"),
                type="button",
                class_name="quiet-button",
                on_click=QueuedState.cancel_edit,
                custom_attrs={"data-testid": "queued-cancel", "data-esc": ""},
            ),
            rx.el.button(
                t("nav.save"),
                type="submit",
                class_name="primary-button",
                custom_attrs={"data-testid": "queued-save"},
            ),
            class_name="queued-foot",
        ),
        class_name="queued-form",
        custom_attrs={"data-layer": ""},
        on_submit=lambda form: QueuedState.save(
            QueuedState.editing, form.to(dict[str, str])["question"]
        ),
    )


def _error() -> rx.Component:
    return rx.cond(
        (QueuedState.error_code != "") & (QueuedState.dialog_id == ChatState.dialog_id),
        rx.el.div(
            rx.icon("circle-alert", size=16),
            rx.el.span(error_text(QueuedState.error_code)),
            icon_button(
                "x", t("chat.dismiss"), size=14, on_click=QueuedState.dismiss_error, closes=True
            ),
            class_name="note note-danger",
            role="alert",
            custom_attrs={"data-testid": "queued-error"},
        ),
    )
