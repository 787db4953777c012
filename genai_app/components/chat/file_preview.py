"""The preview of a file, and the drawer with the files of a dialog. Native dialogs: the browser
keeps the focus inside, closes them by Esc and gives the focus back.

Attributes that other components set for it: `data-preview` with the id of a file and `data-page`;
`data-drawer` with the id of a drawer. A link to `#file-<id>-<page>` opens a file, too.
"""

from collections.abc import Callable
from typing import Any

import reflex as rx
from reflex_base.event import EventChain, passthrough_event_spec
from reflex_base.utils.imports import ImportDict
from reflex_base.vars import VarData
from reflex_base.vars.base import LiteralVar
from reflex_components_core.base.fragment import Fragment

from genai_app.components.chat.attachments import DIALOG_FILES_ID
from genai_app.components.files import (
    file_error,
    file_mark,
    opener,
    read_state,
    shown_state,
    thumbnail_path,
)
from genai_app.components.icon_button import icon_button
from genai_app.components.native_link import native_link
from genai_app.components.text import error_text, of_locale, t
from genai_app.state.chat.dialog_files import DialogFilesState
from genai_app.state.chat.draft_files import DraftFilesState
from genai_app.state.chat.file_preview import PreviewState
from genai_app.state.chat.shown_files import FILE_ANCHOR
from genai_app.state.file_page import PreviewPage
from genai_app.state.files import FileRow, FileWarning

PREVIEW_ID = "file-preview"
NOTHING = rx.Var("() => {}")

_OPENING = """
useEffect(() => {
  const preview = document.getElementById('%(preview)s');
  const drawer = document.getElementById('%(drawer)s');
  const click = (event) => {
    const on = (selector) => event.target.closest?.(selector);
    if (event.target === preview || event.target === drawer) return event.target.close();
    const link = on('a[href^="%(anchor)s"]'), button = on('[data-preview]');
    const [, id, page] = link
      ? /^%(anchor)s([0-9a-f-]{36})-(\\d+)$/.exec(link.getAttribute('href')) ?? []
      : button ? [, button.dataset.preview, button.dataset.page] : [];
    if (link) event.preventDefault();
    if (id) {
      if (!preview.open) preview.showModal();
      (%(open)s)(id, Number(page) || 0);
    } else if (drawer && on('[data-drawer]')) {
      drawer.showModal();
      (%(list)s)();
    }
  };
  document.addEventListener('click', click);
  return () => document.removeEventListener('click', click);
}, []);
"""


class PreviewKeeper(Fragment):
    """Opens the preview and the drawer; draws nothing."""

    def add_imports(self) -> ImportDict:
        return {"react": "useEffect"}

    def _handlers(self) -> dict[str, rx.Var]:
        """Returns what opens a file, and what lists those of the dialog."""
        nothing = passthrough_event_spec()
        return {
            "open": opening(PreviewState.open),
            "list": LiteralVar.create(EventChain.create(DialogFilesState.load, args_spec=nothing)),
        }

    def add_hooks(self) -> list[str | rx.Var]:
        props = self._handlers()
        names = {"preview": PREVIEW_ID, "drawer": DIALOG_FILES_ID, "anchor": FILE_ANCHOR}
        data = VarData.merge(*(each._get_all_var_data() for each in props.values()))
        script = _OPENING % ({name: str(each) for name, each in props.items()} | names)
        return [rx.Var(script, _var_data=data)]


def opening(handler: Any) -> rx.Var:
    """Returns the function of JavaScript that calls a handler with the id of a file and a page."""
    types = passthrough_event_spec(str, int)
    return LiteralVar.create(EventChain.create(handler, args_spec=types))


def own_content(file_id: rx.Var[str]) -> rx.Var[str]:
    """Returns the address of a file of the user's own."""
    return rx.Var.create(f"/files/{file_id}/content")


def file_preview(
    state: Any = PreviewState,
    content: Callable[[rx.Var[str]], rx.Var[str]] = own_content,
    keeper: type[PreviewKeeper] = PreviewKeeper,
) -> rx.Component:
    """The preview, on each page that lists files.

    Args:
        state: has the vars of PreviewState and its handlers.
        content: returns the address of a file.
        keeper: calls the state.
    """
    row = state.shown.file
    return rx.fragment(
        keeper.create(),
        rx.el.dialog(
            _head(row, content(row.id)),
            rx.el.div(
                rx.foreach(row.warnings, _warning),
                _body(state, content(row.id)),
                class_name="preview-body",
                custom_attrs={"data-kind": row.kind},
                tab_index=0,
                role="region",
                aria_label=t("file.content"),
            ),
            _pager(state),
            id=PREVIEW_ID,
            class_name="preview",
            aria_label=t("file.preview"),
            custom_attrs={"data-testid": "file-preview"},
        ),
    )


def _head(row: rx.Var[FileRow], content: rx.Var[str]) -> rx.Component:
    return rx.el.header(
        file_mark(row),
        rx.el.div(
            rx.cond(
                row.name != "",
                rx.el.h2(row.name, class_name="written"),
                rx.el.h2(t("file.preview")),
            ),
            rx.cond(row.id != "", rx.el.p(read_state(row), class_name="file-state")),
        ),
        rx.cond(
            row.id != "",
            native_link(
                rx.icon("download", size=17),
                href=content,
                download=True,
                class_name="icon-button",
                aria_label=t("file.download_named", name=row.name),
                title=t("export.download"),
                custom_attrs={"data-testid": "file-download"},
            ),
        ),
        icon_button(
            "x", t("file.close"), size=18, on_click=_close(PREVIEW_ID), testid="file-close"
        ),
    )


def _close(element_id: str) -> rx.Var:
    return rx.Var(f"() => document.getElementById('{element_id}').close()").to(EventChain)


def _warning(warning: rx.Var[FileWarning]) -> rx.Component:
    return rx.el.p(
        rx.icon("triangle-alert", size=16),
        rx.el.span(of_locale(warning.text)),
        class_name="note note-warning",
        custom_attrs={"data-testid": "preview-warning"},
    )


def _body(state: Any, content: rx.Var[str]) -> rx.Component:
    shown: rx.Var[PreviewPage] = state.shown
    error = rx.cond(state.error_code != "", state.error_code, shown.file.error_code)
    return rx.cond(
        error != "",
        rx.el.p(
            rx.icon("circle-alert", size=16),
            rx.el.span(file_error(error, DraftFilesState.limit_mb)),
            class_name="note note-danger",
            role="alert",
        ),
        rx.cond(
            state.loaded,
            rx.fragment(
                _picture(shown, content),
                rx.cond(shown.table.length() > 0, _table(shown), _text(shown)),
                rx.cond(shown.is_cut, rx.el.p(t("file.goes_on"), class_name="preview-more")),
            ),
            rx.el.div(
                rx.el.div(class_name="skeleton"),
                rx.el.div(class_name="skeleton"),
                class_name="skeletons",
                role="status",
                aria_label=t("admin.loading"),
            ),
        ),
    )


def _picture(shown: rx.Var[PreviewPage], content: rx.Var[str]) -> rx.Component:
    """The picture that the file or its page is, or a small one of the first page."""
    row = shown.file
    page = rx.cond(row.kind == "picture", 0, shown.page)
    alt = t("file.picture_of", name=row.name)
    return rx.cond(
        shown.has_picture,
        rx.el.img(src=f"{content}?picture={page}", alt=alt, class_name="preview-picture"),
        rx.cond(
            row.has_thumbnail & (shown.page <= 1),
            rx.el.img(src=thumbnail_path(row.id), alt=alt, class_name="preview-page"),
        ),
    )


def _text(shown: rx.Var[PreviewPage]) -> rx.Component:
    return rx.cond(
        shown.text != "",
        rx.el.pre(shown.text, class_name="preview-text written", dir="auto"),
    )


def _table(shown: rx.Var[PreviewPage]) -> rx.Component:
    def cells(row: rx.Var[list[str]], tag) -> rx.Component:
        return rx.el.tr(rx.foreach(row, lambda cell: tag(cell)))

    return rx.el.table(
        rx.el.thead(cells(shown.table[0], rx.el.th)),
        rx.el.tbody(rx.foreach(shown.table[1:], lambda row: cells(row, rx.el.td))),
        class_name="preview-table written",
    )


def _pager(state: Any) -> rx.Component:
    shown: rx.Var[PreviewPage] = state.shown
    return rx.cond(
        shown.file.pages > 1,
        rx.el.footer(
            icon_button(
                "chevron-left",
                t("file.page_before"),
                size=18,
                disabled=shown.page <= 1,
                on_click=state.turn(-1),
                testid="page-before",
            ),
            rx.el.span(
                t("file.page_of", page=shown.page, pages=shown.file.pages),
                rx.cond(
                    shown.label != "",
                    rx.el.span(shown.label, class_name="written"),
                ),
                class_name="preview-at",
                role="status",
                custom_attrs={"data-testid": "preview-page"},
            ),
            icon_button(
                "chevron-right",
                t("file.page_after"),
                size=18,
                disabled=shown.page >= shown.file.pages,
                on_click=state.turn(1),
                testid="page-after",
            ),
        ),
    )


def dialog_files() -> rx.Component:
    """The drawer with the files of all questions of the dialog."""
    return rx.el.dialog(
        rx.el.header(
            rx.el.h2(t("file.of_dialog")),
            icon_button("x", t("file.close"), size=18, on_click=_close(DIALOG_FILES_ID)),
        ),
        rx.cond(
            DialogFilesState.error_code != "",
            rx.el.p(
                error_text(DialogFilesState.error_code), class_name="note note-danger", role="alert"
            ),
        ),
        rx.cond(
            DialogFilesState.files.length() > 0,
            rx.el.ul(rx.foreach(DialogFilesState.files, _drawer_row), class_name="drawer-files"),
            rx.cond(
                DialogFilesState.loaded,
                rx.el.p(t("file.none_in_dialog"), class_name="empty"),
            ),
        ),
        id=DIALOG_FILES_ID,
        class_name="drawer",
        aria_label=t("file.of_dialog"),
        custom_attrs={"data-testid": "dialog-files"},
    )


def _drawer_row(row: rx.Var[FileRow]) -> rx.Component:
    return rx.el.li(
        file_mark(row),
        opener(row),
        rx.el.span(read_state(row), class_name="file-state"),
        key=row.id,
        class_name="file",
        custom_attrs={"data-state": shown_state(row.state)},
    )
