"""Sentences inside components: both languages are in the page, the user's one is shown."""

import re

import reflex as rx

from genai_app.i18n import DEFAULT_LOCALE, LOCALES, catalogue
from genai_app.state.ui import UiState

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def t(key: str, **params: rx.Var | str) -> rx.Var[str]:
    """The sentence `key` in the language of the page, with Vars for its {placeholders}."""
    text = _filled(DEFAULT_LOCALE, key, params)
    for locale in LOCALES:
        if locale != DEFAULT_LOCALE:
            text = rx.cond(UiState.locale == locale, _filled(locale, key, params), text)
    return text


def error_text(code: rx.Var[str] | str, **params: rx.Var | str) -> rx.Var[str]:
    """The sentence for an error code that is known only in the browser."""
    keys = [key for key in catalogue(DEFAULT_LOCALE) if key.startswith("error.")]
    named = [key for key in keys if set(_PLACEHOLDER.findall(catalogue("en")[key])) <= set(params)]
    cases = [(key.removeprefix("error."), t(key, **params)) for key in named]
    return rx.match(code, *cases, t("error.internal"))


def end_text(
    code: rx.Var[str], reason: rx.Var[str], what: rx.Var[str], over_chars: rx.Var[int]
) -> rx.Var[str]:
    """The sentence for the error that an answer ended with, as exact as what is known of it."""
    too_long = [
        (what_, t(f"error.context_too_long_{what_}", over_chars=over_chars))
        for what_ in ("question", "instructions", "messages")
    ]
    because = [
        (
            code_,
            rx.cond(reason != "", t(f"error.{code_}_because", reason=reason), error_text(code_)),
        )
        for code_ in ("model_refused", "model_unknown")
    ]
    return rx.match(
        code,
        *because,
        ("context_too_long", rx.match(what, *too_long, t("error.context_too_long"))),
        error_text(code),
    )


def age_text(count: rx.Var[int], unit: rx.Var[str]) -> rx.Var[str]:
    """How long ago, as state/dates.py counts it."""
    return rx.match(
        unit,
        ("minutes", t("age.minutes", count=count)),
        ("hours", t("age.hours", count=count)),
        ("days", t("age.days", count=count)),
        t("age.moment"),
    )


def decimal(number: rx.Var[str]) -> rx.Var[str]:
    """`1.5` with the decimal mark of the page's language."""
    return number.to(str).replace(".", t("number.decimal_mark"))


def of_locale(texts: rx.Var[dict[str, str]]) -> rx.Var[str]:
    """The one of `texts` in the language of the page."""
    text = texts[DEFAULT_LOCALE]
    for locale in LOCALES:
        if locale != DEFAULT_LOCALE:
            text = rx.cond(UiState.locale == locale, texts[locale], text)
    return text


def _filled(locale: str, key: str, params: dict[str, rx.Var | str]) -> rx.Var[str] | str:
    parts = _PLACEHOLDER.split(catalogue(locale)[key])
    if len(parts) == 1:
        return parts[0]
    whole: rx.Var[str] = rx.Var.create("")
    for index, part in enumerate(parts):
        if index % 2:
            whole = whole + rx.Var.create(params[part]).to_string(use_json=False)
        elif part:
            whole = whole + part
    return whole
