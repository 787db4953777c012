"""The order in which controllers of the directory are asked: one that failed comes last."""

import socket
import time
from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlsplit

import structlog

from genai_app.adapters.directory.link import Controller
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

DEMOTED_S = 30.0
PORTS = {"ldap": 389, "ldaps": 636}


def controllers_at(url: str, *, start_tls: bool) -> list[Controller]:
    """Returns a controller for each address of the URL's host.

    Raises:
        OSError, UnicodeError: the host has no address.
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

    The URL of an Active Directory often has the name of its domain, which resolves to all
    controllers: failures are recorded by address. Used by several threads without a lock: a race
    loses one entry at most, which the next failure writes again.
    """

    def __init__(self, settings: Settings) -> None:
        self._servers = [(url, settings.start_tls(url)) for url in settings.ldap_urls]
        self._demoted_until: dict[tuple[Any, ...], float] = {}  # time.monotonic()

    def ranked(self) -> tuple[list[Controller], list[str]]:
        """Returns the controllers in the order to ask them, and the hosts without an address."""
        controllers: dict[tuple[Any, ...], Controller] = {}
        unknown_hosts: list[str] = []
        for url, start_tls in self._servers:
            try:
                for controller in controllers_at(url, start_tls=start_tls):
                    controllers.setdefault(controller.address, controller)
            except (OSError, UnicodeError):
                unknown_hosts.append(urlsplit(url).hostname or "")
        # sorted() is stable: otherwise the order of the settings holds
        return sorted(controllers.values(), key=self.is_demoted), unknown_hosts

    def is_demoted(self, controller: Controller) -> bool:
        """Returns whether the controller failed less than half a minute ago."""
        return time.monotonic() < self._demoted_until.get(controller.address, 0)

    def failed(self, controller: Controller, cause: str) -> None:
        """Ranks the controller last for half a minute."""
        if not self.is_demoted(controller):
            log.warning("directory.controller_dead", controller=controller.label, cause=cause)
        self._demoted_until[controller.address] = time.monotonic() + DEMOTED_S

    def served(self, controller: Controller) -> None:
        """Restores the rank of a controller that serves again."""
        if self._demoted_until.pop(controller.address, None) is not None:
            log.info("directory.controller_back", controller=controller.label)

    def has_healthy(self, controllers: Sequence[Controller]) -> bool:
        """Returns whether any of the controllers has not failed lately."""
        return not all(map(self.is_demoted, controllers))
