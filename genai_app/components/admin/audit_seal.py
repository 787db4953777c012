"""The check of the audit record: a button, and its result in a sentence."""

import reflex as rx

from genai_app.components.account.section import section, section_error
from genai_app.components.text import of_locale, t
from genai_app.state.admin.audit import ChainState


def audit_seal() -> rx.Component:
    return section(
        t("audit.seal"),
        section_error(ChainState.error_code),
        rx.el.div(
            rx.el.button(
                rx.icon("shield-check", size=16, aria_hidden=True),
                t("audit.verify"),
                type="button",
                class_name="quiet-button with-icon",
                disabled=ChainState.checking,
                on_click=ChainState.verify,
                custom_attrs={"data-testid": "audit-verify"},
            ),
            rx.cond(
                ChainState.checking,
                rx.el.progress(
                    value=ChainState.checked,
                    max=rx.cond(ChainState.head > 0, ChainState.head, 1),
                    aria_label=t("audit.verifying"),
                    class_name="usage-bar",
                ),
            ),
            class_name="seal",
        ),
        rx.el.div(
            rx.cond(
                ChainState.sentence.length() > 0,
                rx.el.p(
                    rx.cond(
                        ChainState.holds,
                        rx.icon("circle-check", size=16),
                        rx.icon("circle-x", size=16),
                    ),
                    rx.el.span(of_locale(ChainState.sentence)),
                    class_name=rx.cond(ChainState.holds, "note note-good", "note note-danger"),
                ),
            ),
            role="status",
            custom_attrs={"data-testid": "audit-verdict"},
        ),
        hint=t("audit.seal_hint"),
    )
