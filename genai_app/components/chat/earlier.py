"""Messages above the newest ones, part by part, and the buttons that load more of them.

A part is drawn when it comes and never again; the browser draws it in pieces between its frames.
"""

import reflex as rx
from reflex_base.utils.imports import ImportDict
from reflex_components_core.base.fragment import Fragment

from genai_app.components.chat.message import message
from genai_app.components.chat.scroll import DOWN_ID, OLDER_ID, UP_ID, first_shown, has_older
from genai_app.components.text import t
from genai_app.state.chat.earlier import FAR, HIT_PART, NEAR, EarlierState
from genai_app.state.chat.paging import PagingState
from genai_app.state.chat.rows import MessageRow


def earlier_messages() -> rx.Component:
    """All of them, from the top."""
    return rx.fragment(
        rx.cond(
            has_older(),
            rx.el.button(
                t("chat.older"),
                id=OLDER_ID,
                type="button",
                class_name="text-button older",
                on_click=PagingState.load_older(first_shown()),
            ),
        ),
        _parts(FAR[:HIT_PART]),
        _hit_part(rows=getattr(EarlierState, FAR[HIT_PART])),
        _parts(FAR[HIT_PART + 1 :]),
        rx.cond(EarlierState.gap_to != "", _gap()),
        _parts(NEAR),
    )


def _parts(names: list[str]) -> rx.Component:
    return rx.fragment(*(_part(rows=getattr(EarlierState, name)) for name in names))


class Later(Fragment):
    """Lets the browser draw `rows` in pieces; draws nothing itself."""

    rows: rx.Var[list[MessageRow]]

    def add_imports(self) -> ImportDict:
        return {"react": ["useDeferredValue"]}

    def add_hooks(self) -> list[str | rx.Var]:
        data = self.rows._get_all_var_data()
        return [rx.Var(f"const later = useDeferredValue({self.rows!s}, []);", _var_data=data)]

    def _exclude_props(self) -> list[str]:
        return ["rows"]


@rx.memo
def _part(rows: rx.Var[list[MessageRow]]) -> rx.Component:
    return rx.fragment(
        Later.create(rows=rows), _messages(rows=rx.Var("later").to(list[MessageRow]))
    )


@rx.memo
def _hit_part(rows: rx.Var[list[MessageRow]]) -> rx.Component:
    """At once: the page goes to the message that was searched for."""
    return _messages(rows=rows)


@rx.memo
def _messages(rows: rx.Var[list[MessageRow]]) -> rx.Component:
    return rx.cond(
        rows.length() > 0,
        rx.el.div(
            rx.foreach(rows, lambda row: rx.fragment(message(row), key=row.id)), class_name="part"
        ),
    )


def _gap() -> rx.Component:
    """Returns what stands between the messages around a found one and the newest ones."""
    return rx.el.div(
        rx.el.button(
            t("chat.gap_down"),
            id=DOWN_ID,
            type="button",
            class_name="text-button",
            on_click=PagingState.fill_down(EarlierState.gap_from),
        ),
        rx.el.p(t("chat.gap", count=EarlierState.skipped.to_string())),
        rx.el.button(
            t("chat.gap_up"),
            id=UP_ID,
            type="button",
            class_name="text-button",
            on_click=PagingState.fill_up(EarlierState.gap_to),
        ),
        class_name="gap",
        custom_attrs={"data-testid": "gap"},
    )
