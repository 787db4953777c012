"""Whose address it is: only what our own proxies say is believed."""

from typing import Any

import pytest

from genai_app.web.client_address import address_of

PEER = "10.0.0.1"


def told(*values: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in values]
    return {"client": (PEER, 1234), "headers": [(b"host", b"x"), *headers]}


@pytest.mark.parametrize(
    ("hops", "values", "expected"),
    [
        (0, ("203.0.113.9",), PEER),
        (1, (), PEER),
        (1, ("203.0.113.9",), "203.0.113.9"),
        (1, ("1.1.1.1, 203.0.113.9",), "203.0.113.9"),
        (1, ("1.1.1.1", "203.0.113.9"), "203.0.113.9"),
        (2, ("1.1.1.1, 203.0.113.9, 10.0.0.2",), "203.0.113.9"),
        (2, ("203.0.113.9",), PEER),
        (1, ("203.0.113.9:4711",), "203.0.113.9"),
        (1, ("[2001:db8::1]:4711",), "2001:db8::1"),
        (1, ("2001:DB8:0:0::1",), "2001:db8::1"),
        (1, ("::ffff:203.0.113.9",), "203.0.113.9"),
        *((1, (odd,), PEER) for odd in ("", "unknown", "_hidden", "<script>", "1.2.3", "é" * 99)),
    ],
)
def test_address_of(hops: int, values: tuple[str, ...], expected: str) -> None:
    """A header that a client made up moves nobody to another address."""
    assert address_of(told(*values), hops) == expected


def test_a_socket_without_a_peer() -> None:
    assert address_of({"client": None, "headers": []}, 1) == ""
