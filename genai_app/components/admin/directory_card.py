"""The check of the directory: what was looked at, what is wrong, how to mend it."""

import reflex as rx

from genai_app.components.account.section import section, section_error
from genai_app.components.text import of_locale, t
from genai_app.state.admin.admin import AdminState, CheckOutcome, DirectoryState, StepRow


def _mark(outcome: rx.Var[str]) -> rx.Component:
    return rx.match(
        outcome,
        (CheckOutcome.OK, rx.icon("circle-check", size=16, aria_hidden=True)),
        (CheckOutcome.WARNING, rx.icon("triangle-alert", size=16, aria_hidden=True)),
        (CheckOutcome.FAILED, rx.icon("circle-x", size=16, aria_hidden=True)),
        rx.icon("circle-dashed", size=16, aria_hidden=True),
    )


def _outcome(outcome: rx.Var[str]) -> rx.Var[str]:
    return rx.match(
        outcome,
        (CheckOutcome.OK, t("directory.ok")),
        (CheckOutcome.WARNING, t("directory.warning")),
        (CheckOutcome.FAILED, t("directory.failed")),
        t("directory.skipped"),
    )


def _step(step: rx.Var[StepRow]) -> rx.Component:
    facts, wrong = of_locale(step.facts), of_locale(step.wrong)
    return rx.fragment(
        rx.cond(
            step.controller != "",
            rx.el.li(rx.el.h3(step.controller, class_name="written"), class_name="step-head"),
        ),
        rx.el.li(
            _mark(step.outcome),
            rx.el.div(
                rx.el.p(
                    rx.el.strong(of_locale(step.name)),
                    rx.el.span(_outcome(step.outcome), class_name="visually-hidden"),
                    rx.cond(
                        step.outcome != CheckOutcome.SKIPPED,
                        rx.el.span(
                            t("directory.milliseconds", count=step.milliseconds),
                            class_name="step-time",
                        ),
                    ),
                    class_name="row-title",
                ),
                rx.cond(facts != "", rx.el.p(facts, class_name="meta written")),
                rx.cond(
                    wrong != "",
                    rx.el.div(
                        rx.el.p(rx.el.strong(wrong)),
                        rx.el.p(of_locale(step.remedy)),
                        class_name="step-cause written",
                    ),
                ),
                class_name="row-text",
            ),
            class_name="step " + step.outcome,
            custom_attrs={"data-testid": "directory-step"},
        ),
    )


def _verdict() -> rx.Component:
    return rx.cond(
        DirectoryState.ended,
        rx.cond(
            DirectoryState.failed > 0,
            rx.el.p(
                rx.icon("circle-x", size=16),
                rx.el.span(
                    t(
                        "ldap.verdict_failed",
                        failed=DirectoryState.failed,
                        warnings=DirectoryState.warnings,
                    )
                ),
                class_name="note note-danger",
            ),
            rx.el.p(
                rx.icon("circle-check", size=16),
                rx.el.span(t("ldap.verdict_well", warnings=DirectoryState.warnings)),
                class_name="note note-good",
            ),
        ),
        rx.cond(
            DirectoryState.checking,
            rx.el.p(t("directory.checking"), class_name="note note-info"),
        ),
    )


def _recheck() -> rx.Component:
    return rx.el.div(
        rx.el.p(t("directory.recheck_hint"), class_name="hint"),
        rx.el.button(
            t("directory.recheck"),
            type="button",
            class_name="quiet-button",
            on_click=DirectoryState.recheck,
            custom_attrs={"data-testid": "recheck"},
        ),
        rx.el.p(
            rx.cond(
                DirectoryState.rechecked >= 0,
                t("directory.rechecked", count=DirectoryState.rechecked.to_string()),
                "",
            ),
            class_name="hint",
            role="status",
        ),
        class_name="recheck",
    )


def _alarms() -> rx.Component:
    return rx.cond(
        DirectoryState.alarms.length() > 0,
        rx.el.div(
            rx.icon("triangle-alert", size=16, aria_hidden=True),
            rx.el.div(
                rx.el.p(rx.el.strong(t("directory.alarms"))),
                rx.el.ul(
                    rx.foreach(
                        DirectoryState.alarms,
                        lambda alarm: rx.el.li(of_locale(alarm), class_name="written"),
                    )
                ),
            ),
            class_name="note note-danger",
            role="alert",
            custom_attrs={"data-testid": "directory-alarms"},
        ),
    )


def directory_card() -> rx.Component:
    """The section of the administrators' page."""
    form = rx.el.form(
        rx.el.label(
            rx.el.span(t("directory.user")),
            rx.el.input(
                name="username",
                max_length=256,
                auto_complete="off",
                placeholder="ivanov",
                class_name="written",
                custom_attrs={"data-testid": "directory-user"},
            ),
            class_name="field",
        ),
        rx.el.button(
            t("directory.check"),
            type="submit",
            disabled=DirectoryState.checking,
            class_name="quiet-button",
            custom_attrs={"data-testid": "directory-check"},
        ),
        class_name="row-form",
        on_submit=lambda form: DirectoryState.check(form.to(dict[str, str])["username"]),
    )
    return section(
        t("directory.title"),
        section_error(DirectoryState.error_code),
        rx.cond(
            AdminState.directory,
            rx.fragment(
                _alarms(),
                form,
                rx.el.div(_verdict(), role="status", custom_attrs={"data-testid": "verdict"}),
                rx.cond(
                    DirectoryState.steps.length() > 0,
                    rx.el.ol(rx.foreach(DirectoryState.steps, _step), class_name="steps"),
                ),
                _recheck(),
            ),
            rx.el.p(t("ldap.not_set"), class_name="empty"),
        ),
        hint=t("directory.hint"),
    )
