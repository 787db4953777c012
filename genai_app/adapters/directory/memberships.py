"""The memberships of people in the groups that the settings name.

A person is reported as outside a group only if the group existed, with visible members, before and
after the search for its members. Otherwise the membership is "unknown": the group was renamed,
deleted or hidden, and nobody loses rights because of that.
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

KEEP_S = 300.0  # for which the groups that names were resolved to are cached

Resolved = dict[str, Group | GroupFault]


@dataclass(frozen=True, slots=True)
class HeldGroups:
    """A person's memberships. Groups are written as in the settings; in those that are in neither
    set the person is not."""

    held: frozenset[str]
    unknown: frozenset[str]  # cannot be determined now


class ConfiguredGroups:
    """The groups that the settings name. One for the process; used by several threads."""

    def __init__(self, settings: Settings) -> None:
        self._written = groups_written(settings)
        self._base = settings.ldap_group_base
        self._lock = threading.Lock()
        self._last: Resolved = {}  # the newest result for each name
        self._until = 0.0  # time.monotonic()

    def of(self, link: Link, entry: Entry, *, active_directory: bool, context: str) -> HeldGroups:
        """Returns which of the groups the person of `entry` is in.

        Args:
            link: bound as the service account.
            context: the base for searches of groups, unless the settings have one.

        Raises:
            DirectoryUnavailable: the server failed.
        """

        def members_of(groups: Iterable[Group | GroupFault]) -> Membership:
            resolved = [group for group in groups if isinstance(group, Group)]
            try:
                return membership(
                    *(link, entry, resolved, self._base or context),
                    active_directory=active_directory,
                    context=context,
                )
            except GroupsUnreadable:
                return Membership([], resolved)

        before = self._cached_groups(link, context, active_directory=active_directory)
        first = members_of(before.values())
        held = {group.written for group in first.held}
        others = [written for written in self._written if written not in held]
        if not others:
            return HeldGroups(frozenset(held), frozenset())
        after = self._resolve(link, others, context, active_directory=active_directory)
        changed = {name for name in others if not _is_same(before[name], after[name])}
        held |= {group.written for group in members_of(after[name] for name in changed).held}
        hidden = {group.written for group in first.unknown}
        unknown = (changed | hidden | _faulty(after)) - held
        return HeldGroups(frozenset(held), frozenset(unknown))

    def faults(self, link: Link, *, active_directory: bool, context: str) -> dict[str, GroupFault]:
        """Returns the groups whose memberships cannot be determined now, and why."""
        groups = self._resolve(link, self._written, context, active_directory=active_directory)
        return {name: group for name, group in groups.items() if isinstance(group, GroupFault)}

    def _cached_groups(self, link: Link, context: str, *, active_directory: bool) -> Resolved:
        with self._lock:
            if time.monotonic() < self._until:
                return dict(self._last)
        groups = self._resolve(link, self._written, context, active_directory=active_directory)
        with self._lock:
            self._until = time.monotonic() + KEEP_S
        return groups

    def _resolve(
        self, link: Link, names: Iterable[str], context: str, *, active_directory: bool
    ) -> Resolved:
        base = self._base or context
        groups: Resolved = {
            name: resolve(link, name, base, active_directory=active_directory) for name in names
        }
        with self._lock:
            new = {name for name in _faulty(groups) if self._last.get(name) != groups[name]}
            self._last |= groups
        for name in new:
            log.error(f"directory.{groups[name]}", group=name)
        return groups


def _faulty(groups: Resolved) -> set[str]:
    return {name for name, group in groups.items() if isinstance(group, GroupFault)}


def _is_same(one: Group | GroupFault, other: Group | GroupFault) -> bool:
    if isinstance(one, GroupFault) or isinstance(other, GroupFault):
        return False
    return dn_key(one.dn) == dn_key(other.dn) and one.sid == other.sid
