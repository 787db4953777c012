"""Addresses of the product's own pages, and redirects to the login and back."""

import re
from urllib.parse import urlencode, urlsplit

_ID = "[0-9a-fA-F-]{1,40}"
_PAGE = re.compile(
    rf"/|/c/{_ID}/?|/settings/?|/admin/?"
    rf"|/admin/(dialogs|users)(/[\w\[\]-]{{1,64}})?/?|/admin/(audit|verified|exports)/?",
    re.ASCII,
)
# a query as browsers encode it, without characters that could begin another address
_QUERY = re.compile(r"[\w%&=+.,:~*!()'-]{0,4000}", re.ASCII)


def is_page(path: str) -> bool:
    """Returns whether `path` is a page of the product that needs a login."""
    return _PAGE.fullmatch(path) is not None


def safe_target(target: str) -> str:
    """Returns `target` if it is a page of the product, else `/`. It comes from the browser's
    address and may be any text."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    path, _, query = target.partition("?")
    foreign = parts.scheme or parts.netloc or parts.fragment
    return target if not foreign and is_page(path) and _QUERY.fullmatch(query) else "/"


def login_address(target: str, *, error: str = "", wait_s: int | None = None) -> str:
    """Returns the address of the login page, which redirects to `target` after the login.

    Args:
        error: the code of the error that the page shows.
        wait_s: seconds until the next attempt is allowed.
    """
    target = safe_target(target)
    query = {"error": error} if error else {}
    query |= {"wait": str(wait_s)} if wait_s else {}
    query |= {"next": target} if target != "/" else {}
    return f"/login?{urlencode(query)}" if query else "/login"
