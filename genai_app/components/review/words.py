"""The words and badges of the review pages: users, states, verdicts and sources of answers."""

import reflex as rx

from genai_app.components.text import t
from genai_app.i18n import DEFAULT_LOCALE, catalogue
from genai_app.models import Channel, Rating, ReviewState, Source, Status, Verdict
from genai_app.state.review.rows import ReviewRow

# the values of each filter; the filter's name is in the keys of their sentences
OPTIONS: dict[str, tuple[str, ...]] = {
    "state": tuple(ReviewState),
    "verdict": tuple(Verdict),
    "rating": tuple(Rating),
    "source": tuple(Source),
    "channel": tuple(Channel),
    "status": tuple(each for each in Status if each is not Status.RUNNING),
}
ICONS = {
    Verdict.GOOD: "check",
    Verdict.WRONG: "x",
    Verdict.UNSAFE: "shield-alert",
    Verdict.NEEDS_KNOWLEDGE: "book-open",
}


def word(kind: str, value: rx.Var[str]) -> rx.Var[str]:
    """Returns the word for a value that only the browser has."""
    return rx.match(value, *[(each, t(f"review.{kind}_{each}")) for each in OPTIONS[kind]], value)


def person(row: rx.Var[ReviewRow]) -> rx.Var[str]:
    """Returns the user's name, or `Сотрудник 7F3A91C2` while names are hidden."""
    return rx.cond(row.name != "", row.name, t("review.person", code=row.code))


def reason_word(code: rx.Var[str]) -> rx.Var[str]:
    """Returns the user's reason for a bad rating in words, by its code."""
    prefix = "feedback.reason_"
    keys = [key for key in catalogue(DEFAULT_LOCALE) if key.startswith(prefix)]
    cases = [(key.removeprefix(prefix), t(key)) for key in keys]
    return rx.match(code, *cases, code) if cases else code


def badge(text: rx.Var[str] | str, kind: str = "") -> rx.Component:
    return rx.el.span(text, class_name=f"badge {kind}".strip())


def state_badge(row: rx.Var[ReviewRow]) -> rx.Component:
    """Returns the badge of the review's state; nothing for a new one."""
    text = word("state", row.state)
    return rx.match(
        row.state,
        (ReviewState.TAKEN, badge(text, "badge-taken")),
        (ReviewState.JUDGED, badge(text, "badge-good")),
        (ReviewState.CLOSED, badge(text, "badge-quiet")),
        rx.fragment(),
    )


def verdict_badge(verdict: rx.Var[str]) -> rx.Component:
    text = word("verdict", verdict)
    return rx.match(
        verdict,
        (Verdict.GOOD, badge(text, "badge-good")),
        (Verdict.WRONG, badge(text, "badge-danger")),
        (Verdict.UNSAFE, badge(text, "badge-danger")),
        (Verdict.NEEDS_KNOWLEDGE, badge(text, "badge-warning")),
        rx.fragment(),
    )
