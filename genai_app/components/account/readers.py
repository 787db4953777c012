"""The readers of my dialogs: a section of the settings page."""

import reflex as rx

from genai_app.components.account.section import section, section_error
from genai_app.components.text import of_locale, t
from genai_app.state.account.readers import ReaderRow, ReadersState


def _reader(row: rx.Var[ReaderRow]) -> rx.Component:
    action = rx.match(
        row.action,
        ("dialog_reveal", t("readers.revealed")),
        ("export", t("readers.exported")),
        ("file_read", t("readers.opened_file")),
        t("readers.read"),
    )
    return rx.el.li(
        rx.el.div(
            rx.el.p(rx.el.strong(row.name, class_name="written"), class_name="row-title"),
            rx.el.p(
                rx.el.span(action),
                rx.cond(row.title != "", rx.el.span("«", row.title, "»", class_name="written")),
                rx.el.span(of_locale(row.at)),
                class_name="meta",
            ),
            rx.cond(
                row.reason != "",
                rx.el.p(t("readers.why", reason=row.reason), class_name="reader-reason written"),
            ),
            class_name="row-text",
        ),
        key=row.id,
        class_name="row",
        custom_attrs={"data-testid": "reader-row"},
    )


def readers() -> rx.Component:
    """The section of the settings page."""
    return section(
        t("readers.title"),
        section_error(ReadersState.error_code),
        rx.cond(
            ReadersState.loaded,
            rx.cond(
                ReadersState.readers.length() > 0,
                rx.fragment(
                    rx.el.ul(rx.foreach(ReadersState.readers, _reader), class_name="rows"),
                    rx.cond(
                        ReadersState.has_more,
                        rx.el.button(
                            t("nav.more"),
                            type="button",
                            class_name="quiet-button",
                            on_click=ReadersState.load_more,
                            custom_attrs={"data-testid": "readers-more"},
                        ),
                    ),
                ),
                rx.el.p(t("readers.nobody"), class_name="empty"),
            ),
            rx.el.p(t("settings.loading"), class_name="empty"),
        ),
        hint=t("readers.hint"),
    )
