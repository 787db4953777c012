"""A button that copies a text, and shows by a tick that it was copied."""

import reflex as rx
from reflex_base.vars import VarData
from reflex_base.vars.base import LiteralVar

from genai_app.components.text import t

SHOWN_MS = 1600

_COPY = """(event) => {
  const button = event.currentTarget, status = button.querySelector('[role=status]');
  navigator.clipboard.writeText(%(text)s).then(() => {
    button.dataset.copied = '';
    status.textContent = %(copied)s;
    clearTimeout(button.timer);
    button.timer = setTimeout(() => {
      delete button.dataset.copied;
      status.textContent = '';
    }, %(shown)d);
  });
}"""


def copy_button(
    text: rx.Var[str], label: rx.Var[str], *, size: int = 15, testid: str = ""
) -> rx.Component:
    """Looks as an icon button. The style sheet shows the tick while it has `data-copied`."""
    value, copied = LiteralVar.create(text), LiteralVar.create(t("chat.copied"))
    data = VarData.merge(value._get_all_var_data(), copied._get_all_var_data())
    names = {"text": str(value), "copied": str(copied), "shown": SHOWN_MS}
    attrs: dict[str, object] = {"onClick": rx.Var(_COPY % names, _var_data=data)}
    if testid:
        attrs["data-testid"] = testid
    return rx.el.button(
        rx.icon("copy", size=size, class_name="copy-mark"),
        rx.icon("check", size=size, class_name="copied-mark"),
        rx.el.span(role="status", class_name="visually-hidden"),
        type="button",
        class_name="icon-button copy-button",
        aria_label=label,
        title=label,
        custom_attrs=attrs,
    )
