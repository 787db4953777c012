"""A formula, drawn by KaTeX. Its source is there at once; KaTeX is loaded when the first formula is
shown, and draws a few at a time, so that no page stands still.

What KaTeX refuses stays as it was typed.
"""

import reflex as rx
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_base.vars.base import VarData
from reflex_components_core.el.elements.inline import Span

from genai_app.markdown.formulas import DISPLAY, MACRO

KATEX = "katex@0.18.11"
NODES, DEPTH = 4000, 250  # a drawing of more elements, or of more in one another, is not shown
TURN_MS = 12
KEPT = 500  # drawings, for an answer that is drawn again with each word that comes

# A module of its own draws; the source begins with a sign, then the two characters that open it.
_DRAW = r"""
const formulas = {drawn: new Map(), line: Promise.resolve(), turn: 0};
const options = {trust: false, maxExpand: 1000, maxSize: 20, strict: 'ignore', throwOnError: true};
const macro = /%(macro)s/;
const loadKatex = () => formulas.katex ??= Promise
  .all([import('katex'), import('katex/dist/katex.min.css')])
  .then(([{default: katex}]) => katex)
  .catch((error) => { formulas.katex = undefined; throw error; });
const tooLarge = (node) => {
  const all = node.getElementsByTagName('*');
  if (all.length > %(nodes)d) return true;
  const depth = new Map([[node, 0]]);
  for (const each of all) {
    const deep = depth.get(each.parentNode) + 1;
    if (deep > %(depth)d) return true;
    depth.set(each, deep);
  }
  return false;
};
const drawFormula = (katex, source) => {
  const node = document.createElement('span');
  if (macro.test(source)) return null;
  try {
    katex.render(source.slice(3, -2), node, {...options, displayMode: source[0] === '%(display)s'});
  } catch { return null; }
  const drawn = tooLarge(node) ? null : node;
  if (formulas.drawn.size >= %(kept)d) formulas.drawn.clear();
  formulas.drawn.set(source, drawn);
  return drawn;
};
const pause = () => performance.now() - formulas.turn < %(turn)d ? undefined
  : new Promise((done) => setTimeout(done)).then(() => { formulas.turn = performance.now(); });
const showFormula = (host, source) => {
  let gone = false;
  const show = (drawn) => { if (drawn && !gone) host.replaceChildren(drawn.cloneNode(true)); };
  if (formulas.drawn.has(source)) show(formulas.drawn.get(source));
  else loadKatex().then((katex) => {
    formulas.line = formulas.line.then(pause).then(() => {
      if (!gone) show(formulas.drawn.has(source)
        ? formulas.drawn.get(source) : drawFormula(katex, source));
    });
  }, () => {});
  return () => { gone = true; };
};
"""
_LIMITS = {"nodes": NODES, "depth": DEPTH, "turn": TURN_MS, "kept": KEPT}
_SIGNS = {"display": DISPLAY, "macro": MACRO}


class _Formula(Span):
    """Draws over its text, which React goes on to own."""

    source: rx.Var[str]

    def add_imports(self) -> ImportDict:
        return {
            "react": ["useLayoutEffect", "useRef"],
            KATEX: ImportVar(tag=None, render=False),
        }

    def add_custom_code(self) -> list[str]:
        return [_DRAW % {**_LIMITS, **_SIGNS}]

    def add_hooks(self) -> list[str | rx.Var]:
        source = str(self.source)
        effect = f"useLayoutEffect(() => showFormula(formulaHost.current, {source}), [{source}]);"
        return ["const formulaHost = useRef(null);", rx.Var(effect, _var_data=VarData())]

    def _exclude_props(self) -> list[str]:
        return ["source"]


@rx.memo
def formula(source: rx.Var[str]) -> rx.Component:
    """Returns a formula; `source`: as markdown/formulas.py writes it into a code span."""
    display = source.startswith(DISPLAY)
    return _Formula.create(
        source[1:],
        source=source,
        class_name=rx.cond(display, "math math-display", "math"),
        tab_index=rx.cond(display, 0, rx.Var("undefined")),  # it may scroll
        custom_attrs={
            "data-testid": "math",
            "data-source": source[1:],
            "ref": rx.Var("formulaHost"),
        },
    )
