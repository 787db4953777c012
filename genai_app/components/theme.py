"""The theme: light, dark, or as the system has it."""

import reflex as rx
from reflex.style import color_mode, set_color_mode
from reflex_base.constants import ColorMode
from reflex_base.vars import VarData

from genai_app.components.account.section import choice
from genai_app.components.text import t

# before the page is drawn: whoever chose another theme than the system's is not dazzled. Reflex
# keeps the choice under this key.
EARLY_THEME = (
    "try{const t=localStorage.getItem('theme');"
    "if(t==='light'||t==='dark')document.documentElement.classList.add(t)}catch{}"
)

# The first step is seen at once: from the system's theme to the other one. Not an event handler of
# Reflex's, which would go on with the theme of its first drawing.
_NEXT = """() => {
  const order = matchMedia('(prefers-color-scheme: dark)').matches
    ? ['system', 'light', 'dark'] : ['system', 'dark', 'light'];
  %(set)s(order[(order.indexOf(%(now)s) + 1) %% 3]);
}"""


def theme_button() -> rx.Component:
    """Goes through the three themes."""
    context = f"const {{ {ColorMode.SET} }} = useContext(ColorModeContext)"
    data = VarData.merge(color_mode._get_all_var_data(), VarData(hooks={context: None}))
    step = _NEXT % {"set": ColorMode.SET, "now": color_mode}
    label = rx.match(
        color_mode,
        ("light", t("nav.theme_light")),
        ("dark", t("nav.theme_dark")),
        t("nav.theme_system"),
    )
    return rx.el.button(
        rx.match(
            color_mode,
            ("light", rx.icon("sun", size=16)),
            ("dark", rx.icon("moon", size=16)),
            rx.icon("monitor", size=16),
        ),
        type="button",
        class_name="icon-button",
        aria_label=label,
        title=label,
        custom_attrs={
            "data-testid": "theme",
            "onClick": rx.Var(step, _var_data=data),
        },
    )


def theme_choice() -> rx.Component:
    """All three, by name."""
    return choice(
        t("settings.theme"),
        (t("settings.light"), color_mode == "light", set_color_mode("light")),
        (t("settings.dark"), color_mode == "dark", set_color_mode("dark")),
        (t("settings.system"), color_mode == "system", set_color_mode("system")),
    )
