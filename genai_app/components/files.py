"""The look of a file: its mark, its name, its size and what became of it."""

import reflex as rx

from genai_app.components.text import decimal, of_locale, t
from genai_app.state.chat.shown_files import FileUseRow
from genai_app.state.files import GONE, FileRow

UNDER_WAY = ("queued", "running")
_MARKS = (
    *(("pdf", "file-text"), ("document", "file-text"), ("text", "file-text")),
    *(("sheets", "file-spreadsheet"), ("table", "file-spreadsheet")),
    *(("slides", "presentation"), ("mail", "mail"), ("web", "globe")),
    *(("code", "file-code"), ("picture", "image")),
)
# the errors of files only: a chip need not know all sentences of the product
_CODES = (
    *("file_encrypted", "file_empty", "file_no_text", "file_unsupported", "file_damaged"),
    *(
        "file_bomb",
        "file_too_large",
        "file_lost",
        "file_failed",
        "file_broken",
        "file_gone",
        "reveal_first",
        "files_no_space",
    ),
)


def file_mark(row: rx.Var[FileRow]) -> rx.Component:
    """The picture in small, or the sign of the file's kind."""
    return rx.el.span(
        rx.cond(
            row.has_thumbnail & (row.kind == "picture"),
            rx.el.img(src=thumbnail_path(row.id), alt="", loading="lazy"),
            kind_mark(row.kind),
        ),
        class_name="file-mark",
        aria_hidden=True,
        custom_attrs={"data-kind": row.kind},
    )


def kind_mark(kind: rx.Var[str], *, size: int = 18) -> rx.Component:
    return rx.match(
        kind,
        *((each, rx.icon(icon, size=size)) for each, icon in _MARKS),
        rx.icon("file", size=size),
    )


def thumbnail_path(file_id: rx.Var[str]) -> rx.Var[str]:
    return f"/files/{file_id}/content?thumbnail=true"


def file_name(row: rx.Var[FileRow]) -> rx.Component:
    """The name; a narrow box leaves out its middle."""
    return rx.fragment(
        rx.el.span(row.head, class_name="file-head"), rx.el.span(row.tail, class_name="file-tail")
    )


def size_of(number: rx.Var[str], unit: rx.Var[str]) -> rx.Var[str]:
    return rx.match(
        unit,
        ("gb", t("file.size_gb", size=decimal(number))),
        ("mb", t("export.size_mb", size=decimal(number))),
        ("kb", t("export.size_kb", size=decimal(number))),
        t("export.size_b", size=number),
    )


def opener(row: rx.Var[FileRow], *, page: rx.Var[int] | int = 0) -> rx.Component:
    """The name as the button that opens the preview."""
    return rx.el.button(
        file_name(row),
        type="button",
        class_name="file-name written",
        title=row.name,
        aria_label=t("file.open_named", name=row.name),
        custom_attrs={"data-preview": row.id, "data-page": page, "data-testid": "file-open"},
    )


def shown_state(state: rx.Var[str]) -> rx.Var[str]:
    """The state as its user and the API name it."""
    return rx.match(state, ("running", "reading"), ("done", "ready"), state)


def file_error(code: rx.Var[str], limit_mb: rx.Var[int]) -> rx.Var[str]:
    """The sentence for the error of one file."""
    named = [(code_, t(f"error.{code_}")) for code_ in _CODES]
    too_large = t("error.file_too_large_mb", limit_mb=limit_mb)
    return rx.match(code, *named, ("file_over_limit", too_large), t("error.file_failed"))


def read_state(row: rx.Var[FileRow], *, warned: bool = False) -> rx.Component:
    """How far the server is with a file; of one that is read its size and extent, and with `warned`
    that there is something to look at."""
    return rx.match(
        row.state,
        ("queued", rx.el.span(t("file.queued"))),
        ("running", rx.el.span(t("file.reading"))),
        ("failed", rx.el.span(t("file.unreadable"), class_name="file-bad")),
        (GONE, rx.el.span(t("file.gone"))),
        _facts(row, warned),
    )


def _facts(row: rx.Var[FileRow], warned: bool) -> rx.Component:
    """`1,2 МБ · 14 стр.`"""
    extent = of_locale(row.extent)
    return rx.fragment(
        rx.el.span(size_of(row.size, row.size_unit)),
        rx.cond(extent != "", rx.el.span(extent)),
        rx.cond(
            row.warnings.length() > 0,
            rx.el.span(
                rx.icon("triangle-alert", size=12, aria_hidden=True),
                rx.el.span(t("file.look")),
                class_name="file-warned",
            ),
        )
        if warned
        else rx.fragment(),
    )


def used_files(rows: rx.Var[list[FileUseRow]]) -> rx.Component:
    """The files that an answer was made with; each opens where it was used."""
    return rx.cond(
        rows.length() > 0,
        rx.el.ul(rx.foreach(rows, _used_file), class_name="used-files", aria_label=t("file.used")),
    )


def _used_file(row: rx.Var[FileUseRow]) -> rx.Component:
    extent = of_locale(row.text)
    label = (
        kind_mark(row.kind, size=14),
        rx.cond(extent != "", rx.el.span(extent), rx.fragment(rx.el.span(row.head + row.tail))),
    )
    return rx.el.li(
        rx.cond(
            row.how == "deleted",
            rx.el.span(*label),
            rx.el.button(
                *label,
                type="button",
                custom_attrs={"data-preview": row.id, "data-page": row.page},
            ),
        ),
        key=row.id,
        class_name="used-file written",
        custom_attrs={"data-testid": "source-card"},
    )


def message_files(rows: rx.Var[list[FileRow]]) -> rx.Component:
    """The files of a question."""
    return rx.cond(
        rows.length() > 0,
        rx.el.ul(
            rx.foreach(rows, _message_file), class_name="files", aria_label=t("file.of_question")
        ),
    )


def _message_file(row: rx.Var[FileRow]) -> rx.Component:
    return rx.el.li(
        file_mark(row),
        rx.cond(
            row.state == GONE,
            rx.el.span(file_name(row), class_name="file-name written", title=row.name),
            opener(row),
        ),
        rx.el.span(read_state(row), class_name="file-state"),
        key=row.id,
        class_name="file",
        custom_attrs={"data-testid": "attachment", "data-state": shown_state(row.state)},
    )
