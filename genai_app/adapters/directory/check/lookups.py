"""The last steps of a check of the directory: people, groups, one user's account."""

import contextlib

from genai_app.adapters.directory.check.steps import DirectoryCause, Fact, StepFailed, StepPassed
from genai_app.adapters.directory.entries import (
    AccountState,
    Entry,
    entry_id,
    state_of,
)
from genai_app.adapters.directory.groups import (
    Group,
    GroupFault,
    group_of,
    groups_written,
    look_up,
    membership,
    paths_to,
    resolve,
)
from genai_app.adapters.directory.link import Link, SearchResult
from genai_app.adapters.directory.logon import check_logon
from genai_app.adapters.directory.names import (
    dn_key,
    first_name,
    is_below,
    login_filter,
    parse_name,
    people_filter,
)
from genai_app.adapters.directory.people import ID_NAMES, entries_of_name
from genai_app.adapters.directory.root_dse import Root
from genai_app.adapters.findings import FactValue
from genai_app.errors import DirectoryUnavailable, NotAuthenticated
from genai_app.settings.settings import Settings

MAX_COUNTED = 500  # more people than this are reported as "500+"
PATH_SEARCHES = 30
SIZE_LIMIT, ADMIN_LIMIT = 4, 11

_BASE_CODES = {
    10: DirectoryCause.BASE_ELSEWHERE,
    32: DirectoryCause.BASE_MISSING,
    34: DirectoryCause.BASE_MALFORMED,
    50: DirectoryCause.BASE_UNREADABLE,
}
_STATES = {
    AccountState.DISABLED: DirectoryCause.USER_DISABLED,
    AccountState.LOCKED: DirectoryCause.USER_LOCKED,
    AccountState.EXPIRED: DirectoryCause.USER_EXPIRED,
    AccountState.PASSWORD_EXPIRED: DirectoryCause.USER_PASSWORD_EXPIRED,
    AccountState.MUST_CHANGE: DirectoryCause.USER_MUST_CHANGE,
}


class Lookups:
    """The steps of a check that search the directory, over a link bound as the service account.

    Each public method is a step: it returns StepPassed, or raises StepFailed or an error of Link.
    """

    def __init__(self, link: Link, settings: Settings, root: Root) -> None:
        self._link = link
        self._root = root
        self._settings = settings
        self._ad = root.active_directory
        self._base = settings.ldap_user_base
        self._filter = settings.ldap_user_filter
        self._context = root.context_of(self._base)
        self.in_a_context = any(each and is_below(self._base, each) for each in root.contexts)
        self._own_group_base = settings.ldap_group_base
        self._group_base = self._own_group_base or self._context
        self._written = groups_written(settings)
        self._groups: list[Group] = []

    def user_base(self) -> StepPassed:
        """Checks that the base exists and contains people."""
        facts: dict[Fact, FactValue] = {Fact.BASE: self._base}
        base = self._link.search(self._base, "(objectClass=*)")
        if base.code != 0 or not base.entries:
            cause = _BASE_CODES.get(base.code, DirectoryCause.ANSWERED_OTHERWISE)
            cause = DirectoryCause.BASE_UNREADABLE if base.code == 0 else cause
            raise StepFailed(cause, facts | {Fact.DETAIL: _message_of(base)})
        criteria = people_filter(active_directory=self._ad, custom=self._filter)
        result = self._link.search(
            self._base, criteria, ID_NAMES, subtree=True, size_limit=MAX_COUNTED
        )
        people = result.expect("user_base", codes=(0, SIZE_LIMIT, ADMIN_LIMIT))
        if not people:
            facts[Fact.FILTER] = criteria
            below = self._link.search(
                self._base, "(objectClass=*)", subtree=True, size_limit=2
            ).entries
            raise StepFailed(
                DirectoryCause.FILTER_MEETS_NOBODY if len(below) > 1 else DirectoryCause.BASE_EMPTY,
                facts,
            )
        facts[Fact.PEOPLE] = f"{len(people)}+" if result.code else len(people)
        if not any(map(entry_id, people)):
            raise StepFailed(DirectoryCause.NO_ID, facts)
        return StepPassed(facts)

    def settings_groups(self) -> StepPassed:
        """Checks that each group of the settings matches exactly one group."""
        facts: dict[Fact, FactValue] = {Fact.BASE: self._group_base}
        if not self._written:
            return StepPassed({Fact.GROUPS: ()})
        if self._own_group_base:
            base = self._link.search(self._group_base, "(objectClass=*)")
            if base.code != 0 or not base.entries:
                raise StepFailed(
                    DirectoryCause.GROUP_BASE_MISSING, facts | {Fact.DETAIL: _message_of(base)}
                )
        wrong: dict[str, DirectoryCause] = {}
        dns: list[str] = []
        for written in self._written:
            entries = self._group_entries(written, self._group_base)
            if len(entries) == 1 and (self._ad or is_below(entries[0].dn, self._group_base)):
                if self._is_unreadable(written):
                    wrong[written] = DirectoryCause.GROUP_UNREADABLE
                    dns.append(entries[0].dn)
                else:
                    self._groups.append(group_of(written, entries[0]))
            elif len(entries) > 1:
                wrong[written] = DirectoryCause.GROUP_AMBIGUOUS
                dns += [entry.dn for entry in entries]
            elif outside := entries or self._group_entries(written, self._context):
                wrong[written] = DirectoryCause.GROUP_ELSEWHERE
                dns += [entry.dn for entry in outside]
            else:
                wrong[written] = DirectoryCause.GROUP_UNKNOWN
        facts[Fact.GROUPS] = tuple(group.written for group in self._groups)
        if wrong:
            facts[Fact.MISSING] = tuple(wrong)
            if dns:
                facts[Fact.DN] = tuple(dns)
            raise StepFailed(next(iter(wrong.values())), facts)
        return StepPassed(facts)

    def _is_unreadable(self, written: str) -> bool:
        group = resolve(self._link, written, self._group_base, active_directory=self._ad)
        return group is GroupFault.UNREADABLE

    def _group_entries(self, written: str, base: str) -> list[Entry]:
        try:
            return look_up(self._link, written, base, active_directory=self._ad)
        except DirectoryUnavailable:  # a malformed DN
            return []

    def user_entry(self, username: str) -> StepPassed:
        """Checks that exactly one account has that name."""
        try:
            name = parse_name(username)
        except NotAuthenticated:
            raise StepFailed(DirectoryCause.NAME_MALFORMED) from None
        criteria = login_filter(name, active_directory=self._ad, custom=self._filter)
        facts: dict[Fact, FactValue] = {Fact.BASE: self._base, Fact.FILTER: criteria}
        entry, entries = entries_of_name(self._link, self._root, self._settings, name)
        if entry is not None:
            if not entry_id(entry):
                raise StepFailed(DirectoryCause.NO_ID, {Fact.DN: entry.dn})
            self._entry = entry
            return StepPassed({Fact.DN: entry.dn})
        if entries:
            raise StepFailed(
                DirectoryCause.USER_TWICE, facts | {Fact.DN: tuple(each.dn for each in entries)}
            )
        plain = login_filter(name, active_directory=self._ad, custom="")
        if self._filter and (dns := self._dns(self._base, plain)):
            raise StepFailed(DirectoryCause.USER_FILTERED, facts | {Fact.DN: dns})
        if dns := self._dns(self._context, criteria):
            raise StepFailed(DirectoryCause.USER_ELSEWHERE, facts | {Fact.DN: dns})
        raise StepFailed(DirectoryCause.USER_UNKNOWN, facts)

    def _dns(self, base: str, criteria: str) -> tuple[str, ...]:
        result = self._link.search(base, criteria, subtree=True, size_limit=2)
        return tuple(entry.dn for entry in result.entries)

    def user_state(self) -> StepPassed:
        """Checks that the account may log in, as far as its attributes show."""
        state = state_of(self._entry)
        facts: dict[Fact, FactValue] = {Fact.STATE: str(state)}
        if state is AccountState.LOCKED and self._entry.text("pwdAccountLockedTime"):
            return StepPassed(facts, DirectoryCause.USER_LOCK_WRITTEN)
        if state in _STATES:
            raise StepFailed(_STATES[state], facts)
        return check_logon(self._entry, facts)

    def user_groups(self) -> StepPassed:
        """Reports which of the settings' groups the account is in, and through which others."""
        try:
            memberships = membership(
                self._link,
                self._entry,
                self._groups,
                self._group_base,
                active_directory=self._ad,
                context=self._context,
            )
        except DirectoryUnavailable as error:
            raise StepFailed(
                DirectoryCause.GROUPS_UNREADABLE, {Fact.DETAIL: error.detail}
            ) from None
        held = memberships.held
        facts: dict[Fact, FactValue] = {Fact.GROUPS: tuple(group.written for group in held)}
        if memberships.unknown:
            missing = tuple(group.written for group in memberships.unknown)
            raise StepFailed(DirectoryCause.GROUPS_UNREADABLE, facts | {Fact.MISSING: missing})
        paths: dict[str, list[str]] = {}
        with contextlib.suppress(DirectoryUnavailable):  # the paths are only for display
            paths = paths_to(
                self._link,
                self._entry,
                self._context if self._ad else self._group_base,
                {dn_key(group.dn) for group in held},
                searches=PATH_SEARCHES,
            )
        nested = [path for path in paths.values() if len(path) > 1]
        if nested:
            facts[Fact.PATHS] = tuple(" > ".join(map(first_name, path)) for path in nested)
        return StepPassed(facts)


def _message_of(result: SearchResult) -> str:
    return f"{result.description} {result.message}".strip()[:300]
