"""The product's cookies: the session with its flags, and the browser's time zone."""

from collections.abc import Iterable
from urllib.parse import unquote

from starlette.responses import Response

from genai_app.services.accounts.sessions import COOKIE
from genai_app.zones import ZONE_COOKIE, valid_zone

MAX_COOKIE_HEADER = 16_384


def session_token(header: str | None) -> str | None:
    """Returns the session token of a Cookie header, or None."""
    return _cookie_value(header, COOKIE)


def zone_of(header: str | None) -> str | None:
    """Returns the time zone in a Cookie header, UTC for an unknown zone, None without this
    cookie."""
    value = _cookie_value(header, ZONE_COOKIE)
    return valid_zone(unquote(value)) if value else None


def _cookie_value(header: str | None, name: str) -> str | None:
    """Returns a cookie's value, or None if it is missing or the header is far too long."""
    if not header or len(header) > MAX_COOKIE_HEADER or name not in header:
        return None
    for part in header.split(";"):
        cookie, _, value = part.strip().partition("=")
        if cookie == name:
            return value.strip('"')
    return None


def cookie_header(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Returns all Cookie headers of an ASGI scope, joined."""
    return "; ".join(value.decode("latin-1") for name, value in headers if name == b"cookie")


def set_session(response: Response, token: str, *, ttl_s: int, secure: bool) -> None:
    response.set_cookie(
        COOKIE, token, max_age=ttl_s, path="/", httponly=True, samesite="lax", secure=secure
    )


def clear_session(response: Response, *, secure: bool) -> None:
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=secure)
