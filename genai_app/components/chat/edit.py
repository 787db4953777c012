"""The field in which a question is edited in place.

Its text is in the browser alone until the new question is committed: a draft of it is in the local
storage, so that neither a refusal nor a broken connection nor a reload loses it. It is sent again,
under the same id, with each sign of life of the connection until the page hears of it.
"""

import reflex as rx
from reflex_base.constants import Dirs
from reflex_base.event import EventChain, passthrough_event_spec
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_base.vars import VarData
from reflex_base.vars.base import LiteralVar
from reflex_components_core.base.fragment import Fragment

from genai_app.components.chat.drafts import MOST_REPEATS, REPEAT_MS, STORAGE
from genai_app.components.files import file_mark, opener, read_state
from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.models import MAX_PROMPT_CHARS
from genai_app.state.chat.branches import BranchState
from genai_app.state.chat.conversation import COMPOSER_ID
from genai_app.state.chat.dialog import ChatState
from genai_app.state.chat.rows import MessageRow
from genai_app.state.files import FileRow
from genai_app.state.session import SessionState
from genai_app.state.tab import TabState

EDIT_FIELD_ID = "edit-field"

_KEEPING = """
const edit = useRef(null);  // the edit that is being sent
const draftOf = (question) => `genai_draft:${%(user)s}:edit-${question}`;
const openKey = `genai_sent:${%(user)s}:edit`;  // which field is open in this tab
const postEdit = (sent) => {
  const all = Array.from(sent.text);
  const text = all.length > %(most)d ? all.slice(0, %(most)d + 1).join('') : sent.text;
  sent.tried = Date.now();
  sent.tries = (sent.tries ?? 0) + 1;
  edit.current = sent;
  (%(send)s)(sent.question, text, all.length, sent.id, sent.attempt, sent.files);
};
const newId = () => '10000000-1000-4000-8000-100000000000'.replace(/[018]/g, (digit) =>
  (digit ^ crypto.getRandomValues(new Uint8Array(1))[0] & 15 >> digit / 4).toString(16));

useEffect(() => {  // the field that was opened, again after the server forgot of it
  if (!%(user)s) return;
  if (!%(edited)s) {
    const open = genaiStore.get('sessionStorage', openKey);
    if (open && document.getElementById('m-' + open)) (%(begin)s)(open);
    return;
  }
  const field = document.getElementById('%(field)s'), question = %(edited)s;
  if (!field) return;
  genaiStore.set('sessionStorage', openKey, question);
  const draft = genaiDraft.get(draftOf(question));
  if (draft) field.value = draft;
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
  const save = () => genaiDraft.set(draftOf(question), field.value);
  const keys = (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) document.execCommand('insertText', false, '\\n');
    else if (!event.repeat) field.form.requestSubmit();
  };
  const cancel = () => {
    genaiDraft.set(draftOf(question), '');
    genaiStore.set('sessionStorage', openKey, '');
    edit.current = null;
  };
  const button = field.form.querySelector('[data-esc]');
  field.addEventListener('input', save);
  field.addEventListener('keydown', keys);
  button.addEventListener('click', cancel);
  return () => {
    field.removeEventListener('input', save);
    field.removeEventListener('keydown', keys);
    button.removeEventListener('click', cancel);
  };
}, [%(user)s, %(edited)s, %(dialog)s]);

useEffect(() => {  // the server has answered for the edit
  const sent = edit.current;
  if (!sent) return;
  if (%(accepted)s === sent.id) {
    genaiDraft.set(draftOf(sent.question), '');
    genaiStore.set('sessionStorage', openKey, '');
    edit.current = null;
    document.getElementById('end')?.scrollIntoView();
    if (matchMedia('(pointer: fine)').matches) document.getElementById('%(composer)s')?.focus();
  } else if (%(declined)s === sent.attempt || sent.tries > %(repeats)d) edit.current = null;
}, [%(accepted)s, %(declined)s]);

useEffect(() => {  // the connection is alive
  const sent = edit.current;
  if (%(beat)s && sent && Date.now() - sent.tried > %(repeat)d) postEdit(sent);
}, [%(beat)s]);

useEffect(() => {
  refs['genai_edit'] = () => {
    const text = document.getElementById('%(field)s')?.value ?? '', sent = edit.current;
    if (!text.trim() || !%(user)s || !%(edited)s) return;
    const chips = document.querySelectorAll('#%(field)s-files [data-file]');
    const files = [...chips].map((chip) => chip.dataset.file);
    const isSame = sent?.question === %(edited)s && sent.text === text
      && `${sent.files}` === `${files}`;
    if (isSame) return postEdit(sent);
    postEdit({ id: newId(), question: %(edited)s, text, files, attempt: `${Date.now()}` });
  };
});
"""


class EditKeeper(Fragment):
    """Fills, saves and sends the field; draws nothing. One on the page of the chat."""

    def add_imports(self) -> ImportDict:
        return {
            "react": [ImportVar(tag="useEffect"), ImportVar(tag="useRef")],
            f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")],
        }

    def add_custom_code(self) -> list[str]:
        return [STORAGE]

    def add_hooks(self) -> list[str | rx.Var]:
        types = passthrough_event_spec(str, str, int, str, str, list[str])
        props = {
            "user": SessionState.user_key,
            "dialog": ChatState.dialog_id,
            "edited": BranchState.edited,
            "accepted": BranchState.accepted,
            "declined": BranchState.declined,
            "beat": TabState.beat,
            "send": LiteralVar.create(EventChain.create(BranchState.edit, args_spec=types)),
            "begin": LiteralVar.create(
                EventChain.create(BranchState.begin_edit, args_spec=passthrough_event_spec(str))
            ),
        }
        numbers = {
            "field": EDIT_FIELD_ID,
            "composer": COMPOSER_ID,
            "most": MAX_PROMPT_CHARS,
            "repeat": REPEAT_MS,
            "repeats": MOST_REPEATS,
        }
        data = VarData.merge(*(each._get_all_var_data() for each in props.values()))
        script = _KEEPING % ({name: str(each) for name, each in props.items()} | numbers)
        return [rx.Var(script, _var_data=data)]


edit_keeper = EditKeeper.create

_refs = VarData(imports={f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")]})
_submit = rx.Var("() => refs['genai_edit']?.()", _var_data=_refs).to(EventChain)


def edit_form(row: rx.Var[MessageRow]) -> rx.Component:
    """The field in place of the question `row`."""
    return rx.el.form(
        _kept_files(),
        rx.el.textarea(
            id=EDIT_FIELD_ID,
            name="text",
            default_value=row.text,
            aria_label=t("chat.edit_field"),
            rows="1",
            auto_complete="off",
            custom_attrs={"data-testid": "edit-field"},
        ),
        rx.el.div(
            rx.el.p(t("chat.edit_hint"), class_name="hint"),
            rx.el.button(
                t("chat.edit_cancel"),
                type="button",
                class_name="quiet-button",
                on_click=BranchState.begin_edit(""),
                custom_attrs={"data-testid": "edit-cancel", "data-esc": ""},
            ),
            rx.el.button(
                t("chat.send"),
                type="submit",
                class_name="primary-button",
                custom_attrs={"data-testid": "edit-send"},
            ),
            class_name="edit-foot",
        ),
        class_name="edit-form",
        on_submit=_submit,
        custom_attrs={"data-layer": ""},
    )


def _kept_files() -> rx.Component:
    """The files that the new question keeps."""
    return rx.cond(
        BranchState.edited_files.length() > 0,
        rx.el.ul(
            rx.foreach(BranchState.edited_files, _kept_file),
            id=f"{EDIT_FIELD_ID}-files",
            class_name="files",
            aria_label=t("file.attached"),
        ),
    )


def _kept_file(row: rx.Var[FileRow]) -> rx.Component:
    return rx.el.li(
        file_mark(row),
        opener(row),
        rx.el.span(read_state(row, warned=True), class_name="file-state"),
        rx.el.span(
            icon_button(
                "x",
                t("file.remove_named", name=row.name),
                on_click=BranchState.drop_file(row.id),
                testid="file-remove",
            ),
            class_name="file-actions",
        ),
        key=row.id,
        class_name="file",
        custom_attrs={"data-testid": "attachment", "data-file": row.id},
    )
