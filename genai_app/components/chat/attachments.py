"""Files at the composer: the button that chooses them, their chips, what is to be known of them,
and the hint over the page while files are dragged over it."""

import reflex as rx
from reflex_base.event import EventChain

from genai_app.components.chat.uploads import (
    DraftFile,
    draft_files,
    files_note,
    sending_waits,
)
from genai_app.components.files import (
    file_error,
    file_mark,
    file_name,
    opener,
    read_state,
    shown_state,
)
from genai_app.components.icon_button import icon_button
from genai_app.components.text import of_locale, t
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.draft_files import MAX_ATTACHED, DraftFilesState
from genai_app.state.files import GONE, FileWarning

ATTACH_MENU_ID, INPUT_ID, CAMERA_ID = "attach-menu", "file-input", "camera-input"
DIALOG_FILES_ID = "dialog-files"
GRAVE = ("hidden_text", "instructions")  # warnings that are written out before the file is sent

_items = draft_files.value.to(list[DraftFile])


def attach_button() -> rx.Component:
    """Opens the menu of what can be attached."""
    return rx.fragment(
        icon_button(
            "plus",
            t("file.attach"),
            size=20,
            class_name="attach",
            testid="attach",
            custom_attrs={"popoverTarget": ATTACH_MENU_ID, "data-id": "", "aria-haspopup": "menu"},
        ),
        rx.el.div(
            _entry("paperclip", t("file.choose"), _press(INPUT_ID), "attach-file"),
            _entry(
                "camera",
                t("file.camera"),
                _press(CAMERA_ID),
                "attach-camera",
                class_name="by-touch",
            ),
            rx.cond(
                ChatState.dialog_id != "",
                _entry("folder-open", t("file.of_dialog"), None, "dialog-files-open"),
            ),
            id=ATTACH_MENU_ID,
            role="menu",
            aria_label=t("file.attach"),
            class_name="row-menu",
            custom_attrs={"popover": "auto"},
        ),
        _input(INPUT_ID, t("file.choose"), multiple=True),
        _input(CAMERA_ID, t("file.camera"), accept="image/*", capture="environment"),
    )


def _press(element_id: str) -> rx.Var:
    return rx.Var(f"() => document.getElementById('{element_id}').click()").to(EventChain)


def _entry(icon: str, label: rx.Var[str], press, testid: str, class_name: str = "") -> rx.Component:
    attrs = {"data-testid": testid, "data-closes": ""}
    if press is None:
        attrs["data-drawer"] = DIALOG_FILES_ID
    return rx.el.button(
        rx.icon(icon, size=16, aria_hidden=True),
        label,
        type="button",
        role="menuitem",
        class_name=class_name,
        custom_attrs=attrs,
        **({} if press is None else {"on_click": press}),
    )


def _input(element_id: str, label: rx.Var[str], **attrs: object) -> rx.Component:
    """A field that the menu opens; uploads.py takes what is chosen in it."""
    shown = {"data-files": "", "data-testid": element_id} | {
        name: value for name, value in attrs.items() if name == "capture"
    }
    props = {name: value for name, value in attrs.items() if name != "capture"}
    return rx.el.input(
        id=element_id,
        type="file",
        tab_index=-1,
        aria_label=label,
        class_name="visually-hidden",
        custom_attrs=shown,
        **props,
    )


def attached_files() -> rx.Component:
    """The chips, and below them what is to be known before the question is sent."""
    return rx.cond(
        (_items.length() > 0) | (files_note.value.to(str) != ""),
        rx.el.div(
            rx.cond(
                _items.length() > 0,
                rx.el.ul(
                    rx.foreach(_items, _chip), class_name="files", aria_label=t("file.attached")
                ),
            ),
            _problems(),
            _note(),
            _waiting(),
            class_name="attached",
        ),
    )


def _chip(item: rx.Var[DraftFile]) -> rx.Component:
    can_open = (item.step == "sent") & (item.state != GONE)
    return rx.el.li(
        file_mark(item),
        rx.cond(
            can_open,
            opener(item),
            rx.el.span(file_name(item), class_name="file-name written", title=item.name),
        ),
        rx.el.span(_state(item), class_name="file-state"),
        _actions(item),
        rx.cond(
            item.step == "sending",
            rx.el.progress(
                value=item.percent,
                max=100,
                aria_label=t("file.progress_of", name=item.name),
                class_name="usage-bar",
            ),
        ),
        key=item.key,
        class_name="file",
        custom_attrs={"data-testid": "attachment", "data-state": _state_name(item)},
    )


def _actions(item: rx.Var[DraftFile]) -> rx.Component:
    return rx.el.span(
        rx.cond(
            item.pasted,
            icon_button(
                "text-cursor-input",
                t("file.as_text"),
                testid="file-as-text",
                on_click=_call("asText", item.key),
            ),
        ),
        rx.cond(
            (item.step == "failed") & item.can_retry,
            icon_button(
                "rotate-cw",
                t("file.retry_named", name=item.name),
                testid="file-retry",
                on_click=_call("again", item.key),
            ),
        ),
        icon_button(
            "x",
            rx.cond(
                item.step == "sending",
                t("file.cancel_named", name=item.name),
                t("file.remove_named", name=item.name),
            ),
            testid="file-remove",
            on_click=_call("remove", item.key),
        ),
        class_name="file-actions",
    )


def _call(name: str, key: rx.Var[str]) -> rx.Var:
    data = key._get_all_var_data()
    return rx.Var(f"() => globalThis.genaiFiles.{name}({key!s})", _var_data=data).to(EventChain)


def _state(item: rx.Var[DraftFile]) -> rx.Component:
    return rx.match(
        item.step,
        ("waiting", rx.el.span(t("file.waiting"))),
        (
            "sending",
            rx.el.span(
                rx.cond(
                    item.percent < 100,
                    t("file.sending", percent=item.percent.to_string()),
                    t("file.taking"),
                )
            ),
        ),
        ("failed", rx.el.span(t("file.not_sent"), class_name="file-bad")),
        read_state(item, warned=True),
    )


def _state_name(item: rx.Var[DraftFile]) -> rx.Var[str]:
    return rx.cond(item.step == "sent", shown_state(item.state), item.step)


def _problems() -> rx.Component:
    """The remarks on all files; those that have no room scroll."""
    return rx.el.div(
        rx.foreach(_items, _problems_of),
        class_name="file-problems",
        tab_index=0,
        role="group",
        aria_label=t("file.remarks"),
    )


def _problems_of(item: rx.Var[DraftFile]) -> rx.Component:
    """Why a file cannot be sent; and what is hidden in it, or wants to steer the model."""
    return rx.fragment(
        rx.cond(
            item.error_code != "",
            rx.el.p(
                rx.icon("circle-alert", size=16),
                rx.el.span(
                    rx.el.strong(item.name, class_name="written"),
                    " — ",
                    rx.cond(
                        item.message != "",
                        item.message,
                        file_error(item.error_code, DraftFilesState.limit_mb),
                    ),
                ),
                class_name="note note-danger",
                role="alert",
                custom_attrs={"data-testid": "file-error"},
            ),
        ),
        rx.foreach(item.warnings, lambda warning: _grave(item, warning)),
        key=item.key,
    )


def _grave(item: rx.Var[DraftFile], warning: rx.Var[FileWarning]) -> rx.Component:
    return rx.cond(
        rx.Var.create([*GRAVE]).contains(warning.code),
        rx.el.p(
            rx.icon("triangle-alert", size=16),
            rx.el.span(
                rx.el.strong(item.name, class_name="written"), " — ", of_locale(warning.text)
            ),
            class_name="note note-warning",
            role="status",
            custom_attrs={"data-testid": "file-warning"},
        ),
    )


def _note() -> rx.Component:
    code = files_note.value.to(str)
    text = rx.match(
        code,
        ("too_many_files", t("error.too_many_files", limit=str(MAX_ATTACHED))),
        ("files_without_text", t("file.without_text")),
        ("files_bad", t("file.bad")),
        ("file_folder", t("file.folder")),
        "",
    )
    return rx.cond(
        code != "",
        rx.el.p(
            rx.icon("info", size=16),
            rx.el.span(text),
            class_name="note",
            role="alert",
            custom_attrs={"data-testid": "file-note"},
        ),
    )


def _waiting() -> rx.Component:
    return rx.cond(
        sending_waits.value.to(bool),
        rx.el.p(
            rx.el.span(class_name="spinner", aria_hidden=True),
            rx.el.span(t("file.goes_later")),
            rx.el.button(
                t("file.do_not_send"),
                type="button",
                class_name="text-button",
                on_click=rx.Var("() => globalThis.genaiFiles.want('')").to(EventChain),
                custom_attrs={"data-testid": "file-hold"},
            ),
            class_name="note files-wait",
            role="status",
            custom_attrs={"data-testid": "files-wait"},
        ),
    )


def drop_hint() -> rx.Component:
    """Over the whole page while files are dragged over it; the style sheet shows it."""
    return rx.el.div(
        rx.el.div(
            rx.icon("paperclip", size=28, stroke_width=1.5),
            rx.el.strong(t("file.drop")),
            rx.el.span(
                t("file.drop_hint", limit_mb=DraftFilesState.limit_mb, limit=str(MAX_ATTACHED))
            ),
            class_name="drop-card",
        ),
        class_name="drop-hint",
        aria_hidden=True,
        custom_attrs={"data-testid": "drop-hint"},
    )
