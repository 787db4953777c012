"""The last steps of a check of the directory: people, groups, one user's account."""

import contextlib

from genai_app.adapters.directory.check.steps import Cause, Fact, FactValue, Fault, Seen
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
from genai_app.adapters.directory.link import Found, Link
from genai_app.adapters.directory.logon import logon_seen
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
from genai_app.errors import DirectoryUnavailable, NotAuthenticated
from genai_app.settings.settings import Settings

COUNTED = 500  # more people than this are "500+"
PATH_SEARCHES = 30
SIZE_LIMIT, ADMIN_LIMIT = 4, 11

_BASE_CODES = {
    10: Cause.BASE_ELSEWHERE,
    32: Cause.BASE_MISSING,
    34: Cause.BASE_MALFORMED,
    50: Cause.BASE_UNREADABLE,
}
_STATES = {
    AccountState.DISABLED: Cause.USER_DISABLED,
    AccountState.LOCKED: Cause.USER_LOCKED,
    AccountState.EXPIRED: Cause.USER_EXPIRED,
    AccountState.PASSWORD_EXPIRED: Cause.USER_PASSWORD_EXPIRED,
    AccountState.MUST_CHANGE: Cause.USER_MUST_CHANGE,
}


class Lookups:
    """At one controller, over a link that is bound as the service account.

    Each method is a step: it returns what it saw, or raises Fault, or what a Link raises.
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

    def user_base(self) -> Seen:
        """The base is there, and people are below it."""
        facts: dict[Fact, FactValue] = {Fact.BASE: self._base}
        base = self._link.search(self._base, "(objectClass=*)")
        if base.code != 0 or not base.entries:
            cause = _BASE_CODES.get(base.code, Cause.ANSWERED_OTHERWISE)
            cause = Cause.BASE_UNREADABLE if base.code == 0 else cause
            raise Fault(cause, facts | {Fact.DETAIL: _words(base)})
        criteria = people_filter(active_directory=self._ad, custom=self._filter)
        found = self._link.search(self._base, criteria, ID_NAMES, subtree=True, size_limit=COUNTED)
        people = found.expect("user_base", codes=(0, SIZE_LIMIT, ADMIN_LIMIT))
        if not people:
            facts[Fact.FILTER] = criteria
            below = self._link.search(
                self._base, "(objectClass=*)", subtree=True, size_limit=2
            ).entries
            raise Fault(Cause.FILTER_MEETS_NOBODY if len(below) > 1 else Cause.BASE_EMPTY, facts)
        facts[Fact.PEOPLE] = f"{len(people)}+" if found.code else len(people)
        if not any(map(entry_id, people)):
            raise Fault(Cause.NO_ID, facts)
        return Seen(facts)

    def groups_found(self) -> Seen:
        """Each group of the settings means one group."""
        facts: dict[Fact, FactValue] = {Fact.BASE: self._group_base}
        if not self._written:
            return Seen({Fact.GROUPS: ()})
        if self._own_group_base:
            base = self._link.search(self._group_base, "(objectClass=*)")
            if base.code != 0 or not base.entries:
                raise Fault(Cause.GROUP_BASE_MISSING, facts | {Fact.DETAIL: _words(base)})
        wrong: dict[str, Cause] = {}
        places: list[str] = []
        for written in self._written:
            entries = self._group_entries(written, self._group_base)
            if len(entries) == 1 and (self._ad or is_below(entries[0].dn, self._group_base)):
                if self._is_unreadable(written):
                    wrong[written] = Cause.GROUP_UNREADABLE
                    places.append(entries[0].dn)
                else:
                    self._groups.append(group_of(written, entries[0]))
            elif len(entries) > 1:
                wrong[written] = Cause.GROUP_AMBIGUOUS
                places += [entry.dn for entry in entries]
            elif outside := entries or self._group_entries(written, self._context):
                wrong[written] = Cause.GROUP_ELSEWHERE
                places += [entry.dn for entry in outside]
            else:
                wrong[written] = Cause.GROUP_UNKNOWN
        facts[Fact.GROUPS] = tuple(group.written for group in self._groups)
        if wrong:
            facts[Fact.MISSING] = tuple(wrong)
            if places:
                facts[Fact.DN] = tuple(places)
            raise Fault(next(iter(wrong.values())), facts)
        return Seen(facts)

    def _is_unreadable(self, written: str) -> bool:
        found = resolve(self._link, written, self._group_base, active_directory=self._ad)
        return found is GroupFault.UNREADABLE

    def _group_entries(self, written: str, base: str) -> list[Entry]:
        try:
            return look_up(self._link, written, base, active_directory=self._ad)
        except DirectoryUnavailable:  # a DN that is none
            return []

    def user_found(self, username: str) -> Seen:
        """One account has that name."""
        try:
            name = parse_name(username)
        except NotAuthenticated:
            raise Fault(Cause.NAME_MALFORMED) from None
        criteria = login_filter(name, active_directory=self._ad, custom=self._filter)
        facts: dict[Fact, FactValue] = {Fact.BASE: self._base, Fact.FILTER: criteria}
        entry, entries = entries_of_name(self._link, self._root, self._settings, name)
        if entry is not None:
            if not entry_id(entry):
                raise Fault(Cause.NO_ID, {Fact.DN: entry.dn})
            self._entry = entry
            return Seen({Fact.DN: entry.dn})
        if entries:
            raise Fault(Cause.USER_TWICE, facts | {Fact.DN: tuple(each.dn for each in entries)})
        plain = login_filter(name, active_directory=self._ad, custom="")
        if self._filter and (dns := self._dns(self._base, plain)):
            raise Fault(Cause.USER_FILTERED, facts | {Fact.DN: dns})
        if dns := self._dns(self._context, criteria):
            raise Fault(Cause.USER_ELSEWHERE, facts | {Fact.DN: dns})
        raise Fault(Cause.USER_UNKNOWN, facts)

    def _dns(self, base: str, criteria: str) -> tuple[str, ...]:
        found = self._link.search(base, criteria, subtree=True, size_limit=2)
        return tuple(entry.dn for entry in found.entries)

    def user_state(self) -> Seen:
        """The account may log in, as far as its attributes tell."""
        state = state_of(self._entry)
        facts: dict[Fact, FactValue] = {Fact.STATE: str(state)}
        if state is AccountState.LOCKED and self._entry.text("pwdAccountLockedTime"):
            return Seen(facts, Cause.USER_LOCK_WRITTEN)
        if state in _STATES:
            raise Fault(_STATES[state], facts)
        return logon_seen(self._entry, facts)

    def user_groups(self) -> Seen:
        """Which of the settings' groups the account is in, and through which others."""
        try:
            found = membership(
                self._link,
                self._entry,
                self._groups,
                self._group_base,
                active_directory=self._ad,
                context=self._context,
            )
        except DirectoryUnavailable as error:
            raise Fault(Cause.GROUPS_UNREADABLE, {Fact.DETAIL: error.detail}) from None
        held = found.held
        facts: dict[Fact, FactValue] = {Fact.GROUPS: tuple(group.written for group in held)}
        if found.unknown:
            missing = tuple(group.written for group in found.unknown)
            raise Fault(Cause.GROUPS_UNREADABLE, facts | {Fact.MISSING: missing})
        paths: dict[str, list[str]] = {}
        with contextlib.suppress(DirectoryUnavailable):  # only for show
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
        return Seen(facts)


def _words(found: Found) -> str:
    return f"{found.description} {found.message}".strip()[:300]
