"""The session cookie: its flags, and reading it from whatever a client sends."""

from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from genai_app.web.cookies import (
    COOKIE,
    MAX_COOKIE_HEADER,
    clear_session,
    cookie_header,
    session_token,
    set_session,
)

TOKEN = "AbC-_123"


def _set(response: Response) -> dict[str, str]:
    """The attributes of the one cookie that the response sets, and its value."""
    (header,) = response.headers.getlist("set-cookie")
    (cookie,) = SimpleCookie(header).values()
    assert cookie.key == COOKIE
    return {"value": cookie.value, **{k: str(v) for k, v in cookie.items() if v}}


@pytest.mark.parametrize("secure", [False, True])
def test_flags(secure: bool) -> None:
    """No script reads it, no other site's form sends it, and over TLS no plain request does."""
    response = Response()
    set_session(response, TOKEN, ttl_s=3600, secure=secure)
    found = _set(response)
    assert (found["value"], found["path"], found["max-age"]) == (TOKEN, "/", "3600")
    assert (found["httponly"], found["samesite"]) == ("True", "lax")
    assert ("secure" in found) == secure
    assert "domain" not in found  # this host alone, no others below it


@pytest.mark.parametrize("secure", [False, True])
def test_clear(secure: bool) -> None:
    """The same path and flags, or the browser keeps it."""
    response = Response()
    clear_session(response, secure=secure)
    found = _set(response)
    assert (found["value"], found["path"], found["samesite"]) == ("", "/", "lax")
    assert ("secure" in found) == secure
    assert found.get("max-age", "0") == "0"
    assert "expires" in found


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (f"{COOKIE}={TOKEN}", TOKEN),
        (f"a=b; {COOKIE}={TOKEN}; c=d", TOKEN),
        (f"a=b;{COOKIE}={TOKEN};", TOKEN),
        (f'{COOKIE}="{TOKEN}"', TOKEN),
        (f"{COOKIE}=a=b==", "a=b=="),
        (f"{COOKIE}=", ""),
        (f"{COOKIE}={TOKEN}; {COOKIE}=other", TOKEN),
        (f"x{COOKIE}=no; {COOKIE}={TOKEN}", TOKEN),
        (f"{COOKIE}x=no", None),
        (f"x={COOKIE}", None),
        (f"{COOKIE.upper()}={TOKEN}", None),
        (COOKIE, ""),
        ("", None),
        (None, None),
        (";;=;", None),
    ],
)
def test_reading(header: str | None, token: str | None) -> None:
    assert session_token(header) == token


def test_absurd_header() -> None:
    """A header of megabytes is not searched; one that just fits is."""
    own = f"; {COOKIE}={TOKEN}"
    fits = "a=" + "b" * (MAX_COOKIE_HEADER - len(own) - 2) + own
    assert session_token(fits) == TOKEN
    assert session_token("b" + fits) is None


@given(st.text(max_size=200))
def test_any_header(header: str) -> None:
    """Never an error; the token is a part of the header."""
    for sample in (header, f"{header};{COOKIE}={header}"):
        token = session_token(sample)
        assert token is None or token in sample


def test_several_headers() -> None:
    """HTTP/2 may send a cookie a line; odd bytes are kept apart, not an error."""
    headers = [
        (b"host", b"a"),
        (b"cookie", b"a=b"),
        (b"cookie", f"{COOKIE}={TOKEN}".encode()),
        (b"cookie", b"c=\xff\xfe"),
    ]
    assert session_token(cookie_header(headers)) == TOKEN
    assert cookie_header([]) == ""
