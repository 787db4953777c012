"""The list of accounts, with a search."""

import reflex as rx

from genai_app.components.account.section import section_error
from genai_app.components.admin.frame import (
    column_heads,
    filter_bar,
    filter_choice,
    filter_field,
    rows_table,
)
from genai_app.components.text import of_locale, t
from genai_app.models import Origin, Role
from genai_app.state.admin.people import PEOPLE, SEARCH_ID, PeopleState, PersonRow, PersonState


def role_text(role: rx.Var[str]) -> rx.Var[str]:
    """Returns the word for a role."""
    return rx.match(
        role,
        (Role.ADMIN, t("role.admin")),
        (Role.REVIEWER, t("role.reviewer")),
        t("role.user"),
    )


def role_origin_text(row: rx.Var[PersonRow]) -> rx.Var[str]:
    """Returns the words for where a role is from."""
    return rx.match(
        row.role_origin, ("group", t("people.by_group")), ("granted", t("people.granted")), ""
    )


def origin_text(row: rx.Var[PersonRow]) -> rx.Var[str]:
    return rx.cond(row.origin == Origin.DIRECTORY, t("people.of_directory"), t("people.of_product"))


def _filters() -> rx.Component:
    every = t("admin.all")
    return filter_bar(
        filter_field(
            t("people.search"),
            PeopleState.search,
            class_name="filter grows",
            id=SEARCH_ID,
            max_length=100,
            placeholder=t("people.search_hint"),
            on_change=PeopleState.choose("search").debounce(250),
            testid="people-search",
        ),
        filter_choice(
            t("people.role"),
            PeopleState.role,
            (every, ""),
            (t("role.user"), Role.USER),
            (t("role.reviewer"), Role.REVIEWER),
            (t("role.admin"), Role.ADMIN),
            on_change=PeopleState.choose("role"),
            testid="people-role",
        ),
        filter_choice(
            t("people.state"),
            PeopleState.shown,
            (every, ""),
            (t("people.active"), "active"),
            (t("people.disabled"), "disabled"),
            on_change=PeopleState.choose("shown"),
            testid="people-state",
        ),
    )


def _row(row: rx.Var[PersonRow]) -> rx.Component:
    role_origin = role_origin_text(row)
    return rx.el.tr(
        rx.el.td(
            rx.el.a(
                rx.el.strong(row.full_name, class_name="written"),
                href=f"{PEOPLE.address}/{row.id}{PeopleState.query}",
                class_name="link-button",
                custom_attrs={"data-testid": "person-open"},
            ),
            rx.el.div(row.username, class_name="quiet written"),
        ),
        rx.el.td(rx.cond(row.department != "", row.department, "—"), class_name="written"),
        rx.el.td(
            role_text(row.role),
            rx.cond(role_origin != "", rx.el.div(role_origin, class_name="quiet")),
        ),
        rx.el.td(origin_text(row), class_name="quiet"),
        rx.el.td(
            of_locale(row.limit_words),
            class_name="quiet nowrap",
        ),
        rx.el.td(
            rx.cond(row.disabled, rx.el.span(t("people.disabled"), class_name="badge danger"))
        ),
        key=row.id,
        custom_attrs={"data-testid": "person-row"},
    )


def people_list() -> rx.Component:
    heads = ("people.name", "people.department", "people.role", "people.origin", "people.limit")
    return rx.el.section(
        _filters(),
        section_error(PersonState.error_code),
        *rows_table(
            t("admin.users"),
            PeopleState,
            [
                *column_heads(*heads),
                rx.el.th(rx.el.span(t("people.state"), class_name="visually-hidden"), scope="col"),
            ],
            _row,
            empty=t("people.empty"),
            icon="users",
            testid="people-more",
        ),
    )
