"""Which people of the directory may log in, and with which role: their groups decide, at every
login and recheck."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from genai_app.access import RANK
from genai_app.adapters.directory.client import DirectoryPerson
from genai_app.models import Role, User
from genai_app.settings.settings import Settings

LOST_GROUP = "group"


@dataclass(frozen=True, slots=True)
class Standing:
    """The result of a person's groups.

    Args:
        role: None: the person may not log in.
        answers: the last known membership in each group of the settings, as {group: is member}.
        certain: False when a missing or unreadable group could give a higher role.
    """

    role: Role | None
    answers: dict[str, bool]
    certain: bool


def role_of(settings: Settings, groups: Collection[str]) -> Role | None:
    """Returns the role for membership in `groups` (names as in the settings); None: no access.

    Administrators and reviewers need no allowed group. When no allowed groups are set, everybody
    in the directory may log in.
    """
    held = set(groups)
    if held.intersection(settings.ldap_admin_groups):
        return Role.ADMIN
    if held.intersection(settings.ldap_reviewer_groups):
        return Role.REVIEWER
    if not settings.ldap_allowed_groups or held.intersection(settings.ldap_allowed_groups):
        return Role.USER
    return None


def standing_of(settings: Settings, person: DirectoryPerson, user: User | None) -> Standing:
    """Returns the role and memberships of `person`. For a group that cannot be found or read now,
    the last membership applies; if there is none, because the group is new in the settings, `user`
    keeps the present role.

    Args:
        user: the account; None at the first login.
    """
    configured = {
        *settings.ldap_allowed_groups,
        *settings.ldap_reviewer_groups,
        *settings.ldap_admin_groups,
        *settings.telegram_groups,
    }
    before: dict[str, bool] = {}
    if user is not None and user.directory_groups:
        before = json.loads(user.directory_groups)
    unknown = person.unknown_groups & configured
    answers = {name: name in person.groups for name in configured - unknown}
    answers |= {name: before[name] for name in unknown if name in before}
    held = {name for name, is_member in answers.items() if is_member}
    role = role_of(settings, held)
    certain = role_of(settings, held | unknown) == role
    new_unknown = unknown - before.keys()
    if user is not None and user.group_role and new_unknown and not _lost_group(user):
        possible = role_of(settings, held | new_unknown)
        if possible is not None:
            kept = min(possible, Role(user.group_role), key=RANK.__getitem__)
            role = max(role or kept, kept, key=RANK.__getitem__)
    return Standing(role, answers, certain)


def _lost_group(user: User) -> bool:
    """Returns whether the account is closed because no group of the person may log in."""
    return (user.disabled_reason or "").endswith(f"_{LOST_GROUP}")
