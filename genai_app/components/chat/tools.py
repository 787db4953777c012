"""Buttons that take an answer, its code and its tables out of the page: to the clipboard, as files.
All of it happens in the browser.

The clipboard gets what a text editor pastes and what an office program pastes. Spreadsheets take a
cell that begins with `=` for a formula, so a sign before it says that it is text.
"""

import reflex as rx
from reflex_base.vars.base import VarData
from reflex_components_core.el.elements.forms import Button

from genai_app.components.copy_button import SHOWN_MS
from genai_app.components.text import t

SCRIPT = (
    f"const SHOWN_MS = {SHOWN_MS};"
    + r"""
const toClipboard = async (text, html) => {
  if (navigator.clipboard?.write) {
    const types = {'text/plain': new Blob([text], {type: 'text/plain'})};
    if (html) types['text/html'] = new Blob([html], {type: 'text/html'});
    return navigator.clipboard.write([new ClipboardItem(types)]);
  }
  // without https a browser has only this
  const put = (event) => {
    event.preventDefault();
    event.clipboardData.setData('text/plain', text);
    if (html) event.clipboardData.setData('text/html', html);
  };
  document.addEventListener('copy', put, {once: true});
  if (!document.execCommand('copy')) throw new Error('refused');
};
// the tick of components/copy_button.py
const confirmed = (button) => {
  const status = button.querySelector('[role=status]');
  button.dataset.copied = '';
  status.textContent = button.dataset.done;
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    delete button.dataset.copied;
    status.textContent = '';
  }, SHOWN_MS);
};
const copy = (button, text, html) =>
  toClipboard(text, html).then(() => confirmed(button), () => {});
const save = (button, name, type, text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  confirmed(button);
};
const around = (button, selector) => button.closest(selector);
const copyCode = (button, text) => copy(button, text);
const ENDINGS = {python: 'py', javascript: 'js', typescript: 'ts', bash: 'sh', shell: 'sh',
  csharp: 'cs', ruby: 'rb', rust: 'rs', kotlin: 'kt', markdown: 'md', powershell: 'ps1',
  mermaid: 'mmd', perl: 'pl', latex: 'tex', golang: 'go', yaml: 'yml', plaintext: 'txt'};
const saveCode = (button, text, language) => {
  const short = /^[a-z0-9]{1,5}$/.test(language) ? language : 'txt';
  save(button, 'code.' + (ENDINGS[language] ?? short), 'text/plain;charset=utf-8', text);
};
const toggled = (button, name) => {
  const on = around(button, '.code').classList.toggle(name);
  button.setAttribute(name === 'wrapped' ? 'aria-pressed' : 'aria-expanded', on);
};
const withSources = (node) => {
  const kept = node.cloneNode(true);
  for (const each of kept.querySelectorAll('[data-source]')) each.replaceWith(each.dataset.source);
  return kept;
};
const isFigure = (text) => /^[-+]?[\d\s\u00a0.,]*\d\s?%?$/.test(text);
const asText = (text) => /^[=+\-@\t\r]/.test(text) && !isFigure(text) ? "'" + text : text;
const cellsOf = (button) => {
  const rows = around(button, '.table').querySelector('table').rows;
  return [...rows].map((row) => [...row.cells].map((cell) => {
    const kept = withSources(cell);
    for (const each of kept.querySelectorAll('br'))
      each.replaceWith(each.nextSibling?.data?.startsWith('\n') ? '' : '\n');
    return asText(kept.textContent.replaceAll('\u2060', '').trim());
  }));
};
const escaped = (text) => text.replace(/[&<>]/g, (each) => `&#${each.charCodeAt(0)};`);
const copyTable = (button) => {
  const rows = cellsOf(button);
  const html = rows.map((row) => row.map((cell) =>
    `<td>${escaped(cell).replaceAll('\n', '<br>')}</td>`).join(''));
  copy(button, rows.map((row) => row.map((cell) => cell.replace(/[\t\n]+/g, ' ')).join('\t'))
    .join('\n'), `<table><tr>${html.join('</tr><tr>')}</tr></table>`);
};
const saveTable = (button) => {
  // where a comma stands in figures, spreadsheets part cells by a semicolon
  const comma = document.documentElement.lang === 'ru' ? ';' : ',';
  const quoted = (cell) => /[",;\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  const rows = cellsOf(button).map((row) => row.map(quoted).join(comma));
  const text = '\ufeff' + rows.join('\r\n') + '\r\n';
  save(button, 'table.csv', 'text/csv;charset=utf-8', text);
};
// An answer for an office program: its headings, lists, tables and code, without our look.
const richText = (answer) => {
  const whole = document.createElement('div');
  for (const part of answer.querySelectorAll('.markdown'))
    if (!part.closest('details')) whole.append(withSources(part));  // what is folded is no answer
  for (const each of whole.querySelectorAll('button, .code-head, .table-foot, .diagram, svg'))
    each.remove();
  for (const each of whole.querySelectorAll('h3')) {
    const head = document.createElement(/^h[1-6]$/.test(each.className) ? each.className : 'h3');
    head.append(...each.childNodes);
    each.replaceWith(head);
  }
  for (const each of whole.querySelectorAll('pre')) {
    const text = document.createElement('pre');
    text.textContent = each.textContent;
    each.replaceWith(text);
  }
  for (const each of whole.querySelectorAll('input')) each.replaceWith(each.checked ? '☑ ' : '☐ ');
  for (const each of whole.querySelectorAll('*'))
    for (const {name, value} of [...each.attributes]) {
      const kept = name === 'start' || (name === 'href' && !value.startsWith('#'));
      if (!kept) each.removeAttribute(name);
    }
  for (const each of whole.querySelectorAll('div')) each.replaceWith(...each.childNodes);
  for (const each of whole.querySelectorAll('table')) each.setAttribute('border', '1');
  for (const each of whole.querySelectorAll('pre, code'))
    each.style.fontFamily = 'Consolas, monospace';
  return whole.innerHTML.replaceAll('\u2060', '');
};
const copyAnswer = (button, text) => copy(button, text, richText(around(button, '.answer')));
"""
)


class _ToolButton(Button):
    """A button that calls a function of `SCRIPT`."""

    def add_custom_code(self) -> list[str]:
        return [SCRIPT]


def _call(function: str, *values: rx.Var) -> dict[str, rx.Var]:
    """Returns the attribute that calls `function` with the button and `values`."""
    arguments = ", ".join(["event.currentTarget", *map(str, values)])
    data = VarData.merge(*(value._get_all_var_data() for value in values))
    return {"onClick": rx.Var(f"(event) => {function}({arguments})", _var_data=data)}


def _tool(
    icon: str,
    name: str,
    function: str,
    *values: rx.Var,
    testid: str,
    done: str = "chat.copied",
) -> rx.Component:
    """Returns a button that shows a tick when its work is done, and says `done`."""
    return _ToolButton.create(
        rx.icon(icon, size=15, class_name="copy-mark"),
        rx.icon("check", size=15, class_name="copied-mark"),
        rx.el.span(role="status", class_name="visually-hidden"),
        type="button",
        class_name="icon-button copy-button",
        aria_label=t(name),
        title=t(name),
        custom_attrs={
            "data-testid": testid,
            "data-done": t(done),
            **_call(function, *values),
        },
    )


def _save(name: str, function: str, *values: rx.Var, testid: str) -> rx.Component:
    return _tool("download", name, function, *values, testid=testid, done="tool.saved")


def copy_answer(text: rx.Var[str]) -> rx.Component:
    """Copies the answer around it: `text` as Markdown, and what is seen for office programs."""
    return _tool("copy", "chat.copy", "copyAnswer", text, testid="copy")


def copy_code(text: rx.Var[str]) -> rx.Component:
    return _tool("copy", "chat.copy_code", "copyCode", text, testid="copy-code")


def save_code(text: rx.Var[str], language: rx.Var[str]) -> rx.Component:
    return _save("tool.save_code", "saveCode", text, language, testid="save-code")


def copy_table() -> rx.Component:
    return _tool("copy", "tool.copy_table", "copyTable", testid="copy-table")


def save_table() -> rx.Component:
    return _save("tool.save_table", "saveTable", testid="save-table")


def wrap_code() -> rx.Component:
    """Wraps the long lines of the code around it, and back."""
    return _ToolButton.create(
        rx.icon("wrap-text", size=15),
        type="button",
        class_name="icon-button wrap-code",
        aria_label=t("tool.wrap"),
        title=t("tool.wrap"),
        aria_pressed=False,
        custom_attrs={
            "data-testid": "wrap-code",
            **_call("toggled", rx.Var.create("wrapped")),
        },
    )


def unfold_code(lines: rx.Var[int]) -> rx.Component:
    """Shows all lines of the code around it, and folds it again."""
    return _ToolButton.create(
        rx.el.span(t("tool.unfold", lines=lines), class_name="when-folded"),
        rx.el.span(t("tool.fold"), class_name="when-open"),
        type="button",
        class_name="unfold",
        aria_expanded=False,
        custom_attrs={
            "data-testid": "unfold-code",
            **_call("toggled", rx.Var.create("unfolded")),
        },
    )
