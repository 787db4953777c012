"""A block of code with its tools. Long code is folded, and its head stays in sight."""

import reflex as rx
from reflex_components_code.code import CodeBlock, Theme

from genai_app.components.chat.diagram import LANGUAGE as MERMAID
from genai_app.components.chat.diagram import diagram
from genai_app.components.chat.formula import formula
from genai_app.components.chat.tools import copy_code, save_code, unfold_code, wrap_code
from genai_app.components.text import t
from genai_app.markdown.formulas import DISPLAY
from genai_app.markdown.guard import HIGHLIGHTED_CHARS, PLAIN
from genai_app.markdown.paragraphs import MAX_FORMULA

LAID_OUT_CHARS = 20_000
FOLDED_LINES = 40
MATH = "math"


def code_block(value: rx.Var, language: rx.Var | str = "log", **props: rx.Var) -> rx.Component:
    """Finished code, in colours; a formula or a diagram where it is the code of one."""
    text = value.to(str)
    return rx.cond(
        (language == MATH) & (text.length() <= MAX_FORMULA),
        rx.el.div(formula(source=rx.Var.create(f"{DISPLAY}$$") + text + "$$")),
        _finished(text, language),
    )


def _finished(text: rx.Var[str], language: rx.Var | str) -> rx.Component:
    lines = text.split("\n").length()
    return rx.el.div(
        rx.el.div(
            rx.el.span(language, class_name="code-language"),
            wrap_code(),
            copy_code(text),
            save_code(text, rx.Var.create(language)),
            class_name="code-head",
        ),
        rx.cond(language == MERMAID, diagram(code=text)),
        rx.el.div(
            rx.cond(
                (language == PLAIN) | (text.length() > HIGHLIGHTED_CHARS),
                _beginning(text),
                CodeBlock.create(
                    text,
                    language=language,
                    theme=rx.color_mode_cond(Theme.coldark_cold, Theme.coldark_dark),
                    custom_style={
                        "background": "transparent",
                        "margin": "0",
                        "padding": "0.75rem 1rem",
                    },
                ),
            ),
            class_name="code-body",
            tab_index=0,
            role="region",
            aria_label=t("tool.code"),
        ),
        rx.cond(lines > FOLDED_LINES, unfold_code(lines)),
        class_name=_code_class(language),
    )


def growing_code(value: rx.Var, language: rx.Var | str = "", **props: rx.Var) -> rx.Component:
    """A code block that still grows: highlighting it at every flush would cost the most of all."""
    return rx.el.div(
        rx.el.div(rx.el.span(language, class_name="code-language"), class_name="code-head"),
        rx.el.div(_beginning(value), class_name="code-body", tab_index=0),
        class_name=_code_class(language),
    )


def _beginning(value: rx.Var) -> rx.Component:
    """Code without colours. Laying out a line of 100 kB takes a browser half a second; what is not
    laid out can still be copied."""
    text = value.to(str)
    return rx.el.pre(
        rx.el.code(
            rx.cond(
                text.length() > LAID_OUT_CHARS,
                rx.fragment(
                    text[:LAID_OUT_CHARS],
                    rx.el.span(text[LAID_OUT_CHARS:], class_name="code-rest"),
                ),
                text,
            )
        )
    )


def _code_class(language: rx.Var | str) -> rx.Var[str]:
    return rx.cond(language == PLAIN, "code code-plain", "code")
