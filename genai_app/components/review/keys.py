"""The keys of the review page, which work while no field has the focus, and the help for them."""

import reflex as rx

from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.state.review.keys import KEYS, ReviewKeysState

# keys typed into a field are no commands, and Enter on a button or link activates it
_IN_FIELD = rx.Var("(document.activeElement?.matches('input, textarea, select') ?? false)").to(bool)
_ON_BUTTON = rx.Var("(document.activeElement?.matches('a, button, summary') ?? false)").to(bool)
# they are typed into the preview of a file, which Esc closes by itself
_IN_DIALOG = rx.Var("(document.querySelector('dialog[open]') !== null)").to(bool)


def _listen(key: rx.Var[str], modifiers) -> rx.event.EventSpec:
    other = modifiers["ctrl_key"] | modifiers["meta_key"] | modifiers["alt_key"]
    taken = _IN_FIELD | _IN_DIALOG | other | ((key == "Enter") & _ON_BUTTON)
    is_bound = rx.Var.create(list(KEYS)).contains(key)
    return rx.cond(~taken & is_bound, ReviewKeysState.press(key), rx.noop())


def _line(name: str, *keys: str) -> rx.Component:
    return rx.el.div(
        rx.el.dt(*[rx.el.kbd(key) for key in keys]),
        rx.el.dd(t(f"review.{name}")),
    )


def keyboard() -> rx.Component:
    return rx.fragment(
        rx.window_event_listener(on_key_down=_listen),
        rx.cond(
            ReviewKeysState.shown,
            rx.el.section(
                rx.el.header(
                    rx.el.h2(t("review.keys")),
                    icon_button("x", t("review.keys_hide"), on_click=ReviewKeysState.toggle),
                ),
                rx.el.dl(
                    _line("key_move", "J", "K", "↓", "↑"),
                    _line("key_open", "Enter"),
                    _line("key_take", "T"),
                    _line("key_judge", "1", "2", "3", "4"),
                    _line("key_note", "N"),
                    _line("key_close", "C"),
                    _line("key_back", "Esc"),
                    _line("key_help", "?"),
                ),
                class_name="shortcuts",
                custom_attrs={"data-testid": "shortcuts"},
            ),
        ),
    )
