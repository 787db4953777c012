"""API keys: the list, a new one, and how it is used. Its text is on the page this one time."""

import reflex as rx

from genai_app.components.account.section import section, section_error
from genai_app.components.confirm_question import confirm_question
from genai_app.components.copy_button import copy_button
from genai_app.components.text import of_locale, t
from genai_app.state.account.keys import KEY_NAME_ID, KeysState
from genai_app.state.account.rows import KeyRow

LONGEST_NAME = 100


def _facts(key: rx.Var[KeyRow]) -> rx.Component:
    never_expires = of_locale(key.expires) == ""
    return rx.el.p(
        rx.el.span(t("keys.created", date=of_locale(key.created))),
        rx.el.span(
            rx.cond(
                of_locale(key.used) == "",
                t("keys.never_used"),
                t("keys.used", date=of_locale(key.used)),
            )
        ),
        rx.cond(
            key.expired,
            rx.el.span(t("keys.expired", date=of_locale(key.expires)), class_name="over"),
            rx.el.span(
                rx.cond(
                    never_expires,
                    t("keys.never_expires"),
                    t("keys.expires", date=of_locale(key.expires)),
                )
            ),
        ),
        class_name="meta",
    )


def _revoke_question(key: rx.Var[KeyRow]) -> rx.Component:
    return confirm_question(
        t("keys.revoke_question"),
        t("keys.yes_revoke"),
        on_yes=KeysState.revoke(key.id),
        on_cancel=KeysState.cancel,
        testid="confirm-revoke",
        custom_attrs={"data-layer": ""},
    )


def _key(key: rx.Var[KeyRow]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.p(
                rx.el.strong(key.name, class_name="written"),
                rx.el.code(key.hint, "…", class_name="written"),
                class_name="row-title",
            ),
            _facts(key),
            class_name="row-text",
        ),
        rx.cond(
            KeysState.revoking == key.id,
            _revoke_question(key),
            rx.el.button(
                t("keys.revoke"),
                type="button",
                class_name="text-button",
                aria_label=t("keys.revoke_named", name=key.name),
                on_click=KeysState.ask_revoke(key.id),
                custom_attrs={"data-testid": "revoke"},
            ),
        ),
        key=key.id,
        class_name="row",
        custom_attrs={"data-testid": "key-row"},
    )


def _snippet(label: rx.Var[str], text: rx.Var[str], copy: rx.Var[str], testid: str) -> rx.Component:
    return rx.el.div(
        rx.el.span(label, class_name="snippet-label"),
        rx.el.div(
            rx.el.code(text, tab_index=0, custom_attrs={"data-testid": testid}),
            copy_button(text, copy, testid=f"copy-{testid}"),
            class_name="snippet written",
        ),
    )


def _new_key() -> rx.Component:
    """In the page only while the key is: nothing of it may be left behind."""
    example = (
        'curl -H "Authorization: Bearer '
        + KeysState.new_key
        + '" '
        + KeysState.base_url
        + "/models"
    )
    return rx.el.div(
        rx.el.p(
            rx.icon("key-round", size=16), rx.el.span(t("keys.ready")), class_name="note note-good"
        ),
        _snippet(t("keys.title_new"), KeysState.new_key, t("keys.copy"), "new-key"),
        _snippet(t("keys.address"), KeysState.base_url, t("keys.copy_address"), "base-url"),
        _snippet(t("keys.example"), example, t("keys.copy_example"), "example"),
        rx.el.button(
            t("keys.done"),
            type="button",
            class_name="quiet-button",
            on_click=KeysState.forget,
            custom_attrs={"data-testid": "key-done"},
        ),
        class_name="new-key",
        on_unmount=KeysState.forget,
    )


def _form() -> rx.Component:
    days = [rx.el.option(t("keys.days", count=str(n)), value=str(n)) for n in (30, 90, 365)]
    return rx.el.form(
        rx.el.label(
            rx.el.span(t("keys.name")),
            rx.el.input(
                id=KEY_NAME_ID,
                name="name",
                required=True,
                max_length=LONGEST_NAME,
                auto_complete="off",
                placeholder=t("keys.name_example"),
                custom_attrs={"data-testid": "key-name"},
            ),
            class_name="field",
        ),
        rx.el.label(
            rx.el.span(t("keys.expiry")),
            rx.el.select(
                *days,
                rx.el.option(t("keys.forever"), value="none"),
                name="days",
                default_value="90",
                custom_attrs={"data-testid": "key-days"},
            ),
            class_name="field",
        ),
        rx.el.button(
            t("keys.create"),
            type="submit",
            class_name="quiet-button",
            custom_attrs={"data-testid": "key-create"},
        ),
        class_name="row-form",
        on_submit=lambda form: KeysState.create(
            form.to(dict[str, str])["name"], form.to(dict[str, str])["days"]
        ),
    )


def api_keys() -> rx.Component:
    """The section of the settings page."""
    return section(
        t("keys.title"),
        section_error(KeysState.error_code),
        rx.el.div(rx.cond(KeysState.new_key != "", _new_key()), role="status"),
        rx.cond(
            KeysState.keys.length() > 0,
            rx.el.ul(rx.foreach(KeysState.keys, _key), class_name="rows"),
            rx.el.p(
                rx.cond(KeysState.loaded, t("keys.empty"), t("settings.loading")),
                class_name="empty",
            ),
        ),
        _form(),
        hint=t("keys.hint"),
    )
