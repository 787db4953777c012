"""The scroll position in a dialog: at the end, at a message that was searched for, or higher up,
with a button to the end and older messages that load before they are reached."""

import reflex as rx
from reflex_base.event import EventChain
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_base.vars import VarData
from reflex_components_core.base.fragment import Fragment

from genai_app.components.text import t
from genai_app.models import Status
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.earlier import EarlierState

SCROLL_ID, OLDER_ID, DOWN_ID, UP_ID = "scroll", "older", "gap-down", "gap-up"
MARK = "searched"  # the name of the highlight in the style sheet
AWAY_PX = 160
AHEAD_PX = 600  # messages are loaded this long before their place comes into sight
SETTLED_MS = 250  # whoever jumps to the top may mean the button there

# The list grows upwards from its end (styles.css): its scrollTop is 0 there, and negative above.
_READING = """
const place = useRef({});
const lastId = %(last)s?.id, lastStatus = %(last)s?.status;

useEffect(() => {  // a dialog opens at its end, or at what was searched for
  const list = document.getElementById('%(scroll)s');
  if (!list) return;
  const hit = %(at)s && document.getElementById('m-' + %(at)s);
  if (!hit) { list.scrollTop = 0; return; }
  if (%(marks)s.length) hit.querySelector('.fold-switch input:not(:checked)')?.click();
  hit.scrollIntoView({ block: 'center' });
  if (!%(marks)s.length || !CSS.highlights) return;
  const [first] = genaiMark(hit, %(marks)s);
  if (first && hit.clientHeight > list.clientHeight)
    list.scrollTop += first.getBoundingClientRect().top
      - list.getBoundingClientRect().top - list.clientHeight / 3;
  // code is coloured later, and its words are other nodes then
  const drawn = new MutationObserver(() => genaiMark(hit, %(marks)s));
  drawn.observe(hit, { childList: true, subtree: true });
  return () => { drawn.disconnect(); CSS.highlights.delete('%(mark)s'); };
}, [%(dialog)s, %(at)s, %(marks)s.join()]);

useEffect(() => {
  const list = document.getElementById('%(scroll)s'), dialog = list?.firstElementChild;
  if (!list || !dialog) return;
  const anchored = CSS.supports('overflow-anchor', 'auto');
  const note = () => {
    const away = list.scrollTop < -%(away)d, at = place.current;
    if (!away) at.fresh = false;
    list.dataset.reading = !away ? 'end' : at.fresh || lastStatus === '%(running)s' ? 'new' : 'old';
    if (anchored) return;
    const top = list.getBoundingClientRect().top;
    at.message = [...dialog.querySelectorAll('.message')]
      .find((each) => each.getBoundingClientRect().bottom > top);
    at.top = at.message?.getBoundingClientRect().top;
  };
  const hold = () => {  // for browsers that do not keep the place by themselves
    const { message, top } = place.current;
    if (!anchored && list.scrollTop < -%(away)d && message?.isConnected)
      list.scrollTop += message.getBoundingClientRect().top - top;
    note();
  };
  const sizes = new ResizeObserver(hold);
  sizes.observe(dialog);
  list.addEventListener('scroll', note, { passive: true });
  note();
  return () => { sizes.disconnect(); list.removeEventListener('scroll', note); };
}, [%(dialog)s, lastId, lastStatus]);

useEffect(() => {  // something came while the reader was higher up
  const list = document.getElementById('%(scroll)s'), at = place.current;
  if (list && at.dialog === %(dialog)s && list.scrollTop < -%(away)d) {
    at.fresh = true;
    list.dataset.reading = 'new';
  } else at.fresh = false;
  at.dialog = %(dialog)s;
}, [%(dialog)s, lastId, lastStatus]);

// Messages are loaded before their place comes into sight: by its button, which stands at the end
// of what is loaded. Whoever is above a gap needs its upper end, whoever is below it the lower one.
const ahead = (id, edge) => () => {
  const list = document.getElementById('%(scroll)s'), button = document.getElementById(id);
  if (!list || !button) return;
  let timer;
  const load = () => {
    if (!document.getElementById(`m-${edge}`)) {  // what came last is not drawn yet
      timer = setTimeout(load, %(settled)d);
      return;
    }
    const seen = list.getBoundingClientRect(), { top, bottom } = button.getBoundingClientRect();
    const above = id === '%(down)s' ? 0 : %(ahead)d, below = id === '%(up)s' ? 0 : %(ahead)d;
    if (bottom > seen.top - above && top < seen.bottom + below) button.click();
  };
  const sight = new IntersectionObserver((entries) => {
    clearTimeout(timer);
    if (entries.at(-1).isIntersecting) timer = setTimeout(load, %(settled)d);
  }, { root: list, rootMargin: '%(ahead)dpx 0px %(ahead)dpx 0px' });
  sight.observe(button);
  return () => { clearTimeout(timer); sight.disconnect(); };
};
useEffect(ahead('%(older)s', %(first)s), [%(first)s, %(more)s]);
useEffect(ahead('%(down)s', %(from)s), [%(from)s]);
useEffect(ahead('%(up)s', %(to)s), [%(to)s]);
"""

# `words` are letters and digits only. Marks them without a change of the page's nodes, which are
# React's.
_MARKING = """
const genaiMark = (message, words) => {
  const whole = new RegExp(
    `(?<![\\p{L}\\p{N}])(?:${words.join('|')})(?![\\p{L}\\p{N}])`, 'gu');
  const ranges = [];
  for (const part of message.querySelectorAll('.bubble, .markdown')) {
    const texts = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
    while (texts.nextNode())
      for (const { index, 0: word } of texts.currentNode.data.matchAll(whole)) {
        const range = new Range();
        range.setStart(texts.currentNode, index);
        range.setEnd(texts.currentNode, index + word.length);
        ranges.push(range);
      }
  }
  CSS.highlights.set('%s', new Highlight(...ranges));
  return ranges;
};
"""

_DOWN = """() => {
  const list = document.getElementById('%s'), far = list.scrollTop < -3 * list.clientHeight;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  list.scrollTo({ top: 0, behavior: far || calm ? 'instant' : 'smooth' });
}"""


def first_shown() -> rx.Var[str]:
    """Returns the id of the first message on the page; "" for none."""
    rows = ChatState.messages
    first = rx.Var(f"({rows!s}[0]?.id ?? '')", _var_data=rows._get_all_var_data()).to(str)
    return rx.cond(EarlierState.first != "", EarlierState.first, first)


def has_older() -> rx.Var[bool]:
    """Returns whether the dialog has messages before it."""
    return rx.cond(EarlierState.first != "", EarlierState.has_older, ChatState.has_older)


class ReadingPlace(Fragment):
    """Keeps the reader's place; draws nothing."""

    def add_imports(self) -> ImportDict:
        return {"react": [ImportVar(tag="useEffect"), ImportVar(tag="useRef")]}

    def add_custom_code(self) -> list[str]:
        return [_MARKING % MARK]

    def add_hooks(self) -> list[str | rx.Var]:
        rows = ChatState.messages
        data = rows._get_all_var_data()
        props = {
            "last": rx.Var(f"{rows!s}.at(-1)", _var_data=data),
            "first": first_shown(),
            "at": ChatState.at,
            "marks": ChatState.marks,
            "dialog": ChatState.dialog_id,
            "more": has_older(),
            "from": EarlierState.gap_from,
            "to": EarlierState.gap_to,
        }
        numbers = {
            "scroll": SCROLL_ID,
            "older": OLDER_ID,
            "down": DOWN_ID,
            "up": UP_ID,
            "mark": MARK,
            "away": AWAY_PX,
            "ahead": AHEAD_PX,
            "settled": SETTLED_MS,
            "running": Status.RUNNING,
        }
        data = VarData.merge(*(each._get_all_var_data() for each in props.values()))
        script = _READING % ({name: str(each) for name, each in props.items()} | numbers)
        return [rx.Var(script, _var_data=data)]


def jump_to_latest() -> rx.Component:
    """The way down; the style sheet shows it while the reader is higher up."""
    return rx.el.button(
        rx.icon("arrow-down", size=15, aria_hidden=True),
        rx.el.span(t("chat.to_latest"), class_name="jump-old"),
        rx.el.span(t("chat.new_text"), class_name="jump-new"),
        type="button",
        class_name="jump",
        on_click=rx.Var(_DOWN % SCROLL_ID).to(EventChain),
        custom_attrs={"data-testid": "jump-latest"},
    )


scroll_keeper = ReadingPlace.create
