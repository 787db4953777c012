"""The right pane of review: the open dialog with the reviewer's actions and notes."""

import reflex as rx

from genai_app.components.icon_button import icon_button
from genai_app.components.review.message import review_message
from genai_app.components.review.words import badge, person, state_badge, verdict_badge
from genai_app.components.text import error_text, of_locale, t
from genai_app.models import Channel, ReviewState
from genai_app.state.review.dialog import ReviewDialogState
from genai_app.state.review.list import ReviewListState
from genai_app.state.review.rows import NoteRow
from genai_app.state.review.work import NOTE_ID, REASON_ID, ReviewWorkState

_head = ReviewDialogState.head


def _title() -> rx.Component:
    return rx.el.header(
        icon_button(
            "arrow-left", t("review.back"), size=18, on_click=ReviewDialogState.leave, testid="back"
        ),
        rx.el.div(
            rx.el.h2(rx.cond(_head.title != "", _head.title, t("nav.untitled"))),
            rx.el.p(
                rx.el.strong(
                    person(_head), class_name="written", custom_attrs={"data-testid": "person"}
                ),
                rx.cond(_head.username != "", rx.el.span(_head.username, class_name="written")),
                rx.cond(_head.department != "", rx.el.span(_head.department, class_name="written")),
                rx.el.span(of_locale(_head.updated)),
                class_name="meta",
            ),
            rx.el.p(
                state_badge(_head),
                verdict_badge(_head.verdict),
                rx.cond(_head.assignee != "", badge(_head.assignee, "written")),
                rx.cond(_head.deleted, badge(t("review.deleted_by_user"), "badge-warning")),
                rx.cond(ReviewDialogState.own, badge(t("review.own"))),
                class_name="badges",
            ),
        ),
        class_name="review-head",
    )


def _action(name: str, icon: str, handler, key: str) -> rx.Component:
    return rx.el.button(
        rx.icon(icon, size=16, aria_hidden=True),
        t(f"review.{name}"),
        rx.cond(key != "", rx.el.kbd(key, aria_hidden=True, class_name="wide-only")),
        type="button",
        class_name="quiet-button with-icon",
        on_click=handler,
        custom_attrs={"data-testid": f"review-{name}"},
    )


def _actions() -> rx.Component:
    take = _action("take", "hand", ReviewWorkState.take, "T")
    return rx.el.div(
        rx.match(
            _head.state,
            (ReviewState.NEW, take),
            (ReviewState.CLOSED, _action("reopen", "rotate-ccw", ReviewWorkState.reopen, "")),
            rx.cond(
                _head.mine,
                rx.cond(
                    _head.state == ReviewState.JUDGED,
                    _action("close", "check-check", ReviewWorkState.close, "C"),
                ),
                take,
            ),
        ),
        class_name="deeds",
    )


def _reveal() -> rx.Component:
    """Returns the form that asks for a reason before the name is shown."""
    return rx.cond(
        (ReviewListState.mode == "pseudonymous") & ~ReviewDialogState.revealed,
        rx.el.details(
            rx.el.summary(
                rx.icon("eye", size=15, aria_hidden=True),
                t("review.reveal"),
                custom_attrs={"data-testid": "ask-reveal"},
            ),
            rx.el.form(
                rx.el.label(
                    t("review.reason"),
                    rx.el.textarea(
                        id=REASON_ID,
                        name="reason",
                        rows="2",
                        max_length=500,
                        custom_attrs={"data-testid": "reveal-reason"},
                    ),
                    class_name="field",
                ),
                rx.el.p(t("review.reason_hint"), class_name="hint"),
                rx.el.button(
                    t("review.reveal_now"),
                    type="submit",
                    class_name="quiet-button",
                    custom_attrs={"data-testid": "reveal"},
                ),
                on_submit=ReviewWorkState.reveal,
            ),
            key=ReviewDialogState.dialog_id,
            class_name="reveal",
        ),
    )


def _note(note: rx.Var[NoteRow]) -> rx.Component:
    return rx.el.li(
        rx.el.p(
            rx.el.strong(note.author, class_name="written"),
            rx.el.span(of_locale(note.at)),
            class_name="meta",
        ),
        rx.el.p(note.text, class_name="note-text written"),
        key=note.id,
        custom_attrs={"data-testid": "review-note-row"},
    )


def _notes() -> rx.Component:
    return rx.el.section(
        rx.el.h3(t("review.notes")),
        rx.el.p(t("review.notes_hint"), class_name="hint"),
        rx.cond(
            ReviewDialogState.notes.length() > 0,
            rx.el.ul(rx.foreach(ReviewDialogState.notes, _note), class_name="notes"),
        ),
        rx.el.form(
            rx.el.textarea(
                id=NOTE_ID,
                name="note",
                rows="2",
                max_length=2000,
                placeholder=t("review.note_placeholder"),
                aria_label=t("review.note"),
                custom_attrs={"data-testid": "review-note"},
            ),
            rx.el.button(
                t("review.add_note"),
                type="submit",
                class_name="quiet-button",
                custom_attrs={"data-testid": "add-note"},
            ),
            on_submit=ReviewWorkState.add_note,
            class_name="note-form",
        ),
        class_name="review-notes",
    )


def _error() -> rx.Component:
    text = error_text(ReviewDialogState.error_code, name=_head.assignee)
    return rx.cond(
        ReviewDialogState.error_code != "",
        rx.el.p(
            rx.icon("circle-alert", size=16),
            rx.el.span(text),
            class_name="note note-danger",
            role="alert",
            custom_attrs={"data-testid": "review-error"},
        ),
    )


def _instructions() -> rx.Component:
    """Returns what the user wrote for every question, folded: it shaped the answers below."""
    return rx.cond(
        (ReviewDialogState.instructions != "") & (_head.channel != Channel.IMPORT),
        rx.el.details(
            rx.el.summary(
                rx.icon("sliders-horizontal", size=15, aria_hidden=True),
                t("review.instructions"),
                custom_attrs={"data-testid": "review-instructions"},
            ),
            rx.el.p(ReviewDialogState.instructions, class_name="own-instructions written"),
            rx.el.p(t("review.instructions_now"), class_name="hint"),
            key=ReviewDialogState.dialog_id,
            class_name="reveal",
        ),
    )


def _messages() -> rx.Component:
    return rx.el.div(
        rx.cond(
            ReviewDialogState.has_older,
            rx.el.button(
                t("chat.older"),
                type="button",
                class_name="text-button",
                on_click=ReviewDialogState.load_older,
                custom_attrs={"data-testid": "review-older"},
            ),
        ),
        rx.foreach(ReviewDialogState.messages, review_message),
        class_name="review-messages",
    )


def opened_dialog() -> rx.Component:
    nothing = rx.el.div(
        rx.icon("panel-left-open", size=36, stroke_width=1.25, aria_hidden=True),
        rx.el.p(t("review.choose")),
        class_name="nothing wide-only",
    )
    return rx.el.section(
        rx.cond(
            ReviewDialogState.dialog_id != "",
            rx.el.div(
                _title(),
                _error(),
                _reveal(),
                _instructions(),
                _actions(),
                _messages(),
                _notes(),
                class_name="review-opened",
                custom_attrs={"data-testid": "review-dialog"},
            ),
            rx.fragment(_error(), nothing),
        ),
        class_name="review-pane",
        aria_label=t("review.dialog"),
    )
