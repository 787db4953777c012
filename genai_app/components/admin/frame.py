"""The parts that pages of reviewers and administrators share: tabs, filters, and lists with their
placeholders."""

from collections.abc import Callable, Sequence
from typing import Any

import reflex as rx

from genai_app.components.frame import frame
from genai_app.components.notices import connection_notice
from genai_app.components.text import error_text, t
from genai_app.models import Role
from genai_app.site_map import ADMINISTRATION, PageInfo
from genai_app.state.session import SessionState


def admin_page(here: PageInfo, *content: rx.Component, loaded: rx.Var[bool]) -> rx.Component:
    """Returns a page of the administration, with the tabs that lead to the others."""
    title = t(here.title)
    column = rx.el.div(rx.el.h1(title), _tabs(here), *content, class_name="settings wide")
    scrolled = rx.el.div(connection_notice(), column, class_name="page-scroll")
    return frame(title, scrolled, look=rx.cond(loaded, "app", "app loading"))


def _tabs(here: PageInfo) -> rx.Component:
    return rx.el.nav(
        *[_tab(page, here) for page in ADMINISTRATION], aria_label=t("nav.admin"), class_name="tabs"
    )


def _tab(page: PageInfo, here: PageInfo) -> rx.Component:
    tab = rx.el.a(
        rx.icon(page.icon, size=16, aria_hidden=True),
        t(page.title),
        href=page.address,
        class_name="tab current" if page is here else "tab",
        **({"aria_current": "page"} if page is here else {}),
    )
    return tab if page.role == Role.REVIEWER else rx.cond(SessionState.role == Role.ADMIN, tab)


def filter_choice(
    label: rx.Var[str],
    value: rx.Var[str],
    *options: tuple[rx.Var[str] | str, str],
    on_change,
    testid: str,
) -> rx.Component:
    """Returns a filter with a few values. `options`: a text and its value; "" selects all."""
    return rx.el.label(
        rx.el.span(label),
        rx.el.select(
            *[rx.el.option(text, value=each) for text, each in options],
            value=value,
            on_change=on_change,
            custom_attrs={"data-testid": testid},
        ),
        class_name="filter",
    )


def filter_field(
    label: rx.Var[str],
    value: rx.Var[str],
    *,
    kind: str = "search",
    class_name: str = "filter",
    testid: str,
    **props,
) -> rx.Component:
    """Returns a filter to type into. `kind`: the type of the input. `props`: its other props."""
    return rx.el.label(
        rx.el.span(label),
        rx.el.input(
            type=kind,
            default_value=value,
            custom_attrs={"data-testid": testid},
            **props,
        ),
        class_name=class_name,
    )


def filter_bar(*filters: rx.Component) -> rx.Component:
    return rx.el.div(*filters, class_name="filters", role="search", aria_label=t("admin.filters"))


def list_state(
    *,
    loading: rx.Var[bool],
    error_code: rx.Var[str],
    is_empty: rx.Var[bool],
    empty: rx.Var[str],
    icon: str,
) -> rx.Component:
    """Returns the content in place of rows: placeholders while they load, an error, or the text
    `empty`."""
    waiting = [rx.el.div(class_name="skeleton") for _ in range(6)]
    return rx.cond(
        error_code != "",
        rx.el.p(
            rx.icon("circle-alert", size=16),
            rx.el.span(error_text(error_code)),
            class_name="note note-danger",
            role="alert",
        ),
        rx.cond(
            loading,
            rx.el.div(
                *waiting, class_name="skeletons", role="status", aria_label=t("admin.loading")
            ),
            rx.cond(
                is_empty,
                rx.el.div(
                    rx.icon(icon, size=36, stroke_width=1.25, aria_hidden=True),
                    rx.el.p(empty),
                    class_name="nothing",
                ),
            ),
        ),
    )


def rows_table(
    name: rx.Var[str],
    state: Any,
    heads: Sequence[rx.Component],
    row: Callable[..., rx.Component],
    *,
    empty: rx.Var[str],
    icon: str,
    testid: str,
) -> tuple[rx.Component, ...]:
    """Returns a table that is loaded page by page, or the content in place of its rows.

    Args:
        state: a State with `rows`, `loaded`, `error_code`, `has_more` and `load_more`.
        heads: the cells of the head.
        empty: the text in place of rows, below `icon`.
        testid: the test id of the button that loads more.
    """
    has_rows = state.rows.length() > 0
    table = rx.el.table(
        rx.el.thead(rx.el.tr(*heads)),
        rx.el.tbody(rx.foreach(state.rows, row)),
        class_name="table",
    )
    return (
        list_state(
            loading=~state.loaded,
            error_code=state.error_code,
            is_empty=state.rows.length() == 0,
            empty=empty,
            icon=icon,
        ),
        # scrolls sideways where it is wider than the page
        rx.cond(
            has_rows,
            rx.el.div(
                table, class_name="table-scroll", role="region", aria_label=name, tab_index=0
            ),
        ),
        rx.cond(
            state.has_more,
            rx.el.button(
                t("nav.more"),
                type="button",
                class_name="text-button",
                on_click=state.load_more,
                custom_attrs={"data-testid": testid},
            ),
        ),
    )


def column_heads(*keys: str) -> list[rx.Component]:
    return [rx.el.th(t(key), scope="col") for key in keys]
