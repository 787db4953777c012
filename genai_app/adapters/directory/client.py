"""The company's directory (LDAP, Active Directory): checks names and passwords, and reads accounts
with their groups.

    NotAuthenticated      wrong_credentials; `detail` is for the log: unknown_user, wrong_password,
                          disabled, locked, expired, password_expired, must_change, logon_hours,
                          workstation, two_entries, blank_password, bad_name
    Forbidden             account_<reason>: the password is right, and the directory refuses the
                          person everywhere for that reason
    DirectoryUnavailable  everything else. `detail` begins with a cause word: timeout, busy,
                          refused, closed, garbled, network, dns, tls, unavailable: no controller
                          serves (several, between "; "); service_account, user_base, group_base,
                          filter, root_dse, groups, no_id, bind: it serves, and a setting or a right
                          is wrong. An error of the directory is never "wrong password".

Threads and failover are in calls.py, one connection in link.py (its deadlines in deadline.py), the
order of controllers in controllers.py, names and filters in names.py, searches for people in
people.py, the meaning of entries in entries.py, refused binds in refusals.py, groups in groups.py
and memberships.py.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from genai_app.adapters.directory.calls import ControllerCall, DirectoryCalls
from genai_app.adapters.directory.deadline import TimeIsUp
from genai_app.adapters.directory.entries import (
    AccountMatch,
    AccountState,
    DirectoryPerson,
    Entry,
    entry_id,
    match_of,
    person_of,
    state_of,
)
from genai_app.adapters.directory.groups import GroupFault
from genai_app.adapters.directory.memberships import ConfiguredGroups
from genai_app.adapters.directory.names import TypedName, parse_name
from genai_app.adapters.directory.people import (
    PersonUnreadable,
    count_seen,
    entries_of_name,
    find_entry,
)
from genai_app.adapters.directory.refusals import check_answer
from genai_app.adapters.directory.root_dse import Lockout, read_lockout
from genai_app.errors import DirectoryUnavailable, NotAuthenticated
from genai_app.settings.settings import Settings

__all__ = [
    "AccountMatch",
    "AccountState",
    "Directory",
    "DirectoryPerson",
    "GroupFault",
    "Lockout",
    "PersonUnreadable",
]

log = structlog.stdlib.get_logger(__name__)

LOCKOUT_KEPT_S = 3600.0
LOCKOUT_RETRY_S = 30.0  # where the directory did not answer

Admit = Callable[[AccountMatch | None], Awaitable[None]]


class Directory:
    """Asks the directory of the settings. One per process; no connection outlives a call.

    Raises:
        SettingsError: the file with the authority's certificate cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._calls = DirectoryCalls(settings)
        self._groups = ConfiguredGroups(settings)
        self._lockout: Lockout | None = None
        self._lockout_until = 0.0  # time.monotonic()

    async def log_in(
        self, username: str, password: str, admit: Admit | None = None
    ) -> DirectoryPerson:
        """Returns the person with this name and password; the account is active.

        Whether a group lets them in is for the caller to decide by `DirectoryPerson.groups`. Takes
        4.5 s at most. A name that nobody has is bound as well, so that neither time nor traffic
        shows that the account does not exist.

        Args:
            admit: awaited before each bind with the account that has the name, None if none has;
                what it raises ends the login before the password is sent.

        Raises:
            NotAuthenticated, Forbidden, DirectoryUnavailable: see the top of this module.
        """
        name = parse_name(username)
        secret = _secret_of(password)
        loop = asyncio.get_running_loop()

        def ask_admission(call: ControllerCall, account: AccountMatch | None) -> None:
            if admit is not None:
                future = asyncio.run_coroutine_threadsafe(_awaited(admit(account)), loop)
                try:
                    future.result(call.limit.left_s())
                except TimeoutError:
                    future.cancel()
                    raise TimeIsUp from None

        return await self._calls.run(lambda call: self._log_in(call, name, secret, ask_admission))

    async def find(self, directory_id: str, dn_hint: str = "") -> DirectoryPerson | None:
        """Returns the person of that id as the directory has them now, without a password.

        Returns None when the search succeeded and no account that could log in has the id (any
        more): deleted, moved out of the base, or excluded by the filter. A folder that the service
        account may not read looks the same; `count_seen` shows the difference.

        Args:
            directory_id: `DirectoryPerson.id`.
            dn_hint: the last DN of the person; saves a search over the whole base.

        Raises:
            PersonUnreadable: the entry exists, and the service account has no right to read it.
            DirectoryUnavailable
        """
        return await self._calls.run(lambda call: self._find(call, directory_id, dn_hint))

    async def count_seen(self, ids: Sequence[str]) -> int:
        """Returns how many of the accounts with these ids can be seen. Without ids: 1 if any
        account can be seen, else 0.

        Raises:
            DirectoryUnavailable
        """
        return await self._calls.run(
            lambda call: count_seen(call.link, call.root, self._settings, ids)
        )

    async def group_faults(self) -> dict[str, GroupFault]:
        """Returns the groups of the settings that are missing, ambiguous or unreadable now.

        Raises:
            DirectoryUnavailable
        """
        return await self._calls.run(
            lambda call: self._groups.faults(
                call.link,
                active_directory=call.root.active_directory,
                context=call.root.context_of(self._settings.ldap_user_base),
            )
        )

    async def check(self) -> None:
        """Binds as the service account at any controller.

        Raises:
            DirectoryUnavailable
        """
        await self._calls.run(lambda _call: None)

    async def lockout(self) -> Lockout | None:
        """Returns when the directory locks accounts by itself; cached for an hour.

        None: it never does, or that cannot be read, or the directory does not answer now.
        """
        if time.monotonic() >= self._lockout_until:
            try:
                lockout = await self._calls.run(
                    lambda call: read_lockout(call.link, call.root, self._settings.ldap_user_base)
                )
                keep_s = LOCKOUT_KEPT_S
            except DirectoryUnavailable:
                lockout, keep_s = None, LOCKOUT_RETRY_S
            self._lockout, self._lockout_until = lockout, time.monotonic() + keep_s
        return self._lockout

    async def close(self) -> None:
        """Ends all calls, which raise DirectoryUnavailable, and their threads."""
        await self._calls.close()

    def _log_in(
        self,
        call: ControllerCall,
        name: TypedName,
        secret: bytes,
        ask_admission: Callable[[ControllerCall, AccountMatch | None], None],
    ) -> DirectoryPerson:
        entry, candidates = entries_of_name(call.link, call.root, self._settings, name)
        if entry is None:
            ask_admission(call, None)
            # a random secret for a name that cannot exist: the typed password is not sent
            nobody = f"cn={secrets.token_hex(16)},{self._settings.ldap_user_base}"
            call.bind_as(nobody, secrets.token_hex(8).encode())
            reason = "two_entries" if candidates else "unknown_user"
            if candidates:
                log.error("directory.two_entries", dns=[each.dn for each in candidates])
            raise NotAuthenticated(reason, code="wrong_credentials")
        if not entry_id(entry):
            raise DirectoryUnavailable("no_id: objectGUID or entryUUID cannot be read")
        ask_admission(call, match_of(entry))
        check_answer(call.bind_as(entry.dn, secret), entry)
        return self._person(call, entry, AccountState.ACTIVE)

    def _find(
        self, call: ControllerCall, directory_id: str, dn_hint: str
    ) -> DirectoryPerson | None:
        entry = find_entry(call.link, call.root, self._settings, directory_id, dn_hint)
        return None if entry is None else self._person(call, entry, state_of(entry))

    def _person(self, call: ControllerCall, entry: Entry, state: AccountState) -> DirectoryPerson:
        groups = self._groups.of(
            call.link,
            entry,
            active_directory=call.root.active_directory,
            context=call.root.context_of(self._settings.ldap_user_base),
        )
        return person_of(entry, groups.held, state, groups.unknown)


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _secret_of(password: str) -> bytes:
    """Returns a password's bytes. Raises NotAuthenticated for one that cannot be right."""
    if not password.strip():
        # a bind with an empty password is anonymous, and succeeds
        raise NotAuthenticated("blank_password", code="wrong_credentials")
    try:
        secret = password.encode()
    except UnicodeEncodeError:
        secret = b"\0"
    if b"\0" in secret:  # cannot be typed, and servers written in C stop reading there
        raise NotAuthenticated("wrong_password", code="wrong_credentials")
    return secret
