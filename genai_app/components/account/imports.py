"""Imports from other chats: a section of the settings page. The browser sends the file by a plain
request with a progress of its own; then the list follows the reading."""

import reflex as rx
from reflex.experimental.client_state import ClientStateVar
from reflex_base.constants import Dirs
from reflex_base.event import EventChain, passthrough_event_spec
from reflex_base.utils.imports import ImportVar
from reflex_base.vars import VarData
from reflex_base.vars.base import LiteralVar

from genai_app.components.account.section import section, section_error
from genai_app.components.icon_button import icon_button
from genai_app.components.text import error_text, of_locale, t
from genai_app.state.account.imports import LARGEST_FILE, ImportRow, ImportsState
from genai_app.state.ui import UiState

# how much of the file is sent, in percent; -1: none is being sent
_sent = ClientStateVar.create("import_sent", default=-1)
_refused = ClientStateVar.create("import_refused", default="")  # the code of the error

_SEND = """(event) => {
  const file = event.target.files[0];
  if (!file) return;
  const form = new FormData(), request = new XMLHttpRequest();
  form.append('file', file);
  event.target.value = '';  // the same file may be chosen again
  if (file.size > %(longest)d) return (%(refuse)s)('import_too_large');
  let cancelled = false;
  request.upload.onprogress = (sent) =>
    (%(show)s)(Math.round(100 * sent.loaded / sent.total));
  request.onabort = () => { cancelled = true; };
  request.onloadend = () => {
    let code = cancelled || request.status === 202 ? '' : 'import_broken';
    try { code = code && JSON.parse(request.response).error.code; } catch {}
    (%(show)s)(-1);
    (%(refuse)s)(code);
    if (!code && !cancelled) (%(done)s)();
  };
  (%(refuse)s)('');
  (%(show)s)(0);
  refs['genai_import'] = request;
  request.open('POST', '/imports');
  request.setRequestHeader('Accept-Language', %(locale)s);
  request.send(form);
}"""

_refs = VarData(imports={f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")]})
_cancel_sending = rx.Var("() => refs['genai_import']?.abort()", _var_data=_refs)


def _send() -> rx.Var:
    """Returns the function that sends the chosen file."""
    chain = EventChain.create(ImportsState.uploaded, args_spec=passthrough_event_spec())
    parts = {
        "refuse": rx.Var.create(_refused.set),
        "show": rx.Var.create(_sent.set),
        "done": LiteralVar.create(chain),
        "locale": rx.Var.create(UiState.locale),
    }
    data = VarData.merge(_refs, *(each._get_all_var_data() for each in parts.values()))
    texts = {name: str(each) for name, each in parts.items()}
    return rx.Var(_SEND % {**texts, "longest": LARGEST_FILE}, _var_data=data)


def _chooser() -> rx.Component:
    return rx.el.label(
        rx.icon("file-up", size=16, aria_hidden=True),
        t("import.choose"),
        rx.el.input(
            type="file",
            accept=".zip,.json,application/zip,application/json",
            class_name="visually-hidden",
            custom_attrs={"data-testid": "import-file", "onChange": _send()},
        ),
        class_name="quiet-button with-icon file-button",
    )


def _sending() -> rx.Component:
    return rx.el.div(
        rx.el.progress(
            value=_sent.value,
            max=100,
            aria_label=t("import.sending"),
            class_name="usage-bar",
        ),
        rx.el.p(
            rx.cond(_sent.value.to(int) < 100, t("import.sending"), t("import.taking")),
            class_name="meta",
            role="status",
        ),
        rx.el.button(
            t("nav.cancel"),
            type="button",
            class_name="text-button",
            aria_label=t("import.cancel_sending"),
            custom_attrs={"onClick": _cancel_sending, "data-testid": "import-stop"},
        ),
        class_name="import-sending",
    )


def _progress(row: rx.Var[ImportRow]) -> rx.Component:
    return rx.el.div(
        rx.el.progress(
            value=row.percent,
            max=100,
            aria_label=t("import.progress_of", name=row.name),
            class_name="usage-bar",
        ),
        rx.el.p(
            rx.cond(row.state == "running", t("import.reading"), t("import.queued")),
            class_name="meta",
            role="status",
        ),
        class_name="export-progress",
    )


def _outcome(row: rx.Var[ImportRow]) -> rx.Component:
    return rx.fragment(
        rx.cond(
            row.state != "failed",
            rx.el.p(
                of_locale(row.result),
                class_name="import-result",
                role="status",
                custom_attrs={"data-testid": "import-result"},
            ),
        ),
        rx.cond(
            row.error_code != "",
            rx.el.p(error_text(row.error_code), class_name="export-error", role="alert"),
        ),
        rx.el.p(rx.el.span(of_locale(row.made)), class_name="meta"),
    )


def _row(row: rx.Var[ImportRow]) -> rx.Component:
    under_way = (row.state == "queued") | (row.state == "running")
    return rx.el.li(
        rx.el.div(
            rx.el.p(
                rx.el.strong(row.name, class_name="written"),
                rx.match(
                    row.state,
                    ("failed", rx.el.span(t("import.state_failed"), class_name="badge danger")),
                    ("cancelled", rx.el.span(t("import.state_cancelled"), class_name="badge")),
                    rx.fragment(),
                ),
                class_name="row-title",
            ),
            rx.cond(under_way, _progress(row), _outcome(row)),
            class_name="row-text",
        ),
        rx.cond(
            under_way,
            rx.el.button(
                t("nav.cancel"),
                type="button",
                class_name="text-button",
                aria_label=t("import.cancel_named", name=row.name),
                on_click=ImportsState.cancel(row.id),
                custom_attrs={"data-testid": "import-cancel"},
            ),
            icon_button(
                "x",
                t("import.remove_named", name=row.name),
                on_click=ImportsState.remove(row.id),
                testid="import-remove",
            ),
        ),
        key=row.id,
        class_name="row",
        custom_attrs={"data-testid": "import-row", "data-state": row.state},
    )


def imports() -> rx.Component:
    """The section of the settings page."""
    return section(
        t("import.title"),
        section_error(ImportsState.error_code),
        section_error(_refused.value.to(str)),
        rx.cond(
            ImportsState.imports.length() > 0,
            rx.el.ul(rx.foreach(ImportsState.imports, _row), class_name="rows"),
        ),
        rx.cond(_sent.value.to(int) >= 0, _sending(), _chooser()),
        rx.el.details(
            rx.el.summary(t("import.where"), custom_attrs={"data-testid": "import-where"}),
            rx.el.p(t("import.where_chatgpt")),
            rx.el.p(t("import.where_open_webui")),
            rx.el.p(t("import.what_comes")),
            class_name="import-where",
        ),
        hint=t("import.hint"),
        id="import",
    )
