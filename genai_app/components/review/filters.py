"""The filters of the list of all dialogs: words, a user, dates, and values to choose."""

import reflex as rx

from genai_app.components.admin.frame import filter_choice
from genai_app.components.icon_button import icon_button
from genai_app.components.review.words import OPTIONS
from genai_app.components.text import t
from genai_app.state.review.keys import ReviewKeysState
from genai_app.state.review.list import FIELDS, MAX_VALUE_CHARS, ReviewListState

_chosen = ReviewListState.chosen


def _field(name: str, placeholder: rx.Var[str]) -> rx.Component:
    return rx.el.label(
        rx.el.span(t(f"review.{name}")),
        rx.el.input(
            id=FIELDS[name],
            name=name,
            # for a page that is drawn after its state arrived; otherwise set_value fills the field
            default_value=_chosen[name],
            placeholder=placeholder,
            max_length=MAX_VALUE_CHARS,
            auto_complete="off",
            custom_attrs={"data-testid": f"filter-{name}"},
        ),
        class_name=f"filter filter-{name}",
    )


def _choice(name: str) -> rx.Component:
    return filter_choice(
        t(f"review.{name}"),
        _chosen[name],
        (t("review.all"), ""),
        *[(t(f"review.{name}_{value}"), str(value)) for value in OPTIONS[name]],
        on_change=lambda value: ReviewListState.choose(name, value),
        testid=f"filter-{name}",
    )


def _department() -> rx.Component:
    return rx.cond(
        ReviewListState.departments.length() > 0,
        rx.el.label(
            rx.el.span(t("review.department")),
            rx.el.select(
                rx.el.option(t("review.all"), value=""),
                rx.foreach(
                    ReviewListState.departments, lambda name: rx.el.option(name, value=name)
                ),
                value=_chosen["department"],
                on_change=lambda value: ReviewListState.choose("department", value),
                custom_attrs={"data-testid": "filter-department"},
            ),
            class_name="filter",
        ),
    )


def _day(name: str) -> rx.Component:
    return rx.el.label(
        rx.el.span(t(f"review.{name}")),
        rx.el.input(
            type="date",
            value=_chosen[name],
            on_change=lambda value: ReviewListState.choose(name, value),
            custom_attrs={"data-testid": f"filter-{name}"},
        ),
        class_name="filter",
    )


def _mine() -> rx.Component:
    is_on = _chosen["mine"] != ""
    return rx.el.button(
        t("review.mine"),
        type="button",
        class_name="quiet-button toggle",
        aria_pressed=is_on,
        on_click=ReviewListState.choose("mine", rx.cond(is_on, "", "yes")),
        custom_attrs={"data-testid": "filter-mine"},
    )


def _more() -> rx.Component:
    """The filters that are needed less often."""
    return rx.el.details(
        rx.el.summary(t("review.more"), custom_attrs={"data-testid": "filter-more"}),
        rx.el.div(
            _field("model", t("review.model_hint")),
            *[_choice(name) for name in ("source", "channel", "status")],
            _day("since"),
            _day("until"),
            class_name="filters",
        ),
        class_name="more",
    )


def review_filters() -> rx.Component:
    hidden = ReviewListState.mode == "pseudonymous"
    return rx.el.form(
        rx.el.div(
            _field("query", t("review.query_hint")),
            _field("user", rx.cond(hidden, t("review.code_hint"), t("review.user_hint"))),
            rx.el.button(
                rx.icon("search", size=16, aria_hidden=True),
                t("review.find"),
                type="submit",
                class_name="quiet-button with-icon",
                custom_attrs={"data-testid": "filter-find"},
            ),
            icon_button(
                "keyboard",
                t("review.keys"),
                size=18,
                class_name="wide-only",
                on_click=ReviewKeysState.toggle,
                testid="keys-help",
            ),
            class_name="filters",
        ),
        rx.el.div(
            _mine(),
            *[_choice(name) for name in ("state", "verdict", "rating")],
            _department(),
            rx.cond(
                ReviewListState.narrowed,
                rx.el.button(
                    t("review.clear"),
                    type="button",
                    class_name="text-button",
                    on_click=ReviewListState.clear,
                    custom_attrs={"data-testid": "filter-clear"},
                ),
            ),
            class_name="filters",
        ),
        _more(),
        class_name="review-filters",
        role="search",
        on_submit=ReviewListState.apply,
    )
