"""Accounts: names, roles, local passwords, who may come in."""

import secrets
import unicodedata
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from genai_app import clock
from genai_app.db import Database
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import AuditEvent, Origin, Role, User
from genai_app.services.audit import Action, event
from genai_app.services.passwords import check_password, hash_password
from genai_app.services.sessions import end_sessions
from genai_app.text import clean_text, is_invisible

MAX_USERNAME = 64
MAX_FULL_NAME = 200
_MAX_RAW = 4 * MAX_USERNAME  # before folding, which may lengthen one character to 18


def fold_username(username: str) -> str:
    """The one spelling under which a name is stored and found: NFKC, no case, no outer spaces.

    Raises:
        InvalidInput: empty, over 64 characters, or with invisible characters (controls, NUL,
            zero width, direction marks, surrogates) that would make two names look alike.
    """
    if len(username) <= _MAX_RAW:
        folded = unicodedata.normalize("NFKC", username).casefold()
        folded = unicodedata.normalize("NFKC", folded).strip()
        if 0 < len(folded) <= MAX_USERNAME and not any(map(is_invisible, folded)):
            return folded
    raise InvalidInput(code="bad_username", limit=MAX_USERNAME)


class Users:
    """Makes and changes accounts. Names are given as people type them.

    Args:
        by: whom the audit names as the one who acts.
    """

    def __init__(self, db: Database, by: str = "the system") -> None:
        self._db = db
        self._by = by

    async def add(
        self, username: str, password: str, role: Role = Role.USER, full_name: str = ""
    ) -> User:
        """A new local account.

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
        """Give a local account a new password and end its sessions: the old one may be known.

        Raises:
            InvalidInput: weak_password.
            NotFound: no such local account.
        """
        check_password(password)
        user = await self._get_local(username)
        hashed = await hash_password(password)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(password_hash=hashed)
            )
            await end_sessions(session, user.id, "password_changed")
            session.add(self._event(Action.USER_PASSWORD, user))

    async def set_role(self, username: str, role: Role) -> None:
        """Raises NotFound: no such local account."""
        user = await self._get_local(username)
        async with self._db.write() as session:
            await session.execute(sa.update(User).where(col(User.id) == user.id).values(role=role))
            session.add(self._event(Action.ROLE_CHANGE, user, before=user.role, role=role))

    async def set_limit(self, username: str, rate_limit: str | None) -> None:
        """Give a local account a limit of its own (settings.parse_limit); None: its role's again.

        Raises:
            NotFound: no such local account.
        """
        user = await self._get_local(username)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(rate_limit=rate_limit)
            )
            told = rate_limit or "default"
            session.add(self._event(Action.LIMIT_CHANGE, user, limit=told))

    async def disable(self, username: str) -> None:
        """Shut a local account and end its sessions, both or neither. Raises NotFound."""
        user = await self._get_local(username)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User)
                .where(col(User.id) == user.id, col(User.disabled_at).is_(None))
                .values(disabled_at=clock.now())
            )
            await end_sessions(session, user.id, "disabled")
            session.add(self._event(Action.USER_DISABLE, user))

    async def enable(self, username: str) -> None:
        """Open a local account again; its old sessions stay ended. Raises NotFound."""
        user = await self._get_local(username)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(disabled_at=None)
            )
            session.add(self._event(Action.USER_ENABLE, user))

    async def find_local(self, username: str) -> User | None:
        """The local account of that name, disabled or not. Raises InvalidInput: no name at all."""
        folded = fold_username(username)
        async with self._db.read() as session:
            return await session.scalar(
                sa.select(User).where(
                    col(User.origin) == Origin.LOCAL, col(User.username) == folded
                )
            )

    async def get(self, user_id: uuid.UUID) -> User:
        """Raises NotFound."""
        async with self._db.read() as session:
            user = await session.get(User, user_id)
        if user is None:
            raise NotFound
        return user

    async def list_all(self) -> list[User]:
        """Every account, by name. For the operator's command line: it does not page."""
        async with self._db.read() as session:
            return list(
                await session.scalars(
                    sa.select(User).order_by(col(User.username), col(User.origin))
                )
            )

    async def ensure_first_admin(self, username: str, password: str | None) -> str | None:
        """Make the first administrator unless a local account of that name is there.

        Returns the password that was made up (24 URL-safe characters), to be shown once; None when
        one was given or nothing was done. Two starts at once make one account.

        Raises:
            InvalidInput: bad_username or weak_password, from the settings.
        """
        if await self.find_local(username) is not None:
            return None
        chosen = secrets.token_urlsafe(18) if password is None else password
        try:
            await self.add(username, chosen, Role.ADMIN)
        except Conflict:  # another start was first, and shows its own
            return None
        return chosen if password is None else None

    def _event(self, action: Action, user: User, **details: Any) -> AuditEvent:
        return event(action, by=self._by, target=user.username, **details)

    async def _get_local(self, username: str) -> User:
        user = await self.find_local(username)
        if user is None:
            raise NotFound(code="user_not_found")
        return user
