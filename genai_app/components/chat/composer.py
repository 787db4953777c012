"""The composer: the field for a question. Uncontrolled: no event for a keystroke, and the text
stays in the browser until the server says that the question is committed."""

import reflex as rx

from genai_app.components.chat.attachments import attach_button, attached_files
from genai_app.components.chat.drafts import submit
from genai_app.components.chat.reasoning import reasoning_toggle
from genai_app.components.chat.uploads import sending_waits
from genai_app.components.text import t
from genai_app.models import Status
from genai_app.state.chat.conversation import COMPOSER_ID, ConversationState
from genai_app.state.chat.dialog import ChatState


def _send_button(running: rx.Var[bool]) -> rx.Component:
    """While an answer runs it queues the question; the style sheet hides it as long as the field is
    empty."""
    label = rx.cond(running, t("queued.put"), t("chat.send"))
    return rx.el.button(
        rx.icon("arrow-up", size=18),
        type="submit",
        class_name=rx.cond(sending_waits.value.to(bool), "send-button waits", "send-button"),
        aria_label=label,
        title=label,
        custom_attrs={"data-testid": "send"},
    )


def composer() -> rx.Component:
    running = (ChatState.messages.length() > 0) & (ChatState.messages[-1].status == Status.RUNNING)
    return rx.el.form(
        attached_files(),
        attach_button(),
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
        ),
        _send_button(running),
        class_name=rx.cond(running, "composer running", "composer"),
        on_submit=submit,
    )
