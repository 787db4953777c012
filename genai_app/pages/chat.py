"""`/` and `/c/{dialog_id}`: the sidebar, the dialog, the composer."""

import reflex as rx

from genai_app.components.chat.attachments import drop_hint
from genai_app.components.chat.composer import composer
from genai_app.components.chat.composer_keys import composer_keys
from genai_app.components.chat.drafts import draft_keeper
from genai_app.components.chat.earlier import earlier_messages
from genai_app.components.chat.edit import edit_keeper
from genai_app.components.chat.feedback import feedback_error
from genai_app.components.chat.file_preview import dialog_files, file_preview
from genai_app.components.chat.message import message
from genai_app.components.chat.notification import answer_notifier
from genai_app.components.chat.notification_offer import notification_offer
from genai_app.components.chat.queued import waiting_questions
from genai_app.components.chat.scroll import (
    SCROLL_ID,
    jump_to_latest,
    scroll_keeper,
)
from genai_app.components.chat.turning import turning_keeper
from genai_app.components.chat.uploads import files_keeper
from genai_app.components.exports import dialog_export
from genai_app.components.frame import frame
from genai_app.components.notices import (
    answer_status,
    connection_notice,
    demo_notice,
    dock_line,
    error_notice,
)
from genai_app.components.text import t
from genai_app.state.chat.dialog import ChatState


def _greeting() -> rx.Component:
    return rx.el.div(
        rx.el.h1(t("chat.greeting")),
        rx.el.p(t("chat.greeting_hint")),
        class_name="greeting",
    )


def _dialog() -> rx.Component:
    return rx.el.div(
        rx.el.h1(ChatState.title, class_name="visually-hidden"),
        earlier_messages(),
        rx.foreach(ChatState.messages, lambda row: rx.fragment(message(row), key=row.id)),
        rx.el.span(id="end", aria_hidden=True),
        class_name="dialog",
        role="log",
        aria_label=t("chat.messages"),
        aria_live="off",
    )


def chat() -> rx.Component:
    return frame(
        rx.cond(ChatState.title != "", ChatState.title, t("nav.new")),
        dialog_export(),
        rx.el.div(
            rx.cond(
                ChatState.messages.length() > 0,
                _dialog(),
                rx.cond(ChatState.loaded, _greeting(), rx.el.div(class_name="dialog")),
            ),
            scroll_keeper(),
            turning_keeper(),
            id=SCROLL_ID,
            class_name="scroll",
        ),
        rx.el.div(
            jump_to_latest(),
            connection_notice(),
            error_notice(),
            feedback_error(),
            demo_notice(),
            waiting_questions(),
            composer(),
            draft_keeper(),
            files_keeper(),
            edit_keeper(),
            composer_keys(),
            answer_notifier(),
            notification_offer(),
            dock_line(),
            answer_status(),
            class_name="dock",
        ),
        file_preview(),
        dialog_files(),
        drop_hint(),
        look=rx.cond(
            ChatState.loaded,
            rx.cond(ChatState.messages.length() > 0, "app", "app fresh"),
            "app loading",
        ),
        composer=True,
    )
