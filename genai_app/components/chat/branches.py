"""The arrows between several answers to one question."""

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
    testids: tuple[str, str] = ("", ""),
) -> rx.Component:
    """Returns two arrows with `2 / 3` between them; nothing for an only answer.

    Args:
        choose: the handler that shows another answer, by its id.
        testids: the test ids of the arrows to the previous and to the next answer.
    """
    sibling, count = row.sibling, row.siblings.length()
    previous_testid, next_testid = testids
    return rx.cond(
        sibling > 0,
        rx.el.span(
            icon_button(
                "chevron-left",
                t("chat.previous_answer"),
                disabled=sibling <= 1,
                on_click=choose(row.siblings[sibling - 2]),
                testid=previous_testid,
            ),
            rx.el.span(f"{sibling} / {count}", class_name="branch-place"),
            icon_button(
                "chevron-right",
                t("chat.next_answer"),
                disabled=sibling >= count,
                on_click=choose(row.siblings[sibling]),
                testid=next_testid,
            ),
            class_name="branches",
        ),
    )
