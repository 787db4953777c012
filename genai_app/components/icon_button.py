"""A button that shows an icon. Screen readers say its name, and a pointer shows it."""

import reflex as rx


def icon_button(
    icon: str, label: rx.Var[str], *, size: int = 15, class_name: str = "", **props
) -> rx.Component:
    """`props`: those of a button; `testid` is its `data-testid`, `closes` lets Esc press it."""
    attrs: dict[str, str] = {**props.pop("custom_attrs", {})}
    if testid := props.pop("testid", ""):
        attrs["data-testid"] = testid
    if props.pop("closes", False):
        attrs["data-esc"] = ""
    props["custom_attrs"] = attrs
    return rx.el.button(
        rx.icon(icon, size=size),
        type=props.pop("type", "button"),
        class_name=f"icon-button {class_name}".strip(),
        aria_label=label,
        title=label,
        **props,
    )
