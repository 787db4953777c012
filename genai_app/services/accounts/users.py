"""Creates, reads and changes accounts: names, roles, limits, local passwords."""

import unicodedata
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from genai_app.access import RANK, Actor
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import AuditEvent, Origin, Role, User
from genai_app.services.accounts.passwords import check_password, hash_password
from genai_app.services.accounts.sessions import end_sessions, shut_out
from genai_app.services.audit.events import Action, event
from genai_app.text import clean_text, is_invisible

MAX_USERNAME = 64
MAX_FULL_NAME = 200
_MAX_RAW = 4 * MAX_USERNAME  # before folding, which may lengthen one character to 18


def fold_username(username: str) -> str:
    """Returns the spelling under which a name is stored and searched: NFKC, case-folded, without
    outer spaces.

    Raises:
        InvalidInput: bad_username: the name is empty, longer than 64 characters, or has invisible
            characters (controls, NUL, zero width, direction marks, surrogates), with which two
            different names would look alike.
    """
    if len(username) <= _MAX_RAW:
        folded = unicodedata.normalize("NFKC", username).casefold()
        folded = unicodedata.normalize("NFKC", folded).strip()
        if 0 < len(folded) <= MAX_USERNAME and not any(map(is_invisible, folded)):
            return folded
    raise InvalidInput(code="bad_username", limit=MAX_USERNAME)


def higher_role(*roles: str | None) -> Role:
    """Returns the highest of the roles, ignoring None; USER when there is none."""
    return max((Role(role) for role in roles if role), key=RANK.__getitem__, default=Role.USER)


class Users:
    """Creates, reads and changes accounts. User names are accepted in any spelling that people
    type.

    Args:
        by: the actor of the audit events.
    """

    def __init__(self, db: Database, by: Actor | str = "the system") -> None:
        self._db = db
        self._by = by

    async def add(
        self,
        username: str,
        password: str,
        role: Role = Role.USER,
        full_name: str = "",
        department: str = "",
    ) -> User:
        """Creates a local account.

        Raises:
            InvalidInput: bad_username or weak_password.
            Conflict: username_taken.
        """
        folded = fold_username(username)
        check_password(password)
        user = User(
            username=folded,
            origin=Origin.LOCAL,
            full_name=clean_text(full_name).strip()[:MAX_FULL_NAME],
            department=clean_text(department).strip()[:MAX_FULL_NAME],
            role=role,
            password_hash=await hash_password(password),
        )
        try:
            async with self._db.write() as session:
                session.add(user)
                session.add(self._event(Action.USER_ADD, user, role=role))
        except IntegrityError:
            raise Conflict(code="username_taken", username=user.username) from None
        return user

    async def set_password(self, username: str, password: str) -> None:
        """Sets the password of a local account and ends its sessions, because somebody else may
        know the old password.

        Raises:
            InvalidInput: weak_password.
            NotFound: user_not_found: no local account has that name.
        """
        check_password(password)
        user = await self._get(username)
        hashed = await hash_password(password)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(password_hash=hashed)
            )
            await end_sessions(session, user.id, "password_changed")
            session.add(self._event(Action.USER_PASSWORD, user))

    async def set_role(self, username: str, role: Role, origin: Origin = Origin.LOCAL) -> None:
        """Sets the role. For an account of the directory the role is granted beside the role of
        its groups, and the higher one applies. Raises NotFound."""
        user = await self._get(username, origin)
        values = {"role": role}
        if origin is Origin.DIRECTORY:
            granted = None if role is Role.USER else role
            values = {"granted_role": granted, "role": higher_role(user.group_role, granted)}
        async with self._db.write() as session:
            await session.execute(sa.update(User).where(col(User.id) == user.id).values(**values))
            session.add(
                self._event(Action.ROLE_CHANGE, user, before=user.role, role=values["role"])
            )

    async def set_limit(
        self, username: str, rate_limit: str | None, origin: Origin = Origin.LOCAL
    ) -> None:
        """Sets the account's own limit, such as `100/minute`; None: the limit of its role applies.
        Raises NotFound."""
        user = await self._get(username, origin)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(rate_limit=rate_limit)
            )
            shown_limit = rate_limit or "default"
            session.add(self._event(Action.LIMIT_CHANGE, user, limit=shown_limit))

    async def disable(self, username: str, origin: Origin = Origin.LOCAL) -> None:
        """Disables an account and ends its sessions and running answers, in one transaction. Raises
        NotFound."""
        user = await self._get(username, origin)
        async with self._db.write() as session:
            await shut_out(session, user.id, "disabled")
            # also when the directory closed it: from now on the directory cannot open it again
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(disabled_reason="disabled")
            )
            session.add(self._event(Action.USER_DISABLE, user))

    async def enable(self, username: str, origin: Origin = Origin.LOCAL) -> None:
        """Enables an account; its old sessions stay ended. Raises NotFound."""
        user = await self._get(username, origin)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User)
                .where(col(User.id) == user.id)
                # no checked_at: the directory is asked at once, where it may be closed
                .values(disabled_at=None, disabled_reason=None, checked_at=None)
            )
            session.add(self._event(Action.USER_ENABLE, user))

    async def find(self, username: str, origin: Origin = Origin.LOCAL) -> User | None:
        """Returns the account of that name, also a disabled one. Raises InvalidInput:
        bad_username."""
        folded = fold_username(username)
        async with self._db.read() as session:
            return await session.scalar(
                sa.select(User).where(col(User.origin) == origin, col(User.username) == folded)
            )

    async def get(self, user_id: uuid.UUID) -> User:
        """Returns the account. Raises NotFound."""
        async with self._db.read() as session:
            user = await session.get(User, user_id)
        if user is None:
            raise NotFound
        return user

    async def list_all(self) -> list[User]:
        """Returns all accounts by name, without pages: for the command line only."""
        async with self._db.read() as session:
            return list(
                await session.scalars(
                    sa.select(User).order_by(col(User.username), col(User.origin))
                )
            )

    def _event(self, action: Action, user: User, **details: Any) -> AuditEvent:
        return event(action, by=self._by, target=user.username, **details)

    async def _get(self, username: str, origin: Origin = Origin.LOCAL) -> User:
        user = await self.find(username, origin)
        if user is None:
            raise NotFound(code="user_not_found")
        return user
