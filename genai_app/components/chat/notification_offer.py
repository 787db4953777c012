"""The offer to be notified when a long answer is ready: made once in a browser, while an answer
takes long. The browser itself asks only after a click on it."""

import reflex as rx
from reflex.experimental.client_state import ClientStateVar
from reflex_base.constants import Dirs
from reflex_base.event import EventChain
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_base.vars import VarData
from reflex_components_core.base.fragment import Fragment

from genai_app.components.chat.notification import NOTIFICATION_SCRIPT
from genai_app.components.icon_button import icon_button
from genai_app.components.text import t
from genai_app.models import Status
from genai_app.state.chat.dialog import ChatState

SLOW_MS = 20_000

_offered = ClientStateVar.create("notification_offer", default=False)

_WAITING = """
const slowId = %(last)s?.status === '%(running)s' ? %(last)s.id : '';
useEffect(() => {
  %(set)s(false);
  if (!slowId || !genaiNotification.isOpen()) return;
  const timer = setTimeout(() => %(set)s(genaiNotification.isOpen()), %(slow)d);
  return () => clearTimeout(timer);
}, [slowId]);
useEffect(() => {
  refs['genai_notification_offer'] = (wanted) => {
    %(set)s(false);
    genaiNotification.answer(wanted);
  };
}, []);
"""


class OfferKeeper(Fragment):
    """Knows when an answer takes long; draws nothing."""

    def add_imports(self) -> ImportDict:
        return {"react": ["useEffect"], f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")]}

    def add_custom_code(self) -> list[str]:
        return [NOTIFICATION_SCRIPT]

    def add_hooks(self) -> list[str | rx.Var]:
        rows, show = ChatState.messages, _offered.set
        data = VarData.merge(rows._get_all_var_data(), show._get_all_var_data())
        values = {"last": f"{rows!s}.at(-1)", "set": str(show), "running": Status.RUNNING}
        return [rx.Var(_WAITING % (values | {"slow": SLOW_MS}), _var_data=data)]


def _answer(wanted: str) -> rx.Var[EventChain]:
    script = f"() => refs['genai_notification_offer']?.({wanted})"
    imports = {f"$/{Dirs.STATE_PATH}": [ImportVar(tag="refs")]}
    return rx.Var(script, _var_data=VarData(imports=imports)).to(EventChain)


def notification_offer() -> rx.Component:
    return rx.fragment(
        OfferKeeper.create(),
        rx.cond(
            _offered.value,
            rx.el.p(
                rx.el.span(t("offer.notify")),
                rx.el.button(
                    t("offer.yes"),
                    type="button",
                    class_name="text-button",
                    on_click=_answer("true"),
                    custom_attrs={"data-testid": "offer-yes"},
                ),
                icon_button("x", t("offer.no"), size=14, on_click=_answer("false"), closes=True),
                class_name="offer",
                role="status",
                custom_attrs={"data-testid": "offer"},
            ),
        ),
    )
