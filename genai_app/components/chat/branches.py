"""The arrows between several answers to one question, or several questions at one point."""

from collections.abc import Callable
from typing import Any

import reflex as rx

from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.state.chat.rows import ShownMessage


def branch_arrows(
    row: rx.Var[ShownMessage],
    choose: Callable[[rx.Var[str]], Any],
    *,
    labels: tuple[rx.Var[str], rx.Var[str]] | None = None,
    testids: tuple[str, str] = ("", ""),
) -> rx.Component:
    """Returns two arrows with `2 / 3` between them; nothing for an only message.

    Args:
        choose: the handler that shows another branch, by the id of a message.
        labels: names of the arrows to the previous and to the next message; by default an answer.
        testids: their test ids.
    """
    previous_label, next_label = labels or (t("chat.previous_answer"), t("chat.next_answer"))
    sibling, count = row.sibling, row.siblings.length()
    previous_testid, next_testid = testids
    return rx.cond(
        sibling > 0,
        rx.el.span(
            icon_button(
                "chevron-left",
                previous_label,
                disabled=sibling <= 1,
                on_click=choose(row.siblings[sibling - 2]),
                testid=previous_testid,
            ),
            rx.el.span(f"{sibling} / {count}", class_name="branch-place"),
            icon_button(
                "chevron-right",
                next_label,
                disabled=sibling >= count,
                on_click=choose(row.siblings[sibling]),
                testid=next_testid,
            ),
            class_name="branches",
        ),
    )
