"""Dialogs in the sidebar: a row with its link and its menu button, or the form that renames it.

A list is drawn again only when its own rows change, or the dialog on the screen, or the dialog that
is being renamed. A part of the dialogs by day that is far from the screen is an empty box of its
height. So thousands of rows cost nothing.
"""

import reflex as rx
from reflex_base.utils.imports import ImportDict
from reflex_base.vars import VarData
from reflex_components_core.base.fragment import Fragment

from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.dialogs import DialogsState
from genai_app.state.chat.sidebar_rows import DialogGroup, DialogRow

LIST_ID = "dialog-list"
DIALOG_MENU_ID = "dialog-menu"
AHEAD_PX = 600  # a part is drawn this long before it comes into sight
ROW_PX = 35  # its height, until it was drawn once
PERIODS = ("today", "yesterday", "week", "month")


def dialog_list(
    rows: rx.Var[list[DialogRow]], *, pinned: bool = False, archived: bool = False
) -> rx.Component:
    """The dialogs of one section. `pinned`, `archived`: it is that section."""
    return _dialogs(rows=rows, pinned=pinned, archived=archived, **_shared())


def dialogs_by_day(groups: rx.Var[list[DialogGroup]], name: str) -> rx.Component:
    """The part `name` of the dialogs by day."""
    return _days(groups=groups, name=name, **_shared())


_SIGHT = """
const [near, setNear] = useState(%(name)s === 'part_0');
const [height, setHeight] = useState(0);
const guess = %(groups)s.reduce((sum, group) => sum + group.dialogs.length, 0) * %(row)d;
useEffect(() => {
  const box = document.getElementById(%(name)s), list = document.getElementById('%(list)s');
  if (!box || !list) return;
  const sight = new IntersectionObserver((entries) => {
    const inside = entries.at(-1).isIntersecting;
    if (!inside && box.contains(document.activeElement)) return;
    if (!inside) setHeight(box.offsetHeight);
    startTransition(() => setNear(inside));  // in pieces, so that scrolling goes on
  }, { root: list, rootMargin: '%(ahead)dpx 0px %(ahead)dpx 0px' });
  sight.observe(box);
  return () => sight.disconnect();
}, []);
"""


class PartSight(Fragment):
    """Knows whether its part is near the screen, and how high it was; draws nothing."""

    name: rx.Var[str]
    groups: rx.Var[list[DialogGroup]]

    def add_imports(self) -> ImportDict:
        return {"react": ["startTransition", "useEffect", "useState"]}

    def add_hooks(self) -> list[str | rx.Var]:
        props = {"name": str(self.name), "groups": str(self.groups), "list": LIST_ID}
        numbers = {"row": ROW_PX, "ahead": AHEAD_PX}
        data = VarData.merge(self.name._get_all_var_data(), self.groups._get_all_var_data())
        return [rx.Var(_SIGHT % (props | numbers), _var_data=data)]

    def _exclude_props(self) -> list[str]:
        return ["name", "groups"]


_near = rx.Var("near").to(bool)
_height = rx.Var("near ? 'auto' : `${height || guess}px`").to(str)


def _shared() -> dict[str, rx.Var[str]]:
    """Returns what all rows show: as values, because a State in a row would draw all rows again
    with each of its changes."""
    return {
        "current": ChatState.dialog_id,
        "renaming": DialogsState.renaming,
        "untitled": t("nav.untitled"),
        "actions": t("nav.dialog_actions"),
    }


@rx.memo
def _dialogs(
    rows: rx.Var[list[DialogRow]],
    pinned: rx.Var[bool],
    archived: rx.Var[bool],
    current: rx.Var[str],
    renaming: rx.Var[str],
    untitled: rx.Var[str],
    actions: rx.Var[str],
) -> rx.Component:
    def item(dialog: rx.Var[DialogRow]) -> rx.Component:
        return _item(
            dialog, current, renaming, untitled, _menu_button(dialog, actions, pinned, archived)
        )

    return rx.el.ul(rx.foreach(rows, item))


@rx.memo
def _days(
    groups: rx.Var[list[DialogGroup]],
    name: rx.Var[str],
    current: rx.Var[str],
    renaming: rx.Var[str],
    untitled: rx.Var[str],
    actions: rx.Var[str],
) -> rx.Component:
    no = rx.Var.create(False)

    def item(dialog: rx.Var[DialogRow]) -> rx.Component:
        return _item(dialog, current, renaming, untitled, _menu_button(dialog, actions, no, no))

    def group(each: rx.Var[DialogGroup]) -> rx.Component:
        return rx.el.section(
            rx.cond(~each.goes_on, _period(period=each.period)),
            rx.el.ul(rx.foreach(each.dialogs, item)),
        )

    return rx.el.div(
        PartSight.create(name=name, groups=groups),
        rx.cond(_near, rx.foreach(groups, group)),
        id=name,
        style={"height": _height},
    )


@rx.memo
def _period(period: rx.Var[str]) -> rx.Component:
    cases = [(each, t(f"period.{each}")) for each in PERIODS]
    return rx.el.h2(rx.match(period, *cases, t("period.older")))


def _item(
    dialog: rx.Var[DialogRow],
    current: rx.Var[str],
    renaming: rx.Var[str],
    untitled: rx.Var[str],
    menu_button: rx.Component,
) -> rx.Component:
    row = rx.el.div(
        rx.el.a(
            rx.cond(dialog.title != "", dialog.title, untitled),
            href=f"/c/{dialog.id}",
            class_name="dialog-link",
        ),
        menu_button,
        class_name=rx.cond(dialog.id == current, "dialog-row current", "dialog-row"),
    )
    return rx.el.li(
        rx.cond(dialog.id == renaming, _rename_form(title=dialog.title), row),
        key=dialog.id,
        custom_attrs={"data-testid": "dialog-item"},
    )


def _menu_button(
    dialog: rx.Var[DialogRow], label: rx.Var[str], pinned: rx.Var[bool], archived: rx.Var[bool]
) -> rx.Component:
    """The button that opens the one menu of all rows, and tells it which row it is for."""
    return rx.el.button(
        type="button",
        class_name="icon-button dots",  # drawn by the style sheet: an icon is four elements more
        aria_label=label,
        title=label,
        aria_haspopup="menu",
        custom_attrs={
            "data-testid": "dialog-menu",
            "popoverTarget": DIALOG_MENU_ID,
            "data-id": dialog.id,
            "data-folder": dialog.folder_id,
            "data-pinned": pinned.to_string(),
            "data-archived": archived.to_string(),
        },
    )


@rx.memo
def _rename_form(title: rx.Var[str]) -> rx.Component:
    """A component of its own, so that the rows know nothing of the State of its handler."""
    return rx.el.form(
        rx.el.input(
            name="title",
            default_value=title,
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
        custom_attrs={"data-layer": ""},
        on_submit=lambda form: DialogsState.rename(
            DialogsState.renaming, form.to(dict[str, str])["title"]
        ),
    )
