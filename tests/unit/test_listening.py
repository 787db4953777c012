"""Where the product listens: addresses of both kinds, names, and what cannot be had."""

import socket

import pytest

from genai_app.errors import SettingsError
from genai_app.server.listening import listening_sockets
from tests.fakes.services import free_port


def _reaches(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("host", "reached", "not_reached"),
    [
        ("::", ("127.0.0.1", "::1"), ()),
        ("0.0.0.0", ("127.0.0.1",), ("::1",)),
        ("::1", ("::1",), ("127.0.0.1",)),
        ("127.0.0.1", ("127.0.0.1",), ("::1",)),
        ("localhost", ("localhost",), ()),
    ],
)
def test_who_reaches_it(
    host: str, reached: tuple[str, ...], not_reached: tuple[str, ...], shared: bool
) -> None:
    """`::` takes IPv4 too, in the only process and in each of several."""
    port = free_port()
    sockets = listening_sockets(host, port, shared=shared)
    try:
        for each in sockets:
            each.listen()
        assert all(_reaches(name, port) for name in reached)
        assert not any(_reaches(name, port) for name in not_reached)
    finally:
        for each in sockets:
            each.close()


def test_what_cannot_be_had() -> None:
    """One line that names the settings, whatever the reason; `shared` is among ourselves only."""
    port = free_port()
    taken = listening_sockets("127.0.0.1", port)
    taken[0].listen()
    try:
        for host in (
            "127.0.0.1",
            "localhost",
            "::",
            "192.0.2.1",
            "no.such.invalid",
            "a" * 300,
            "ы.",
        ):
            with pytest.raises(SettingsError, match=r"^GENAI_HOST, GENAI_PORT: [^\n]+$"):
                listening_sockets(host, port, shared=host == "127.0.0.1")
    finally:
        taken[0].close()
