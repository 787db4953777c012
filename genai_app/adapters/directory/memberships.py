"""The groups that the settings name, as the directory has them now, and who is in them.

"Is not in the group" is said only of a group that was there, with members that can be searched for,
before and after the search for its members. All else is "unknown": the group was renamed, deleted
or hidden, and nobody loses anything for that.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from genai_app.adapters.directory.entries import Entry
from genai_app.adapters.directory.groups import (
    Group,
    GroupFault,
    GroupsUnreadable,
    Membership,
    groups_written,
    membership,
    resolve,
)
from genai_app.adapters.directory.link import Link
from genai_app.adapters.directory.names import dn_key
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

KEEP_S = 300.0  # how long a group that was found need not be looked for again

Resolved = dict[str, Group | GroupFault]


@dataclass(frozen=True, slots=True)
class Answer:
    """Groups as the settings write them. `held`: the person is in them. `unknown`: nobody can tell
    now. In all others the person is not."""

    held: frozenset[str]
    unknown: frozenset[str]


class ConfiguredGroups:
    """The groups that the settings name. One for the process; used by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._written = groups_written(settings)
        self._base = settings.ldap_group_base
        self._lock = threading.Lock()
        self._found: Resolved = {}
        self._until = 0.0  # time.monotonic()

    def of(self, link: Link, entry: Entry, *, active_directory: bool, context: str) -> Answer:
        """Which of the groups the person of `entry` is in.

        Args:
            link: bound as the service account.
            context: the part of the directory to look for groups in, unless the settings name one.

        Raises:
            DirectoryUnavailable: the server failed.
        """

        def members_of(groups: Iterable[Group | GroupFault]) -> Membership:
            known = [group for group in groups if isinstance(group, Group)]
            try:
                return membership(
                    *(link, entry, known, self._base or context),
                    active_directory=active_directory,
                    context=context,
                )
            except GroupsUnreadable:
                return Membership([], known)

        before = self._resolved(link, context, active_directory=active_directory)
        first = members_of(before.values())
        held = {group.written for group in first.held}
        doubted = [written for written in self._written if written not in held]
        if not doubted:
            return Answer(frozenset(held), frozenset())
        after = self._resolve(link, doubted, context, active_directory=active_directory)
        changed = {name for name in doubted if not _is_same(before[name], after[name])}
        held |= {group.written for group in members_of(after[name] for name in changed).held}
        unseen = {group.written for group in first.unknown}
        return Answer(frozenset(held), frozenset((changed | unseen | _faulty(after)) - held))

    def faults(self, link: Link, *, active_directory: bool, context: str) -> dict[str, GroupFault]:
        """The groups of the settings that say nothing about anybody now, and why."""
        found = self._resolve(link, self._written, context, active_directory=active_directory)
        return {name: group for name, group in found.items() if isinstance(group, GroupFault)}

    def _resolved(self, link: Link, context: str, *, active_directory: bool) -> Resolved:
        with self._lock:
            if time.monotonic() < self._until:
                return dict(self._found)
        found = self._resolve(link, self._written, context, active_directory=active_directory)
        with self._lock:
            self._until = time.monotonic() + KEEP_S
        return found

    def _resolve(
        self, link: Link, names: Iterable[str], context: str, *, active_directory: bool
    ) -> Resolved:
        base = self._base or context
        found: Resolved = {
            name: resolve(link, name, base, active_directory=active_directory) for name in names
        }
        with self._lock:
            new = {name for name in _faulty(found) if self._found.get(name) != found[name]}
            self._found |= found
        for name in new:
            log.error(f"directory.{found[name]}", group=name)
        return found


def _faulty(found: Resolved) -> set[str]:
    return {name for name, group in found.items() if isinstance(group, GroupFault)}


def _is_same(one: Group | GroupFault, other: Group | GroupFault) -> bool:
    if isinstance(one, GroupFault) or isinstance(other, GroupFault):
        return False
    return dn_key(one.dn) == dn_key(other.dn) and one.sid == other.sid
