"""Where the user writes. Uncontrolled: no event for a keystroke, and the text stays in the browser
until the server says that the question is committed."""

import reflex as rx

from genai_app.components.text import t
from genai_app.models import MAX_PROMPT_CHARS, Status
from genai_app.state.chat import COMPOSER_ID, ChatState


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
        rx.cond(
            running,
            rx.el.button(
                rx.icon("square", size=16, fill="currentColor"),
                type="button",
                class_name="send-button",
                aria_label=t("chat.stop"),
                title=t("chat.stop"),
                on_click=ChatState.stop(ChatState.messages[-1].id),
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
        # One character past the limit tells the server enough: a pasted book would close the
        # socket, and the user would not hear why.
        on_submit=lambda form: [
            rx.scroll_to("end"),
            ChatState.send(
                form.to(dict[str, str])["prompt"][: MAX_PROMPT_CHARS + 1],
                form.to(dict[str, str])["prompt"].length(),
                ChatState.send_id,
            ),
        ],
    )
