"""Finds the entry of a person: by the name that was typed, or by the id that is known."""

from collections.abc import Sequence

from genai_app.adapters.directory.entries import ATTRIBUTES, Entry, entry_id, meant
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
MOST_NAMESAKES = 10  # entries that one typed name may meet by login, UPN and mail


class PersonUnreadable(DirectoryUnavailable):
    """The entry is there, and the service account may not read it."""


def entries_of_name(
    link: Link, root: Root, settings: Settings, name: TypedName
) -> tuple[Entry | None, list[Entry]]:
    """The account that a typed name means, and all entries that the name meets.

    Raises:
        DirectoryUnavailable: `user_base: ...`, it cannot be searched.
    """
    criteria = login_filter(
        name, active_directory=root.active_directory, custom=settings.ldap_user_filter
    )
    found = link.search(
        settings.ldap_user_base, criteria, ATTRIBUTES, subtree=True, size_limit=MOST_NAMESAKES
    )
    entries = found.expect("user_base", codes=(0, SIZE_LIMIT))
    if found.code == SIZE_LIMIT and len(entries) < MOST_NAMESAKES:
        raise DirectoryUnavailable("user_base: sizeLimitExceeded")
    return meant(entries, name), entries


def find_entry(
    link: Link, root: Root, settings: Settings, directory_id: str, dn_hint: str
) -> Entry | None:
    """The entry of that id, if it may still log in by its name.

    None: it is not there, or no longer met by the filter. An entry that is hidden altogether looks
    the same as a deleted one: see `count_seen`.

    Args:
        dn_hint: where it was last; saves a search over the whole base.

    Raises:
        PersonUnreadable, DirectoryUnavailable
    """
    try:
        criteria = id_filter(
            directory_id,
            active_directory=root.active_directory,
            custom=settings.ldap_user_filter,
        )
    except ValueError:  # of another kind of directory than this one
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
    """Raises PersonUnreadable where an entry is at `dn` whose id cannot be read."""
    found = link.search(dn, "(objectClass=*)", ID_NAMES)
    if found.code == NO_RIGHTS or (
        found.code == 0 and not any(entry_id(entry) for entry in found.entries)
    ):
        raise PersonUnreadable(f"person: cannot be read: {dn}")


def count_seen(link: Link, root: Root, settings: Settings, ids: Sequence[str]) -> int:
    """How many of the accounts with these ids can be seen; without ids, whether anybody can.

    Raises:
        DirectoryUnavailable
    """
    ad, custom = root.active_directory, settings.ldap_user_filter
    criteria = [id_filter(each, active_directory=ad, custom="") for each in ids]
    criteria = criteria or [people_filter(active_directory=ad, custom=custom)]
    base = settings.ldap_user_base
    found = link.search(base, any_of(criteria), subtree=True, size_limit=max(1, len(ids)))
    return len(found.expect("user_base", codes=(0, SIZE_LIMIT)))
