"""The offer to undo, for ten seconds: the style sheet hides it then, and waits while the pointer or
the focus is on it."""

import reflex as rx

from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.state.chat.dialog_menu import DialogMenuState
from genai_app.state.chat.undo import UndoState


def undo_toast() -> rx.Component:
    return rx.el.div(
        rx.cond(
            UndoState.done != "",
            rx.el.div(
                rx.el.span(
                    rx.cond(UndoState.done == "archived", t("undo.archived"), t("undo.deleted"))
                ),
                rx.el.button(
                    t("undo.undo"),
                    type="button",
                    class_name="text-button",
                    on_click=DialogMenuState.undo,
                    custom_attrs={"data-testid": "undo"},
                ),
                icon_button("x", t("undo.dismiss"), size=14, on_click=DialogMenuState.dismiss_undo),
                key=UndoState.shown,
                class_name="toast",
            ),
        ),
        role="status",
        class_name="toasts",
    )
