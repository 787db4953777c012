"""Which addresses are pages, and what the built scripts are told about their origin."""

import gzip
import uuid

import pytest

from genai_app.web.frontend import (
    BUILT_ORIGIN,
    _packed,  # pyright: ignore[reportPrivateUsage]
    _substituted,  # pyright: ignore[reportPrivateUsage]
    is_page,
)
from tests import corpora

DIALOG = str(uuid.UUID(int=7))


@pytest.mark.parametrize(
    "path",
    ["/", f"/c/{DIALOG}", f"/c/{DIALOG}/", f"/c/{DIALOG.upper()}", "/settings", "/settings/"],
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


def test_same_bytes_for_the_same_host() -> None:
    """They are kept by browsers for ever, so they may not change."""
    template = b"http" + BUILT_ORIGIN
    first = _packed(_substituted(template, b"a.example", False))
    _packed.cache_clear()
    _substituted.cache_clear()
    assert _packed(_substituted(template, b"a.example", False)) == first
    assert gzip.decompress(first) == b"http://a.example"
    assert _substituted(template, b"b.example", False) == b"http://b.example"
