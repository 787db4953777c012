"""The session cookie: its name, its flags, and how it is read from a raw header."""

from collections.abc import Iterable

from starlette.responses import Response

COOKIE = "genai_session"
MAX_COOKIE_HEADER = 16_384


def session_token(header: str | None) -> str | None:
    """The session token in a Cookie header; None when there is none or the header is absurd."""
    if not header or len(header) > MAX_COOKIE_HEADER or COOKIE not in header:
        return None
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value.strip('"')
    return None


def cookie_header(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """All Cookie headers of an ASGI scope in one."""
    return "; ".join(value.decode("latin-1") for name, value in headers if name == b"cookie")


def set_session(response: Response, token: str, *, ttl_s: int, secure: bool) -> None:
    response.set_cookie(
        COOKIE, token, max_age=ttl_s, path="/", httponly=True, samesite="lax", secure=secure
    )


def clear_session(response: Response, *, secure: bool) -> None:
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=secure)
