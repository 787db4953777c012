"""Arrow-up in the empty composer changes the last question: one that waits, else the last one that
was asked."""

import reflex as rx
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_components_core.base.fragment import Fragment

from genai_app.state.chat.conversation import COMPOSER_ID

_KEYS = """
useEffect(() => {
  const field = document.getElementById('%s');
  const lastOf = (name) => [...document.querySelectorAll(`[data-testid=${name}]`)].at(-1);
  const change = (event) => {
    if (event.key !== 'ArrowUp' || field.value || event.isComposing) return;
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const button = lastOf('queued-edit') ?? lastOf('edit');
    if (!button) return;
    event.preventDefault();
    button.click();
  };
  field?.addEventListener('keydown', change);
  return () => field?.removeEventListener('keydown', change);
}, []);
"""


class ComposerKeys(Fragment):
    """Draws nothing."""

    def add_imports(self) -> ImportDict:
        return {"react": [ImportVar(tag="useEffect")]}

    def add_hooks(self) -> list[str | rx.Var]:
        return [rx.Var(_KEYS % COMPOSER_ID)]


composer_keys = ComposerKeys.create
