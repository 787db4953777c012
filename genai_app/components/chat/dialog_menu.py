"""The menus of the sidebar: one for all dialogs, one for all folders. The button that opens a menu
carries the row's data; the menu has them while it is open, and its entries hand them to the
handlers. So thousands of rows need no menu each, and opening one asks nothing of the server."""

import reflex as rx
from reflex_base.utils.imports import ImportDict
from reflex_components_core.base.fragment import Fragment

from genai_app.components.chat.dialog_rows import AHEAD_PX, DIALOG_MENU_ID, LIST_ID
from genai_app.components.chat.folders import FOLDER_MENU_ID, MAX_NAME_CHARS
from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.state.chat.dialog_menu import DialogMenuState
from genai_app.state.chat.dialogs import DialogsState
from genai_app.state.chat.folders import FoldersState
from genai_app.state.chat.sidebar_rows import FolderRow
from genai_app.state.exports import DialogExportState

MOVE_MENU_ID = "move-menu"
MORE_ID = "more-dialogs"

_MENUS = """
useEffect(() => {
  const entries = (menu) =>
    [...menu.querySelectorAll('button, input')].filter((each) => each.checkVisibility());
  const close = () =>
    document.querySelectorAll('.row-menu:popover-open').forEach((menu) => menu.hidePopover());
  const room = 8;
  const stand = (menu, top, left) => {  // within the window
    const most = { top: innerHeight - menu.offsetHeight, left: innerWidth - menu.offsetWidth };
    menu.style.insetBlockStart = `${Math.max(room, Math.min(top, most.top - room))}px`;
    menu.style.insetInlineStart = `${Math.max(room, Math.min(left, most.left - room))}px`;
  };
  const standAt = (menu, button) => {  // below the button, or above it where there is no room
    const box = button.getBoundingClientRect(), height = menu.offsetHeight + 4;
    const fits = box.bottom + height + room <= innerHeight;
    stand(menu, fits ? box.bottom + 4 : box.top - height, box.left);
  };
  const standBeside = (menu, other) => {  // or over it where there is no room
    const box = other.getBoundingClientRect();
    const fits = box.right + 4 + menu.offsetWidth + room <= innerWidth;
    stand(menu, box.top, fits ? box.right + 4 : box.left);
  };
  const fill = (event) => {  // before the browser opens the menu
    const button = event.target.closest?.('[popovertarget][data-id]');
    const menu = button && document.getElementById(button.getAttribute('popovertarget'));
    if (!menu) return;
    for (const name of ['id', 'folder', 'pinned', 'archived'])
      menu.dataset[name] = button.dataset[name] ?? '';
    menu.opener = button;
  };
  const opened = (event) => {
    const menu = event.target;
    if (!menu.matches?.('.row-menu')) return;
    if (event.newState !== 'open') {  // the browser gives the focus back of the outer menu alone
      const above = document.querySelector(`.row-menu:popover-open [popovertarget=${menu.id}]`);
      if (document.activeElement === document.body) (above ?? menu.opener)?.focus();
      return;
    }
    const outer = document.getElementById('%(dialog)s');
    if (menu.id !== '%(move)s') standAt(menu, menu.opener);
    else {
      standBeside(menu, outer);
      for (const each of menu.querySelectorAll('[data-folder-id]'))
        each.setAttribute('aria-pressed', each.dataset.folderId === outer.dataset.folder);
    }
    // the event is late: somebody may be in the menu already, and type
    if (!menu.contains(document.activeElement)) entries(menu)[0]?.focus();
  };
  const chosen = (event) => { if (event.target.closest?.('.row-menu [data-closes]')) close(); };
  const submitted = (event) => { if (event.target.closest?.('.row-menu')) close(); };
  const arrows = (event) => {
    const menu = event.target.closest?.('.row-menu');
    const key = event.key;
    if (!menu || !['ArrowDown', 'ArrowUp', 'Home', 'End'].includes(key)) return;
    if (event.target.matches('input') && key !== 'ArrowDown' && key !== 'ArrowUp') return;
    const all = entries(menu), count = all.length, at = all.indexOf(document.activeElement);
    const next = {ArrowDown: at + 1, ArrowUp: at - 1 + count, Home: 0, End: count - 1}[key];
    event.preventDefault();
    all[next %% count]?.focus();
  };
  const scrolled = (event) => { if (event.target.id === '%(list)s') close(); };
  const listeners = [['click', fill, true], ['toggle', opened, true], ['click', chosen, false],
    ['submit', submitted, false], ['keydown', arrows, false], ['scroll', scrolled, true]];
  for (const each of listeners) document.addEventListener(...each);
  return () => { for (const each of listeners) document.removeEventListener(...each); };
}, []);
"""
_MORE = """
useEffect(() => {  // more dialogs are loaded before their place comes into sight
  const list = document.getElementById('%(list)s'), more = document.getElementById('%(more)s');
  if (!list || !more) return;
  const sight = new IntersectionObserver((entries) => {
    if (entries.at(-1).isIntersecting) { sight.disconnect(); more.click(); }
  }, { root: list, rootMargin: '0px 0px %(ahead)dpx 0px' });
  sight.observe(more);
  return () => sight.disconnect();
}, [%(count)s, %(has_more)s]);
"""
_NAMES = {
    "dialog": DIALOG_MENU_ID,
    "move": MOVE_MENU_ID,
    "list": LIST_ID,
    "more": MORE_ID,
    "ahead": AHEAD_PX,
}


class MenuKeeper(Fragment):
    """Opens the menus at their buttons, and loads more dialogs while the list is scrolled; draws
    nothing."""

    count: rx.Var[int]
    has_more: rx.Var[bool]

    def add_imports(self) -> ImportDict:
        return {"react": "useEffect"}

    def add_hooks(self) -> list[str | rx.Var]:
        shown = {"count": str(self.count), "has_more": str(self.has_more)}
        data = self.count._get_all_var_data()
        return [rx.Var(_MENUS % _NAMES), rx.Var(_MORE % (_NAMES | shown), _var_data=data)]

    def _exclude_props(self) -> list[str]:
        return ["count", "has_more"]


def sidebar_menus() -> rx.Component:
    return rx.fragment(
        MenuKeeper.create(count=DialogsState.count, has_more=DialogsState.has_more),
        _dialog_menu(),
        _move_menu(),
        _folder_menu(),
    )


def _data(menu_id: str, name: str) -> rx.Var[str]:
    """Returns what an open menu knows of its row."""
    return rx.Var(f"document.getElementById('{menu_id}').dataset.{name}").to(str)


_DIALOG = _data(DIALOG_MENU_ID, "id")
_FOLDER = _data(FOLDER_MENU_ID, "id")


def _entry(icon: str, label: rx.Var[str], handler, testid: str, class_name: str = ""):
    return rx.el.button(
        rx.icon(icon, size=16, aria_hidden=True),
        label,
        type="button",
        role="menuitem",
        class_name=class_name,
        on_click=handler,
        custom_attrs={"data-testid": testid, "data-closes": ""},
    )


def _menu(menu_id: str, label: rx.Var[str], *entries: rx.Component, role: str = "menu"):
    return rx.el.div(
        *entries,
        id=menu_id,
        role=role,
        aria_label=label,
        class_name="row-menu",
        custom_attrs={"popover": "auto"},
    )


def _dialog_menu() -> rx.Component:
    menu = DialogMenuState
    return _menu(
        DIALOG_MENU_ID,
        t("nav.dialog_actions"),
        _entry("pencil", t("nav.rename"), DialogsState.begin_rename(_DIALOG), "rename"),
        _entry("pin", t("menu.pin"), menu.pin(_DIALOG, True), "pin", "if-listed if-unpinned"),
        _entry(
            "pin-off", t("menu.unpin"), menu.pin(_DIALOG, False), "unpin", "if-listed if-pinned"
        ),
        rx.el.button(
            rx.icon("folder", size=16, aria_hidden=True),
            t("menu.folder"),
            rx.icon("chevron-right", size=14, aria_hidden=True, class_name="end"),
            type="button",
            role="menuitem",
            class_name="if-listed",
            aria_haspopup="dialog",
            custom_attrs={"popoverTarget": MOVE_MENU_ID, "data-testid": "folder"},
        ),
        _entry("download", t("menu.export"), DialogExportState.start("pdf", _DIALOG), "export"),
        _entry("archive", t("menu.archive"), menu.archive(_DIALOG, True), "archive", "if-listed"),
        _entry(
            "archive-restore",
            t("menu.unarchive"),
            menu.archive(_DIALOG, False),
            "unarchive",
            "if-archived",
        ),
        _entry("trash-2", t("nav.delete"), DialogsState.delete(_DIALOG), "delete", "danger"),
    )


def _move_menu() -> rx.Component:
    """The folders to choose from; opens in place of the dialog's menu, which stays open below."""
    return _menu(
        MOVE_MENU_ID,
        t("menu.folder"),
        rx.el.div(
            rx.foreach(DialogsState.folders, _move_entry),
            _plain_entry(
                "folder-minus",
                t("menu.no_folder"),
                DialogMenuState.move(_DIALOG, ""),
                testid="no-folder",
                class_name="if-in-folder",
            ),
            class_name="menu-list",
        ),
        rx.el.form(
            rx.icon("folder-plus", size=16, aria_hidden=True),
            rx.el.input(
                name="name",
                required=True,
                max_length=MAX_NAME_CHARS,
                placeholder=t("menu.new_folder"),
                aria_label=t("menu.new_folder_name"),
                auto_complete="off",
                custom_attrs={"data-testid": "new-folder"},
            ),
            icon_button("check", t("menu.create_folder"), size=14, type="submit"),
            class_name="new-folder",
            reset_on_submit=True,
            on_submit=lambda form: DialogMenuState.move_to_new(
                _DIALOG, form.to(dict[str, str])["name"]
            ),
        ),
        role="dialog",
    )


def _plain_entry(
    icon: str, label: rx.Var[str], handler, *, testid: str, class_name: str = "", **attrs
) -> rx.Component:
    return rx.el.button(
        rx.icon(icon, size=16, aria_hidden=True),
        rx.el.span(label, class_name="written" if attrs else ""),
        type="button",
        class_name=class_name,
        on_click=handler,
        custom_attrs={"data-testid": testid, "data-closes": "", **attrs},
    )


def _move_entry(folder: rx.Var[FolderRow]) -> rx.Component:
    return _plain_entry(
        "folder",
        folder.name,
        DialogMenuState.move(_DIALOG, folder.id),
        testid="folder-option",
        **{"data-folder-id": folder.id},
    )


def _folder_menu() -> rx.Component:
    return _menu(
        FOLDER_MENU_ID,
        t("folder.actions"),
        _entry("pencil", t("nav.rename"), FoldersState.begin_rename(_FOLDER), "folder-rename"),
        _entry(
            "trash-2", t("nav.delete"), FoldersState.ask_delete(_FOLDER), "folder-delete", "danger"
        ),
    )
