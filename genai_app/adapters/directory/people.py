"""Searches for the entry of a person, by a typed name or by an id."""

from collections.abc import Sequence

from genai_app.adapters.directory.entries import ATTRIBUTES, Entry, entry_id, select_entry
from genai_app.adapters.directory.link import Link
from genai_app.adapters.directory.names import (
    TypedName,
    any_of,
    id_filter,
    is_below,
    login_filter,
    people_filter,
)
from genai_app.adapters.directory.root_dse import Root
from genai_app.errors import DirectoryUnavailable
from genai_app.settings.settings import Settings

NO_SUCH_OBJECT, SIZE_LIMIT, NO_RIGHTS = 32, 4, 50
ID_NAMES = ("objectGUID", "entryUUID", "ipaUniqueID", "nsUniqueId")
MAX_NAMESAKES = 10  # entries that one typed name may match by login, UPN and mail


class PersonUnreadable(DirectoryUnavailable):
    """Raised when the entry exists, and the service account may not read it."""


def entries_of_name(
    link: Link, root: Root, settings: Settings, name: TypedName
) -> tuple[Entry | None, list[Entry]]:
    """Returns the entry that a typed name belongs to, and all entries that match the name.

    Raises:
        DirectoryUnavailable: `user_base: ...`, the base cannot be searched.
    """
    criteria = login_filter(
        name, active_directory=root.active_directory, custom=settings.ldap_user_filter
    )
    result = link.search(
        settings.ldap_user_base, criteria, ATTRIBUTES, subtree=True, size_limit=MAX_NAMESAKES
    )
    entries = result.expect("user_base", codes=(0, SIZE_LIMIT))
    if result.code == SIZE_LIMIT and len(entries) < MAX_NAMESAKES:
        raise DirectoryUnavailable("user_base: sizeLimitExceeded")
    return select_entry(entries, name), entries


def find_entry(
    link: Link, root: Root, settings: Settings, directory_id: str, dn_hint: str
) -> Entry | None:
    """Returns the entry of that id, if it may still log in.

    None: no such entry, or the filter excludes it. An entry that the service account may not see
    at all looks like a deleted one: see `count_seen`.

    Args:
        dn_hint: the last DN of the entry; saves a search over the whole base.

    Raises:
        PersonUnreadable, DirectoryUnavailable
    """
    try:
        criteria = id_filter(
            directory_id,
            active_directory=root.active_directory,
            custom=settings.ldap_user_filter,
        )
    except ValueError:  # an id of another kind of directory
        return None
    base = settings.ldap_user_base
    hinted = bool(dn_hint) and is_below(dn_hint, base)
    entries: list[Entry] = []
    if hinted:
        at_hint = link.search(dn_hint, criteria, ATTRIBUTES)
        entries = at_hint.expect("user_base", codes=(0, NO_SUCH_OBJECT, NO_RIGHTS))
    if not entries:
        everywhere = link.search(base, criteria, ATTRIBUTES, subtree=True)
        entries = everywhere.expect("user_base")
    if len(entries) > 1:
        raise DirectoryUnavailable("user_base: two entries with one id")
    if not entries and hinted:
        _check_readable(link, dn_hint)
    return entries[0] if entries else None


def _check_readable(link: Link, dn: str) -> None:
    """Raises PersonUnreadable where the entry at `dn` exists and its id cannot be read."""
    result = link.search(dn, "(objectClass=*)", ID_NAMES)
    if result.code == NO_RIGHTS or (
        result.code == 0 and not any(entry_id(entry) for entry in result.entries)
    ):
        raise PersonUnreadable(f"person: cannot be read: {dn}")


def count_seen(link: Link, root: Root, settings: Settings, ids: Sequence[str]) -> int:
    """Returns how many of the accounts with these ids can be seen. Without ids: 1 if any account
    can be seen, else 0.

    Raises:
        DirectoryUnavailable
    """
    ad, custom = root.active_directory, settings.ldap_user_filter
    criteria = [id_filter(each, active_directory=ad, custom="") for each in ids]
    criteria = criteria or [people_filter(active_directory=ad, custom=custom)]
    base = settings.ldap_user_base
    result = link.search(base, any_of(criteria), subtree=True, size_limit=max(1, len(ids)))
    return len(result.expect("user_base", codes=(0, SIZE_LIMIT)))
