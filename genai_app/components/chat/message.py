"""A message: bubble or answer, its source and its actions."""

import reflex as rx

from genai_app.components.chat.branches import branch_arrows
from genai_app.components.chat.feedback import feedback_form, thumbs
from genai_app.components.chat.markdown import (
    answer_text,
    markdown_block,
    markdown_tail,
    plain_text,
)
from genai_app.components.chat.question import question
from genai_app.components.chat.reasoning import reasoning
from genai_app.components.chat.regenerate import ask_again, continue_button, variant_word
from genai_app.components.chat.tools import copy_answer
from genai_app.components.files import used_files
from genai_app.components.text import age_text, decimal, end_text, error_text, of_locale, t
from genai_app.models import Author, Source, Status
from genai_app.state.chat.conversation import ConversationState
from genai_app.state.chat.live_text import BLOCKS, PIECES
from genai_app.state.chat.rows import MessageRow
from genai_app.state.chat.stream import StreamState


@rx.memo
def growing_answer() -> rx.Component:
    """The answer being written. Alone under StreamState, so that a flush draws nothing else."""
    blocks = [getattr(StreamState, f"block_{i}") for i in range(BLOCKS)]
    pieces = [getattr(StreamState, f"piece_{i}") for i in range(PIECES)]
    tail = StreamState.tail
    for piece in reversed(pieces):
        tail = piece + tail
    return rx.fragment(
        *[rx.cond(block != "", markdown_block(text=block)) for block in blocks],
        rx.cond(
            tail != "",
            rx.cond(StreamState.tail_plain != "", plain_text(tail), markdown_tail(text=tail)),
            rx.cond(
                blocks[0] == "",
                rx.cond(
                    StreamState.place > 0,
                    rx.el.p(
                        rx.icon("hourglass", size=15, aria_hidden=True),
                        rx.el.span(t("chat.in_line", place=StreamState.place)),
                        class_name="in-line",
                        role="status",
                        aria_live="polite",
                        custom_attrs={"data-testid": "in-line"},
                    ),
                    rx.cond(
                        StreamState.thought_state == "",
                        rx.el.div(
                            rx.el.span(),
                            rx.el.span(),
                            rx.el.span(),
                            class_name="thinking",
                            role="status",
                            aria_label=t("chat.thinking"),
                        ),
                    ),
                ),
            ),
        ),
    )


def _end_note(row: rx.Var[MessageRow]) -> rx.Component:
    """Why the answer is not whole, and what to do."""
    exact = end_text(row.error_code, row.error_reason, row.error_what, row.error_over_chars)
    broken = rx.cond(row.error_code != "", exact, t("status.failed"))
    return rx.match(
        row.status,
        (
            Status.TRUNCATED,
            _note(
                "info",
                rx.cond(row.thought & row.is_blank, t("reasoning.used_up"), t("status.truncated")),
            ),
        ),
        (Status.STOPPED, _note("info", t("status.stopped"))),
        (
            Status.INTERRUPTED,
            _note(
                "warning",
                rx.cond(row.error_code != "", error_text(row.error_code), t("status.interrupted")),
            ),
        ),
        (Status.FAILED, _note("danger", broken)),
        (Status.FILTERED, _note("warning", t("status.filtered"))),
        rx.fragment(),
    )


def _note(kind: str, text: rx.Var[str]) -> rx.Component:
    return rx.el.p(
        rx.icon("info", size=15), rx.el.span(text), class_name=f"note note-{kind}", role="status"
    )


def _source(row: rx.Var[MessageRow]) -> rx.Component:
    """`модель`, or `из кэша · 5 мин назад`, or `проверено · Рита · до 24 мая 2027`."""
    return rx.match(
        row.source,
        (
            Source.CACHE,
            rx.fragment(
                rx.el.span(t("source.cache"), custom_attrs={"data-testid": "source"}),
                rx.cond(
                    row.made_unit != "",
                    rx.el.span(
                        age_text(row.made, row.made_unit), custom_attrs={"data-testid": "age"}
                    ),
                ),
            ),
        ),
        (Source.VERIFIED, _verified(row)),
        ("", rx.el.span(t("source.imported"), custom_attrs={"data-testid": "source"})),
        rx.el.span(t("source.model"), custom_attrs={"data-testid": "source"}),
    )


def _verified(row: rx.Var[MessageRow]) -> rx.Component:
    """That a colleague vouches for it, who, and until when."""
    return rx.fragment(
        rx.el.span(
            rx.icon("badge-check", size=15, aria_hidden=True),
            rx.el.span(t("source.verified"), custom_attrs={"data-testid": "source"}),
            title=t("source.verified_hint"),
            class_name="verified",
        ),
        rx.cond(
            row.verified_by != "",
            rx.fragment(
                rx.el.span(
                    rx.el.span(t("source.verified_by"), " ", class_name="visually-hidden"),
                    row.verified_by,
                    class_name="written",
                    custom_attrs={"data-testid": "verified-by"},
                ),
                rx.el.span(t("source.verified_until", date=of_locale(row.verified_until))),
            ),
        ),
    )


def _answer_foot(row: rx.Var[MessageRow]) -> rx.Component:
    return rx.el.footer(
        rx.cond(
            row.text != "",
            copy_answer(row.text),
        ),
        thumbs(row),
        ask_again(row),
        branch_arrows(row, ConversationState.choose_answer, testids=("branch-prev", "branch-next")),
        rx.el.span(
            _source(row),
            rx.cond(row.model != "", rx.el.span(row.model)),
            variant_word(row),
            rx.cond(
                (row.seconds != "") & (row.source == Source.MODEL),
                rx.el.span(t("chat.seconds", seconds=decimal(row.seconds))),
            ),
            rx.el.span(row.time),
            class_name="meta",
        ),
        class_name="answer-foot",
    )


def _answer(row: rx.Var[MessageRow]) -> rx.Component:
    return rx.el.article(
        rx.el.h2(t("chat.assistant"), class_name="visually-hidden"),
        rx.cond(
            row.trimmed > 0, rx.el.p(t("chat.trimmed", count=row.trimmed), class_name="trimmed")
        ),
        reasoning(row),
        rx.cond(
            row.status == Status.RUNNING,
            growing_answer(),
            rx.fragment(
                rx.cond(
                    ~row.is_blank,
                    answer_text(row.text, row.shown, row.left_plain),
                    rx.cond(
                        row.status == Status.COMPLETE,
                        _note(
                            "info",
                            rx.cond(row.thought, t("reasoning.only"), t("error.empty_answer")),
                        ),
                    ),
                ),
                _end_note(row),
                continue_button(row),
                used_files(row.used),
                _answer_foot(row),
                feedback_form(row),
            ),
        ),
        id=f"m-{row.id}",
        class_name="message answer",
        aria_busy=row.status == Status.RUNNING,
        custom_attrs={"data-testid": "message-assistant", "data-status": row.status},
    )


def message(row: rx.Var[MessageRow]) -> rx.Component:
    return rx.cond(row.author == Author.USER, question(row), _answer(row))
