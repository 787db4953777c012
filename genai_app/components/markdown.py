"""Markdown of a model, the only place where it becomes elements. Raw HTML stays text, pictures are
never fetched, links open elsewhere and say nothing of where they come from.

Each is an `@rx.memo` with one string: a page that draws again does not parse again.
"""

import reflex as rx
from reflex_components_code.code import CodeBlock, Theme
from reflex_components_core.el.elements.inline import A

from genai_app.components.icon_button import icon_button
from genai_app.components.text import t


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
            class_name="code-body",
            tab_index=0,
        ),
        class_name="code",
    )


def _plain(value: rx.Var, language: rx.Var | str = "", **props: rx.Var) -> rx.Component:
    """A code block that still grows: highlighting it at every flush would cost the most of all."""
    return rx.el.div(
        rx.el.div(rx.el.span(language, class_name="code-language"), class_name="code-head"),
        rx.el.div(rx.el.pre(rx.el.code(value)), class_name="code-body", tab_index=0),
        class_name="code",
    )


def _element(tag: str):
    create = getattr(rx.el, tag)

    def build(value: rx.Var, **props: rx.Var) -> rx.Component:
        return create(value)

    return build


_TAGS = ("h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "code")
_MAP = {**{tag: _element(tag) for tag in _TAGS}, "a": _link, "img": _no_image}


def _markdown(text: rx.Var[str], pre) -> rx.Component:
    return rx.el.div(
        rx.markdown(
            text, use_raw=False, use_math=False, use_katex=False, component_map={**_MAP, "pre": pre}
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
