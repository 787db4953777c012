"""Markdown of a model, the only place where it becomes elements. Raw HTML stays text, pictures are
never fetched, links open elsewhere and say nothing of where they come from.

What comes here went through markdown/guard.py. Should a text still break the renderer, that text
alone is shown as it was written.

Each is an `@rx.memo` with one string: a page that draws again does not parse again.
"""

from typing import Any

import reflex as rx
from reflex_base.components.tags import Tag
from reflex_base.utils.imports import ImportDict
from reflex_components_core.base.error_boundary import ErrorBoundary
from reflex_components_core.base.fragment import Fragment
from reflex_components_core.el.elements.inline import A
from reflex_components_markdown.markdown import Markdown

from genai_app.components.chat.code import code_block, growing_code
from genai_app.components.chat.formula import formula
from genai_app.components.chat.tools import SCRIPT, copy_table, save_table
from genai_app.components.text import t
from genai_app.markdown.formulas import DISPLAY, INLINE
from genai_app.state.chat.shown_files import FILE_ANCHOR

# HTML is no syntax of ours: a tag is text like any other, also for the parser
_NO_HTML = rx.Var(
    "function () { const data = this.data();"
    " (data.micromarkExtensions ||= []).push({disable: {null: ['htmlFlow', 'htmlText']}}); }"
)
# `~` is a sign for "about"; two of them strike a text out
_GFM = (rx.markdown.plugin.gfm, {"singleTilde": False})
# a line that was ended is ended here too
_BREAKS = rx.markdown.plugin("remark-breaks@4.0.0", "remarkBreaks")


class _TextBoundary(ErrorBoundary):
    """Shows a fallback in place of what cannot be rendered, until the text changes."""

    reset_keys: rx.Var[list[str]]


class _NotesHeading(Fragment):
    """Knows an id for the heading of footnotes; the parser has one for those of all texts."""

    def add_imports(self) -> ImportDict:
        return {"react": "useId"}

    def add_hooks(self) -> list[str | rx.Var]:
        return ["const notesHeading = useId();"]


def _with_props(element: rx.Component, *others: str) -> rx.Component:
    """Returns an element with the properties that the parser gives, and others in their place."""
    names = ["props", *(f"({other})" for other in others)]
    return _NotesHeading.create(element.set(special_props=[rx.Var(name) for name in names]))


def _link(value: rx.Var, **props: rx.Var) -> rx.Component:
    """Opens elsewhere; a footnote's leads to its place in the page (components/focus.py), and one
    to a file opens it (file_preview.py)."""
    # not rx.el.a: that is the router's link, which knows no href from Markdown
    link = A.create(value, rel="noopener noreferrer nofollow")
    return _with_props(
        link,
        "props.href?.startsWith('#') ? {'data-skip': props.href.slice(1)} : {target: '_blank'}",
        f"props.href?.startsWith('{FILE_ANCHOR}') ? {{'data-testid': 'citation'}} : {{}}",
        "props['aria-describedby'] ? {'aria-describedby': notesHeading} : {}",
    )


def _image(value: rx.Var, **props: rx.Var) -> rx.Component:
    """Shows a picture as its alternative text: it would be fetched from a foreign server."""
    return rx.fragment(
        rx.el.span(rx.Var("props.alt", _var_type=str), class_name="picture-text", dir="auto")
    )


def _inline_code(value: rx.Var, **props: rx.Var) -> rx.Component:
    text = value.to(str)
    return rx.cond(
        text.startswith(INLINE) | text.startswith(DISPLAY),
        formula(source=text),
        rx.el.code(value),
    )


def _element(tag: str, **attributes):
    create = getattr(rx.el, tag)

    def build(value: rx.Var, **props: rx.Var) -> rx.Component:
        return create(value, **attributes)

    return build


def _table(value: rx.Var, **props: rx.Var) -> rx.Component:
    """Scrolls by itself, by keyboard too, where it is wider than the answer."""
    return rx.el.div(
        rx.el.div(
            rx.el.table(value),
            class_name="markdown-table",
            role="region",
            aria_label=t("chat.table"),
            tab_index=0,
        ),
        rx.el.div(copy_table(), save_table(), class_name="table-foot"),
        class_name="table",
    )


def _check_box(value: rx.Var, **props: rx.Var) -> rx.Component:
    """Of a list of tasks: it shows what was written, and cannot be set."""
    return rx.el.input(**{**props, "aria_label": t("chat.task")})


def _heading(level: int):
    """Of the third level for whoever listens, below the page and the message, however the model
    counts; `level` is what is seen."""

    def build(value: rx.Var, **props: rx.Var) -> rx.Component:
        heading = rx.el.h3(value, dir="auto")
        of_notes = "props.id ? {id: notesHeading} : {}"
        return _with_props(heading, f"{{className: 'h{level}'}}", of_notes)

    return build


_MAP = {
    **{tag: _element(tag) for tag in ("ul", "ol")},
    **{tag: _element(tag, dir="auto") for tag in ("p", "td", "th")},
    # a footnote's gets the focus of its link
    "li": _element("li", dir="auto", tab_index=rx.Var("(props.id ? -1 : undefined)")),
    **{f"h{level}": _heading(level) for level in range(1, 7)},
    "a": _link,
    "code": _inline_code,
    "img": _image,
    "table": _table,
    "input": _check_box,
}


# The map of components is made anew for each drawing. React takes another function for another
# component, and would throw the growing block away with each word that comes.
_SAME = """
const useSameComponents = (map) => {
  const newest = useRef(map);
  newest.current = map;
  const [same] = useState(() => Object.fromEntries(
    Object.keys(map).map((tag) => [tag, (props) => newest.current[tag](props)])));
  return same;
};
"""


class _Markdown(Markdown):
    """With footnotes in the language of the page, whose ids are those of no other text."""

    remark_rehype_options: rx.Var[dict]

    def add_imports(self) -> list[ImportDict]:
        return [*super().add_imports(), {"react": ["useId", "useRef", "useState"]}]

    def add_hooks(self) -> list[str | rx.Var]:
        return ["const notesId = useId();"]

    def add_custom_code(self) -> list[str]:
        return [SCRIPT, _SAME]  # of what stands in the map of components only hooks are taken

    def _render(self, props: dict[str, Any] | None = None) -> Tag:
        tag = super()._render()
        return tag.add_props(components=rx.Var(f"useSameComponents({tag.props['components']!s})"))


_NOTES = rx.Var.create(
    {
        "clobberPrefix": rx.Var("notesId + '-'", _var_type=str),
        "footnoteLabel": t("markdown.notes"),
        "footnoteBackLabel": t("markdown.to_text"),
    }
)


def plain_text(text: rx.Var[str]) -> rx.Component:
    """Text as it was written."""
    return rx.el.pre(text, class_name="plain-text")


def _markdown(text: rx.Var[str], pre) -> rx.Component:
    return rx.el.div(
        _TextBoundary.create(
            _Markdown.create(
                text,
                remark_plugins=[_GFM, _BREAKS, _NO_HTML],
                remark_rehype_options=_NOTES,
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
    return _markdown(text, code_block)


@rx.memo
def markdown_tail(text: rx.Var[str]) -> rx.Component:
    """Markdown that is still being written."""
    return _markdown(text, growing_code)


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
