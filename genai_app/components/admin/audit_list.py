"""The list of events, newest first, with its filters."""

import reflex as rx

from genai_app.components.admin.frame import (
    column_heads,
    filter_bar,
    filter_choice,
    filter_field,
    rows_table,
)
from genai_app.components.text import of_locale, t
from genai_app.models import Action, Outcome
from genai_app.state.admin.audit import FIELD_IDS, AuditRow, AuditState


def _field(name: str, label: rx.Var[str], value: rx.Var[str], kind: str = "search"):
    return filter_field(
        label,
        value,
        kind=kind,
        id=FIELD_IDS[name],
        max_length=200,
        on_change=AuditState.choose(name).debounce(300),
        testid=f"audit-{name}",
    )


def _filters() -> rx.Component:
    every = t("admin.all")
    return filter_bar(
        filter_choice(
            t("audit.action"),
            AuditState.action,
            (every, ""),
            *[(t(f"action.{each}"), str(each)) for each in Action],
            on_change=AuditState.choose("action"),
            testid="audit-action",
        ),
        filter_choice(
            t("audit.outcome"),
            AuditState.outcome,
            (every, ""),
            *[(t(f"outcome.{each}"), str(each)) for each in Outcome],
            on_change=AuditState.choose("outcome"),
            testid="audit-outcome",
        ),
        _field("actor", t("audit.actor"), AuditState.actor),
        _field("target", t("audit.target"), AuditState.target),
        _field("since", t("admin.since"), AuditState.since, "date"),
        _field("until", t("admin.until"), AuditState.until, "date"),
    )


def _actor(row: rx.Var[AuditRow]) -> rx.Component:
    """Returns the actor's name. A click filters the list by the actor."""
    name = rx.cond(row.full_name != "", row.full_name, row.actor)
    return rx.cond(
        row.actor != "",
        rx.fragment(
            rx.el.button(
                name,
                type="button",
                class_name="link-button written",
                aria_label=t("audit.only_actor", name=name),
                on_click=[
                    AuditState.choose("actor", row.actor),
                    rx.set_value("audit-actor", row.actor),
                ],
                custom_attrs={"data-testid": "audit-of-actor"},
            ),
            rx.cond(row.full_name != "", rx.el.div(row.actor, class_name="quiet written")),
        ),
        "—",
    )


def _event(row: rx.Var[AuditRow]) -> rx.Component:
    """Returns the sentence, its subject and the facts, with the codes of the record folded."""
    facts = of_locale(row.facts)
    return rx.fragment(
        rx.el.div(
            of_locale(row.sentence),
            rx.cond(row.name != "", rx.fragment(": ", rx.el.b(row.name, class_name="written"))),
            rx.cond(
                row.dialog_id != "",
                rx.fragment(
                    ", ",
                    rx.el.a(t("audit.open_dialog"), href=f"/admin/dialogs?dialog={row.dialog_id}"),
                ),
            ),
            rx.cond(row.refused, rx.el.span(t("outcome.refused"), class_name="badge danger")),
        ),
        rx.cond(facts != "", rx.el.div(facts, class_name="quiet")),
        rx.cond(row.reason != "", rx.el.div("«", row.reason, "»", class_name="written")),
        rx.el.details(
            rx.el.summary(t("audit.codes"), custom_attrs={"data-testid": "audit-codes"}),
            rx.el.code(row.codes, class_name="written"),
            class_name="codes",
        ),
    )


def _row(row: rx.Var[AuditRow]) -> rx.Component:
    return rx.el.tr(
        rx.el.td(of_locale(row.moment), class_name="quiet nowrap"),
        rx.el.td(_actor(row)),
        rx.el.td(_event(row)),
        rx.el.td(row.address, class_name="quiet nowrap"),
        rx.el.td(
            rx.cond(row.number != "", row.number, t("audit.unsealed")), class_name="quiet number"
        ),
        key=row.id,
        custom_attrs={"data-testid": "audit-row"},
    )


def audit_list() -> rx.Component:
    return rx.el.section(
        _filters(),
        *rows_table(
            t("admin.audit"),
            AuditState,
            [
                *column_heads("audit.when", "audit.actor", "audit.event", "audit.address"),
                rx.el.th(t("audit.number"), scope="col", class_name="number"),
            ],
            _row,
            empty=t("audit.empty"),
            icon="scroll-text",
            testid="audit-more",
        ),
    )
