"""Searches for the settings' groups, and for the people in them, directly or through other groups.

Active Directory has `tokenGroups`: one read returns all security groups, nested ones and the
primary group included, as the controller itself uses them. Where it is empty (the service account
may not read it) or the group is only a mailing list, LDAP_MATCHING_RULE_IN_CHAIN is used. Other
servers are searched level by level.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum

import structlog

from genai_app.adapters.directory.entries import Entry
from genai_app.adapters.directory.link import Link, SearchResult
from genai_app.adapters.directory.names import any_of, dn_key, escaped
from genai_app.errors import DirectoryUnavailable
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

MAX_DEPTH = 20
MAX_GROUPS = 2000
BATCH = 40  # DNs in one filter

IN_CHAIN = "1.2.840.113556.1.4.1941"
AD_SECURITY_GROUP = 0x80000000
ATTRIBUTES = ("objectClass", "cn", "sAMAccountName", "objectSid", "groupType", "gidNumber")
NO_SUCH_OBJECT, INVALID_DN, NO_RIGHTS = 32, 34, 50
# matches groups whose members are visible; those of the last two classes may have none
MEMBERS_SEEN = any_of(
    [
        *(f"({name}=*)" for name in ("member", "uniqueMember", "memberUid")),
        *("(objectClass=posixGroup)", "(objectClass=groupOfURLs)"),
    ]
)
GROUP_CLASSES = any_of(
    [
        f"(objectClass={name})"
        for name in ("groupOfNames", "groupOfUniqueNames", "posixGroup", "group", "groupOfURLs")
    ]
)


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the settings and its entry in the directory."""

    written: str  # as it stands in the settings
    dn: str
    sid: bytes
    security: bool  # a security group of Active Directory, which tokenGroups contains
    gid: str


@dataclass(frozen=True, slots=True)
class Membership:
    """The groups that a person is in, of those that were asked for."""

    held: list[Group]
    unknown: list[Group]  # the service account may not see the members


class GroupFault(StrEnum):
    """Why nobody's membership in a group of the settings can be determined."""

    MISSING = "group_missing"  # renamed, deleted, moved out of the base, or hidden
    AMBIGUOUS = "group_ambiguous"
    UNREADABLE = "group_unreadable"


class GroupsUnreadable(DirectoryUnavailable):
    """Raised when the service account has no right to search for groups."""


def groups_written(settings: Settings) -> tuple[str, ...]:
    """Returns the groups that the settings name, each once."""
    names = (
        *settings.ldap_allowed_groups,
        *settings.ldap_reviewer_groups,
        *settings.ldap_admin_groups,
        *settings.telegram_groups,
    )
    return tuple(dict.fromkeys(names))


def look_up(link: Link, written: str, base: str, *, active_directory: bool) -> list[Entry]:
    """Returns the entries that a name or DN of the settings matches; there should be one.

    Raises:
        GroupsUnreadable: the service account may not search there, or the base does not exist.
        DirectoryUnavailable
    """
    if "=" in written:
        return _by_dn(link, written)
    return _by_name(link, written, base, active_directory=active_directory)


def resolve(link: Link, written: str, base: str, *, active_directory: bool) -> Group | GroupFault:
    """Returns the one group that `written` matches, if its members are visible.

    Raises:
        DirectoryUnavailable: the server failed; the state of the group is unknown.
    """
    try:
        entries = look_up(link, written, base, active_directory=active_directory)
    except GroupsUnreadable:
        return GroupFault.UNREADABLE
    if len(entries) > 1:  # the right to create a group somewhere must not make administrators
        return GroupFault.AMBIGUOUS
    if not entries:
        return GroupFault.MISSING
    group = group_of(written, entries[0])
    # without rights Active Directory shows an entry without attributes
    if not (group.sid if active_directory else entries[0].raw("objectClass")):
        return GroupFault.UNREADABLE
    if not active_directory and not link.search(group.dn, MEMBERS_SEEN).entries:
        return GroupFault.UNREADABLE
    return group


def membership(
    link: Link,
    entry: Entry,
    groups: list[Group],
    base: str,
    *,
    active_directory: bool,
    context: str,
) -> Membership:
    """Returns which of `groups` the person of `entry` is in.

    Raises:
        GroupsUnreadable: the service account may not search for groups at all.
        DirectoryUnavailable
    """
    if not groups:
        return Membership([], [])
    if active_directory:
        return _ad_membership(link, entry, groups, context)
    keys = groups_above(link, entry, base, wanted={dn_key(group.dn) for group in groups})
    return Membership([group for group in groups if dn_key(group.dn) in keys], [])


def paths_to(
    link: Link, entry: Entry, base: str, wanted: set[str], *, searches: int
) -> dict[str, list[str]]:
    """Returns the chain of groups from an entry to each wanted group, for display, as
    {dn_key of the wanted group: DNs, the wanted one last}.

    Makes one search for each group, `searches` at most; groups that these do not reach are left
    out, as are groups that do not list the member (a primary group of Active Directory).
    """
    came_from: dict[str, list[str]] = {}
    level = [(any_of(_direct(entry)), list[str]())]
    while level and searches > 0 and not wanted <= came_from.keys():
        criteria, path = level.pop(0)
        searches -= 1
        for row in _search(link, base, criteria):
            if (key := dn_key(row.dn)) not in came_from:
                came_from[key] = [*path, row.dn]
                level.append((any_of(_containing(escaped(row.dn))), came_from[key]))
    return {key: path for key, path in came_from.items() if key in wanted}


def _by_dn(link: Link, dn: str) -> list[Entry]:
    result = link.search(dn, "(objectClass=*)", ATTRIBUTES)
    if result.code == NO_RIGHTS:
        raise GroupsUnreadable(f"group: {result.description}")
    return result.expect("group", codes=(0, NO_SUCH_OBJECT, INVALID_DN))


def _by_name(link: Link, name: str, base: str, *, active_directory: bool) -> list[Entry]:
    value = escaped(name)
    if active_directory:
        criteria = f"(&(objectCategory=group)(|(sAMAccountName={value})(cn={value})))"
    else:
        criteria = f"(&{GROUP_CLASSES}(cn={value}))"
    entries = _readable(link.search(base, criteria, ATTRIBUTES, subtree=True), "group_base")
    # sAMAccountName is unique in a domain, cn only in its folder
    exact = [each for each in entries if each.text("sAMAccountName").lower() == name.lower()]
    return exact if len(exact) == 1 else entries


def group_of(written: str, entry: Entry) -> Group:
    """Builds the group of the settings from its entry."""
    kind = entry.number("groupType")
    return Group(
        written,
        entry.dn,
        entry.raw("objectSid"),
        kind is not None and bool(kind & AD_SECURITY_GROUP),
        entry.text("gidNumber"),
    )


def _ad_membership(link: Link, entry: Entry, groups: list[Group], context: str) -> Membership:
    """Determines memberships by tokenGroups. Every account has a primary group, so an empty list
    means that the service account may not read it."""
    rows = link.search(entry.dn, "(objectClass=*)", ("tokenGroups",))
    tokens = {
        sid
        for row in rows.expect("groups", codes=(0, NO_SUCH_OBJECT, NO_RIGHTS))
        for sid in row.values.get("tokengroups", ())
    }
    held: list[Group] = []
    unknown: list[Group] = []
    primary: list[str] | None = None
    for group in groups:
        if tokens and group.security:
            if group.sid in tokens:
                held.append(group)
            continue
        if primary is None:
            primary = _primary_group(link, entry, context)
        if any(dn_key(dn) == dn_key(group.dn) for dn in primary) or any(
            _is_in_chain(link, dn, group.dn) for dn in (entry.dn, *primary)
        ):
            held.append(group)
        elif not link.search(group.dn, "(member=*)").entries:
            unknown.append(group)
    return Membership(held, unknown)


def _primary_group(link: Link, entry: Entry, context: str) -> list[str]:
    """Returns the DN of the primary group, which `memberOf` leaves out. Its SID is the account's
    with another last number."""
    number, sid = entry.number("primaryGroupID"), entry.raw("objectSid")
    if number is None or len(sid) < 12:
        return []
    criteria = f"(objectSid={escaped(sid[:-4] + struct.pack('<I', number & 0xFFFFFFFF))})"
    rows = link.search(context, criteria, subtree=True).expect("groups")
    return [row.dn for row in rows]


def _is_in_chain(link: Link, dn: str, group_dn: str) -> bool:
    """Searches the person's entry, then the group's: one of them may be hidden from the service
    account."""
    if link.search(dn, f"(memberOf:{IN_CHAIN}:={escaped(group_dn)})").entries:
        return True
    return bool(link.search(group_dn, f"(member:{IN_CHAIN}:={escaped(dn)})").entries)


def groups_above(link: Link, entry: Entry, base: str, *, wanted: set[str]) -> set[str]:
    """Returns the keys (names.dn_key) of the groups that contain an entry, directly or through
    other groups. Stops when all wanted ones are among them.

    Raises:
        DirectoryUnavailable: the server returned only a part, or a search failed.
    """
    level = [row.dn for row in _search(link, base, any_of(_direct(entry)))]
    # groups that the server computes itself: dynamic ones, ones whose members are not visible
    level += entry.texts("memberOf")
    seen: dict[str, str] = {}
    for _ in range(MAX_DEPTH):
        fresh = {dn_key(dn): dn for dn in level}
        fresh = {key: dn for key, dn in fresh.items() if key not in seen}
        seen |= fresh
        if not fresh or wanted <= seen.keys():
            return set(seen)
        if len(seen) > MAX_GROUPS:
            break
        dns, level = list(fresh.values()), list[str]()
        for start in range(0, len(dns), BATCH):
            batch = dns[start : start + BATCH]
            parents = [each for dn in batch for each in _containing(escaped(dn))]
            level += [row.dn for row in _search(link, base, any_of(parents))]
    log.warning("directory.too_many_groups", groups=len(seen), depth=MAX_DEPTH)
    return set(seen)


def _direct(entry: Entry) -> list[str]:
    """Returns filters for the groups that have the entry itself as a member."""
    filters = _containing(escaped(entry.dn))
    filters += [f"(memberUid={escaped(uid)})" for uid in entry.texts("uid")]
    if gid := entry.text("gidNumber"):
        filters.append(f"(&(objectClass=posixGroup)(gidNumber={escaped(gid)}))")
    return filters


def _containing(value: str) -> list[str]:
    return [f"(member={value})", f"(uniqueMember={value})"]


def _search(link: Link, base: str, criteria: str) -> list[Entry]:
    return _readable(link.search(base, criteria, subtree=True), "groups")


def _readable(result: SearchResult, what: str) -> list[Entry]:
    if result.code in (NO_SUCH_OBJECT, NO_RIGHTS):
        raise GroupsUnreadable(f"{what}: {result.description}")
    return result.expect(what)
