"""Checks the directory of the settings step by step and reports what is wrong.

Every controller is checked separately, in the order of the settings, by the code that serves logins
(../link.py, names.py, groups.py). No user's password is needed; the report contains no password.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

from genai_app.adapters.directory.check.handshake import check_port, open_encrypted, service_fault
from genai_app.adapters.directory.check.lookups import Lookups
from genai_app.adapters.directory.check.steps import (
    DirectoryCause,
    Fact,
    Step,
    StepFailed,
    StepName,
    StepPassed,
)
from genai_app.adapters.directory.controllers import PORTS, controllers_at
from genai_app.adapters.directory.deadline import TimeIsUp, TimeLimit
from genai_app.adapters.directory.link import Controller, ControllerFailed, tls_context
from genai_app.adapters.directory.root_dse import read_lockout, read_root
from genai_app.adapters.findings import CheckOutcome, FactValue
from genai_app.errors import DirectoryUnavailable
from genai_app.settings.settings import Settings

DNS_S = 5.0
CONTROLLER_S = 30.0  # for all steps at one controller

MASK = "***"


async def examine(settings: Settings, username: str = "") -> AsyncGenerator[Step]:
    """Yields each step when it ends: `dns` of a URL, then those at each of its addresses.

    A DNS lookup takes 5 s at most, a controller 30 s. Closing the generator stops the check.

    Args:
        username: an account to look up as well; empty: none.

    Raises:
        SettingsError: the file with the authority's certificate cannot be read.
    """
    tls = tls_context(settings.ldap_ca_file)
    checked: set[tuple[object, ...]] = set()
    threads = ThreadPoolExecutor(1 + len(settings.ldap_urls), thread_name_prefix="doctor")
    limit = TimeLimit(CONTROLLER_S)
    try:
        for url in settings.ldap_urls:
            step, controllers = await _look_up_host(settings, url, threads)
            yield _masked(step, settings)
            for controller in controllers:
                if controller.address in checked:
                    continue
                checked.add(controller.address)
                limit = TimeLimit(CONTROLLER_S)
                steps = _Examination(settings, controller, username, limit, tls).steps()
                loop = asyncio.get_running_loop()
                while (step := await loop.run_in_executor(threads, next, steps, None)) is not None:
                    yield _masked(step, settings)
    finally:
        limit.abandon()
        threads.shutdown(wait=False, cancel_futures=True)


async def _look_up_host(
    settings: Settings, url: str, threads: ThreadPoolExecutor
) -> tuple[Step, list[Controller]]:
    """Looks up the host of a URL. Returns the step and the controllers at its addresses."""
    began = time.monotonic()
    start_tls = settings.start_tls(url)
    cause: DirectoryCause | None = None
    controllers: list[Controller] = []
    facts: dict[Fact, FactValue] = {}
    try:
        async with asyncio.timeout(DNS_S):
            controllers = await asyncio.get_running_loop().run_in_executor(
                threads, lambda: controllers_at(url, start_tls=start_tls)
            )
        addresses = tuple(dict.fromkeys(str(each.address[0]) for each in controllers))
        facts = {Fact.ADDRESSES: addresses}
        if len(settings.ldap_urls) == len(addresses) == 1:
            cause = DirectoryCause.ONE_CONTROLLER
    except TimeoutError:
        cause = DirectoryCause.DNS_SLOW
    except (OSError, UnicodeError) as error:
        cause, facts = DirectoryCause.HOST_UNKNOWN, {Fact.DETAIL: str(error)}
    outcome = CheckOutcome.WARNING if cause else CheckOutcome.OK
    if not controllers:
        outcome = CheckOutcome.FAILED
    seconds = time.monotonic() - began
    return Step(_address(url), StepName.DNS, outcome, seconds, facts, cause), controllers


class _Examination:
    """The steps at one controller. Runs in a thread, because its network calls block."""

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
        self._cleanup = contextlib.ExitStack()
        self._failed: set[StepName] = set()  # and skipped
        self._link_lost = False

    def steps(self) -> Iterator[Step]:
        """Yields each step when it ends."""
        with self._cleanup:
            encryption = StepName.START_TLS if self._controller.start_tls else StepName.TLS
            yield self._run_step(StepName.TCP, lambda: check_port(self._controller, self._limit))
            yield self._run_step(encryption, self._encrypt, StepName.TCP)
            yield self._run_step(StepName.SERVICE_BIND, self._bind, encryption)
            yield self._run_step(StepName.ROOT_DSE, self._read_root, StepName.SERVICE_BIND)
            # lambdas, because `_lookups` exists only after the step of the root entry
            yield self._run_step(
                StepName.USER_BASE, lambda: self._lookups.user_base(), StepName.ROOT_DSE
            )
            yield self._run_step(
                StepName.GROUPS_FOUND,
                lambda: self._lookups.settings_groups(),
                StepName.ROOT_DSE if self._groups_have_a_base() else StepName.USER_BASE,
            )
            if not self._username:
                return
            yield self._run_step(
                StepName.USER_FOUND,
                lambda: self._lookups.user_entry(self._username),
                StepName.USER_BASE,
            )
            yield self._run_step(
                StepName.USER_STATE, lambda: self._lookups.user_state(), StepName.USER_FOUND
            )
            yield self._run_step(
                StepName.USER_GROUPS, lambda: self._lookups.user_groups(), StepName.USER_FOUND
            )

    def _run_step(
        self, name: StepName, work: Callable[[], StepPassed], needs: StepName | None = None
    ) -> Step:
        """Runs `work` as the step `name`, unless the step that it needs failed."""
        address = f"{_address(self._controller.url)} ({self._controller.address[0]})"
        if self._link_lost or needs in self._failed:
            self._failed.add(name)
            return Step(address, name, CheckOutcome.SKIPPED)
        began = time.monotonic()
        try:
            passed = work()
        except StepFailed as error:
            self._failed.add(name)
            outcome, cause, facts = CheckOutcome.FAILED, error.cause, error.facts
        except (ControllerFailed, TimeIsUp) as error:
            self._link_lost = True
            silent = isinstance(error, TimeIsUp) or error.cause.startswith("timeout")
            cause = DirectoryCause.SILENT if silent else DirectoryCause.BROKE_OFF
            outcome, facts = CheckOutcome.FAILED, {Fact.DETAIL: str(error)}
        except DirectoryUnavailable as error:
            self._failed.add(name)
            what, _, detail = error.detail.partition(": ")
            cause = (
                DirectoryCause.FILTER_BROKEN
                if what == "filter"
                else DirectoryCause.ANSWERED_OTHERWISE
            )
            outcome, facts = CheckOutcome.FAILED, {Fact.DETAIL: detail}
        else:
            outcome = CheckOutcome.WARNING if passed.cause else CheckOutcome.OK
            cause, facts = passed.cause, passed.facts
        return Step(address, name, outcome, time.monotonic() - began, facts, cause)

    def _encrypt(self) -> StepPassed:
        link, passed = open_encrypted(self._controller, self._tls, self._limit)
        self._link = self._cleanup.enter_context(link)
        return passed

    def _groups_have_a_base(self) -> bool:
        """Returns whether groups have a search base other than the base of the people."""
        base = self._settings.ldap_group_base
        return bool(base) or (StepName.ROOT_DSE not in self._failed and self._lookups.in_a_context)

    def _bind(self) -> StepPassed:
        account = self._settings.ldap_bind_dn
        secret = self._settings.ldap_bind_password
        answer = self._link.bind(account, secret.get_secret_value().encode() if secret else b"")
        if cause := service_fault(answer):
            detail = f"{answer.code} {answer.message}".strip()
            raise StepFailed(cause, {Fact.ACCOUNT: account, Fact.DETAIL: detail})
        return StepPassed({Fact.ACCOUNT: account})

    def _read_root(self) -> StepPassed:
        try:
            root = read_root(self._link)
        except DirectoryUnavailable as error:
            raise StepFailed(DirectoryCause.ROOT_UNREADABLE, {Fact.DETAIL: error.detail}) from None
        self._lookups = Lookups(self._link, self._settings, root)
        facts: dict[Fact, FactValue] = {
            Fact.ACTIVE_DIRECTORY: root.active_directory,
            Fact.CONTEXTS: root.contexts,
        }
        if lockout := read_lockout(self._link, root, self._settings.ldap_user_base):
            facts[Fact.LOCKOUT_TRIES] = lockout.tries
            if lockout.window_s:
                facts[Fact.LOCKOUT_WINDOW_S] = lockout.window_s
        return StepPassed(facts)


def _address(url: str) -> str:
    """Returns scheme, host and port of a URL."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or PORTS[parts.scheme]}"


def _masked(step: Step, settings: Settings) -> Step:
    """Hides the service account's password in a message of the server."""
    secret = settings.ldap_bind_password
    detail = str(step.facts.get(Fact.DETAIL, ""))
    if secret is None or secret.get_secret_value() not in detail:
        return step
    return replace(step, facts={**step.facts, Fact.DETAIL: MASK})
