"""A notice that the server is silent: a frozen connection still looks open to the browser."""

import reflex as rx
from reflex.experimental.client_state import ClientStateVar
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_base.vars import VarData
from reflex_components_core.base.fragment import Fragment
from reflex_components_core.core.banner import has_connection_errors

from genai_app.state.tab import TabState

SILENT_MS = 7500  # nearly two beats of the server
_silent = ClientStateVar.create("silent", default=False)
is_offline = has_connection_errors | _silent.value
# the same in an expression of the browser's, outside of any component's drawing
SILENT_NOW = "refs['_client_state_silent']"

_LISTENING = """
useEffect(() => {
  %(set)s(false);
  const silent = () => %(set)s(true), timer = setTimeout(silent, %(after)d);
  window.addEventListener('offline', silent);
  return () => { clearTimeout(timer); window.removeEventListener('offline', silent); };
}, [%(beat)s]);
"""


class LifeSign(Fragment):
    """Notes each beat; draws nothing."""

    def add_imports(self) -> ImportDict:
        return {"react": [ImportVar(tag="useEffect")]}

    def add_hooks(self) -> list[str | rx.Var]:
        props = {"set": _silent.set, "beat": TabState.beat}
        data = VarData.merge(*(each._get_all_var_data() for each in props.values()))
        names = {name: str(each) for name, each in props.items()}
        script = _LISTENING % (names | {"after": SILENT_MS})
        return [rx.Var(script, _var_data=data)]


life_sign = LifeSign.create
