"""Which controller of the directory is asked first. One that failed is asked last for a while."""

import socket
import time
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import structlog

from genai_app.adapters.directory.link import Controller
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

REST_S = 30.0
PORTS = {"ldap": 389, "ldaps": 636}


def controllers_at(url: str, *, start_tls: bool) -> list[Controller]:
    """One for each address of the URL's host.

    Raises:
        OSError, UnicodeError: it has none.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [
        Controller(
            url, host, row[0], cast("tuple[Any, ...]", row[4]), parts.scheme == "ldaps", start_tls
        )
        for row in rows
    ]


class Controllers:
    """The addresses behind the URLs of the settings, and which of them failed lately.

    An Active Directory is often given by the name of its domain, which has all controllers as
    addresses: each address fails and rests alone. Used by several threads at once; a plain dict
    stands that, and what is lost in a race is one entry that the next failure writes again.
    """

    def __init__(self, settings: Settings) -> None:
        self._servers = [(url, settings.start_tls(url)) for url in settings.ldap_urls]
        self._rests_until: dict[tuple[Any, ...], float] = {}  # time.monotonic()

    def ranked(self) -> tuple[list[Controller], list[str]]:
        """Controllers in the order to ask them, and the hosts whose names mean nothing now."""
        found: dict[tuple[Any, ...], Controller] = {}
        unknown: list[str] = []
        for url, start_tls in self._servers:
            try:
                for controller in controllers_at(url, start_tls=start_tls):
                    found.setdefault(controller.address, controller)
            except (OSError, UnicodeError):
                unknown.append(urlsplit(url).hostname or "")
        return sorted(found.values(), key=self.is_resting), unknown  # stable: else as they stand

    def is_resting(self, controller: Controller) -> bool:
        """It failed less than half a minute ago."""
        return time.monotonic() < self._rests_until.get(controller.address, 0)

    def failed(self, controller: Controller, cause: str) -> None:
        """Ask it last for half a minute."""
        if not self.is_resting(controller):
            log.warning("directory.controller_dead", controller=controller.label, cause=cause)
        self._rests_until[controller.address] = time.monotonic() + REST_S

    def served(self, controller: Controller) -> None:
        """It is as good as any again."""
        if self._rests_until.pop(controller.address, None) is not None:
            log.info("directory.controller_back", controller=controller.label)

    def others_left(self, rest: Sequence[Controller]) -> bool:
        """Whether one that is not known to fail is among those still to be asked."""
        return not all(map(self.is_resting, rest))
