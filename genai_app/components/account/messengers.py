"""Links with messengers: a section of the settings page, where one is set up."""

import reflex as rx

from genai_app.components.account.section import section, section_error
from genai_app.components.text import of_locale, t
from genai_app.state.account.messengers import LinkRow, MessengersState


def _name(messenger: rx.Var[str]) -> rx.Var[str]:
    return rx.match(messenger, ("mattermost", t("logins.mattermost")), t("logins.telegram"))


def _link(row: rx.Var[LinkRow]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.p(
                rx.el.strong(_name(row.messenger)),
                rx.el.span(row.title, class_name="written"),
                class_name="row-title",
            ),
            rx.el.p(
                rx.el.span(t("messengers.since", date=of_locale(row.since))), class_name="meta"
            ),
            class_name="row-text",
        ),
        rx.el.button(
            t("messengers.unlink"),
            type="button",
            class_name="text-button",
            aria_label=t("messengers.unlink_named", name=row.title),
            on_click=MessengersState.unlink(row.id),
            custom_attrs={"data-testid": "messenger-unlink"},
        ),
        key=row.id,
        class_name="row",
        custom_attrs={"data-testid": "messenger-row"},
    )


def _offer(messenger: rx.Var[str]) -> rx.Component:
    return rx.el.button(
        t("messengers.link", name=_name(messenger)),
        type="button",
        class_name="quiet-button",
        on_click=MessengersState.link(messenger),
        custom_attrs={"data-testid": "messenger-offer"},
    )


def _code() -> rx.Component:
    """The link of a new code, and its picture for a phone."""
    return rx.el.div(
        rx.el.p(t("messengers.open")),
        rx.el.p(
            rx.el.a(
                MessengersState.link_url,
                href=MessengersState.link_url,
                target="_blank",
                rel="noopener noreferrer",
                class_name="written",
                custom_attrs={"data-testid": "messenger-link"},
            )
        ),
        rx.cond(
            MessengersState.link_text != "",
            rx.el.p(
                t("messengers.write"),
                " ",
                rx.el.code(MessengersState.link_text, class_name="written"),
                custom_attrs={"data-testid": "messenger-text"},
            ),
        ),
        rx.el.img(src=MessengersState.link_qr, alt=t("messengers.qr"), width="200", height="200"),
    )


def _notice() -> rx.Component:
    """Shows what became of the code that was on the page."""
    return rx.el.div(
        rx.cond(
            MessengersState.linked != "",
            rx.el.p(t("messengers.linked", name=_name(MessengersState.linked))),
        ),
        rx.cond(
            MessengersState.expired != "",
            rx.el.p(t("messengers.expired", name=_name(MessengersState.expired))),
        ),
        role="status",
        custom_attrs={"data-testid": "messenger-notice"},
    )


def messengers() -> rx.Component:
    """The section of the settings page; nothing where no messenger is set up."""
    return rx.cond(
        MessengersState.available.length() > 0,
        section(
            t("messengers.title"),
            section_error(MessengersState.error_code),
            _notice(),
            rx.el.ul(rx.foreach(MessengersState.links, _link), class_name="rows"),
            rx.foreach(MessengersState.available, _offer),
            rx.cond(MessengersState.link_url != "", _code()),
            hint=t("messengers.hint"),
        ),
    )
