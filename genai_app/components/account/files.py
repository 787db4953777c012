"""My files: a section of the settings page, with the room that they take."""

import reflex as rx

from genai_app.components.account.section import section, section_error
from genai_app.components.chat.file_preview import file_preview
from genai_app.components.confirm_question import confirm_question
from genai_app.components.files import file_mark, opener, read_state, shown_state, size_of
from genai_app.components.icon_button import icon_button
from genai_app.components.text import of_locale, t
from genai_app.state.account.files import MyFilesState
from genai_app.state.files import FileRow


def my_files() -> rx.Component:
    """The section of the settings page."""
    return section(
        t("file.mine"),
        section_error(MyFilesState.error_code),
        rx.cond(
            MyFilesState.loaded,
            rx.cond(
                MyFilesState.count > 0,
                rx.fragment(_usage(), _list()),
                rx.el.p(t("file.none"), class_name="empty"),
            ),
            rx.el.p(t("settings.loading"), class_name="empty"),
        ),
        file_preview(),
        hint=t("file.mine_hint"),
        id="files",
    )


def _usage() -> rx.Component:
    text = t(
        "file.room",
        used=size_of(MyFilesState.used, MyFilesState.used_unit),
        most=size_of(MyFilesState.most, MyFilesState.most_unit),
    )
    return rx.el.div(
        rx.el.progress(
            value=MyFilesState.percent,
            max=100,
            aria_label=t("file.room_label"),
            class_name=rx.cond(MyFilesState.percent >= 90, "usage-bar low", "usage-bar"),
        ),
        rx.el.p(text, custom_attrs={"data-testid": "files-room"}),
        class_name="usage",
    )


def _list() -> rx.Component:
    return rx.fragment(
        rx.el.ul(rx.foreach(MyFilesState.files, _row), class_name="rows"),
        rx.cond(
            MyFilesState.has_more,
            rx.el.button(
                t("nav.more"),
                type="button",
                class_name="quiet-button",
                on_click=MyFilesState.load_more,
                custom_attrs={"data-testid": "files-more"},
            ),
        ),
    )


def _row(row: rx.Var[FileRow]) -> rx.Component:
    return rx.el.li(
        file_mark(row),
        rx.el.div(
            opener(row),
            rx.el.p(
                read_state(row),
                rx.el.span(of_locale(row.made)),
                rx.cond(
                    row.dialog_id != "",
                    rx.el.a(t("file.to_dialog"), href=f"/c/{row.dialog_id}"),
                    rx.el.span(t("file.not_asked")),
                ),
                class_name="meta",
            ),
            class_name="row-text",
        ),
        icon_button(
            "trash-2",
            t("file.delete_named", name=row.name),
            on_click=MyFilesState.ask_delete(row.id),
            testid="file-delete",
        ),
        rx.cond(
            MyFilesState.deleting == row.id,
            confirm_question(
                t("file.delete_question"),
                t("nav.delete"),
                on_yes=MyFilesState.delete(row.id),
                on_cancel=MyFilesState.ask_delete(""),
                testid="file-delete-yes",
            ),
        ),
        key=row.id,
        class_name="row file-row",
        custom_attrs={"data-testid": "file-row", "data-state": shown_state(row.state)},
    )
