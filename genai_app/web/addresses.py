"""Addresses of the product's own pages, and redirects to the login and back."""

import re
from urllib.parse import urlencode, urlsplit

from genai_app.site_map import CHAT, PAGES, PageInfo

_DIALOG = "/c/[0-9a-fA-F-]{1,40}/?"
_PART = r"(/[\w\[\]-]{1,64})?"  # of a page that may be opened at a part of it


def _pattern(page: PageInfo) -> str:
    if page is CHAT:
        return f"/|{_DIALOG}"
    return f"{re.escape(page.address)}{_PART if page.parts else ''}/?"


_PAGE = re.compile("|".join(_pattern(each) for each in PAGES if each.role), re.ASCII)
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
