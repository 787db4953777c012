"""The model's reasoning: live and folded above an answer, and the switch beside the composer. It is
text as it was written, never Markdown."""

import reflex as rx

from genai_app.components.text import t
from genai_app.models import Status
from genai_app.state.chat.live_reasoning import DONE, text_slots
from genai_app.state.chat.reasoning import ReasoningState
from genai_app.state.chat.rows import MessageRow
from genai_app.state.chat.stream import StreamState

_ATTRS = {"data-testid": "reasoning"}


def thought_for(seconds: rx.Var[int]) -> rx.Var[str]:
    """`Думал 12 с`, `Думал 2 мин 5 с`."""
    return rx.cond(
        seconds < 60,
        t("reasoning.thought", seconds=rx.cond(seconds < 1, 1, seconds)),
        t("reasoning.thought_minutes", **_minutes(seconds)),
    )


def _thinks(seconds: rx.Var[int]) -> rx.Var[str]:
    return rx.cond(
        seconds < 60,
        rx.cond(seconds < 1, t("reasoning.begins"), t("reasoning.thinks", seconds=seconds)),
        t("reasoning.thinks_minutes", **_minutes(seconds)),
    )


def _minutes(seconds: rx.Var[int]) -> dict[str, rx.Var[str]]:
    """Returns whole minutes and the seconds beside them, as texts: a 0 is shown too."""
    return {
        "minutes": (seconds // 60).to_string(),
        "seconds": (seconds % 60).to_string(),
    }


def thoughts(text: rx.Var[str]) -> rx.Component:
    """The thoughts themselves, in a frame that scrolls."""
    return rx.el.div(
        rx.el.div(text),
        class_name="thoughts",
        tab_index=0,
        role="region",
        aria_label=t("reasoning.label"),
    )


def reasoning_head(text: rx.Var[str], *more: rx.Component, **props: object) -> rx.Component:
    """The line that opens the thoughts."""
    return rx.el.summary(
        rx.icon("lightbulb", size=15, aria_hidden=True),
        rx.el.span(text, class_name="thought-time"),
        *more,
        rx.icon("chevron-right", size=15, aria_hidden=True, class_name="chevron"),
        **props,
    )


@rx.memo
def growing_reasoning() -> rx.Component:
    """The thoughts of the answer that is being written, alone under StreamState."""
    text = rx.Var.create("")
    for name in text_slots():
        text = text + getattr(StreamState, name)
    done = StreamState.thought_state == DONE
    newest = rx.el.span(StreamState.thought_line, class_name="newest", aria_hidden=True)
    return rx.cond(
        StreamState.thought_state != "",
        rx.el.details(
            reasoning_head(
                rx.cond(done, thought_for(StreamState.thought_s), _thinks(StreamState.thought_s)),
                rx.cond(~done, newest),
            ),
            thoughts(text),
            class_name=rx.cond(done, "reasoning", "reasoning live"),
            custom_attrs=_ATTRS,
        ),
    )


@rx.memo
def saved_reasoning(answer_id: rx.Var[str], seconds: rx.Var[int]) -> rx.Component:
    """The thoughts of a finished answer, which come when they are opened."""
    return rx.el.details(
        reasoning_head(thought_for(seconds), on_click=ReasoningState.show(answer_id)),
        thoughts(
            rx.cond(
                ReasoningState.texts.contains(answer_id),
                ReasoningState.texts[answer_id],
                t("reasoning.loading"),
            )
        ),
        class_name="reasoning",
        custom_attrs=_ATTRS,
    )


def reasoning(row: rx.Var[MessageRow]) -> rx.Component:
    """Shows what the model thought, above its answer."""
    return rx.cond(
        row.status == Status.RUNNING,
        growing_reasoning(),
        rx.cond(row.thought, saved_reasoning(answer_id=row.id, seconds=row.thought_s)),
    )


def reasoning_toggle() -> rx.Component:
    """The switch, only where the model's reasoning can be turned off."""
    return rx.cond(
        ReasoningState.offered,
        rx.el.button(
            rx.icon("lightbulb", size=16, aria_hidden=True),
            rx.el.span(t("reasoning.switch")),
            type="button",
            class_name="reasoning-toggle",
            aria_label=t("reasoning.switch"),
            aria_pressed=ReasoningState.on,
            title=rx.cond(ReasoningState.on, t("reasoning.turn_off"), t("reasoning.turn_on")),
            on_click=ReasoningState.toggle,
            custom_attrs={"data-testid": "reasoning-toggle"},
        ),
    )
