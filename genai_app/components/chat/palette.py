"""The palette: Ctrl+K opens a field that finds dialogs and commands. A native dialog, so the
browser keeps the focus inside, closes it by Esc and gives the focus back."""

import reflex as rx
from reflex_base.event import EventChain, passthrough_event_spec
from reflex_base.utils.imports import ImportDict
from reflex_base.vars import VarData
from reflex_base.vars.base import LiteralVar
from reflex_components_core.base.fragment import Fragment

from genai_app.components.chat.search import piece
from genai_app.components.icon_button import icon_button
from genai_app.components.text import error_text, t
from genai_app.state.chat.conversation import COMPOSER_ID
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.palette import COMMANDS, Command, PaletteState
from genai_app.state.chat.search import HitRow
from genai_app.state.exports import DialogExportState
from genai_app.state.ui import UiState

PALETTE_ID, INPUT_ID, LIST_ID = "palette", "palette-input", "palette-list"
DEBOUNCE_MS = 150
MAX_QUERY_CHARS = 200

_KEYS = """
const palette = useRef({});
const chosen = () => document.querySelector('#%(list)s [aria-selected="true"]');
const choose = (option) => {
  const field = document.getElementById('%(field)s');
  if (chosen() !== option) chosen()?.setAttribute('aria-selected', 'false');
  option?.setAttribute('aria-selected', 'true');
  option?.scrollIntoView({ block: 'nearest' });
  option ? field?.setAttribute('aria-activedescendant', option.id)
    : field?.removeAttribute('aria-activedescendant');
};
const options = () => [...document.querySelectorAll('#%(list)s [role=option]')];

// What was found for other words than those in the field is no answer to them. An empty field has
// its list in a moment: until then nothing is shown.
const compare = () => {
  const list = document.getElementById('%(list)s'), field = document.getElementById('%(field)s');
  if (list && field) list.dataset.of = field.value.trim() === palette.current.query ? 'field'
    : field.value.trim() ? 'words-before' : 'nothing';
};

useEffect(() => {  // the list has changed; whoever pressed Enter before it came gets its first row
  const field = document.getElementById('%(field)s');
  compare();
  choose(options()[0]);
  if (!palette.current.entered || field?.value.trim() !== %(query)s) return;
  palette.current.entered = false;
  chosen()?.click();
}, [%(query)s, %(hits)s, %(commands)s]);

useEffect(() => {
  const box = document.getElementById('%(palette)s');
  const field = document.getElementById('%(field)s');
  if (!box || !field) return;
  document.documentElement.toggleAttribute('data-mac', /mac/i.test(navigator.platform));
  const show = () => {
    if (box.open) return box.close();
    document.querySelectorAll('[popover]:popover-open').forEach((each) => each.hidePopover());
    field.value = '';
    palette.current.entered = false;
    compare();
    box.showModal();
    field.focus();
    (%(open)s)();
  };
  const key = (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    if (event.code !== 'KeyK') return;  // the key, whatever the layout makes of it
    event.preventDefault();
    show();
  };
  const move = (event) => {
    const all = options(), at = all.indexOf(chosen());
    const next = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      choose(all[next %% all.length]);
    } else if (event.key === 'Enter' && !event.isComposing) {
      event.preventDefault();
      if (field.value.trim() === palette.current.query) chosen()?.click();
      else palette.current.entered = true;
    }
  };
  const typed = () => { palette.current.entered = false; compare(); };
  const point = (event) => {
    const option = event.target.closest('[role=option]');
    if (option) choose(option);
  };
  const click = (event) => {
    if (event.target.closest?.('[data-palette]')) show();
    else if (event.target === box || event.target.closest?.('#%(list)s [role=option]')) box.close();
  };
  document.addEventListener('keydown', key);
  document.addEventListener('click', click);
  field.addEventListener('keydown', move);
  field.addEventListener('input', typed);
  box.addEventListener('pointermove', point);
  return () => {
    document.removeEventListener('keydown', key);
    document.removeEventListener('click', click);
    field.removeEventListener('keydown', move);
    field.removeEventListener('input', typed);
    box.removeEventListener('pointermove', point);
  };
}, []);
palette.current.query = %(query)s;
"""


class PaletteKeeper(Fragment):
    """Opens the palette and moves through it; draws nothing."""

    def add_imports(self) -> ImportDict:
        return {"react": ["useEffect", "useRef"]}

    def add_hooks(self) -> list[str | rx.Var]:
        opening = EventChain.create(PaletteState.open, args_spec=passthrough_event_spec())
        props = {
            "query": PaletteState.query,
            "hits": PaletteState.hits,
            "commands": PaletteState.commands,
            "open": LiteralVar.create(opening),
        }
        names = {"palette": PALETTE_ID, "field": INPUT_ID, "list": LIST_ID}
        data = VarData.merge(*(each._get_all_var_data() for each in props.values()))
        script = _KEYS % ({name: str(each) for name, each in props.items()} | names)
        return [rx.Var(script, _var_data=data)]


def palette(*, composer: bool) -> rx.Component:
    """`composer`: whether the page has one, that a new dialog shall begin in."""
    nothing = (PaletteState.hits.length() == 0) & (PaletteState.commands.length() == 0)
    return rx.fragment(
        PaletteKeeper.create(),
        rx.el.dialog(
            _field(),
            rx.el.div(
                _dialogs(),
                _commands(composer),
                id=LIST_ID,
                role="listbox",
                aria_label=t("palette.results"),
                class_name="palette-list",
            ),
            rx.el.p(
                rx.cond(
                    PaletteState.error_code != "",
                    error_text(PaletteState.error_code),
                    rx.cond(nothing & (PaletteState.query != ""), t("search.nothing"), ""),
                ),
                role="status",
                class_name="palette-status",
            ),
            rx.el.p(t("palette.keys"), class_name="palette-keys", aria_hidden=True),
            id=PALETTE_ID,
            class_name="palette",
            aria_label=t("palette.title"),
            custom_attrs={"data-testid": "palette"},
        ),
    )


def palette_hint() -> rx.Component:
    """The button in the search field that opens the palette and names its keys."""
    return rx.el.button(
        rx.el.span("Ctrl K", class_name="keys-other", aria_hidden=True),
        rx.el.span("⌘K", class_name="keys-mac", aria_hidden=True),
        type="button",
        class_name="palette-hint",
        aria_label=t("palette.open"),
        title=t("palette.open"),
        custom_attrs={"data-palette": "", "aria-keyshortcuts": "Control+K Meta+K"},
    )


def _field() -> rx.Component:
    return rx.el.div(
        rx.icon("search", size=18, aria_hidden=True),
        rx.el.input(
            id=INPUT_ID,
            type="text",
            role="combobox",
            max_length=MAX_QUERY_CHARS,
            auto_complete="off",
            spell_check=False,
            placeholder=t("palette.placeholder"),
            aria_label=t("palette.placeholder"),
            on_change=PaletteState.find.debounce(DEBOUNCE_MS),
            custom_attrs={
                "data-testid": "palette-input",
                "aria-expanded": "true",
                "aria-controls": LIST_ID,
                "aria-autocomplete": "list",
            },
        ),
        icon_button(
            "x",
            t("palette.close"),
            size=16,
            on_click=rx.Var(f"() => document.getElementById('{PALETTE_ID}').close()").to(
                EventChain
            ),
        ),
        class_name="palette-field",
    )


def _dialogs() -> rx.Component:
    title = rx.cond(PaletteState.query != "", t("nav.dialogs"), t("palette.latest"))
    return rx.cond(
        PaletteState.hits.length() > 0,
        rx.el.div(
            rx.el.div(title, class_name="palette-group", aria_hidden=True),
            rx.foreach(PaletteState.hits, _hit),
            role="group",
            aria_label=title,
        ),
    )


def _hit(hit: rx.Var[HitRow]) -> rx.Component:
    return rx.el.a(
        rx.icon("message-square", size=16, aria_hidden=True),
        rx.el.span(
            rx.el.span(
                rx.cond(hit.title.length() > 0, rx.foreach(hit.title, piece), t("nav.untitled")),
                class_name="hit-title",
            ),
            rx.cond(
                hit.excerpt.length() > 0,
                rx.el.span(rx.foreach(hit.excerpt, piece), class_name="hit-excerpt"),
            ),
        ),
        href=hit.address,
        id=f"option-{hit.id}",
        key=hit.id,
        role="option",
        aria_selected=False,
        tab_index=-1,
        class_name="palette-option written",
        custom_attrs={"data-testid": "palette-dialog"},
    )


def _commands(composer: bool) -> rx.Component:
    return rx.cond(
        PaletteState.commands.length() > 0,
        rx.el.div(
            rx.el.div(t("palette.commands"), class_name="palette-group", aria_hidden=True),
            *(_command(each, composer) for each in COMMANDS),
            role="group",
            aria_label=t("palette.commands"),
        ),
    )


def _command(command: Command, composer: bool) -> rx.Component:
    shown = PaletteState.commands.contains(command.name)
    if command.name == "export":
        shown = shown & (ChatState.dialog_id != "")
    props = {
        "id": f"option-{command.name.strip('/').replace('/', '-')}",
        "role": "option",
        "aria_selected": False,
        "tab_index": -1,
        "class_name": "palette-option",
        "custom_attrs": {"data-testid": "palette-command"},
    }
    # the command that changes the language is written in the other one
    foreign = "other-language" if command.name == "language" else ""
    label = rx.el.span(t(command.title), class_name=foreign)
    content = (rx.icon(command.icon, size=16, aria_hidden=True), label)
    if command.address:
        focus = composer and command.name == "new"
        then = rx.set_focus(COMPOSER_ID) if focus else rx.noop()
        return rx.cond(shown, rx.el.a(*content, href=command.address, on_click=then, **props))
    return rx.cond(
        shown, rx.el.button(*content, type="button", on_click=_action(command.name), **props)
    )


def _action(name: str):
    """Returns what a command without an address does."""
    match name:
        case "export":
            return DialogExportState.start("pdf", "")
        case "language":
            return UiState.choose_locale(rx.cond(UiState.locale == "ru", "en", "ru"))
        case "theme" | "logout":  # the page has a button for it
            press = f"() => document.querySelector('[data-testid={name}]').click()"
            return rx.Var(press).to(EventChain)
    raise AssertionError(name)
