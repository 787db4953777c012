"""What the pages of review call things: people, states, verdicts, and where an answer came from."""

import reflex as rx

from genai_app.components.text import t
from genai_app.i18n import DEFAULT_LOCALE, catalogue
from genai_app.models import Channel, Rating, ReviewState, Source, Status, Verdict
from genai_app.state.review.rows import ReviewRow

# what a filter offers: the prefix of the sentences, and the values
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
    """The name of a value that is known only in the browser."""
    return rx.match(value, *[(each, t(f"review.{kind}_{each}")) for each in OPTIONS[kind]], value)


def person(row: rx.Var[ReviewRow]) -> rx.Var[str]:
    """The name, or `Сотрудник 7F3A91C2` where it is hidden."""
    return rx.cond(row.name != "", row.name, t("review.person", code=row.code))


def reason_word(code: rx.Var[str]) -> rx.Var[str]:
    """Why a user is not content, by the code of the reason."""
    prefix = "feedback.reason_"
    keys = [key for key in catalogue(DEFAULT_LOCALE) if key.startswith(prefix)]
    cases = [(key.removeprefix(prefix), t(key)) for key in keys]
    return rx.match(code, *cases, code) if cases else code


def badge(text: rx.Var[str] | str, kind: str = "") -> rx.Component:
    return rx.el.span(text, class_name=f"badge {kind}".strip())


def state_badge(row: rx.Var[ReviewRow]) -> rx.Component:
    """How far the review is; nothing for what nobody has touched."""
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
