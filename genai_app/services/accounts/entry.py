"""Who of the directory may come in, and as what: its groups decide, at every login and check."""

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
    """What the groups give a person. `role`: None lets nobody in. `answers`: for each group of the
    settings whether the directory last said that the person is in it. `certain`: no group that
    could give more is missing or unreadable."""

    role: Role | None
    answers: dict[str, bool]
    certain: bool


def role_of(settings: Settings, groups: Collection[str]) -> Role | None:
    """The role that membership in `groups` (names as the settings write them) gives.

    None: may not enter. Administrators and reviewers need not be in an allowed group as well;
    where no allowed groups are set, everybody in the directory may enter.
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
    """What the groups give `person`. Of a group that cannot be found or read now the last answer
    stays; where there was none (it is new in the settings), the role that `user` has stays.

    Args:
        user: the account; None at a first login, where there is nothing to keep.
    """
    configured = {
        *settings.ldap_allowed_groups,
        *settings.ldap_reviewer_groups,
        *settings.ldap_admin_groups,
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
    """Whether the account is closed because the directory said that no group lets it in."""
    return (user.disabled_reason or "").endswith(f"_{LOST_GROUP}")
