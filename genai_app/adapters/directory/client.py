"""The company's directory (LDAP, Active Directory): whether a name and a password belong together,
who that is, in which groups, and whether that still holds.

    NotAuthenticated      wrong_credentials; `detail` is for the log: unknown_user, wrong_password,
                          disabled, locked, expired, password_expired, must_change, logon_hours,
                          workstation, two_entries, blank_password, bad_name
    Forbidden             account_<reason>: the password is right, and the directory lets the person
                          in nowhere for that reason
    DirectoryUnavailable  everything else. `detail` begins with a cause word: timeout, busy,
                          refused, closed, garbled, network, dns, tls, unavailable: no controller
                          serves (several, between "; "); service_account, user_base, group_base,
                          filter, root_dse, groups, no_id, bind: it serves, and something is set
                          wrong. An error of the directory is never "wrong password".

One connection is link.py (its waits: deadline.py), the order of controllers
controllers.py, names and filters names.py, where a person is
people.py, what entries mean entries.py, what a bind said refusals.py,
groups groups.py and memberships.py.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import structlog

from genai_app.adapters.directory.controllers import Controllers
from genai_app.adapters.directory.deadline import TimeIsUp, TimeLimit
from genai_app.adapters.directory.entries import (
    AccountState,
    Entry,
    FoundAccount,
    Person,
    entry_id,
    found_account,
    person_of,
    state_of,
)
from genai_app.adapters.directory.groups import GroupFault
from genai_app.adapters.directory.link import (
    ANSWER_TIMEOUT_S,
    BindAnswer,
    CertificateRefused,
    Controller,
    ControllerFailed,
    Link,
    tls_context,
)
from genai_app.adapters.directory.memberships import ConfiguredGroups
from genai_app.adapters.directory.names import TypedName, parse_name
from genai_app.adapters.directory.people import (
    PersonUnreadable,
    count_seen,
    entries_of_name,
    find_entry,
)
from genai_app.adapters.directory.refusals import bind_reason, check_answer, policy_error
from genai_app.adapters.directory.root_dse import Lockout, Root, read_lockout, read_root
from genai_app.errors import DirectoryUnavailable, NotAuthenticated
from genai_app.settings.settings import Settings

__all__ = [
    "AccountState",
    "Directory",
    "FoundAccount",
    "GroupFault",
    "Lockout",
    "Person",
    "PersonUnreadable",
]

log = structlog.stdlib.get_logger(__name__)

TOTAL_S = 4.5  # of one call, waiting for a thread included
HURRY_S = 1.5  # the wait for an answer while another controller could give it
GRACE_S = 0.1  # the thread, which knows more, is to say that the time is up
GUILTY_S = 1.0  # who had less time than this is not called dead for being late
LEAST_S = 0.2  # who got a thread so late is not served any more
THREADS = 8
LOCKOUT_KEPT_S = 3600.0
LOCKOUT_AGAIN_S = 30.0  # after this it is asked again where the directory did not answer
BUSY = "busy: all threads wait for the directory"

T = TypeVar("T")
Admit = Callable[[FoundAccount | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Visit:
    """A controller, a link to it that is bound as the service account, and the time there is."""

    controller: Controller
    link: Link
    limit: TimeLimit
    root: Root


class Directory:
    """Asks the directory of the settings. One per process; no connection outlives a call.

    Raises:
        SettingsError: the file with the authority's certificate cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.ldap_bind_password is None:
            raise ValueError("no directory is set")
        self._settings = settings
        self._secret = settings.ldap_bind_password.get_secret_value().encode()
        self._tls = tls_context(settings.ldap_ca_file)
        self._controllers = Controllers(settings)
        self._groups = ConfiguredGroups(settings)
        self._roots: dict[str, Root] = {}
        self._lockout: Lockout | None = None
        self._lockout_until = 0.0  # time.monotonic()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="directory")
        self._running: set[TimeLimit] = set()

    async def log_in(self, username: str, password: str, admit: Admit | None = None) -> Person:
        """The person whose name and password these are; the account is active.

        Whether a group lets them in is for the caller to decide by `Person.groups`. Takes 4.5 s at
        most. Where nobody has that name a bind is made all the same, so that neither its time nor
        its traffic tells.

        Args:
            admit: awaited before each bind with the account that was found, None for nobody's name;
                what it raises ends the login before the password is presented.

        Raises:
            NotAuthenticated, Forbidden, DirectoryUnavailable: see the top of this module.
        """
        name = parse_name(username)
        secret = _secret_of(password)
        loop = asyncio.get_running_loop()

        def ask(visit: _Visit, found: FoundAccount | None) -> None:
            if admit is not None:
                asked = asyncio.run_coroutine_threadsafe(_awaited(admit(found)), loop)
                try:
                    asked.result(visit.limit.left_s())
                except TimeoutError:
                    asked.cancel()
                    raise TimeIsUp from None

        return await self._call(lambda visit: self._log_in(visit, name, secret, ask))

    async def find(self, directory_id: str, dn_hint: str = "") -> Person | None:
        """The person of that id as the directory has them now, without a password.

        None: it was searched, and there is no such account (any more) that could log in: deleted,
        moved out of the base, no longer met by the filter. A folder without rights looks the same:
        `count_seen` tells.

        Args:
            directory_id: `Person.id`.
            dn_hint: where they were last; saves a search over the whole base.

        Raises:
            PersonUnreadable: the entry is there, and the service account has no right to read it.
            DirectoryUnavailable
        """
        return await self._call(lambda visit: self._find(visit, directory_id, dn_hint))

    async def count_seen(self, ids: Sequence[str]) -> int:
        """How many of the accounts with these ids can be seen; without ids 0 or 1, for nobody or
        anybody.

        Raises:
            DirectoryUnavailable
        """
        return await self._call(
            lambda visit: count_seen(visit.link, visit.root, self._settings, ids)
        )

    async def group_faults(self) -> dict[str, GroupFault]:
        """The groups of the settings that are missing, ambiguous or unreadable now.

        Raises:
            DirectoryUnavailable
        """
        return await self._call(
            lambda visit: self._groups.faults(
                visit.link,
                active_directory=visit.root.active_directory,
                context=visit.root.context_of(self._settings.ldap_user_base),
            )
        )

    async def check(self) -> None:
        """Bind as the service account at any controller.

        Raises:
            DirectoryUnavailable
        """
        await self._call(lambda _visit: None)

    async def lockout(self) -> Lockout | None:
        """When the directory locks accounts by itself; remembered for an hour.

        None: it never does, or that cannot be read, or the directory does not answer now.
        """
        if time.monotonic() >= self._lockout_until:
            try:
                found = await self._call(
                    lambda visit: read_lockout(
                        visit.link, visit.root, self._settings.ldap_user_base
                    )
                )
                keep_s = LOCKOUT_KEPT_S
            except DirectoryUnavailable:
                found, keep_s = None, LOCKOUT_AGAIN_S
            self._lockout, self._lockout_until = found, time.monotonic() + keep_s
        return self._lockout

    async def close(self) -> None:
        """End all calls, which raise DirectoryUnavailable, and their threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for limit in list(self._running):
            limit.abandon()
        await asyncio.to_thread(self._threads.shutdown)

    async def _call(self, work: Callable[[_Visit], T]) -> T:
        limit = TimeLimit(TOTAL_S)
        try:
            future = self._threads.submit(self._visit_any, work, limit)
        except RuntimeError:
            raise DirectoryUnavailable("closed: the product stops") from None
        self._running.add(limit)
        try:
            async with asyncio.timeout(TOTAL_S + GRACE_S):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DirectoryUnavailable("timeout" if limit.begun else BUSY) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if future.cancelled() and not (task and task.cancelling()):  # by close()
                raise DirectoryUnavailable("closed: the product stops") from None
            raise
        finally:
            future.cancel()
            limit.abandon()
            self._running.discard(limit)

    def _visit_any(self, work: Callable[[_Visit], T], limit: TimeLimit) -> T:
        """In a thread: `work` at the first controller that serves."""
        causes: list[str] = []
        try:
            if limit.left_s() < LEAST_S:
                raise DirectoryUnavailable(BUSY)
            limit.begun = True
            ranked, unknown = self._controllers.ranked()
            causes += [f"dns: {host}" for host in unknown]
            for place, controller in enumerate(ranked):
                hurry = self._controllers.others_left(ranked[place + 1 :])
                began = time.monotonic()
                try:
                    result = self._visit(controller, work, limit, HURRY_S if hurry else 0)
                except CertificateRefused as error:
                    log.error(
                        "directory.certificate_refused",
                        controller=controller.label,
                        cause=error.cause,
                    )
                    self._controllers.failed(controller, error.cause)
                    causes.append(error.cause)
                except (ControllerFailed, TimeIsUp) as error:
                    cause = error.cause if isinstance(error, ControllerFailed) else "timeout"
                    late = cause.startswith("timeout")
                    if not late or time.monotonic() - began >= GUILTY_S:
                        self._controllers.failed(controller, cause)
                    causes.append(cause)
                    limit.left_s()
                else:
                    self._controllers.served(controller)
                    return result
        except TimeIsUp:
            if not limit.begun:
                raise DirectoryUnavailable(BUSY) from None
            if not causes or not causes[-1].startswith("timeout"):
                causes.append("timeout")
        raise DirectoryUnavailable("; ".join(causes)[:500] or "dns: no address")

    def _visit(
        self, controller: Controller, work: Callable[[_Visit], T], limit: TimeLimit, hurry_s: float
    ) -> T:
        with Link(controller, self._tls, limit, hurry_s or ANSWER_TIMEOUT_S) as link:
            answer = link.bind(self._settings.ldap_bind_dn, self._secret)
            if answer.code != 0 or policy_error(answer.policy) is not None:
                reason = bind_reason(answer.code, answer.message, answer.policy) or (
                    f"{answer.code} {answer.message}"
                )
                log.error("directory.service_account_refused", reason=reason[:200])
                raise DirectoryUnavailable(f"service_account: {reason[:200]}")
            return work(_Visit(controller, link, limit, self._root(controller, link)))

    def _root(self, controller: Controller, link: Link) -> Root:
        known = self._roots.get(controller.url)
        if known is None:
            known = self._roots[controller.url] = read_root(link)
        return known

    def _log_in(
        self,
        visit: _Visit,
        name: TypedName,
        secret: bytes,
        ask: Callable[[_Visit, FoundAccount | None], None],
    ) -> Person:
        entry, met = entries_of_name(visit.link, visit.root, self._settings, name)
        if entry is None:
            ask(visit, None)
            # a random secret to a name that cannot be: nothing of the real one leaves
            nobody = f"cn={secrets.token_hex(16)},{self._settings.ldap_user_base}"
            self._bind(visit, nobody, secrets.token_hex(8).encode())
            reason = "two_entries" if met else "unknown_user"
            if met:
                log.error("directory.two_entries", dns=[each.dn for each in met])
            raise NotAuthenticated(reason, code="wrong_credentials")
        if not entry_id(entry):
            raise DirectoryUnavailable("no_id: objectGUID or entryUUID cannot be read")
        ask(visit, found_account(entry))
        check_answer(self._bind(visit, entry.dn, secret), entry)
        return self._person(visit, entry, AccountState.ACTIVE)

    def _bind(self, visit: _Visit, dn: str, secret: bytes) -> BindAnswer:
        """On a connection of its own, which does nothing else with that person's rights."""
        with Link(visit.controller, self._tls, visit.limit, ANSWER_TIMEOUT_S) as link:
            return link.bind(dn, secret)

    def _find(self, visit: _Visit, directory_id: str, dn_hint: str) -> Person | None:
        entry = find_entry(visit.link, visit.root, self._settings, directory_id, dn_hint)
        return None if entry is None else self._person(visit, entry, state_of(entry))

    def _person(self, visit: _Visit, entry: Entry, state: AccountState) -> Person:
        groups = self._groups.of(
            visit.link,
            entry,
            active_directory=visit.root.active_directory,
            context=visit.root.context_of(self._settings.ldap_user_base),
        )
        return person_of(entry, groups.held, state, groups.unknown)


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _secret_of(password: str) -> bytes:
    if not password.strip():
        # an empty one is no password but an anonymous bind, which succeeds
        raise NotAuthenticated("blank_password", code="wrong_credentials")
    try:
        secret = password.encode()
    except UnicodeEncodeError:
        secret = b"\0"
    if b"\0" in secret:  # nobody can have typed it, and servers in C end there
        raise NotAuthenticated("wrong_password", code="wrong_credentials")
    return secret
