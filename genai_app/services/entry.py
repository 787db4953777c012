"""Who of the directory may come in, and as what: its groups decide, at every login and check."""

from collections.abc import Collection

from genai_app.models import Role
from genai_app.settings import Settings


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
