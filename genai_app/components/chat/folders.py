"""Folders in the sidebar: the user's own, those of API keys, and the archive."""

import reflex as rx

from genai_app.components.chat.dialog_rows import dialog_list
from genai_app.components.confirm_question import confirm_question
from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.state.chat.dialogs import DialogsState
from genai_app.state.chat.folders import FoldersState
from genai_app.state.chat.sidebar_rows import FolderRow

FOLDER_MENU_ID = "folder-actions"
MAX_NAME_CHARS = 60


def own_folders() -> rx.Component:
    return rx.cond(
        DialogsState.folders.length() > 0,
        rx.el.section(
            rx.el.h2(t("folder.title")),
            rx.el.ul(rx.foreach(DialogsState.folders, _own_folder)),
        ),
    )


def key_folders() -> rx.Component:
    """The dialogs of programs, apart from the user's own."""
    return rx.cond(
        DialogsState.key_folders.length() > 0,
        rx.el.section(
            rx.el.h2(t("nav.key_folders")),
            rx.el.ul(rx.foreach(DialogsState.key_folders, _key_folder)),
        ),
    )


def archive() -> rx.Component:
    return rx.cond(
        DialogsState.has_archive,
        rx.el.section(
            rx.el.ul(
                rx.el.li(
                    _fold_button(
                        DialogsState.archive_open,
                        rx.el.span(t("archive.title"), class_name="written"),
                        icon="archive",
                        on_click=DialogsState.toggle_archive,
                        testid="archive-list",
                    ),
                    rx.cond(
                        DialogsState.archive_open,
                        rx.fragment(
                            dialog_list(DialogsState.archive, archived=True),
                            _more(DialogsState.archive_has_more, "archive"),
                        ),
                    ),
                ),
            ),
            class_name="archive",
        ),
    )


def _fold_button(
    is_open: rx.Var[bool], *content: rx.Component, icon: str, on_click, testid: str
) -> rx.Component:
    return rx.el.button(
        rx.cond(is_open, rx.icon("chevron-down", size=14), rx.icon("chevron-right", size=14)),
        rx.icon(icon, size=15, aria_hidden=True),
        *content,
        type="button",
        class_name="fold",
        aria_expanded=is_open,
        on_click=on_click,
        custom_attrs={"data-testid": testid},
    )


def _more(has_more: rx.Var[bool], section: str) -> rx.Component:
    return rx.cond(
        has_more,
        rx.el.button(
            t("nav.more"),
            type="button",
            class_name="text-button",
            on_click=DialogsState.load_more(section),
        ),
    )


def _content(folder: rx.Var[FolderRow], section: str) -> rx.Component:
    """The dialogs of an open folder."""
    return rx.cond(
        folder.is_open,
        rx.fragment(dialog_list(folder.dialogs), _more(folder.has_more, section)),
    )


def _key_folder(folder: rx.Var[FolderRow]) -> rx.Component:
    return rx.el.li(
        _fold_button(
            folder.is_open,
            rx.el.span(folder.name, class_name="written"),
            rx.el.span(folder.count, class_name="count"),
            icon="key-round",
            on_click=DialogsState.toggle_key(folder.id),
            testid="key-folder",
        ),
        _content(folder, "key"),
        key=folder.id,
    )


def _own_folder(folder: rx.Var[FolderRow]) -> rx.Component:
    return rx.el.li(
        rx.match(
            folder.id,
            (FoldersState.renaming, _rename_form(folder)),
            (FoldersState.deleting, _delete_question(folder)),
            _folder_row(folder),
        ),
        _content(folder, "folder"),
        key=folder.id,
        custom_attrs={"data-testid": "folder-item"},
    )


def _folder_row(folder: rx.Var[FolderRow]) -> rx.Component:
    return rx.el.div(
        _fold_button(
            folder.is_open,
            rx.el.span(folder.name, class_name="written"),
            rx.el.span(folder.count, class_name="count"),
            icon="folder",
            on_click=DialogsState.toggle_folder(folder.id),
            testid="folder-fold",
        ),
        rx.el.button(
            type="button",
            class_name="icon-button dots",
            aria_label=t("folder.actions"),
            title=t("folder.actions"),
            aria_haspopup="menu",
            custom_attrs={
                "data-testid": "folder-menu",
                "popoverTarget": FOLDER_MENU_ID,
                "data-id": folder.id,
            },
        ),
        key="row",
        class_name="dialog-row",
    )


def _rename_form(folder: rx.Var[FolderRow]) -> rx.Component:
    return rx.el.form(
        rx.el.input(
            name="name",
            default_value=folder.name,
            max_length=MAX_NAME_CHARS,
            auto_focus=True,
            aria_label=t("folder.name_field"),
        ),
        icon_button("check", t("nav.save"), size=14, type="submit"),
        icon_button("x", t("nav.cancel"), size=14, on_click=FoldersState.cancel, closes=True),
        class_name="dialog-edit",
        key="rename",
        custom_attrs={"data-layer": ""},
        # not folder.id: Reflex lifts the handler of a form out of the loop
        on_submit=lambda form: FoldersState.rename(
            FoldersState.renaming, form.to(dict[str, str])["name"]
        ),
    )


def _delete_question(folder: rx.Var[FolderRow]) -> rx.Component:
    return confirm_question(
        t("folder.delete_question"),
        t("nav.yes_delete"),
        on_yes=FoldersState.delete(folder.id),
        on_cancel=FoldersState.cancel,
        testid="confirm-folder-delete",
        class_name="dialog-edit question",
        key="delete",
        custom_attrs={"data-layer": ""},
    )
