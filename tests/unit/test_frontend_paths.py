"""Which addresses are pages, and what the built scripts are told about their origin."""

import gzip
import uuid
from urllib.parse import parse_qsl, urlsplit

import pytest

from genai_app.web.addresses import is_page, login_address, safe_target
from genai_app.web.frontend import (
    _PORTLESS,  # pyright: ignore[reportPrivateUsage]
    BUILT_ORIGIN,
    _packed,  # pyright: ignore[reportPrivateUsage]
    _substituted,  # pyright: ignore[reportPrivateUsage]
)
from tests import corpora

DIALOG = str(uuid.UUID(int=7))


@pytest.mark.parametrize(
    "path",
    [
        *("/", f"/c/{DIALOG}", f"/c/{DIALOG}/", f"/c/{DIALOG.upper()}", "/settings", "/settings/"),
        *("/admin", "/admin/dialogs", f"/admin/dialogs/{DIALOG}", f"/admin/users/{DIALOG}"),
        *("/admin/audit", "/admin/verified", "/admin/exports/"),
    ],
)
def test_pages(path: str) -> None:
    assert is_page(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "//", "/c", "/c/", "/c//", "/login", "/healthz", "/api/dialogs", "/favicon.svg"),
        *(f"/c/{DIALOG}\n", f"/c/{DIALOG}//", f"/c/{DIALOG}/more", f"//c/{DIALOG}", f"c/{DIALOG}"),
        *("/c/..", "/c/../login", "/c/xyz", "/c/" + "0" * 41, "/c/a b", "/c/a?b", "/c/١٢٣", "/\n"),
        *("/assets/index.js", "/index.html", f"/C/{DIALOG}", "/c/%30", "/\\evil.example"),
        *(
            "/admin/x",
            "/admin/dialogs/..",
            "/admin/dialogs/a/b",
            "/admin/dialogs/a%2fb",
            "/admin//",
        ),
        *("/settings//", "/settings/x", "/Settings", "settings", "/settings\n", "/settings.html"),
    ],
)
def test_no_pages(path: str) -> None:
    assert not is_page(path)


def test_traversals_are_no_pages() -> None:
    """A page's address goes into a redirect as it is, so it can hold nothing else."""
    for sample in corpora.load("paths"):
        assert not is_page(sample) or sample == "/"
        assert not is_page(f"/c/{sample}") or set(sample) <= set("0123456789abcdefABCDEF-/")


@pytest.mark.parametrize(
    "target",
    [
        f"/c/{DIALOG}?at={DIALOG}",
        f"/admin/dialogs/{DIALOG}?state=new&query=%D0%BE%D1%82%D0%BF%D1%83%D1%81%D0%BA+a%20b",
        "/admin/audit?action=login&since=2026-11-01",
    ],
)
def test_a_login_leads_back_to_a_page_with_its_query(target: str) -> None:
    assert safe_target(target) == target
    (name, value), *_ = parse_qsl(urlsplit(login_address(target)).query)
    assert (name, value) == ("next", target)


@pytest.mark.parametrize(
    "query", ["a b", "a\r\nb", "a#b", "a?b", "//evil", "\\evil", "javascript:alert(1)//", "х"]
)
def test_a_login_leads_to_no_other_query(query: str) -> None:
    assert safe_target(f"/settings?{query}") == "/"
    assert login_address(f"/settings?{query}", error="session_ended").endswith("session_ended")


@pytest.mark.parametrize("host", [b"genai.example", b"10.0.0.7:8000", b"[::1]:8000", b"a-b.ru:1"])
@pytest.mark.parametrize("secure", [False, True])
def test_origin_in_a_script(host: bytes, secure: bool) -> None:
    """Both addresses in the script are the ones under which the page was opened."""
    built = b'{"PING":"http%b/ping","EVENT":"ws%b/_event","OTHER":"http://w3.org"}'
    template = built % (BUILT_ORIGIN, BUILT_ORIGIN)
    body = _substituted(template, host, secure)
    ending = b"s" if secure else b""
    assert body == b'{"PING":"http%b://%b/ping","EVENT":"ws%b://%b/_event","OTHER":"%b"}' % (
        *(ending, host, ending, host),
        b"http://w3.org",
    )


@pytest.mark.parametrize("quote", ["`", '"', "'"])
def test_names_for_which_a_script_drops_the_port(quote: str) -> None:
    names = ("localhost", "0.0.0.0", "::", "0:0:0:0:0:0:0:0")
    built = f"let a=[{','.join(quote + name + quote for name in names)}],b=[{quote}::{quote}]"
    assert _PORTLESS.sub(b"[]", built.encode()) == f"let a=[],b=[{quote}::{quote}]".encode()


def test_same_bytes_for_the_same_host() -> None:
    """They are kept by browsers for ever, so they may not change."""
    template = b"http" + BUILT_ORIGIN
    first = _packed(_substituted(template, b"a.example", False))
    _packed.cache_clear()
    _substituted.cache_clear()
    assert _packed(_substituted(template, b"a.example", False)) == first
    assert gzip.decompress(first) == b"http://a.example"
    assert _substituted(template, b"b.example", False) == b"http://b.example"
