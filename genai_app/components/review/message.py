"""A message in review: its text, times and tokens, the user's feedback and the verdict."""

import reflex as rx

from genai_app.components.chat.branches import branch_arrows
from genai_app.components.chat.markdown import answer_text
from genai_app.components.chat.reasoning import reasoning_head, thoughts
from genai_app.components.chat.regenerate import variant_word
from genai_app.components.files import used_files
from genai_app.components.review.files import reviewed_files
from genai_app.components.review.verified_form import verified_form
from genai_app.components.review.words import ICONS, reason_word, word
from genai_app.components.text import decimal, error_text, of_locale, t
from genai_app.models import Author, Rating, Source, Status, Verdict
from genai_app.state.review.dialog import ReviewDialogState
from genai_app.state.review.rows import ReviewMessageRow
from genai_app.state.review.work import ReviewWorkState


def _question(row: rx.Var[ReviewMessageRow]) -> rx.Component:
    return rx.el.article(
        rx.el.h3(t("review.asked"), class_name="visually-hidden"),
        reviewed_files(row.files),
        rx.el.div(row.text, class_name="bubble"),
        rx.el.footer(
            branch_arrows(
                row,
                ReviewDialogState.choose_answer,
                labels=(t("chat.previous_question"), t("chat.next_question")),
                testids=("review-previous", "review-next"),
            ),
            class_name="question-foot",
        ),
        class_name="message question",
        custom_attrs={"data-testid": "review-question"},
    )


def _instructions(row: rx.Var[ReviewMessageRow]) -> rx.Component:
    """The instructions that a client of the API sent beside the question."""
    return rx.el.details(
        rx.el.summary(t("review.system_prompt")),
        rx.el.div(row.text, class_name="instructions"),
        class_name="message",
    )


def _reasoning(row: rx.Var[ReviewMessageRow]) -> rx.Component:
    """Shows what the model thought before the answer, folded."""
    return rx.el.details(
        reasoning_head(t("reasoning.review")),
        thoughts(row.reasoning),
        rx.cond(row.reasoning_cut, rx.el.p(t("reasoning.cut"), class_name="hint")),
        class_name="reasoning",
        custom_attrs={"data-testid": "reasoning"},
    )


def _facts(row: rx.Var[ReviewMessageRow]) -> rx.Component:
    own = row.source != Source.CACHE
    return rx.el.span(
        rx.cond(row.source != "", rx.el.span(word("source", row.source))),
        rx.cond(row.model != "", rx.el.span(row.model)),
        variant_word(row),
        rx.cond(own & (row.first != ""), rx.el.span(t("review.first", seconds=decimal(row.first)))),
        rx.cond(own & (row.total != ""), rx.el.span(t("review.total", seconds=decimal(row.total)))),
        rx.cond(row.tokens != "", rx.el.span(t("review.tokens", count=row.tokens))),
        rx.el.span(of_locale(row.asked)),
        class_name="meta",
    )


def _ending(row: rx.Var[ReviewMessageRow]) -> rx.Component:
    """Returns the note on an answer that is running or incomplete."""
    text = rx.cond(row.error_code != "", error_text(row.error_code), word("status", row.status))
    reason = rx.cond(row.error_reason != "", rx.el.q(row.error_reason, class_name="written"))
    return rx.cond(
        row.status == Status.RUNNING,
        rx.el.p(rx.icon("ellipsis", size=15), rx.el.span(t("review.running")), class_name="note"),
        rx.cond(
            (row.status != Status.COMPLETE) | (row.error_code != ""),
            rx.el.p(
                rx.icon("info", size=15), rx.el.span(text, reason), class_name="note note-warning"
            ),
        ),
    )


def _feedback(row: rx.Var[ReviewMessageRow]) -> rx.Component:
    down = row.rating == Rating.DOWN
    text = rx.cond(down, t("review.rating_down"), t("review.rating_up"))
    return rx.cond(
        row.rating != "",
        rx.el.p(
            rx.cond(down, rx.icon("thumbs-down", size=15), rx.icon("thumbs-up", size=15)),
            rx.el.span(
                text,
                rx.cond(row.reason != "", rx.fragment(": ", reason_word(row.reason))),
                rx.cond(
                    row.comment != "",
                    rx.el.q(row.comment, class_name="written"),
                ),
            ),
            class_name=rx.cond(down, "note note-danger", "note note-good"),
            custom_attrs={"data-testid": "feedback-shown"},
        ),
    )


def _verdict(row: rx.Var[ReviewMessageRow], verdict: Verdict) -> rx.Component:
    return rx.el.button(
        rx.icon(ICONS[verdict], size=14, aria_hidden=True),
        t(f"review.verdict_{verdict}"),
        type="button",
        class_name=f"verdict verdict-{verdict}",
        aria_pressed=row.verdict == verdict,
        on_click=ReviewWorkState.judge(row.id, str(verdict)),
        custom_attrs={"data-testid": f"verdict-{verdict}"},
    )


def _judgement(row: rx.Var[ReviewMessageRow]) -> rx.Component:
    return rx.cond(
        (row.status != Status.RUNNING) & ~ReviewDialogState.own,
        rx.fragment(
            rx.el.div(
                *[_verdict(row, verdict) for verdict in Verdict],
                rx.cond(row.judge != "", rx.el.span(row.judge, class_name="judge written")),
                class_name="verdicts",
                role="group",
                aria_label=t("review.verdict"),
            ),
            rx.cond(
                (row.verdict != "") & (row.verdict != Verdict.GOOD),
                verified_form(row.id, row.question),
            ),
        ),
    )


def _answer(row: rx.Var[ReviewMessageRow]) -> rx.Component:
    return rx.el.article(
        rx.el.h3(t("chat.assistant"), class_name="visually-hidden"),
        rx.cond(row.reasoning != "", _reasoning(row)),
        rx.cond(row.text != "", answer_text(row.text, row.shown, row.left_plain)),
        _ending(row),
        used_files(row.used),
        rx.el.footer(
            branch_arrows(
                row,
                ReviewDialogState.choose_answer,
                testids=("review-previous", "review-next"),
            ),
            _facts(row),
            class_name="answer-foot",
        ),
        _feedback(row),
        _judgement(row),
        class_name="message answer",
        custom_attrs={"data-testid": "review-answer"},
    )


def review_message(row: rx.Var[ReviewMessageRow]) -> rx.Component:
    return rx.match(
        row.author,
        (Author.USER, _question(row)),
        (Author.SYSTEM, _instructions(row)),
        _answer(row),
    )
