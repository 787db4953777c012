"""A question: its bubble, folded when it is long, and its actions."""

import reflex as rx

from genai_app.components.chat.branches import branch_arrows
from genai_app.components.chat.edit import edit_form
from genai_app.components.copy_button import copy_button
from genai_app.components.files import message_files
from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.state.chat.branches import BranchState
from genai_app.state.chat.conversation import ConversationState
from genai_app.state.chat.rows import MessageRow


def bubble(row: rx.Var[MessageRow]) -> rx.Component:
    """The text of a question; of a long one the first lines, and a switch that unfolds it."""
    return rx.cond(
        row.is_long,
        rx.el.div(
            rx.el.div(row.text, class_name="bubble-text"),
            rx.el.label(
                rx.el.input(type="checkbox", class_name="visually-hidden"),
                rx.el.span(t("chat.unfold"), class_name="unfold"),
                rx.el.span(t("chat.fold"), class_name="fold"),
                class_name="fold-switch",
                custom_attrs={"data-testid": "unfold"},
            ),
            class_name="bubble bubble-long",
        ),
        rx.el.div(row.text, class_name="bubble"),
    )


def question(row: rx.Var[MessageRow]) -> rx.Component:
    return rx.el.article(
        rx.el.h2(t("chat.you"), class_name="visually-hidden"),
        rx.cond(
            BranchState.edited == row.id,
            edit_form(row),
            rx.fragment(message_files(row.files), bubble(row), _foot(row)),
        ),
        id=f"m-{row.id}",
        class_name="message question",
        custom_attrs={"data-testid": "message-user"},
    )


def _foot(row: rx.Var[MessageRow]) -> rx.Component:
    return rx.el.footer(
        rx.el.span(
            copy_button(row.text, t("chat.copy"), testid="copy-question"),
            icon_button(
                "pencil", t("chat.edit"), on_click=BranchState.begin_edit(row.id), testid="edit"
            ),
            class_name="question-actions",
        ),
        branch_arrows(
            row,
            ConversationState.choose_answer,
            labels=(t("chat.previous_question"), t("chat.next_question")),
            testids=("branch-prev", "branch-next"),
        ),
        class_name="question-foot",
    )
