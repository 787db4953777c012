"""Files for a question, in the browser: chosen, dropped or pasted, sent by plain requests with a
progress of their own, and kept with the draft of the dialog until the question is sent.

The list of each address is in this page's memory, as a file may still be on its way to the server;
what has arrived is in the local storage too, where a reload finds it.
"""

from dataclasses import dataclass

import reflex as rx
from reflex.experimental.client_state import ClientStateVar
from reflex_base.constants import Dirs
from reflex_base.event import EventChain, passthrough_event_spec
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_base.vars import VarData
from reflex_base.vars.base import LiteralVar
from reflex_components_core.base.fragment import Fragment

from genai_app.components.chat.drafts import STORAGE
from genai_app.components.text import t
from genai_app.state.chat.conversation import COMPOSER_ID
from genai_app.state.chat.draft_files import MAX_ATTACHED, DraftFilesState
from genai_app.state.files import TAIL_CHARS, FileRow
from genai_app.state.session import SessionState
from genai_app.state.tab import TabState
from genai_app.state.ui import UiState

LONG_PASTE = 4000  # characters; a longer text becomes a file
MOST_AT_ONCE = 3  # uploads of a page
SILENCE_MS = 6000  # a file that is read this long without news is asked for again


@dataclass
class DraftFile(FileRow):
    """A file on a chip of the composer. `step`: `waiting`, `sending`, `failed` or `sent`; of a sent
    one `state` is the server's. `message`: the server's sentence for an error."""

    key: str = ""
    step: str = ""
    percent: int = 0
    message: str = ""
    pasted: bool = False  # a long text
    can_retry: bool = False


# what the chips show; whether the question goes when they are ready; a note's code
draft_files = ClientStateVar.create("draft_files", default=[])
sending_waits = ClientStateVar.create("sending_waits", default=False)
files_note = ClientStateVar.create("files_note", default="")

# `shown`: the key of the address on the screen; `wanted`: of the question that goes by itself as
# soon as its files are ready.
FILES = """
const genaiFiles = globalThis.genaiFiles ??= {  // one for all modules of the page
  lists: {}, shown: '', wanted: '', heard: 0, page: null,
  key: (user, path) => `${genaiDraft.key(user, path)}:files`,
  of(key) {
    if (!key) return [];
    if (!this.lists[key]) {
      let kept = [];
      try { kept = JSON.parse(genaiDraft.get(key) || '[]'); } catch {}
      this.lists[key] = kept.map((each) =>
        ({ ...this.item(each), id: each.id, step: 'sent', state: 'queued' }));
    }
    return this.lists[key];
  },
  item({ name, size, pasted = false, file = null }) {
    const steers = /\\p{Cc}|[\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]/gu;
    const all = Array.from(name.replace(steers, ''));
    const units = [[1048576, 'mb'], [1024, 'kb']];
    const [unit, sign] = units.find(([each]) => size >= each) ?? [1, 'b'];
    return {
      key: `${Date.now()}-${Math.random()}`, id: '', name: all.join(''), state: '', step: 'waiting',
      head: all.slice(0, -%(tail)d).join(''), tail: all.slice(-%(tail)d).join(''),
      size: (size / unit).toFixed(size < 10 * unit ? 1 : 0).replace(/\\.0$/, ''),
      size_unit: sign, kind: this.kind(name), percent: 0, error_code: '', message: '', extent: {},
      warnings: [], has_thumbnail: false, pasted, file, bytes: size,
    };
  },
  kind(name) {  // as far as its ending tells, until the server has read the file
    const ending = /\\.(\\w+)$/.exec(name)?.[1].toLowerCase() ?? '';
    const kinds = { picture: 'png jpg jpeg webp heic gif', sheets: 'xlsx xls ods csv', pdf: 'pdf',
      document: 'docx doc odt rtf', slides: 'pptx ppt odp', mail: 'eml msg', web: 'html htm' };
    return Object.keys(kinds).find((each) => kinds[each].split(' ').includes(ending)) ?? '';
  },
  keep(key) {
    const sent = this.of(key).filter((each) => each.step === 'sent' && each.state !== 'gone');
    genaiDraft.set(key, sent.length ? JSON.stringify(sent.map(({ id, name, bytes, pasted }) =>
      ({ id, name, size: bytes, pasted }))) : '');
    const isHopeless = (code) => ['file_empty', 'file_over_limit'].includes(code);
    if (key === this.shown) this.page?.show(this.of(key).map(({ file, request, ...each }) =>
      ({ ...each, can_retry: !!file && !isHopeless(each.error_code) })));
    this.settleWanted();
  },
  open(key) {
    this.shown = key;
    if (this.wanted && this.wanted !== key) this.want('');
    this.note('');
    this.keep(key);
    this.look(key);
  },
  look(key) {
    const ids = this.of(key).map((each) => each.id).filter(Boolean);
    this.heard = Date.now();
    if (ids.length) this.page?.watch(ids);
  },
  move(from, to) {  // a first question has got its address
    const moved = this.of(from);
    this.lists[from] = [];
    this.lists[to] = [...this.of(to), ...moved];
    this.keep(from);
    this.keep(to);
  },
  add(files, { pasted = false } = {}) {
    const key = this.shown, list = this.of(key);
    if (!key) return;
    this.note('');
    for (const file of files) {
      if (list.length >= %(most)d) { this.note('too_many_files'); break; }
      const item = this.item({ name: file.name, size: file.size, pasted, file });
      if (!file.size) this.fail(item, 'file_empty');
      else if (file.size > this.page.limit) this.fail(item, 'file_over_limit');
      list.push(item);
    }
    this.keep(key);
    this.next();
  },
  fail(item, code, message = '') {
    Object.assign(item, { step: 'failed', error_code: code, message, percent: 0 });
  },
  next() {
    const all = Object.entries(this.lists).flatMap(([key, list]) =>
      list.map((item) => ({ key, item })));
    const free = %(at_once)d - all.filter(({ item }) => item.step === 'sending').length;
    const waiting = all.filter(({ item }) => item.step === 'waiting');
    for (const { key, item } of waiting.slice(0, Math.max(free, 0))) this.send(key, item);
  },
  send(key, item) {
    const request = new XMLHttpRequest(), form = new FormData();
    form.append('file', item.file, item.name);
    Object.assign(item, { step: 'sending', percent: 0, error_code: '', message: '', request });
    const holder = () => Object.keys(this.lists).find((each) => this.lists[each].includes(item));
    request.upload.onprogress = (event) => {
      const percent = event.total ? Math.floor(100 * event.loaded / event.total) : 0;
      if (percent === item.percent) return;
      item.percent = percent;
      if (holder()) this.keep(holder());
    };
    request.onloadend = () => {
      item.request = null;
      const at = holder();
      let answer = null;
      try { answer = JSON.parse(request.response); } catch {}
      if (request.status === 201 && answer?.id) {
        if (!at) this.page?.discard(answer.id);  // it was removed at the last moment
        Object.assign(item, { id: answer.id, step: 'sent', state: 'queued' });
      } else this.fail(item, answer?.error?.code ?? 'file_broken', answer?.error?.message ?? '');
      if (at) this.keep(at);
      if (at && at === this.shown) this.look(at);
      this.next();
    };
    request.open('POST', '/files');
    request.setRequestHeader('Accept-Language', this.page.locale);
    request.send(form);
    this.keep(key);
  },
  at(key) { return this.of(this.shown).find((each) => each.key === key); },
  again(key) {
    const item = this.at(key);
    if (!item?.file) return;
    Object.assign(item, { step: 'waiting', error_code: '', message: '', id: '', state: '' });
    this.keep(this.shown);
    this.next();
  },
  remove(key) {
    const item = this.at(key), shown = this.shown;
    if (!item) return;
    this.want('');
    this.lists[shown] = this.of(shown).filter((each) => each !== item);
    item.request?.abort();
    if (item.id && item.state !== 'gone') this.page?.discard(item.id);
    this.note('');
    this.keep(shown);
    this.next();
  },
  async asText(key) {  // a long text that was pasted goes into the field after all
    const item = this.at(key), field = document.getElementById('%(field)s');
    if (!item) return;
    const text = item.file ? await item.file.text()
      : await fetch(`/files/${item.id}/content`).then((answer) => answer.ok ? answer.text() : '');
    if (!text || !field) return;
    this.remove(key);
    field.setRangeText(text, field.selectionStart, field.selectionEnd, 'end');
    field.dispatchEvent(new Event('input', { bubbles: true }));
    field.focus();
  },
  merge(rows) {
    this.heard = Date.now();
    const byId = Object.fromEntries(rows.map((row) => [row.id, row]));
    for (const [key, list] of Object.entries(this.lists)) {
      const seen = list.filter((each) => byId[each.id]);
      for (const item of seen) {
        const { id, name, head, tail, ...row } = byId[item.id];
        row.kind ||= item.kind;
        Object.assign(item, row, name ? { name, head, tail } : { error_code: 'file_gone' });
      }
      if (seen.length) this.keep(key);
    }
  },
  stateOf(key) {  // of the files of an address: nothing, ready, under way or bad
    const list = this.of(key);
    if (!list.length) return 'none';
    if (list.some((each) => each.step === 'failed' || ['failed', 'gone'].includes(each.state)))
      return 'bad';
    return list.every((each) => each.state === 'done') ? 'ready' : 'under way';
  },
  ids(key) { return this.of(key).map((each) => each.id); },
  isUnderWay(id) {
    const item = Object.values(this.lists).flat().find((each) => each.id === id);
    return ['queued', 'running'].includes(item?.state);
  },
  holds(text) {  // returns whether the files keep a question from being sent now
    const state = this.stateOf(this.shown);
    if (state === 'none') return false;
    if (!text.trim()) this.note('files_without_text');
    else if (state === 'bad') this.note('files_bad');
    else if (state === 'under way') this.want(this.shown);
    else return false;
    return true;
  },
  want(key) {
    this.wanted = key;
    this.page?.wait(!!key);
  },
  settleWanted() {
    if (!this.wanted || this.wanted !== this.shown) return;
    const state = this.stateOf(this.wanted);
    if (state === 'under way') return;
    this.want('');
    if (state === 'bad') this.note('files_bad');
    else refs['genai_submit']?.();
  },
  settle(key, ids) {  // the question was committed with these
    this.lists[key] = this.of(key).filter((each) => !ids.includes(each.id));
    this.note('');
    this.keep(key);
  },
  note(code) { this.page?.say(code); },
};
"""

_KEEPING = """
const { pathname: filesAt } = useLocation();
genaiFiles.page = {
  show: %(show)s, wait: %(wait)s, say: %(say)s, watch: %(watch)s, discard: %(discard)s,
  limit: %(limit)s * 1048576, locale: %(locale)s,
};

useEffect(() => {  // the chips of the address
  if (%(user)s) genaiFiles.open(genaiFiles.key(%(user)s, filesAt));
}, [%(user)s, filesAt]);

useEffect(() => { genaiFiles.merge(%(rows)s); }, [%(rows)s]);

useEffect(() => {  // the connection is alive, and a server that was started again knows of none
  const isUnderWay = genaiFiles.ids(genaiFiles.shown).some((id) => genaiFiles.isUnderWay(id));
  if (%(beat)s && isUnderWay && Date.now() - genaiFiles.heard > %(silence)d)
    genaiFiles.look(genaiFiles.shown);
}, [%(beat)s]);

useEffect(() => {
  const root = document.documentElement;
  const brings = (event) => event.dataTransfer?.types.includes('Files')
    && !document.querySelector('dialog:modal');
  const over = (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    root.toggleAttribute('data-dropping', true);
  };
  const leave = (event) => { if (!event.relatedTarget) root.removeAttribute('data-dropping'); };
  const drop = (event) => {
    root.removeAttribute('data-dropping');
    if (!brings(event)) return;
    event.preventDefault();
    const items = [...event.dataTransfer.items].filter((each) => each.kind === 'file');
    const isFolder = items.map((each) => each.webkitGetAsEntry?.()?.isDirectory);
    const files = [...event.dataTransfer.files];
    genaiFiles.add(files.filter((_, index) => !isFolder[index]));
    if (isFolder.includes(true)) genaiFiles.note('file_folder');
    document.getElementById('%(field)s')?.focus();
  };
  const clock = () => new Date().toTimeString().slice(0, 8).replaceAll(':', '-');
  const paste = (event) => {
    const field = event.target.closest?.('input, textarea');
    if (field && field.id !== '%(field)s') return;
    if (document.querySelector('dialog:modal')) return;
    const data = event.clipboardData, text = data.getData('text/plain');
    let files = [...data.files];
    if (text && data.types.includes('text/html')) files = [];  // an office program adds a picture
    if (files.length) {
      event.preventDefault();
      genaiFiles.add(files.map((file) => file.name !== 'image.png' ? file
        : new File([file], `${%(picture)s} ${clock()}.png`, { type: file.type })));
    } else if (text.length > %(long)d) {
      event.preventDefault();
      const name = `${%(text)s} ${clock()}.txt`;
      genaiFiles.add([new File([text], name, { type: 'text/plain' })], { pasted: true });
    }
  };
  const chosen = (event) => {
    const input = event.target;
    if (!input.matches?.('[data-files]')) return;
    genaiFiles.add([...input.files]);
    input.value = '';  // the same file may be chosen again
    document.getElementById('%(field)s')?.focus();
  };
  const listeners = {dragenter: over, dragover: over, dragleave: leave, drop, paste,
    change: chosen};
  for (const [name, each] of Object.entries(listeners)) document.addEventListener(name, each);
  return () => {
    for (const [name, each] of Object.entries(listeners)) document.removeEventListener(name, each);
  };
}, [%(picture)s, %(text)s]);
"""


class FilesKeeper(Fragment):
    """Takes files, sends them, and keeps the chips of each address; draws nothing."""

    def add_imports(self) -> ImportDict:
        return {
            "react": [ImportVar(tag="useEffect")],
            "react-router": [ImportVar(tag="useLocation")],
            f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")],
        }

    def add_custom_code(self) -> list[str]:
        names = {"most": MAX_ATTACHED, "at_once": MOST_AT_ONCE, "field": COMPOSER_ID}
        return [STORAGE, FILES % (names | {"tail": TAIL_CHARS})]

    def add_hooks(self) -> list[str | rx.Var]:
        watching = EventChain.create(
            DraftFilesState.show, args_spec=passthrough_event_spec(list[str])
        )
        discarding = EventChain.create(
            DraftFilesState.discard, args_spec=passthrough_event_spec(str)
        )
        props = {
            "user": SessionState.user_key,
            "locale": UiState.locale,
            "rows": DraftFilesState.files,
            "limit": DraftFilesState.limit_mb,
            "beat": TabState.beat,
            "show": draft_files.set,
            "wait": sending_waits.set,
            "say": files_note.set,
            "watch": LiteralVar.create(watching),
            "discard": LiteralVar.create(discarding),
            "picture": LiteralVar.create(t("file.picture_name")),
            "text": LiteralVar.create(t("file.text_name")),
        }
        numbers = {"field": COMPOSER_ID, "long": LONG_PASTE, "silence": SILENCE_MS}
        data = VarData.merge(*(each._get_all_var_data() for each in props.values()))
        script = _KEEPING % ({name: str(each) for name, each in props.items()} | numbers)
        return [rx.Var(script, _var_data=data)]


files_keeper = FilesKeeper.create
