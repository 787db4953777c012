"""The user's own instructions for the model: a section of the settings page."""

import reflex as rx
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_base.vars import VarData
from reflex_components_core.base.fragment import Fragment

from genai_app.components.account.section import section
from genai_app.components.text import error_text, t
from genai_app.state.account.instructions import MOST_CHARS, InstructionsState

FIELD_ID = "own-instructions"
COUNT_ID = "own-instructions-count"
SAVED_ID = "own-instructions-saved"

_COUNTING = """
useEffect(() => {
  const field = document.getElementById('%(field)s');
  const count = document.getElementById('%(count)s');
  if (!field || !count) return;
  const show = () => {
    const length = Array.from(field.value.trim()).length;
    count.textContent = `${length} / %(most)d`;
    count.classList.toggle('over', length > %(most)d);
  };
  const changed = () => {  // what is in the field is not what was saved
    const saved = document.getElementById('%(saved)s');
    if (saved) saved.hidden = true;
    show();
  };
  const saved = document.getElementById('%(saved)s');
  if (saved) saved.hidden = false;
  show();
  field.addEventListener('input', changed);
  return () => field.removeEventListener('input', changed);
}, [%(saves)s, %(text)s]);
"""


class InstructionsCount(Fragment):
    """Counts the characters of the field while somebody types; draws nothing."""

    def add_imports(self) -> ImportDict:
        return {"react": [ImportVar(tag="useEffect")]}

    def add_hooks(self) -> list[str | rx.Var]:
        saves, text = InstructionsState.saves, InstructionsState.text
        ids = {"field": FIELD_ID, "count": COUNT_ID, "saved": SAVED_ID}
        states = {"saves": str(saves), "text": str(text)}
        script = _COUNTING % {**ids, **states, "most": MOST_CHARS}
        data = VarData.merge(saves._get_all_var_data(), text._get_all_var_data())
        return [rx.Var(script, _var_data=data)]


def _outcome() -> rx.Component:
    return rx.el.div(
        rx.cond(
            InstructionsState.error_code != "",
            rx.el.p(
                rx.icon("circle-alert", size=16),
                rx.el.span(
                    error_text(
                        InstructionsState.error_code,
                        limit=str(MOST_CHARS),
                        over_by=InstructionsState.over_by.to_string(),
                    )
                ),
                class_name="note note-danger",
                role="alert",
            ),
            rx.cond(
                InstructionsState.saves > 0,
                rx.el.p(
                    rx.icon("check", size=16),
                    rx.el.span(
                        rx.cond(
                            InstructionsState.text != "",
                            t("instructions.saved"),
                            t("instructions.cleared"),
                        )
                    ),
                    class_name="note note-good",
                    id=SAVED_ID,
                    custom_attrs={"data-testid": "instructions-saved"},
                ),
            ),
        ),
        role="status",
    )


def instructions() -> rx.Component:
    """The section of the settings page."""
    return section(
        t("instructions.title"),
        _outcome(),
        rx.el.form(
            rx.el.textarea(
                id=FIELD_ID,
                name="instructions",
                rows="5",
                default_value=InstructionsState.text,
                placeholder=t("instructions.example"),
                aria_label=t("instructions.title"),
                aria_describedby=COUNT_ID,
                custom_attrs={"data-testid": "instructions"},
            ),
            rx.el.div(
                rx.el.span(id=COUNT_ID, class_name="hint count"),
                rx.el.button(
                    t("instructions.save"),
                    type="submit",
                    class_name="quiet-button",
                    custom_attrs={"data-testid": "instructions-save"},
                ),
                class_name="instructions-foot",
            ),
            on_submit=lambda form: InstructionsState.save(form.to(dict[str, str])["instructions"]),
            class_name="field instructions-form",
        ),
        InstructionsCount.create(),
        hint=t("instructions.hint"),
        id="instructions",
    )
