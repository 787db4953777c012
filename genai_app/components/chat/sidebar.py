"""The user's dialogs by day, and the user's own corner."""

import reflex as rx

from genai_app.components.chat.drafts import forget
from genai_app.components.chat.search import search_field, search_results
from genai_app.components.confirm_question import confirm_question
from genai_app.components.icon_button import icon_button
from genai_app.components.native_form import native_form
from genai_app.components.text import error_text, t
from genai_app.components.theme import theme_button
from genai_app.models import Role
from genai_app.site_map import OVERVIEW, REVIEW, SETTINGS
from genai_app.state.chat.conversation import COMPOSER_ID
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.dialogs import DialogsState
from genai_app.state.chat.rows import DialogGroup, DialogRow, KeyFolderRow
from genai_app.state.chat.search import SearchState
from genai_app.state.session import SessionState
from genai_app.state.ui import UiState

MENU_ID = "menu"  # the button that opens the sidebar of a narrow screen


def _period(group: rx.Var[DialogGroup]) -> rx.Var[str]:
    periods = ("today", "yesterday", "week", "month")
    cases = [(period, t(f"period.{period}")) for period in periods]
    return rx.match(group.period, *cases, t("period.older"))


def _item(dialog: rx.Var[DialogRow]) -> rx.Component:
    title = rx.cond(dialog.title != "", dialog.title, t("nav.untitled"))
    return rx.el.li(
        rx.match(
            dialog.id,
            (DialogsState.renaming, _rename_form(dialog)),
            (DialogsState.deleting, _delete_question(dialog)),
            rx.el.div(
                _link(title, dialog),
                _action("pencil", t("nav.rename"), DialogsState.begin_rename(dialog.id), "rename"),
                _action("trash-2", t("nav.delete"), DialogsState.ask_delete(dialog.id), "delete"),
                key="row",
                class_name=rx.cond(
                    dialog.id == ChatState.dialog_id, "dialog-row current", "dialog-row"
                ),
            ),
        ),
        custom_attrs={"data-testid": "dialog-item"},
    )


def _link(title: rx.Var[str], dialog: rx.Var[DialogRow]) -> rx.Component:
    return rx.el.a(title, href=f"/c/{dialog.id}", class_name="dialog-link")


def _action(icon: str, label: rx.Var[str], handler, name: str) -> rx.Component:
    return icon_button(icon, label, size=14, on_click=handler, testid=name)


def _rename_form(dialog: rx.Var[DialogRow]) -> rx.Component:
    return rx.el.form(
        rx.el.input(
            name="title",
            default_value=dialog.title,
            max_length=200,
            auto_focus=True,
            aria_label=t("nav.title_field"),
        ),
        icon_button("check", t("nav.save"), size=14, type="submit"),
        icon_button(
            "x",
            t("nav.cancel"),
            size=14,
            on_click=DialogsState.cancel,
            testid="cancel",
            closes=True,
        ),
        class_name="dialog-edit",
        key="rename",
        custom_attrs={"data-layer": ""},
        # not dialog.id: Reflex lifts the handler of a form out of the loop
        on_submit=lambda form: DialogsState.rename(
            DialogsState.renaming, form.to(dict[str, str])["title"]
        ),
    )


def _delete_question(dialog: rx.Var[DialogRow]) -> rx.Component:
    return confirm_question(
        t("nav.delete_question"),
        t("nav.yes_delete"),
        on_yes=DialogsState.delete(dialog.id),
        on_cancel=DialogsState.cancel,
        testid="confirm-delete",
        class_name="dialog-edit",
        key="delete",
        custom_attrs={"data-layer": ""},
    )


def _group(group: rx.Var[DialogGroup]) -> rx.Component:
    return rx.el.section(
        rx.el.h2(_period(group)),
        rx.el.ul(rx.foreach(group.dialogs, _item)),
    )


def _key_folder(folder: rx.Var[KeyFolderRow]) -> rx.Component:
    is_open = folder.key_id == DialogsState.open_key
    return rx.el.li(
        rx.el.button(
            rx.cond(is_open, rx.icon("chevron-down", size=14), rx.icon("chevron-right", size=14)),
            rx.el.span(folder.name, class_name="written"),
            rx.el.span(folder.count, class_name="count"),
            type="button",
            class_name="key-folder",
            aria_expanded=is_open,
            on_click=DialogsState.toggle_key(folder.key_id),
            custom_attrs={"data-testid": "key-folder"},
        ),
        rx.cond(
            is_open,
            rx.fragment(
                rx.el.ul(rx.foreach(DialogsState.key_dialogs, _item)),
                rx.cond(
                    DialogsState.key_has_more,
                    rx.el.button(
                        t("nav.more"),
                        type="button",
                        class_name="text-button",
                        on_click=DialogsState.load_more_of_key,
                    ),
                ),
            ),
        ),
    )


def _key_folders() -> rx.Component:
    """The dialogs of programs, apart from the user's own."""
    return rx.cond(
        DialogsState.key_folders.length() > 0,
        rx.el.section(
            rx.el.h2(t("nav.key_folders")),
            rx.el.ul(rx.foreach(DialogsState.key_folders, _key_folder)),
            class_name="key-folders",
        ),
    )


def _dialogs() -> rx.Component:
    return rx.fragment(
        _key_folders(),
        rx.cond(
            DialogsState.groups.length() > 0,
            rx.foreach(DialogsState.groups, _group),
            rx.cond(
                DialogsState.loaded & (DialogsState.key_folders.length() == 0),
                rx.el.p(t("nav.empty"), class_name="empty"),
                rx.fragment(),
            ),
        ),
        rx.cond(
            DialogsState.has_more,
            rx.el.button(
                t("nav.more"),
                type="button",
                class_name="text-button",
                on_click=DialogsState.load_more,
            ),
        ),
    )


def _corner() -> rx.Component:
    return rx.el.footer(
        rx.el.a(
            rx.el.span(SessionState.full_name[:1].upper(), class_name="avatar", aria_hidden=True),
            rx.el.span(SessionState.full_name, class_name="user-name"),
            rx.el.span(", ", t("nav.settings"), class_name="visually-hidden"),
            href=SETTINGS.address,
            title=t("nav.settings"),
            class_name="user",
            custom_attrs={"data-testid": "settings-link"},
        ),
        rx.cond(
            (SessionState.role == Role.ADMIN) | (SessionState.role == Role.REVIEWER),
            rx.el.a(
                rx.icon("shield-check", size=16),
                href=rx.cond(SessionState.role == Role.ADMIN, OVERVIEW.address, REVIEW.address),
                class_name="icon-button",
                aria_label=t("nav.admin"),
                title=t("nav.admin"),
                custom_attrs={"data-testid": "admin-link"},
            ),
        ),
        preferences(),
        native_form(
            icon_button("log-out", t("nav.logout"), size=16, type="submit", testid="logout"),
            action="/logout",
            method="post",
            custom_attrs={"onSubmit": forget},
        ),
        class_name="corner",
    )


def preferences() -> rx.Component:
    """Language and theme."""
    other = rx.cond(UiState.locale == "ru", "en", "ru")
    return rx.fragment(
        rx.el.button(
            t("nav.language_short"),
            type="button",
            class_name="icon-button language",
            aria_label=t("nav.language"),
            title=t("nav.language"),
            on_click=UiState.choose_locale(other),
            custom_attrs={"data-testid": "language"},
        ),
        theme_button(),
    )


def sidebar(*, composer: bool = True) -> rx.Component:
    """`composer`: whether the page has one, that a new dialog shall begin in."""
    return rx.el.aside(
        rx.el.header(
            rx.el.span(rx.icon("sparkles", size=18), t("app.name"), class_name="brand"),
            icon_button(
                "x",
                t("nav.close"),
                size=18,
                class_name="narrow-only",
                on_click=UiState.toggle_sidebar,
                closes=True,
                custom_attrs={"data-focus": MENU_ID},
            ),
        ),
        rx.el.a(
            rx.icon("square-pen", size=16),
            t("nav.new"),
            href="/",
            on_click=rx.set_focus(COMPOSER_ID) if composer else rx.noop(),
            class_name="new-dialog",
            custom_attrs={"data-testid": "new-dialog"},
        ),
        search_field(),
        rx.cond(
            DialogsState.error_code != "",
            rx.el.p(
                error_text(DialogsState.error_code), class_name="note note-danger", role="alert"
            ),
        ),
        rx.el.nav(
            rx.cond(SearchState.query != "", search_results(), _dialogs()),
            aria_label=t("nav.dialogs"),
            custom_attrs={"data-testid": "dialog-list", "data-rove": "arrows"},
        ),
        _corner(),
        class_name=rx.cond(UiState.sidebar_open, "sidebar open", "sidebar"),
    )
