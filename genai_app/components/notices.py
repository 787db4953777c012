"""Notices: a lost connection, an error with its remedy, a demo model."""

import reflex as rx

from genai_app.components.icon_button import icon_button
from genai_app.components.life_sign import is_offline
from genai_app.components.text import error_text, t
from genai_app.models import Author, Status
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.limits import LimitState
from genai_app.state.session import SessionState


def connection_notice() -> rx.Component:
    return rx.cond(
        is_offline,
        rx.el.p(
            rx.icon("wifi-off", size=16),
            rx.el.span(t("connection.lost")),
            class_name="note note-warning",
            role="status",
            custom_attrs={"data-testid": "offline"},
        ),
    )


def error_notice() -> rx.Component:
    return rx.cond(
        ChatState.error_code != "",
        rx.el.div(
            rx.icon("circle-alert", size=16),
            rx.el.span(
                error_text(
                    ChatState.error_code,
                    over_by=ChatState.over_by,
                    retry_after_s=ChatState.wait_s,
                    limit=ChatState.most_answers,
                    names=ChatState.file_names,
                )
            ),
            icon_button(
                "x", t("chat.dismiss"), size=14, on_click=ChatState.dismiss_error, closes=True
            ),
            class_name="note note-danger",
            role="alert",
            custom_attrs={"data-testid": "error"},
        ),
    )


def answer_status() -> rx.Component:
    """Says to a screen reader that an answer is being written, and that it has ended: its text is
    not read aloud piece by piece."""
    last = ChatState.messages[-1]
    return rx.el.p(
        rx.cond(
            ChatState.messages.length() > 0,
            rx.match(
                last.status,
                (Status.RUNNING, t("chat.thinking")),
                (Status.COMPLETE, rx.cond(last.author == Author.ASSISTANT, t("chat.answered"), "")),
                "",
            ),
            "",
        ),
        role="status",
        class_name="visually-hidden",
    )


def demo_notice() -> rx.Component:
    return rx.cond(
        SessionState.demo_model & (ChatState.messages.length() == 0),
        rx.el.div(
            rx.icon("flask-conical", size=16),
            rx.el.span(rx.el.strong(t("demo.title"), ". "), t("demo.text")),
            class_name="note note-info",
            role="note",
            custom_attrs={"data-testid": "demo-notice"},
        ),
    )


def _wait() -> rx.Component:
    """`, следующий через 12 с`. The seconds are counted down by the style sheet alone."""
    seconds = rx.fragment(
        rx.el.span(LimitState.wait, class_name="visually-hidden"),
        rx.el.span(
            class_name="countdown",
            key=LimitState.shown.to_string(),
            aria_hidden=True,
            style={"--from": LimitState.wait},
        ),
        " ",
        t("limit.seconds"),
    )
    return rx.cond(
        LimitState.wait_unit != "",
        rx.fragment(
            ", ",
            t("limit.next"),
            " ",
            rx.match(
                LimitState.wait_unit,
                ("minutes", rx.fragment(t("limit.minutes", count=LimitState.wait))),
                ("hours", rx.fragment(t("limit.hours", count=LimitState.wait))),
                seconds,
            ),
        ),
    )


@rx.memo
def limit_left() -> rx.Component:
    """The rest of the limit, in words."""
    return rx.el.span(
        rx.cond(
            LimitState.remaining > 0,
            t("limit.left", remaining=LimitState.remaining, limit=LimitState.limit),
            t("limit.none"),
        ),
        _wait(),
        custom_attrs={"data-testid": "limit"},
    )


def dock_line() -> rx.Component:
    """Below the composer: the keys, or what is left of the limit when it is little."""
    return rx.cond(
        LimitState.low,
        rx.el.p(limit_left(), class_name="limit-line"),
        rx.el.p(t("chat.keys"), class_name="keys"),
    )
