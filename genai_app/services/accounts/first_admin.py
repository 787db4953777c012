"""Creates the first administrator when the product starts on an empty database."""

import secrets

from genai_app.errors import Conflict
from genai_app.i18n import translate
from genai_app.models import Role
from genai_app.services.accounts.users import Users
from genai_app.settings.settings import Settings


async def first_admin_notice(users: Users, settings: Settings) -> str | None:
    """Creates the first administrator if there is none. Returns what is to be printed where a
    password was generated: it is shown nowhere else."""
    chosen = settings.admin_password.get_secret_value() if settings.admin_password else None
    username = settings.admin_username
    generated = await ensure_first_admin(users, username, chosen)
    if generated is None:
        return None
    return translate(settings.locale, "start.first_admin", username=username, password=generated)


async def ensure_first_admin(users: Users, username: str, password: str | None) -> str | None:
    """Creates the first administrator unless a local account of that name exists. Two starts at
    the same time create one account.

    Returns:
        The generated password (24 URL-safe characters), to be shown once. None when `password` was
        set, or when the account already exists.

    Raises:
        InvalidInput: bad_username or weak_password, from the settings.
    """
    if await users.find(username) is not None:
        return None
    chosen = secrets.token_urlsafe(18) if password is None else password
    try:
        await users.add(username, chosen, Role.ADMIN)
    except Conflict:  # another start was first and shows its own password
        return None
    return chosen if password is None else None
