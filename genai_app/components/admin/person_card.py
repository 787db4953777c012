"""The card of an account: its rights, its use, its sessions and keys."""

import reflex as rx

from genai_app.components.account.logins import channel_text
from genai_app.components.account.section import choice, fact, section, section_error
from genai_app.components.admin.people_list import origin_text, role_origin_text, role_text
from genai_app.components.text import of_locale, t
from genai_app.models import Origin, Role
from genai_app.state.account.rows import KeyRow, LoginRow
from genai_app.state.admin.people import PersonRow, PersonState
from genai_app.state.admin.person_changes import PersonChangesState


def _head(row: rx.Var[PersonRow]) -> rx.Component:
    return rx.el.header(
        rx.el.button(
            rx.icon("arrow-left", size=16, aria_hidden=True),
            t("people.back"),
            type="button",
            class_name="text-button with-icon",
            auto_focus=True,
            on_click=PersonState.close,
            custom_attrs={"data-testid": "person-close", "data-esc": ""},
        ),
        rx.el.h2(row.full_name, class_name="written"),
        rx.cond(row.disabled, rx.el.span(t("people.disabled"), class_name="badge danger")),
        class_name="person-head",
    )


def _facts(row: rx.Var[PersonRow]) -> rx.Component:
    role_origin = role_origin_text(row)
    last = of_locale(PersonState.last)
    return rx.el.dl(
        fact(t("settings.username"), row.username, class_name="written"),
        fact(t("people.origin"), origin_text(row)),
        rx.cond(PersonState.mail != "", fact(t("people.mail"), PersonState.mail)),
        fact(
            t("people.department"),
            rx.cond(row.department != "", row.department, "—"),
            class_name="written",
        ),
        fact(
            t("people.role"),
            rx.fragment(
                role_text(row.role), rx.cond(role_origin != "", rx.el.span(", ", role_origin))
            ),
        ),
        fact(t("people.limit"), of_locale(PersonState.limit)),
        fact(t("people.questions"), PersonState.questions),
        fact(t("people.tokens"), PersonState.tokens),
        fact(t("people.last"), rx.cond(last != "", last, "—")),
        class_name="facts",
    )


def _form(label: rx.Var[str], name: str, value: rx.Var[str], hint: rx.Var[str], act, testid: str):
    return rx.el.form(
        rx.el.label(
            rx.el.span(label),
            rx.el.input(
                name=name,
                default_value=value,
                max_length=200,
                auto_complete="off",
                placeholder=hint,
                class_name="written",
                custom_attrs={"data-testid": f"person-{testid}"},
            ),
            class_name="field",
        ),
        rx.el.button(
            t("nav.save"),
            type="submit",
            class_name="quiet-button",
            custom_attrs={"data-testid": f"person-{testid}-save"},
        ),
        class_name="row-form two",
        on_submit=act,
    )


def _changes(row: rx.Var[PersonRow]) -> rx.Component:
    return rx.fragment(
        rx.cond(
            PersonState.own,
            rx.el.p(t("people.own"), class_name="hint"),
            choice(
                t("people.granted_role"),
                *[
                    (t(f"role.{role}"), row.role == role, PersonChangesState.give_role(role))
                    for role in Role
                ],
            ),
        ),
        _form(
            t("people.own_limit"),
            "limit",
            row.limit,
            t("people.limit_hint"),
            lambda form: PersonChangesState.give_limit(form.to(dict[str, str])["limit"]),
            "limit",
        ),
        rx.cond(
            row.origin == Origin.LOCAL,
            _form(
                t("people.department"),
                "department",
                row.department,
                "",
                lambda form: PersonChangesState.move(form.to(dict[str, str])["department"]),
                "department",
            ),
        ),
        rx.cond(
            ~PersonState.own,
            rx.cond(
                row.disabled,
                _button("people.enable", PersonChangesState.enable, "enable"),
                _button("people.disable", PersonChangesState.disable, "disable", "danger-button"),
            ),
        ),
    )


def _button(name: str, act, testid: str, look: str = "") -> rx.Component:
    return rx.el.button(
        t(name),
        type="button",
        class_name=f"quiet-button {look}".strip(),
        on_click=act,
        custom_attrs={"data-testid": f"person-{testid}"},
    )


def _login(row: rx.Var[LoginRow]) -> rx.Component:
    channel = channel_text(row.channel)
    name = rx.cond(row.device != "", row.device, channel)
    return rx.el.li(
        rx.el.div(
            rx.el.p(rx.el.strong(name, class_name="written"), class_name="row-title"),
            rx.el.p(
                rx.el.span(channel),
                rx.cond(row.address != "", rx.el.span(row.address, class_name="written")),
                rx.el.span(t("logins.since", date=of_locale(row.since))),
                class_name="meta",
            ),
            class_name="row-text",
        ),
        rx.el.button(
            t("logins.end"),
            type="button",
            class_name="text-button",
            aria_label=t("logins.end_named", name=name, date=of_locale(row.since)),
            on_click=PersonChangesState.end_login(row.id),
            custom_attrs={"data-testid": "person-end-login"},
        ),
        key=row.id,
        class_name="row",
    )


def _key(row: rx.Var[KeyRow]) -> rx.Component:
    used = of_locale(row.used)
    return rx.el.li(
        rx.el.div(
            rx.el.p(
                rx.el.strong(row.name, class_name="written"),
                rx.el.code(row.hint, "…", class_name="written"),
                class_name="row-title",
            ),
            rx.el.p(
                rx.el.span(t("keys.created", date=of_locale(row.created))),
                rx.el.span(rx.cond(used == "", t("keys.never_used"), t("keys.used", date=used))),
                class_name="meta",
            ),
            class_name="row-text",
        ),
        rx.el.button(
            t("keys.yes_revoke"),
            type="button",
            class_name="text-button danger",
            on_click=PersonChangesState.revoke(row.id),
            custom_attrs={"data-testid": "person-revoke"},
        ),
        key=row.id,
        class_name="row",
    )


def person_card() -> rx.Component:
    row = PersonState.row
    return rx.fragment(
        rx.el.section(
            _head(row),
            section_error(PersonState.error_code),
            rx.cond(
                row.disabled & (PersonState.reason != ""),
                rx.el.p(
                    rx.icon("ban", size=16),
                    rx.el.span(t("people.why_disabled", reason=PersonState.reason)),
                    class_name="note note-warning",
                ),
            ),
            rx.cond(
                PersonState.login_wait,
                rx.el.div(
                    rx.el.p(t("people.login_paused", wait=of_locale(PersonState.login_wait))),
                    _button("people.unlock", PersonChangesState.unlock, "unlock"),
                    class_name="note note-warning",
                ),
            ),
            _facts(row),
            custom_attrs={"data-testid": "person"},
        ),
        section(t("people.changes"), _changes(row), hint=t("people.changes_hint")),
        section(
            t("people.open"),
            rx.cond(
                (PersonState.logins.length() == 0) & (PersonState.keys.length() == 0),
                rx.el.p(t("people.nothing_open"), class_name="empty"),
            ),
            rx.el.ul(rx.foreach(PersonState.logins, _login), class_name="rows"),
            rx.cond(
                PersonState.logins.length() > 1,
                _button("people.end_logins", PersonChangesState.end_logins, "end-logins"),
            ),
            rx.el.ul(rx.foreach(PersonState.keys, _key), class_name="rows"),
        ),
    )
