"""How an answer is asked for again: as it was, shorter or longer; and how a cut one goes on."""

import reflex as rx

from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.models import Source, Variant
from genai_app.state.chat.branches import BranchState
from genai_app.state.chat.conversation import ConversationState
from genai_app.state.chat.rows import MessageRow, ShownMessage


def ask_again(row: rx.Var[MessageRow]) -> rx.Component:
    """A sentence where the answer was not made for this question; else a picture is enough."""
    return rx.fragment(
        rx.cond(
            (row.source == Source.CACHE) | (row.source == Source.VERIFIED),
            rx.el.button(
                rx.icon("refresh-cw", size=15),
                t("chat.ask_again"),
                type="button",
                class_name="text-button with-icon",
                on_click=ConversationState.regenerate(row.id, ""),
                custom_attrs={"data-testid": "regenerate"},
            ),
            icon_button(
                "refresh-cw",
                t("chat.regenerate"),
                on_click=ConversationState.regenerate(row.id, ""),
                testid="regenerate",
            ),
        ),
        _menu(row),
    )


def _menu(row: rx.Var[MessageRow]) -> rx.Component:
    """The browser's own popover: Esc and a click beside it close it, and the focus returns."""
    menu_id = f"variants-{row.id}"
    return rx.fragment(
        icon_button(
            "chevron-down",
            t("chat.variants"),
            size=13,
            class_name="narrow",
            custom_attrs={"popoverTarget": menu_id},
            testid="variants",
        ),
        rx.el.div(
            _item(row, menu_id, "", "refresh-cw", t("chat.variant_same")),
            _item(row, menu_id, Variant.SHORTER, "chevrons-down-up", t("chat.variant_shorter")),
            _item(row, menu_id, Variant.LONGER, "chevrons-up-down", t("chat.variant_longer")),
            id=menu_id,
            class_name="menu variants",
            aria_label=t("chat.variants"),
            role="group",
            custom_attrs={"popover": "auto", "data-testid": "variants-menu"},
        ),
    )


def _item(
    row: rx.Var[MessageRow], menu_id: rx.Var[str] | str, variant: str, icon: str, label: rx.Var[str]
) -> rx.Component:
    return rx.el.button(
        rx.icon(icon, size=16, aria_hidden=True),
        rx.el.strong(label),
        type="button",
        on_click=ConversationState.regenerate(row.id, str(variant)),
        custom_attrs={
            "popoverTarget": menu_id,
            "popoverTargetAction": "hide",
            "data-testid": f"variant-{variant or 'same'}",
        },
    )


def variant_word(row: rx.Var[ShownMessage]) -> rx.Component:
    """How the user wanted the answer to differ; nothing for an ordinary one."""
    return rx.match(
        row.variant,
        (Variant.SHORTER, rx.el.span(t("chat.was_shorter"))),
        (Variant.LONGER, rx.el.span(t("chat.was_longer"))),
        rx.fragment(),
    )


def continue_button(row: rx.Var[MessageRow]) -> rx.Component:
    """Below an answer that was cut, at the end of the dialog."""
    return rx.cond(
        row.can_go_on,
        rx.el.button(
            rx.icon("corner-down-right", size=16, aria_hidden=True),
            t("chat.continue"),
            type="button",
            class_name="quiet-button with-icon continue",
            on_click=BranchState.continue_answer(row.id),
            custom_attrs={"data-testid": "continue"},
        ),
    )
