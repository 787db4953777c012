"""A link that the browser itself follows. Reflex's own stays within the pages, and a download is
none of them."""

import reflex as rx
from reflex_components_core.el.elements.base import BaseHTML


class NativeLink(BaseHTML):
    """`<a href="..." download>`."""

    tag = "a"

    href: rx.Var[str]
    download: rx.Var[bool]


native_link = NativeLink.create
