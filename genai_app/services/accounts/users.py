"""Accounts: names, roles, local passwords, who may come in."""

import secrets
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


def higher_role(*roles: str | None) -> Role:
    """The highest of the roles that are there; USER for none."""
    return max((Role(role) for role in roles if role), key=RANK.__getitem__, default=Role.USER)


class Users:
    """Makes and changes accounts. Names are given as people type them.

    Args:
        by: whom the audit names as the one who acts.
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
        """Give a local account a new password and end its sessions: the old one may be known.

        Raises:
            InvalidInput: weak_password.
            NotFound: no such local account.
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

    async def change_own_password(self, actor: Actor, password: str) -> None:
        """Gives the actor's local account a checked password and ends its sessions but the actor's
        own."""
        hashed = await hash_password(password)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == actor.user_id).values(password_hash=hashed)
            )
            await end_sessions(session, actor.user_id, "password_changed", but=actor.session_id)
            session.add(event(Action.USER_PASSWORD, by=actor, target=actor.username))

    async def set_role(self, username: str, role: Role, origin: Origin = Origin.LOCAL) -> None:
        """Grant a role. Of an account of the directory it stays apart from what its groups give:
        the higher one holds. Raises NotFound: no such account."""
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
        """Give an account a limit of its own (settings.parse_limit); None: its role's again.

        Raises:
            NotFound: no such account.
        """
        user = await self._get(username, origin)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(rate_limit=rate_limit)
            )
            shown_limit = rate_limit or "default"
            session.add(self._event(Action.LIMIT_CHANGE, user, limit=shown_limit))

    async def disable(self, username: str, origin: Origin = Origin.LOCAL) -> None:
        """Shut an account, end its sessions and running answers; all or nothing. Raises
        NotFound."""
        user = await self._get(username, origin)
        async with self._db.write() as session:
            await shut_out(session, user.id, "disabled")
            # also of one that the directory has shut: that it opens again is not for it to say
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(disabled_reason="disabled")
            )
            session.add(self._event(Action.USER_DISABLE, user))

    async def enable(self, username: str, origin: Origin = Origin.LOCAL) -> None:
        """Open an account again; its old sessions stay ended. Raises NotFound."""
        user = await self._get(username, origin)
        async with self._db.write() as session:
            await session.execute(
                sa.update(User)
                .where(col(User.id) == user.id)
                # one of the directory is looked up at once: it may be closed there
                .values(disabled_at=None, disabled_reason=None, checked_at=None)
            )
            session.add(self._event(Action.USER_ENABLE, user))

    async def find(self, username: str, origin: Origin = Origin.LOCAL) -> User | None:
        """The account of that name, disabled or not. Raises InvalidInput: no name at all."""
        folded = fold_username(username)
        async with self._db.read() as session:
            return await session.scalar(
                sa.select(User).where(col(User.origin) == origin, col(User.username) == folded)
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
        if await self.find(username) is not None:
            return None
        chosen = secrets.token_urlsafe(18) if password is None else password
        try:
            await self.add(username, chosen, Role.ADMIN)
        except Conflict:  # another start was first, and shows its own
            return None
        return chosen if password is None else None

    def _event(self, action: Action, user: User, **details: Any) -> AuditEvent:
        return event(action, by=self._by, target=user.username, **details)

    async def _get(self, username: str, origin: Origin = Origin.LOCAL) -> User:
        user = await self.find(username, origin)
        if user is None:
            raise NotFound(code="user_not_found")
        return user
