"""Keyboard and screen readers on every page, served in the browser: the language of the document,
Esc, one tab stop per list, and a focus that is never lost.

Attributes that other components set for it:

- `data-rove`: a list is one tab stop; with the value `arrows` the arrows go through its `<li>`.
- `data-esc`: Esc presses this button; of several, the one of the innermost `data-layer`.
- `data-skip`: a link that gives the focus to the element of that id, without another address.
- `data-focus`: what closes a layer, and gives the focus to the element of that id.
"""

import reflex as rx
from reflex_base.utils.imports import ImportDict
from reflex_components_core.base.fragment import Fragment

from genai_app.state.ui import UiState

_TABBABLE = "a[href], button:not(:disabled), input, select, textarea, summary"

# One row of the list can be reached by Tab with all that is in it: the one that has the focus, else
# the current one, else the first. The list is set right again when its rows change.
_ROVE = """
const rows = (list) => [...list.querySelectorAll('li')];
const settle = (list) => {
  const all = rows(list);
  const stop = all.find((row) => row.contains(document.activeElement))
    ?? all.find((row) => row.querySelector('.current')) ?? all[0];
  for (const row of all)
    for (const each of row.querySelectorAll(TABBABLE)) each.tabIndex = row === stop ? 0 : -1;
};
const settleAll = () => document.querySelectorAll('[data-rove]').forEach(settle);
const rove = (event) => {
  const list = event.target.closest?.('[data-rove]');
  const row = event.target.closest?.('li');
  if (!row || list?.dataset.rove !== 'arrows' || event.target.matches('input, textarea')) return;
  if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
  const all = rows(list), at = all.indexOf(row);
  const next = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1}[event.key];
  const target = all[next]?.querySelector(TABBABLE);
  if (!target) return;
  event.preventDefault();
  target.focus();
};
"""

# Esc closes what is innermost: an open menu, else the layer that has the focus, else the last one.
_ESCAPE = """
const seen = (node) => node.checkVisibility({visibilityProperty: true});
const escape = (event) => {
  if (event.key !== 'Escape' || event.defaultPrevented) return;
  const menu = document.querySelector('details[data-menu][open]');
  if (menu) { menu.open = false; menu.querySelector('summary').focus(); return; }
  const all = [...document.querySelectorAll('[data-esc]')].filter(seen);
  const inside = all.filter((each) =>
    each.closest('[data-layer]')?.contains(document.activeElement));
  (inside.at(-1) ?? all.at(-1))?.click();
};
"""

# What had the focus is remembered by the row it stood in, its test id and its name: a button that
# opened a form is another element when the form is gone. The nearest of these that is still there
# gets the focus when the element that had it was removed.
_RETURN = """
const past = [];
const nameOf = (node) => node.getAttribute('aria-label') ?? node.textContent.trim();
const remember = (event) => {
  const node = event.target;
  if (!(node instanceof HTMLElement) || node === document.body) return;
  const above = [];
  for (let each = node.parentElement; each; each = each.parentElement) above.push(each);
  past.push({node, above, id: node.dataset.testid, name: nameOf(node),
    row: node.closest('li, tr, article')});
  if (past.length > 12) past.shift();
  const list = node.closest('[data-rove]');
  if (list) settle(list);
};
const forget = (event) => {  // somebody clicked beside everything
  const node = event.target;
  queueMicrotask(() => {
    if (node.isConnected && document.activeElement === document.body) past.length = 0;
  });
};
const again = ({node, id, name, row}) => {
  if (node.isConnected) return node;
  if (!id) return null;
  const same = `[data-testid="${CSS.escape(id)}"]`;
  if (row?.isConnected) return row.querySelector(same);
  const named = [...document.querySelectorAll(same)].filter((each) => nameOf(each) === name);
  return named.length === 1 ? named[0] : null;
};
const giveBack = () => {
  if (document.activeElement !== document.body || !past.length) return;
  const lost = past.at(-1);
  if (lost.node.isConnected && seen(lost.node)) return;
  for (const each of past.toReversed()) {
    const target = again(each);
    if (target && seen(target) && !target.disabled) { target.focus(); return; }
  }
  const near = lost.above.find((each) => each.isConnected && each.querySelector(TABBABLE));
  near?.querySelector(TABBABLE).focus();
};
"""

_LISTEN = """
  const skip = (event) => {
    const id = event.target.closest?.('[data-skip]')?.dataset.skip;
    const target = id && document.getElementById(id);
    if (target) { event.preventDefault(); target.focus(); }
    const opener = event.target.closest?.('[data-focus]')?.dataset.focus;
    if (opener) document.getElementById(opener)?.focus();
  };
  const changed = new MutationObserver((changes) => {
    if (changes.some(({target}) => target.closest?.('[data-rove]'))) settleAll();
    giveBack();
  });
  const listeners = {keydown: [rove, escape], focusin: [remember], focusout: [forget],
    click: [skip]};
  for (const [name, all] of Object.entries(listeners))
    for (const each of all) document.addEventListener(name, each);
  remember({target: document.activeElement});  // a page begins with the focus in its field
  changed.observe(document.body, {childList: true, subtree: true});
  settleAll();
  return () => {
    changed.disconnect();
    for (const [name, all] of Object.entries(listeners))
      for (const each of all) document.removeEventListener(name, each);
  };
"""
_TABBABLE_JS = f"const TABBABLE = {_TABBABLE!r};"
_EFFECT = "\n".join(
    ("useEffect(() => {", _TABBABLE_JS, _ROVE, _ESCAPE, _RETURN, _LISTEN, "}, []);")
)


class FocusKeeper(Fragment):
    """Draws nothing. One on each page."""

    locale: rx.Var[str]

    def add_imports(self) -> ImportDict:
        return {"react": "useEffect"}

    def add_hooks(self) -> list[str | rx.Var]:
        locale = str(self.locale)
        language = f"useEffect(() => {{document.documentElement.lang = {locale}}}, [{locale}]);"
        return [
            rx.Var(language, _var_data=self.locale._get_all_var_data()),
            rx.Var(_EFFECT),
        ]

    def _exclude_props(self) -> list[str]:
        return ["locale"]


def focus_keeper() -> rx.Component:
    return FocusKeeper.create(locale=UiState.locale)
