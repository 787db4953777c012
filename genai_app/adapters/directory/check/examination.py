"""Examines the directory that the settings name, step by step, and says what is wrong with it.

For the person who sets it up: every controller is examined on its own, in the order of the
settings, by the code that serves logins (../link.py, names.py, groups.py). No user's
password is asked for, and none is in what comes out; the service account's neither.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

from genai_app.adapters.directory.check.handshake import encrypted, knock, service_fault
from genai_app.adapters.directory.check.lookups import Lookups
from genai_app.adapters.directory.check.steps import (
    Cause,
    Fact,
    FactValue,
    Fault,
    Outcome,
    Seen,
    Step,
    StepName,
)
from genai_app.adapters.directory.controllers import PORTS, controllers_at
from genai_app.adapters.directory.deadline import TimeIsUp, TimeLimit
from genai_app.adapters.directory.link import Controller, ControllerFailed, tls_context
from genai_app.adapters.directory.root_dse import read_lockout, read_root
from genai_app.errors import DirectoryUnavailable
from genai_app.settings.settings import Settings

__all__ = ["Cause", "Fact", "Outcome", "Step", "StepName", "examine"]

DNS_S = 5.0
CONTROLLER_S = 30.0  # for all steps at one

MASK = "***"


async def examine(settings: Settings, username: str = "") -> AsyncGenerator[Step]:
    """The steps, each as it ends: `dns` of a URL, then those at each of its addresses.

    Takes 5 s at most to look a host up and 30 s at a controller; stops when it is closed.

    Args:
        username: whose account is looked for as well; empty: nobody's.

    Raises:
        SettingsError: the file with the authority's certificate cannot be read.
    """
    tls = tls_context(settings.ldap_ca_file)
    seen: set[tuple[object, ...]] = set()
    threads = ThreadPoolExecutor(1 + len(settings.ldap_urls), thread_name_prefix="doctor")
    limit = TimeLimit(CONTROLLER_S)
    try:
        for url in settings.ldap_urls:
            step, found = await _resolved(settings, url, threads)
            yield _masked(step, settings)
            for controller in found:
                if controller.address in seen:
                    continue
                seen.add(controller.address)
                limit = TimeLimit(CONTROLLER_S)
                steps = _Examination(settings, controller, username, limit, tls).steps()
                loop = asyncio.get_running_loop()
                while (one := await loop.run_in_executor(threads, next, steps, None)) is not None:
                    yield _masked(one, settings)
    finally:
        limit.abandon()
        threads.shutdown(wait=False, cancel_futures=True)


async def _resolved(
    settings: Settings, url: str, threads: ThreadPoolExecutor
) -> tuple[Step, list[Controller]]:
    began = time.monotonic()
    start_tls = settings.start_tls(url)
    cause: Cause | None = None
    found: list[Controller] = []
    facts: dict[Fact, FactValue] = {}
    try:
        async with asyncio.timeout(DNS_S):
            found = await asyncio.get_running_loop().run_in_executor(
                threads, lambda: controllers_at(url, start_tls=start_tls)
            )
        addresses = tuple(dict.fromkeys(str(each.address[0]) for each in found))
        facts = {Fact.ADDRESSES: addresses}
        if len(settings.ldap_urls) == len(addresses) == 1:
            cause = Cause.ONE_CONTROLLER
    except TimeoutError:
        cause = Cause.DNS_SLOW
    except (OSError, UnicodeError) as error:
        cause, facts = Cause.HOST_UNKNOWN, {Fact.DETAIL: str(error)}
    outcome = Outcome.WARNING if cause else Outcome.OK
    if not found:
        outcome = Outcome.FAILED
    seconds = time.monotonic() - began
    return Step(_place(url), StepName.DNS, outcome, seconds, facts, cause), found


class _Examination:
    """Of one controller. All of it blocks, in a thread."""

    def __init__(
        self,
        settings: Settings,
        controller: Controller,
        username: str,
        limit: TimeLimit,
        tls: ssl.SSLContext,
    ) -> None:
        self._settings = settings
        self._controller = controller
        self._username = username
        self._limit = limit
        self._tls = tls
        self._open = contextlib.ExitStack()
        self._broken: set[StepName] = set()
        self._gone = False

    def steps(self) -> Iterator[Step]:
        """Each as it ends."""
        with self._open:
            encryption = StepName.START_TLS if self._controller.start_tls else StepName.TLS
            yield self._taken(StepName.TCP, lambda: knock(self._controller, self._limit))
            yield self._taken(encryption, self._encrypt, StepName.TCP)
            yield self._taken(StepName.SERVICE_BIND, self._bind, encryption)
            yield self._taken(StepName.ROOT_DSE, self._read_root, StepName.SERVICE_BIND)
            # methods that the step of the root makes possible: looked up when they are called
            yield self._taken(
                StepName.USER_BASE, lambda: self._lookups.user_base(), StepName.ROOT_DSE
            )
            yield self._taken(
                StepName.GROUPS_FOUND,
                lambda: self._lookups.groups_found(),
                StepName.ROOT_DSE if self._groups_have_a_base() else StepName.USER_BASE,
            )
            if not self._username:
                return
            yield self._taken(
                StepName.USER_FOUND,
                lambda: self._lookups.user_found(self._username),
                StepName.USER_BASE,
            )
            yield self._taken(
                StepName.USER_STATE, lambda: self._lookups.user_state(), StepName.USER_FOUND
            )
            yield self._taken(
                StepName.USER_GROUPS, lambda: self._lookups.user_groups(), StepName.USER_FOUND
            )

    def _taken(
        self, name: StepName, work: Callable[[], Seen], needs: StepName | None = None
    ) -> Step:
        place = f"{_place(self._controller.url)} ({self._controller.address[0]})"
        if self._gone or needs in self._broken:
            self._broken.add(name)
            return Step(place, name, Outcome.SKIPPED)
        began = time.monotonic()
        try:
            seen = work()
        except Fault as fault:
            self._broken.add(name)
            outcome, cause, facts = Outcome.FAILED, fault.cause, fault.facts
        except (ControllerFailed, TimeIsUp) as error:
            self._gone = True  # the link is of no more use
            silent = isinstance(error, TimeIsUp) or error.cause.startswith("timeout")
            cause = Cause.SILENT if silent else Cause.BROKE_OFF
            outcome, facts = Outcome.FAILED, {Fact.DETAIL: str(error)}
        except DirectoryUnavailable as error:
            self._broken.add(name)
            what, _, detail = error.detail.partition(": ")
            cause = Cause.FILTER_BROKEN if what == "filter" else Cause.ANSWERED_OTHERWISE
            outcome, facts = Outcome.FAILED, {Fact.DETAIL: detail}
        else:
            outcome = Outcome.WARNING if seen.cause else Outcome.OK
            cause, facts = seen.cause, seen.facts
        return Step(place, name, outcome, time.monotonic() - began, facts, cause)

    def _encrypt(self) -> Seen:
        link, seen = encrypted(self._controller, self._tls, self._limit)
        self._link = self._open.enter_context(link)
        return seen

    def _groups_have_a_base(self) -> bool:
        """Which is not that of the people, for want of a context around it."""
        base = self._settings.ldap_group_base
        return bool(base) or (StepName.ROOT_DSE not in self._broken and self._lookups.in_a_context)

    def _bind(self) -> Seen:
        account = self._settings.ldap_bind_dn
        secret = self._settings.ldap_bind_password
        answer = self._link.bind(account, secret.get_secret_value().encode() if secret else b"")
        if cause := service_fault(answer):
            said = f"{answer.code} {answer.message}".strip()
            raise Fault(cause, {Fact.ACCOUNT: account, Fact.DETAIL: said})
        return Seen({Fact.ACCOUNT: account})

    def _read_root(self) -> Seen:
        try:
            root = read_root(self._link)
        except DirectoryUnavailable as error:
            raise Fault(Cause.ROOT_UNREADABLE, {Fact.DETAIL: error.detail}) from None
        self._lookups = Lookups(self._link, self._settings, root)
        facts: dict[Fact, FactValue] = {
            Fact.ACTIVE_DIRECTORY: root.active_directory,
            Fact.CONTEXTS: root.contexts,
        }
        if lockout := read_lockout(self._link, root, self._settings.ldap_user_base):
            facts[Fact.LOCKOUT_TRIES] = lockout.tries
            if lockout.window_s:
                facts[Fact.LOCKOUT_WINDOW_S] = lockout.window_s
        return Seen(facts)


def _place(url: str) -> str:
    """Without what else may stand in a URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or PORTS[parts.scheme]}"


def _masked(step: Step, settings: Settings) -> Step:
    """Should a server repeat the service account's password, it is not told on."""
    secret = settings.ldap_bind_password
    detail = str(step.facts.get(Fact.DETAIL, ""))
    if secret is None or secret.get_secret_value() not in detail:
        return step
    return replace(step, facts={**step.facts, Fact.DETAIL: MASK})
