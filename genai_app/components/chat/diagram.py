"""A diagram, drawn by Mermaid from its code when somebody asks for it. Mermaid is loaded then.

The drawing is a picture (`<img>`), so that nothing in it is alive. Mermaid works in the page: a
drawing that has begun cannot be stopped, so the length of its code and the number of its lines are
bounded.
"""

import reflex as rx
from reflex_base.utils.imports import ImportDict, ImportVar
from reflex_components_core.base.fragment import Fragment

from genai_app.components.text import t

MERMAID = "mermaid@12.3.0"
LANGUAGE = "mermaid"
MAX_CHARS, MAX_LINES = 5000, 150
LATE_MS = 15_000

# A label that holds a tag came alive once, in spite of `strict`; `<<interface>>` is none.
_DRAW = r"""
const diagrams = {count: 0};
const settings = (dark) => ({
  startOnLoad: false, securityLevel: 'strict', suppressErrorRendering: true, layout: 'dagre',
  htmlLabels: false, flowchart: {htmlLabels: false}, theme: dark ? 'dark' : 'neutral',
  maxTextSize: %(chars)d, maxEdges: %(lines)d, fontFamily: 'sans-serif',
  secure: ['secure', 'securityLevel', 'startOnLoad', 'maxTextSize', 'maxEdges', 'theme', 'layout',
    'suppressErrorRendering', 'htmlLabels', 'flowchart', 'fontFamily', 'themeCSS'],
});
const harmless = (source) => source.replace(/<<([\w -]+)>>|<(?!br *\/?>)(?=[a-z!\/])/gi,
  (found, name) => name ? found : '#lt;');
// as wide as it was laid out, not as the page
const sized = (svg) => svg.replace(/^<svg[^>]*?>/, (head) => {
  const [, width, height] = /viewBox="\S+ \S+ (\S+) (\S+)"/.exec(head) ?? [];
  return width ? head.replace(/ width="[^"]*"/, ` width="${width}" height="${height}"`) : head;
});
const drawDiagram = async (source, dark) => {
  if (source.length > %(chars)d) return {problem: 'large'};
  const id = 'diagram-' + ++diagrams.count;
  const late = new Promise((done) => setTimeout(done, %(late)d, {problem: 'late'}));
  const draw = async () => {
    const found = await import('mermaid').catch(() => null);
    if (!found) return {problem: 'away'};
    found.default.initialize(settings(dark));
    try {
      const {svg} = await found.default.render(id, harmless(source));
      return {picture: 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(sized(svg))};
    } catch (error) {
      return {problem: /edges/i.test(error.message) ? 'large' : 'wrong'};
    } finally { document.getElementById('d' + id)?.remove(); }
  };
  return Promise.race([draw(), late]);
};
"""
_LIMITS = {"chars": MAX_CHARS, "lines": MAX_LINES, "late": LATE_MS}

# What is shown: nothing, `{busy}`, `{picture}` or `{problem}`. In another theme it is drawn again.
_HOOKS = """
const [diagram, setDiagram] = useState({});
const draw = () => { setDiagram({busy: true}); drawDiagram(%(code)s, %(dark)s).then(setDiagram); };
useEffect(() => { if (diagram.picture) draw(); }, [%(dark)s]);
"""


class _Drawing(Fragment):
    """Gives the elements in it what `_HOOKS` knows: `diagram` and `draw`."""

    code: rx.Var[str]
    dark: rx.Var[bool]

    def add_imports(self) -> ImportDict:
        return {
            "react": ["useEffect", "useState"],
            MERMAID: ImportVar(tag=None, render=False),
        }

    def add_custom_code(self) -> list[str]:
        return [_DRAW % _LIMITS]

    def add_hooks(self) -> list[str | rx.Var]:
        hooks = _HOOKS % {"code": str(self.code), "dark": str(self.dark)}
        return [rx.Var(hooks, _var_data=self.dark._get_all_var_data())]

    def _exclude_props(self) -> list[str]:
        return ["code", "dark"]


def _drawn(name: str) -> rx.Var[str]:
    return rx.Var(f"(diagram.{name} ?? '')", _var_type=str)


def _button() -> rx.Component:
    busy = rx.Var("!!diagram.busy", _var_type=bool)
    return rx.el.button(
        rx.icon("workflow", size=15, aria_hidden=True),
        rx.cond(
            busy,
            t("diagram.busy"),
            rx.cond(_drawn("picture") != "", t("diagram.hide"), t("diagram.show")),
        ),
        type="button",
        class_name="text-button with-icon",
        disabled=busy,
        custom_attrs={
            "data-testid": "show-diagram",
            "onClick": rx.Var("() => diagram.picture ? setDiagram({}) : draw()"),
        },
    )


def _picture() -> rx.Component:
    return rx.el.div(
        rx.el.img(
            src=_drawn("picture"),
            alt=t("diagram.name"),
            custom_attrs={"data-testid": "diagram"},
        ),
        class_name="diagram-picture",
        role="region",
        aria_label=t("diagram.name"),
        tab_index=0,
    )


def _problem() -> rx.Component:
    text = rx.match(
        _drawn("problem"),
        ("large", t("diagram.large")),
        ("late", t("diagram.late")),
        ("away", t("diagram.away")),
        t("diagram.wrong"),
    )
    return rx.el.p(
        rx.icon("info", size=15, aria_hidden=True),
        rx.el.span(text),
        class_name="note",
        role="status",
        custom_attrs={"data-testid": "diagram-problem"},
    )


@rx.memo
def diagram(code: rx.Var[str]) -> rx.Component:
    """Returns the button that draws the code, and below it the drawing or why there is none."""
    return _Drawing.create(
        rx.el.div(
            _button(),
            rx.cond(_drawn("picture") != "", _picture()),
            rx.cond(_drawn("problem") != "", _problem()),
            class_name="diagram",
        ),
        code=code,
        dark=rx.color_mode_cond(light=False, dark=True),
    )
