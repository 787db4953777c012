"""The question before something is removed, with its two buttons."""

import reflex as rx

from genai_app.components.text import t


def confirm_question(
    question: rx.Var[str],
    yes: rx.Var[str],
    *,
    on_yes,
    on_cancel,
    testid: str,
    class_name: str = "row-question",
    **props,
) -> rx.Component:
    """Asks `question`. The button `yes` has the focus; Esc presses the other one. `props`: those of
    the box around them."""
    return rx.el.div(
        rx.el.span(question),
        rx.el.button(
            yes,
            type="button",
            class_name="text-button danger",
            auto_focus=True,
            on_click=on_yes,
            custom_attrs={"data-testid": testid},
        ),
        rx.el.button(
            t("nav.cancel"),
            type="button",
            class_name="text-button",
            on_click=on_cancel,
            custom_attrs={"data-esc": ""},
        ),
        class_name=class_name,
        role="alertdialog",
        aria_label=question,
        **props,
    )
