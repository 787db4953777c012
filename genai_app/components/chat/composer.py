"""The composer: the field for a question. Uncontrolled: no event for a keystroke, and the text
stays in the browser until the server says that the question is committed."""

import reflex as rx

from genai_app.components.chat.drafts import submit, waiting
from genai_app.components.chat.reasoning import reasoning_toggle
from genai_app.components.text import t
from genai_app.models import Status
from genai_app.state.chat.conversation import COMPOSER_ID, ConversationState
from genai_app.state.chat.dialog import ChatState


def waiting_question() -> rx.Component:
    """The question that the server has not got yet."""
    return rx.cond(
        waiting.value != "",
        rx.el.div(
            rx.icon("clock", size=16, aria_hidden=True),
            rx.el.span(
                rx.el.strong(t("chat.queued")),
                rx.el.span(waiting.value, class_name="queued-text written"),
            ),
            class_name="note queued",
            role="status",
            custom_attrs={"data-testid": "queued"},
        ),
    )


def composer() -> rx.Component:
    running = (ChatState.messages.length() > 0) & (ChatState.messages[-1].status == Status.RUNNING)
    return rx.el.form(
        rx.el.textarea(
            id=COMPOSER_ID,
            name="prompt",
            placeholder=t("chat.placeholder"),
            aria_label=t("chat.composer"),
            rows="1",
            auto_focus=True,
            enter_key_submit=True,
            auto_complete="off",
            custom_attrs={"data-testid": "composer"},
        ),
        reasoning_toggle(),
        rx.cond(
            running,
            rx.el.button(
                rx.icon("square", size=16, fill="currentColor"),
                type="button",
                class_name="send-button",
                aria_label=t("chat.stop"),
                title=t("chat.stop"),
                on_click=ConversationState.stop(ChatState.messages[-1].id),
                custom_attrs={"data-testid": "stop"},
            ),
            rx.el.button(
                rx.icon("arrow-up", size=18),
                type="submit",
                class_name="send-button",
                aria_label=t("chat.send"),
                title=t("chat.send"),
                custom_attrs={"data-testid": "send"},
            ),
        ),
        class_name="composer",
        on_submit=submit,
    )
