"""Hides the dialog on the screen as soon as the address names another one, until that one comes.

The browser knows the address before the server does; so no State has a part in this, and nothing is
left half done where one navigation follows another.
"""

import reflex as rx
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_components_core.base.fragment import Fragment

from genai_app.components.frame import CONTENT_ID
from genai_app.state.chat.dialog import ChatState

# A first question has its dialog before the address that the server sends next. So a dialog that
# came while the address stood still is at home there.
_TURNING = """
const { pathname: turnedTo } = useLocation();
const home = useRef({});
useLayoutEffect(() => {
  const at = home.current, plain = (id) => id.toLowerCase().replace(/[^0-9a-f]/g, '');
  const named = plain(/^\\/c\\/([^/]+)/.exec(turnedTo)?.[1] ?? ''), shown = plain(%(dialog)s);
  if (named === shown || (at.dialog ?? shown) !== shown) at.path = turnedTo;
  at.dialog = shown;
  document.getElementById('%(content)s')
    ?.toggleAttribute('data-turning', shown !== '' && named !== shown && at.path !== turnedTo);
}, [turnedTo, %(dialog)s]);
"""


class Turning(Fragment):
    """Marks the content of the page while its dialog is not that of the address; draws nothing."""

    def add_imports(self) -> ImportDict:
        return {
            "react": [ImportVar(tag="useLayoutEffect"), ImportVar(tag="useRef")],
            "react-router": [ImportVar(tag="useLocation")],
        }

    def add_hooks(self) -> list[str | rx.Var]:
        dialog = ChatState.dialog_id
        script = _TURNING % {"dialog": str(dialog), "content": CONTENT_ID}
        return [rx.Var(script, _var_data=dialog._get_all_var_data())]


turning_keeper = Turning.create
