"""Drafts in the browser: one for each dialog, and the question that is being sent until the server
has it. Its files are kept by uploads.py.

A question is sent again, under the same id, with each sign of life of the connection until the page
hears of it; so a frozen or broken connection neither loses nor doubles it.
"""

import reflex as rx
from reflex.experimental.client_state import ClientStateVar
from reflex_base.constants import Dirs
from reflex_base.event import EventChain, passthrough_event_spec
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_base.vars import VarData
from reflex_base.vars.base import LiteralVar
from reflex_components_core.base.fragment import Fragment

from genai_app.components.life_sign import SILENT_NOW
from genai_app.models import MAX_PROMPT_CHARS
from genai_app.state.chat.conversation import COMPOSER_ID, ConversationState
from genai_app.state.chat.dialog import ChatState
from genai_app.state.session import SessionState
from genai_app.state.tab import TabState

# the question that waits, as the page shows it; "" when none does
waiting = ClientStateVar.create("waiting", default="")

SHOW_WAITING_MS = 2000
REPEAT_MS = 2500
MOST_REPEATS = 20

STORAGE = """
const genaiKept = {};  // what the browser's storage does not take
const genaiStore = {
  get(area, key) {
    try { return genaiKept[key] ?? window[area].getItem(key) ?? ''; }
    catch { return genaiKept[key] ?? ''; }
  },
  set(area, key, text) {
    try {
      text ? window[area].setItem(key, text) : window[area].removeItem(key);
      delete genaiKept[key];
    } catch { genaiKept[key] = text; }
  },
};
const genaiDialog = (path) => /^\\/c\\/([^/]+)/.exec(path)?.[1] ?? 'new';
const genaiDraft = {
  key: (user, path) => `genai_draft:${user}:${genaiDialog(path)}`,
  get: (key) => genaiStore.get('localStorage', key),
  set: (key, text) => genaiStore.set('localStorage', key, text),
};
const genaiSent = {
  get(user) {
    try { return JSON.parse(genaiStore.get('sessionStorage', `genai_sent:${user}`) || 'null'); }
    catch { return null; }
  },
  set: (user, sent) => genaiStore.set(
    'sessionStorage', `genai_sent:${user}`, sent ? JSON.stringify(sent) : ''),
};
"""

_KEEPING = """
const { pathname } = useLocation();
const keeper = useRef({});
const post = (sent) => {
  const all = Array.from(sent.text);
  const text = all.length > %(most)d ? all.slice(0, %(most)d + 1).join('') : sent.text;
  sent.tried = Date.now();
  sent.tries = (sent.tries ?? 0) + 1;
  genaiSent.set(%(user)s, sent);
  (%(send)s)(text, all.length, sent.id, sent.attempt, sent.place, sent.files ?? []);
};
const settled = () => { genaiSent.set(%(user)s, null); %(wait)s(''); };

useEffect(() => {  // the field shows the draft of the address
  const field = document.getElementById('%(field)s'), kept = keeper.current;
  if (!field || !%(user)s) return;
  const key = genaiDraft.key(%(user)s, pathname), early = kept.key === undefined;
  const ownMove = kept.asked && pathname === '/c/' + %(dialog)s;
  if (ownMove) {  // typed after a first question, before it had an address
    genaiDraft.set(kept.key, '');
    genaiDraft.set(key, field.value);
    window.genaiFiles?.move(`${kept.key}:files`, `${key}:files`);
  } else {  // what was typed before the page was ready is not lost
    const typed = early && field.value ? field.value : '';
    const text = genaiDraft.get(key);
    kept.rest = typed.startsWith(text) ? '' : text;
    field.value = typed ? kept.rest + typed : text;
    if (typed) genaiDraft.set(key, field.value);
  }
  kept.key = key;
  kept.asked = false;
  const save = () => genaiDraft.set(key, field.value);
  field.addEventListener('input', save);
  return () => field.removeEventListener('input', save);
}, [%(user)s, pathname]);

useEffect(() => {  // the server has answered for the question
  const sent = %(user)s ? genaiSent.get(%(user)s) : null;
  if (!sent) return;
  if (%(id)s && %(id)s !== sent.id) {
    const field = document.getElementById('%(field)s'), kept = keeper.current;
    const key = genaiDraft.key(%(user)s, sent.place), draft = genaiDraft.get(key);
    const rest = sent.rest ?? '', whole = rest + sent.text;
    if (draft.startsWith(whole)) genaiDraft.set(key, rest + draft.slice(whole.length));
    window.genaiFiles?.settle(`${key}:files`, sent.files ?? []);
    if (field && kept.key === key) {
      field.value = genaiDraft.get(key);
      kept.asked = genaiDialog(sent.place) === 'new';
    }
    settled();
  } else if (%(refused)s === sent.attempt || sent.tries > %(repeats)d) {
    settled();
    if (sent.files?.length) window.genaiFiles?.look(window.genaiFiles.shown);
  }
  else %(wait)s(sent.text);
}, [%(user)s, %(id)s, %(refused)s]);

useEffect(() => {  // the connection is alive
  const sent = %(beat)s && %(user)s ? genaiSent.get(%(user)s) : null;
  if (sent && Date.now() - sent.tried > %(repeat)d) post(sent);
}, [%(beat)s]);

const ask = (text, rest = '') => {
  document.getElementById('end')?.scrollIntoView();
  const before = genaiSent.get(%(user)s), place = pathname;
  if (before && before.place !== place) return;  // one question waits at a time
  const files = window.genaiFiles?.ids(`${genaiDraft.key(%(user)s, place)}:files`) ?? [];
  const isSame = before?.text === text && `${before.files ?? ''}` === `${files}`;
  if (isSame) return post(before);
  const attempt = `${Date.now()}`;
  post({ id: %(id)s, text, files, rest, place, attempt });
  setTimeout(() => {
    if (genaiSent.get(%(user)s)?.attempt === attempt) %(wait)s(text);
  }, %(silent)s ? 0 : %(show)d);
};

useLayoutEffect(() => {  // with the page as it is drawn, or an Enter just after it would be lost
  window.genaiEarly.on = false;
  refs['genai_submit'] = () => {
    const { value: text } = document.getElementById('%(field)s');
    if (window.genaiFiles?.holds(text)) return;
    if (!text.trim()) return;
    if (%(user)s && %(id)s) ask(text);
    else window.genaiEarly.text = text;
  };
});

useEffect(() => {  // a question that was sent before the server's first words
  const { text } = window.genaiEarly;
  if (!%(user)s || !%(id)s || text === null) return;
  window.genaiEarly.text = null;
  if (!window.genaiFiles?.holds(text)) ask(text, keeper.current.rest);
}, [%(user)s, %(id)s]);
"""


class DraftKeeper(Fragment):
    """Fills, saves and empties the composer's field; draws nothing."""

    def add_imports(self) -> ImportDict:
        return {
            "react": ["useEffect", "useLayoutEffect", "useRef"],
            "react-router": [ImportVar(tag="useLocation")],
            f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")],
        }

    def add_custom_code(self) -> list[str]:
        return [STORAGE]

    def add_hooks(self) -> list[str | rx.Var]:
        types = passthrough_event_spec(str, int, str, str, str, list[str])
        send = LiteralVar.create(EventChain.create(ConversationState.send, args_spec=types))
        props = {
            "user": SessionState.user_key,
            "dialog": ChatState.dialog_id,
            "id": ChatState.send_id,
            "refused": ChatState.refused,
            "beat": TabState.beat,
            "send": send,
            "wait": waiting.set,
        }
        numbers = {
            "field": COMPOSER_ID,
            "most": MAX_PROMPT_CHARS,
            "show": SHOW_WAITING_MS,
            "repeat": REPEAT_MS,
            "repeats": MOST_REPEATS,
            "silent": SILENT_NOW,
        }
        data = VarData.merge(*(each._get_all_var_data() for each in props.values()))
        script = _KEEPING % ({name: str(each) for name, each in props.items()} | numbers)
        return [rx.Var(script, _var_data=data)]


draft_keeper = DraftKeeper.create

_refs = VarData(imports={f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")]})
# of the composer's form
submit = rx.Var("() => refs['genai_submit']?.()", _var_data=_refs).to(EventChain)
# for the form that logs out; what a session leaves that only ended stays for the next login
forget = rx.Var("""() => {
  for (const area of ['localStorage', 'sessionStorage']) {
    try {
      Object.keys(window[area]).filter((key) => /^genai_(draft|sent):/.test(key))
        .forEach((key) => window[area].removeItem(key));
    } catch {}
  }
}""")
