"""Markdown of a model, the only place where it becomes elements. Raw HTML stays text, pictures are
never fetched, links open elsewhere and say nothing of where they come from.

What comes here went through markdown/guard.py. Should a text still break the renderer, that text
alone is shown as it was written.

Each is an `@rx.memo` with one string: a page that draws again does not parse again.
"""

import reflex as rx
from reflex_components_code.code import CodeBlock, Theme
from reflex_components_core.base.error_boundary import ErrorBoundary
from reflex_components_core.el.elements.inline import A

from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.markdown.guard import HIGHLIGHTED_CHARS, PLAIN

# HTML is no syntax of ours: a tag is text like any other, also for the parser
_NO_HTML = rx.Var(
    "function () { const data = this.data();"
    " (data.micromarkExtensions ||= []).push({disable: {null: ['htmlFlow', 'htmlText']}}); }"
)

LAID_OUT_CHARS = 20_000


class _TextBoundary(ErrorBoundary):
    """Shows a fallback in place of what cannot be rendered, until the text changes."""

    reset_keys: rx.Var[list[str]]


def _link(value: rx.Var, **props: rx.Var) -> rx.Component:
    # not rx.el.a: that is the router's link, which knows no href from Markdown
    return A.create(value, target="_blank", rel="noopener noreferrer nofollow", **props)


def _no_image(value: rx.Var, **props: rx.Var) -> rx.Component:
    return rx.fragment()


def _highlighted(value: rx.Var, language: rx.Var | str = "log", **props: rx.Var) -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.el.span(language, class_name="code-language"),
            icon_button("copy", t("chat.copy_code"), size=14, on_click=rx.set_clipboard(value)),
            class_name="code-head",
        ),
        rx.el.div(
            rx.cond(
                (language == PLAIN) | (value.to(str).length() > HIGHLIGHTED_CHARS),
                _beginning(value),
                CodeBlock.create(
                    value,
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
        ),
        class_name=_code_class(language),
    )


def _beginning(value: rx.Var) -> rx.Component:
    """Code without colours. Laying out a line of 100 kB takes a browser half a second."""
    text = value.to(str)
    return rx.el.pre(
        rx.el.code(rx.cond(text.length() > LAID_OUT_CHARS, text[:LAID_OUT_CHARS] + " …", text))
    )


def _code_class(language: rx.Var | str) -> rx.Var[str]:
    return rx.cond(language == PLAIN, "code code-plain", "code")


def _plain(value: rx.Var, language: rx.Var | str = "", **props: rx.Var) -> rx.Component:
    """A code block that still grows: highlighting it at every flush would cost the most of all."""
    return rx.el.div(
        rx.el.div(rx.el.span(language, class_name="code-language"), class_name="code-head"),
        rx.el.div(_beginning(value), class_name="code-body", tab_index=0),
        class_name=_code_class(language),
    )


def _element(tag: str):
    create = getattr(rx.el, tag)

    def build(value: rx.Var, **props: rx.Var) -> rx.Component:
        return create(value)

    return build


def _table(value: rx.Var, **props: rx.Var) -> rx.Component:
    """Scrolls by itself, by keyboard too, where it is wider than the answer."""
    return rx.el.div(
        rx.el.table(value),
        class_name="markdown-table",
        role="region",
        aria_label=t("chat.table"),
        tab_index=0,
    )


def _check_box(value: rx.Var, **props: rx.Var) -> rx.Component:
    """Of a list of tasks: it shows what was written, and cannot be set."""
    return rx.el.input(**{**props, "aria_label": t("chat.task")})


def _heading(level: int):
    """Of the third level for whoever listens, below the page and the message, however the model
    counts; `level` is what is seen."""

    def build(value: rx.Var, **props: rx.Var) -> rx.Component:
        return rx.el.h3(value, class_name=f"h{level}")

    return build


_TAGS = ("p", "ul", "ol", "li", "code")
_MAP = {
    **{tag: _element(tag) for tag in _TAGS},
    **{f"h{level}": _heading(level) for level in range(1, 7)},
    "a": _link,
    "img": _no_image,
    "table": _table,
    "input": _check_box,
}


def plain_text(text: rx.Var[str]) -> rx.Component:
    """Text as it was written."""
    return rx.el.pre(text, class_name="plain-text")


def _markdown(text: rx.Var[str], pre) -> rx.Component:
    return rx.el.div(
        _TextBoundary.create(
            rx.markdown(
                text,
                use_raw=False,
                use_math=False,
                use_katex=False,
                remark_plugins=[_NO_HTML],
                component_map={**_MAP, "pre": pre},
            ),
            fallback_render=rx.Var.create(plain_text(text)),
            reset_keys=[text],
        ),
        class_name="markdown",
    )


@rx.memo
def markdown_block(text: rx.Var[str]) -> rx.Component:
    """Finished Markdown."""
    return _markdown(text, _highlighted)


@rx.memo
def markdown_tail(text: rx.Var[str]) -> rx.Component:
    """Markdown that is still being written."""
    return _markdown(text, _plain)


def answer_text(text: rx.Var[str], shown: rx.Var[str], left_plain: rx.Var[bool]) -> rx.Component:
    """A finished answer.

    Args:
        text: as it was written.
        shown: what is rendered in its place; "" for the text itself.
        left_plain: a part of it was too complex to be formatted.
    """
    return rx.fragment(
        markdown_block(text=rx.cond(shown != "", shown, text)),
        rx.cond(
            left_plain,
            rx.el.div(
                rx.el.p(
                    rx.icon("info", size=15, aria_hidden=True),
                    rx.el.span(t("chat.left_plain")),
                    class_name="note",
                    custom_attrs={"data-testid": "left-plain"},
                ),
                rx.el.details(
                    rx.el.summary(t("chat.source_text")),
                    plain_text(text),
                    custom_attrs={"data-testid": "source-text"},
                ),
                class_name="left-plain",
            ),
        ),
    )
