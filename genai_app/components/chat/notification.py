"""A notification of the browser when a long answer has ended behind another window. Off until the
user turns it on; each browser keeps its own choice."""

import reflex as rx
from reflex.experimental.client_state import ClientStateVar
from reflex_base.constants import Dirs
from reflex_base.event import EventChain
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_base.vars import VarData
from reflex_components_core.base.fragment import Fragment

from genai_app.components.account.section import section, switch
from genai_app.components.text import t
from genai_app.models import Status
from genai_app.state.chat.dialog import ChatState

LONG_MS = 10_000
ICON = "/icon-192.png"

# `on`, `off`, `refused` by the browser, or `missing` in it
_choice = ClientStateVar.create("notification", default="")

NOTIFICATION_SCRIPT = """
const genaiNotification = {
  get() {
    try {
      if (!window.isSecureContext || !('Notification' in window)) return 'missing';
      if (Notification.permission === 'denied') return 'refused';
      const wanted = localStorage.getItem('genai_notification') === 'on';
      return wanted && Notification.permission === 'granted' ? 'on' : 'off';
    } catch { return 'missing'; }
  },
  isOpen() {  // nobody has been asked yet
    try {
      return this.get() === 'off' && Notification.permission === 'default'
        && !localStorage.getItem('genai_notification_offered');
    } catch { return false; }
  },
  answer(wanted) {
    try { localStorage.setItem('genai_notification_offered', 'yes'); } catch {}
    if (wanted) this.toggle();
  },
  async toggle() {
    if (this.get() === 'on') localStorage.removeItem('genai_notification');
    else if (await Notification.requestPermission() === 'granted')
      localStorage.setItem('genai_notification', 'on');
    return this.get();
  },
};
"""

# An answer that follows another at once, to a question that waited, goes on with its time.
_WATCH = """
const running = useRef({});
const answerId = %(last)s?.id, answerStatus = %(last)s?.status;

useEffect(() => {
  const at = running.current;
  if (answerStatus === '%(running)s') {
    running.current = { id: answerId, since: at.since ?? performance.now() };
    return;
  }
  running.current = {};
  const isLong = at.id === answerId && performance.now() - at.since > %(long)d;
  if (!isLong || !document.hidden || genaiNotification.get() !== 'on') return;
  try {
    const shown = new Notification(%(title)s, { tag: %(dialog)s, icon: '%(icon)s' });
    shown.onclick = () => { window.focus(); shown.close(); };
  } catch {}  // some browsers of phones have the name alone
}, [answerId, answerStatus]);
"""


_CHOOSE = """
useEffect(() => {
  const show = %s;
  show(genaiNotification.get());
  refs['genai_notification'] = () => genaiNotification.toggle().then(show);
}, []);
"""


class AnswerNotifier(Fragment):
    """Shows the dialog's title, and nothing of what was asked or answered. Draws nothing."""

    def add_imports(self) -> ImportDict:
        return {"react": [ImportVar(tag="useEffect"), ImportVar(tag="useRef")]}

    def add_custom_code(self) -> list[str]:
        return [NOTIFICATION_SCRIPT]

    def add_hooks(self) -> list[str | rx.Var]:
        rows = ChatState.messages
        props = {
            "last": rx.Var(f"{rows!s}.at(-1)", _var_data=rows._get_all_var_data()),
            "title": rx.cond(ChatState.title != "", ChatState.title, t("nav.untitled")),
            "dialog": ChatState.dialog_id,
        }
        data = VarData.merge(*(each._get_all_var_data() for each in props.values()))
        values = {"running": Status.RUNNING, "long": LONG_MS, "icon": ICON}
        script = _WATCH % ({name: str(each) for name, each in props.items()} | values)
        return [rx.Var(script, _var_data=data)]


class NotificationChoice(Fragment):
    """Reads the choice of this browser. Draws nothing."""

    def add_imports(self) -> ImportDict:
        return {
            "react": [ImportVar(tag="useEffect")],
            f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")],
        }

    def add_custom_code(self) -> list[str]:
        return [NOTIFICATION_SCRIPT]

    def add_hooks(self) -> list[str | rx.Var]:
        return [rx.Var(_CHOOSE % str(_choice.set), _var_data=_choice.set._get_all_var_data())]


answer_notifier = AnswerNotifier.create
_refs = VarData(imports={f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")]})


def notification_section() -> rx.Component:
    toggle = rx.Var("() => refs['genai_notification']?.()", _var_data=_refs).to(EventChain)
    return section(
        t("settings.notifications"),
        NotificationChoice.create(),
        rx.match(
            _choice.value,
            ("missing", rx.el.p(t("settings.notifications_missing"), class_name="hint")),
            ("refused", rx.el.p(t("settings.notifications_refused"), class_name="hint")),
            switch(
                t("settings.notify_answer"),
                t("settings.notify_answer"),
                t("settings.off"),
                t("settings.on"),
                is_on=_choice.value == "on",
                toggle=toggle,
            ),
        ),
        hint=t("settings.notifications_hint"),
        custom_attrs={"data-testid": "notifications"},
    )
