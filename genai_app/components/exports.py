"""Exports: the order form, the progress and the files. The lists update while exports are
written."""

import reflex as rx

from genai_app.components.account.section import section, section_error
from genai_app.components.admin.frame import filter_choice
from genai_app.components.icon_button import icon_button
from genai_app.components.native_link import native_link
from genai_app.components.text import decimal, error_text, of_locale, t
from genai_app.state.chat.dialog import ChatState
from genai_app.state.exports import DialogExportState, ExportRow, ExportsState

FORMAT_NAMES = (
    *(("csv", "CSV"), ("xlsx", "XLSX"), ("pdf", "PDF")),
    *(("jsonl", "JSONL"), ("json", "JSON"), ("md", "Markdown")),
)


def _format(format_: rx.Var[str]) -> rx.Var[str]:
    return rx.match(format_, *FORMAT_NAMES, format_)


def _kind(row: rx.Var[ExportRow]) -> rx.Var[str]:
    return rx.match(
        row.kind,
        ("dialogs", t("export.kind_dialogs")),
        ("verified", t("export.kind_verified")),
        ("mine", t("export.kind_mine")),
        rx.cond(row.title != "", row.title, t("nav.untitled")),
    )


def _progress(row: rx.Var[ExportRow]) -> rx.Component:
    running = row.state == "running"
    count = rx.cond(
        row.total > 0,
        t("export.rows_of", done=row.done.to_string(), total=row.total.to_string()),
        t("export.counting"),
    )
    return rx.el.div(
        rx.el.progress(
            value=row.percent,
            max=100,
            aria_label=t("export.progress_of", name=_kind(row)),
            class_name="usage-bar",
            custom_attrs={"data-testid": "export-progress"},
        ),
        rx.el.p(rx.cond(running, count, t("export.queued")), class_name="meta", role="status"),
        class_name="export-progress",
    )


def _facts(row: rx.Var[ExportRow]) -> rx.Component:
    size = rx.match(
        row.size_unit,
        ("mb", t("export.size_mb", size=decimal(row.size))),
        ("kb", t("export.size_kb", size=decimal(row.size))),
        t("export.size_b", size=row.size),
    )
    return rx.el.p(
        rx.el.span(of_locale(row.made)),
        rx.cond(row.state == "done", rx.el.span(size)),
        rx.cond(
            row.state == "done",
            rx.el.span(t("export.kept_until", date=of_locale(row.expires))),
        ),
        class_name="meta",
    )


def _download(row: rx.Var[ExportRow]) -> rx.Component:
    return native_link(
        rx.icon("download", size=15, aria_hidden=True),
        t("export.download"),
        href=f"/exports/{row.id}/file",
        download=True,
        class_name="quiet-button with-icon",
        aria_label=t("export.download_named", name=_kind(row), format=_format(row.format)),
        custom_attrs={"data-testid": "export-download"},
    )


def _cancel(row: rx.Var[ExportRow]) -> rx.Component:
    return rx.el.button(
        t("nav.cancel"),
        type="button",
        class_name="text-button",
        aria_label=t("export.cancel_named", name=_kind(row)),
        on_click=ExportsState.cancel(row.id),
        custom_attrs={"data-testid": "export-cancel"},
    )


def _remove(row: rx.Var[ExportRow]) -> rx.Component:
    return icon_button(
        "trash-2",
        t("export.remove_named", name=_kind(row)),
        on_click=ExportsState.remove(row.id),
        testid="export-remove",
    )


def _row(row: rx.Var[ExportRow]) -> rx.Component:
    under_way = (row.state == "queued") | (row.state == "running")
    return rx.el.li(
        rx.el.div(
            rx.el.p(
                rx.el.strong(_kind(row), class_name="written"),
                rx.el.code(_format(row.format)),
                rx.match(
                    row.state,
                    ("failed", rx.el.span(t("export.state_failed"), class_name="badge danger")),
                    ("cancelled", rx.el.span(t("export.state_cancelled"), class_name="badge")),
                    rx.fragment(),
                ),
                class_name="row-title",
            ),
            rx.cond(under_way, _progress(row), _facts(row)),
            rx.cond(
                row.error_code != "",
                rx.el.p(error_text(row.error_code), class_name="export-error", role="alert"),
            ),
            class_name="row-text",
        ),
        rx.cond(row.state == "done", _download(row)),
        rx.cond(under_way, _cancel(row), _remove(row)),
        key=row.id,
        class_name="row",
        custom_attrs={"data-testid": "export-row", "data-state": row.state},
    )


def _list() -> rx.Component:
    return rx.cond(
        ExportsState.exports.length() > 0,
        rx.el.ul(rx.foreach(ExportsState.exports, _row), class_name="rows"),
        rx.cond(
            ExportsState.loaded,
            rx.el.div(
                rx.icon("file-down", size=36, stroke_width=1.25, aria_hidden=True),
                rx.el.p(t("export.empty")),
                class_name="nothing",
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


def _field(name: str, label: rx.Var[str], **props) -> rx.Component:
    return rx.el.label(
        rx.el.span(label),
        rx.el.input(
            name=name,
            auto_complete="off",
            custom_attrs={"data-testid": f"export-{name}"},
            **props,
        ),
        class_name="filter",
    )


def _select(name: str, label: rx.Var[str], *options: tuple[rx.Var[str], str]) -> rx.Component:
    return rx.el.label(
        rx.el.span(label),
        rx.el.select(
            rx.el.option(t("export.any"), value=""),
            *[rx.el.option(text, value=value) for text, value in options],
            name=name,
            custom_attrs={"data-testid": f"export-{name}"},
        ),
        class_name="filter",
    )


def _filters() -> rx.Component:
    sources = (
        (t("export.source_model"), "model"),
        (t("export.source_cache"), "cache"),
        (t("export.source_verified"), "verified"),
    )
    states = (
        (t("export.review_new"), "new"),
        (t("export.review_taken"), "taken"),
        (t("export.review_judged"), "judged"),
        (t("export.review_closed"), "closed"),
    )
    return rx.el.div(
        _field("since", t("export.since"), type="date"),
        _field("until", t("export.until"), type="date"),
        rx.cond(
            ExportsState.names_hidden,
            rx.fragment(),
            _field("user", t("export.user"), max_length=64),
        ),
        _field("department", t("export.department"), max_length=200),
        _field("model", t("export.model"), max_length=200),
        _select("source", t("export.source"), *sources),
        _select("state", t("export.review_state"), *states),
        class_name="filters",
    )


def _format_choice(*formats: tuple[str, str]) -> rx.Component:
    return filter_choice(
        t("export.format"),
        ExportsState.format,
        *formats,
        on_change=ExportsState.choose_format,
        testid="export-format",
    )


def _kind_and_format(dialogs: rx.Var[bool]) -> rx.Component:
    all_formats = [(name, value) for value, name in FORMAT_NAMES[:4]]
    return rx.el.div(
        filter_choice(
            t("export.kind"),
            ExportsState.kind,
            (t("export.kind_dialogs"), "dialogs"),
            (t("export.kind_verified"), "verified"),
            on_change=ExportsState.choose_kind,
            testid="export-kind",
        ),
        rx.cond(
            dialogs,
            _format_choice(*all_formats),
            _format_choice(("JSONL", "jsonl"), ("CSV", "csv"), ("XLSX", "xlsx")),
        ),
        class_name="filters",
    )


def _with_reasoning(state: type[ExportsState | DialogExportState]) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="checkbox",
            checked=state.with_reasoning,
            on_change=state.toggle_reasoning,
            custom_attrs={"data-testid": "export-reasoning"},
        ),
        rx.el.span(t("reasoning.export")),
        class_name="check",
    )


def _order() -> rx.Component:
    dialogs = ExportsState.kind == "dialogs"
    return rx.el.form(
        _kind_and_format(dialogs),
        rx.cond(dialogs, rx.fragment(_filters(), _with_reasoning(ExportsState))),
        rx.cond(
            ExportsState.names_hidden & dialogs,
            rx.el.p(t("export.pseudonyms"), class_name="hint"),
        ),
        rx.cond(
            ExportsState.review_off & dialogs,
            rx.el.p(
                rx.icon("info", size=16),
                rx.el.span(error_text("review_off")),
                class_name="note note-warning",
            ),
        ),
        rx.el.button(
            t("export.start"),
            type="submit",
            class_name="primary-button",
            custom_attrs={"data-testid": "export-start"},
        ),
        class_name="export-form",
        on_submit=ExportsState.start,
    )


def exports_card() -> rx.Component:
    """The page for reviewers: exports of all users' dialogs and of verified answers."""
    return rx.fragment(
        section(
            t("export.new"), section_error(ExportsState.error_code), _order(), hint=t("export.hint")
        ),
        section(t("export.mine"), _list()),
    )


def my_exports() -> rx.Component:
    """The section of the settings page: an export of all of the user's own dialogs."""
    return section(
        t("export.own"),
        section_error(ExportsState.error_code),
        _with_reasoning(ExportsState),
        rx.el.button(
            rx.icon("file-down", size=15, aria_hidden=True),
            t("export.own_start"),
            type="button",
            class_name="quiet-button with-icon",
            on_click=ExportsState.start_mine,
            custom_attrs={"data-testid": "export-mine"},
        ),
        rx.cond(
            ExportsState.exports.length() > 0,
            rx.el.ul(rx.foreach(ExportsState.exports, _row), class_name="rows"),
        ),
        hint=t("export.own_hint"),
    )


def _dialog_format(value: str, name: str, about: rx.Var[str], icon: str) -> rx.Component:
    return rx.el.button(
        rx.icon(icon, size=16, aria_hidden=True),
        rx.el.span(rx.el.strong(name), rx.el.span(about)),
        type="button",
        disabled=DialogExportState.making != "",
        aria_label=t("export.dialog_as", format=name),
        on_click=DialogExportState.start(value, ""),
        custom_attrs={"data-testid": f"export-{value}"},
    )


def dialog_export() -> rx.Component:
    """The menu in the corner of the chat that saves the open dialog as a file."""
    return rx.cond(
        (ChatState.dialog_id != "") & (ChatState.messages.length() > 0),
        rx.el.details(
            rx.el.summary(
                rx.icon("download", size=18, aria_hidden=True),
                aria_label=t("export.dialog"),
                title=t("export.dialog"),
                class_name="icon-button",
                custom_attrs={"data-testid": "export-menu"},
            ),
            rx.el.div(
                rx.el.p(t("export.dialog"), class_name="menu-title"),
                _dialog_format("md", "Markdown", t("export.about_md"), "file-text"),
                _dialog_format("pdf", "PDF", t("export.about_pdf"), "file-type"),
                _dialog_format("json", "JSON", t("export.about_json"), "braces"),
                _with_reasoning(DialogExportState),
                rx.el.p(
                    rx.cond(DialogExportState.making != "", t("export.making"), ""),
                    class_name="menu-status",
                    role="status",
                ),
                rx.cond(
                    DialogExportState.error_code != "",
                    rx.el.p(
                        error_text(DialogExportState.error_code),
                        class_name="export-error",
                        role="alert",
                    ),
                ),
                class_name="menu",
            ),
            class_name="dialog-export",
            custom_attrs={"data-menu": ""},
        ),
    )
