"""Layout of the settings page: sections, facts, a choice of two."""

import reflex as rx

from genai_app.components.text import error_text


def section(title: rx.Var[str], *children: rx.Component, hint: rx.Var[str] | None = None, **props):
    """A part of the page below a heading of its own."""
    return rx.el.section(
        rx.el.header(
            rx.el.h2(title),
            rx.el.p(hint, class_name="hint") if hint is not None else rx.fragment(),
        ),
        *children,
        **props,
    )


def fact(
    name: rx.Var[str], value: rx.Var[str] | rx.Component, *, class_name: str = ""
) -> rx.Component:
    """A name and its value, in a list of facts."""
    return rx.el.div(rx.el.dt(name), rx.el.dd(value, class_name=class_name))


def choice(
    label: rx.Var[str], *options: tuple[rx.Var[str] | str, rx.Var[bool], object], class_name=""
) -> rx.Component:
    """A choice of few: each is its label, whether it is chosen, and what chooses it."""
    return rx.el.div(
        rx.el.span(label, aria_hidden=True),
        rx.el.div(
            *[
                rx.el.button(text, type="button", aria_pressed=chosen, on_click=choose)
                for text, chosen, choose in options
            ],
            role="group",
            aria_label=label,
            class_name=f"choice {class_name}".strip(),
        ),
        class_name="choice-row",
    )


def switch(
    label: rx.Var[str], name: rx.Var[str], off: rx.Var[str], on: rx.Var[str], *, is_on, toggle
) -> rx.Component:
    """Looks as a choice of two; where there is only a way to the other one.

    Args:
        name: the thing that is on or off, read aloud by screen readers.
    """
    return rx.el.div(
        rx.el.span(label, aria_hidden=True),
        rx.el.button(
            rx.el.span(off, class_name=rx.cond(is_on, "", "chosen")),
            rx.el.span(on, class_name=rx.cond(is_on, "chosen", "")),
            type="button",
            role="switch",
            aria_checked=is_on,
            aria_label=name,
            class_name="choice",
            on_click=toggle,
        ),
        class_name="choice-row",
    )


def section_error(code: rx.Var[str]) -> rx.Component:
    """The error of this section."""
    return rx.cond(
        code != "",
        rx.el.p(
            rx.icon("circle-alert", size=16),
            rx.el.span(error_text(code)),
            class_name="note note-danger",
            role="alert",
        ),
    )
