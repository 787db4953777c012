"""The events, newest first, with filters above them."""

import reflex as rx

from genai_app.components.admin_frame import filter_choice, list_state, more_button, rows_table
from genai_app.components.text import of_locale, t
from genai_app.models import Action, Outcome
from genai_app.state.audit import AuditRow, AuditState


def action_text(action: rx.Var[str]) -> rx.Var[str]:
    cases = [(str(each), t(f"action.{each}")) for each in Action]
    return rx.match(action, *cases, action)


def _written(name: str, label: rx.Var[str], value: rx.Var[str], kind: str = "search"):
    return rx.el.label(
        rx.el.span(label),
        rx.el.input(
            type=kind,
            default_value=value,
            max_length=200,
            on_change=AuditState.choose(name).debounce(300),
            custom_attrs={"data-testid": f"audit-{name}"},
        ),
        class_name="filter",
    )


def _filters() -> rx.Component:
    every = t("admin.all")
    return rx.el.div(
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
        _written("actor", t("audit.actor"), AuditState.actor),
        _written("target", t("audit.target"), AuditState.target),
        _written("since", t("admin.since"), AuditState.since, "date"),
        _written("until", t("admin.until"), AuditState.until, "date"),
        class_name="filters",
        role="search",
        aria_label=t("admin.filters"),
    )


def _row(row: rx.Var[AuditRow]) -> rx.Component:
    refused = row.outcome == Outcome.REFUSED
    return rx.el.tr(
        rx.el.td(of_locale(row.moment), class_name="quiet nowrap"),
        rx.el.td(rx.cond(row.actor != "", row.actor, "—"), class_name="written"),
        rx.el.td(
            action_text(row.action),
            rx.cond(refused, rx.el.span(t("outcome.refused"), class_name="badge danger")),
        ),
        rx.el.td(
            rx.el.div(row.target, class_name="written"),
            rx.cond(row.reason != "", rx.el.div("“", row.reason, "”", class_name="written")),
            rx.cond(row.details != "", rx.el.div(row.details, class_name="quiet written")),
        ),
        rx.el.td(row.address, class_name="quiet nowrap"),
        rx.el.td(
            rx.cond(row.number != "", row.number, t("audit.unsealed")), class_name="quiet number"
        ),
        key=row.id,
        custom_attrs={"data-testid": "audit-row"},
    )


def audit_list() -> rx.Component:
    heads = ("audit.when", "audit.actor", "audit.action", "audit.target", "audit.address")
    return rx.el.section(
        _filters(),
        list_state(
            loading=~AuditState.loaded,
            error_code=AuditState.error_code,
            is_empty=AuditState.rows.length() == 0,
            empty=t("audit.empty"),
            icon="scroll-text",
        ),
        rows_table(
            t("admin.audit"),
            [
                *[rx.el.th(t(name), scope="col") for name in heads],
                rx.el.th(t("audit.number"), scope="col", class_name="number"),
            ],
            AuditState.rows,
            _row,
        ),
        more_button(AuditState.has_more, AuditState.load_more, "audit-more"),
    )
