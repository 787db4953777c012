"""Titles of the browser's tabs: the name of each page in the user's language."""

import reflex as rx

from genai_app.components.text import t
from genai_app.state.chat.dialog import ChatState

PRODUCT = " · GenAI"


def titled(key: str) -> rx.Var[str]:
    """Returns `Журнал · GenAI` for the page whose name is the sentence `key`."""
    return t(key) + PRODUCT


def chat_title() -> rx.Var[str]:
    """Returns the title of the dialog on the screen, or that it is a new one."""
    return rx.cond(ChatState.title != "", ChatState.title, t("nav.new")) + PRODUCT
