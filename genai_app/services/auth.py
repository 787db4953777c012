"""Who is at the door: a name and a password become an account, or a refusal that tells nothing."""

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app.db import Database
from genai_app.errors import InvalidInput, NotAuthenticated
from genai_app.models import User
from genai_app.services import passwords
from genai_app.services.users import Users

log = structlog.stdlib.get_logger(__name__)


class Auth:
    """Checks names and passwords."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._users = Users(db)
        passwords.prepare()

    async def log_in(self, username: str | None, password: str | None) -> User:
        """The account of `username` if `password` is its own.

        An unknown name, a wrong password and a disabled account are refused in the same words after
        the same work; which it was stands in the log only.

        Raises:
            NotAuthenticated: wrong_credentials.
            StorageUnavailable: nobody can tell.
        """
        # also a guard of the directory: an empty password is an anonymous bind, which succeeds
        if not password or not password.strip():
            raise _refusal("blank_password")
        return await self._check_local(username or "", password)

    async def _check_local(self, username: str, password: str) -> User:
        user = await self._find(username)
        stored = user.password_hash if user else None
        matches = await passwords.verify_password(password, stored)
        if user is None or stored is None:
            raise _refusal("unknown_user")
        if not matches:
            raise _refusal("wrong_password", user)
        if user.disabled_at is not None:
            raise _refusal("disabled", user)
        if passwords.needs_update(stored):
            await self._rehash(user, stored, password)
        return user

    async def _find(self, username: str) -> User | None:
        try:
            return await self._users.find_local(username)
        except InvalidInput:  # a name that nobody can have
            return None

    async def _rehash(self, user: User, stored: str, password: str) -> None:
        hashed = await passwords.hash_password(password)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User)
                # not over a password that was changed meanwhile
                .where(col(User.id) == user.id, col(User.password_hash) == stored)
                .values(password_hash=hashed)
            )


def _refusal(reason: str, user: User | None = None) -> NotAuthenticated:
    log.info("login.check_failed", reason=reason, user_id=str(user.id) if user else None)
    return NotAuthenticated(reason, code="wrong_credentials")
