"""The sessions of the account, and the buttons that end them."""

import reflex as rx

from genai_app.components.account.section import section, section_error
from genai_app.components.text import of_locale, t
from genai_app.models import Channel
from genai_app.state.account.logins import LoginsState
from genai_app.state.account.rows import LoginRow


def channel_text(channel: rx.Var[str]) -> rx.Var[str]:
    """The door of a login in the words of the page."""
    return rx.match(
        channel,
        (Channel.API, t("logins.api")),
        (Channel.TELEGRAM, t("logins.telegram")),
        (Channel.MATTERMOST, t("logins.mattermost")),
        t("logins.web"),
    )


def _login(row: rx.Var[LoginRow]) -> rx.Component:
    channel = channel_text(row.channel)
    name = rx.cond(row.device != "", row.device, channel)
    since = of_locale(row.since)
    return rx.el.li(
        rx.el.div(
            rx.el.p(
                rx.el.strong(name, class_name="written"),
                rx.cond(row.current, rx.el.span(t("logins.current"), class_name="badge")),
                class_name="row-title",
            ),
            rx.el.p(
                rx.el.span(channel),
                rx.cond(row.address != "", rx.el.span(row.address, class_name="written")),
                rx.el.span(t("logins.since", date=since)),
                class_name="meta",
            ),
            class_name="row-text",
        ),
        rx.cond(
            ~row.current,
            rx.el.button(
                t("logins.end"),
                type="button",
                class_name="text-button",
                aria_label=t("logins.end_named", name=name, date=since),
                on_click=LoginsState.end(row.id),
                custom_attrs={"data-testid": "end-login"},
            ),
        ),
        key=row.id,
        class_name="row",
        custom_attrs={"data-testid": "login-row"},
    )


def logins() -> rx.Component:
    """The section of the settings page."""
    return section(
        t("logins.title"),
        section_error(LoginsState.error_code),
        rx.cond(
            LoginsState.loaded,
            rx.fragment(
                rx.el.ul(rx.foreach(LoginsState.logins, _login), class_name="rows"),
                rx.cond(
                    LoginsState.logins.length() > 1,
                    rx.el.button(
                        t("logins.end_others"),
                        type="button",
                        class_name="quiet-button",
                        on_click=LoginsState.end_others,
                        custom_attrs={"data-testid": "end-others"},
                    ),
                ),
            ),
            rx.el.p(t("settings.loading"), class_name="empty"),
        ),
        hint=t("logins.hint"),
    )
