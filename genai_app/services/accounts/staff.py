"""Accounts of people in the directory: created at the first login and updated from the directory.

An account is identified by the directory's id, not by its name, because a name may pass to another
person. An account that the directory closed (locked, disabled, expired, gone, no group) opens again
when the directory says so. An account that an administrator disabled or erased does not.
"""

import json

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.adapters.directory.client import AccountState, DirectoryPerson
from genai_app.db.database import Database
from genai_app.errors import DirectoryUnavailable, Forbidden, InvalidInput, NotAuthenticated
from genai_app.models import Origin, Role, User
from genai_app.services.accounts.directory_alarms import BY
from genai_app.services.accounts.entry import LOST_GROUP, Standing, standing_of
from genai_app.services.accounts.sessions import shut_out
from genai_app.services.accounts.users import (
    MAX_FULL_NAME,
    MAX_USERNAME,
    fold_username,
    higher_role,
)
from genai_app.services.audit.events import Action, event
from genai_app.settings.settings import Settings
from genai_app.text import clean_text

log = structlog.stdlib.get_logger(__name__)

CLOSED_BY_DIRECTORY = "directory_"  # prefix of `disabled_reason`
# a password that expired or must be changed does not close an account, nor do logon hours
CLOSING_STATES = frozenset({AccountState.DISABLED, AccountState.LOCKED, AccountState.EXPIRED})


class Staff:
    """Creates and updates accounts from the directory."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    async def enter(self, person: DirectoryPerson) -> User:
        """Returns the account of a person whose password was right, created or updated.

        Raises:
            Forbidden: no_access: no group of the person may log in.
            DirectoryUnavailable: groups_unreadable: a group that might allow the login is missing.
            NotAuthenticated: an administrator disabled the account.
        """
        try:
            return await self._enter(person)
        except IntegrityError:  # two first logins at the same time
            return await self._enter(person)

    async def _enter(self, person: DirectoryPerson) -> User:
        async with self._db.write() as session:
            user = await session.scalar(
                sa.select(User).where(col(User.external_id) == person.id).with_for_update()
            )
            standing = standing_of(self._settings, person, user)
            if standing.role is not None:
                user = await self._refresh(session, user, person, standing, standing.role)
                self._open(session, user)
            elif user is not None and standing.certain:
                await self._close(session, user, LOST_GROUP, standing)
        if standing.role is None:
            if not standing.certain:
                raise DirectoryUnavailable("groups: missing", code="groups_unreadable")
            raise self._no_access()
        assert user is not None
        if user.disabled_at is not None:
            raise NotAuthenticated("disabled", code="wrong_credentials")
        return user

    def _no_access(self) -> Forbidden:
        """Returns the error for a person without an allowed group."""
        contact = self._settings.ldap_contact
        if contact:
            return Forbidden("no_group", code="no_access_contact", contact=contact)
        return Forbidden("no_group", code="no_access")

    async def keep(self, user: User, person: DirectoryPerson | None) -> str:
        """Updates, opens or closes an account by the directory's present data.

        Args:
            person: None: the directory has no such person any more.

        Returns:
            Why the directory closes the account: `gone`, `group`, `disabled`, `locked`, `expired`;
            "" when it does not, or when an administrator disabled the account.
        """
        async with self._db.write() as session:
            row = await session.get(User, user.id, with_for_update=True)
            if row is None or row.external_id is None or is_disabled_here(row):
                return ""
            standing = standing_of(self._settings, person, row) if person else None
            if person is None or standing is None:
                reason = "gone"
            elif person.state in CLOSING_STATES:
                reason = str(person.state)
            elif standing.role is None:
                reason = LOST_GROUP
            else:
                await self._refresh(session, row, person, standing, standing.role)
                self._open(session, row)
                return ""
            await self._close(session, row, reason, standing)
        return reason

    async def _refresh(
        self,
        session: AsyncSession,
        user: User | None,
        person: DirectoryPerson,
        standing: Standing,
        role: Role,
    ) -> User:
        name, granted = _username(person), user.granted_role if user else None
        held = higher_role(role, granted)
        holder = await session.scalar(
            sa.select(User).where(
                col(User.origin) == Origin.DIRECTORY,
                col(User.username) == name,
                col(User.external_id) != person.id,
            )
        )
        if holder is not None:  # the name passed to another person
            await self._rename(session, holder)
        if user is None:
            user = User(username=name, origin=Origin.DIRECTORY, external_id=person.id)
            session.add(user)
            session.add(event(Action.USER_ADD, by=BY, target=name, role=role))
        elif held != user.role:
            session.add(event(Action.ROLE_CHANGE, by=BY, target=name, before=user.role, role=held))
        user.username = name
        user.full_name = clean_text(person.full_name).strip()[:MAX_FULL_NAME]
        user.department = clean_text(person.department).strip()[:MAX_FULL_NAME]
        user.mail = clean_text(person.mail)[:MAX_FULL_NAME]
        user.directory_dn = clean_text(person.dn)
        user.directory_groups = json.dumps(standing.answers)
        user.group_role = role
        user.role = held
        user.checked_at = clock.now()
        return user

    async def _rename(self, session: AsyncSession, holder: User) -> None:
        old = holder.username
        holder.username = f"{old[: MAX_USERNAME - 9]}~{holder.id.hex[-8:]}"
        session.add(event(Action.USER_RENAME, by=BY, target=old, to=holder.username))
        await session.flush()

    def _open(self, session: AsyncSession, user: User) -> None:
        """Opens an account that the directory closed. API keys are valid again; ended sessions stay
        ended."""
        if user.disabled_at is None or is_disabled_here(user):
            return
        reason = (user.disabled_reason or "").removeprefix(CLOSED_BY_DIRECTORY)
        user.disabled_at = user.disabled_reason = None
        session.add(event(Action.USER_ENABLE, by=BY, target=user.username, reason=reason))
        log.info("staff.opened", user=user.username, reason=reason)

    async def _close(
        self, session: AsyncSession, user: User, reason: str, standing: Standing | None
    ) -> None:
        user.checked_at = clock.now()
        if standing is not None:
            user.directory_groups = json.dumps(standing.answers)
        if user.disabled_at is None:
            session.add(event(Action.USER_DISABLE, by=BY, target=user.username, reason=reason))
            log.warning("staff.closed", user=user.username, reason=reason)
        elif not is_disabled_here(user):  # closed by the directory for another reason
            user.disabled_reason = CLOSED_BY_DIRECTORY + reason
        await session.flush()
        await shut_out(session, user.id, CLOSED_BY_DIRECTORY + reason)


def is_disabled_here(user: User) -> bool:
    """Returns whether an administrator disabled or erased the account, so that the directory cannot
    open it."""
    reason = user.disabled_reason or ""
    return user.disabled_at is not None and not reason.startswith(CLOSED_BY_DIRECTORY)


def _username(person: DirectoryPerson) -> str:
    """Returns the folded name, or the person's id when the name is not allowed here."""
    try:
        return fold_username(person.username)
    except InvalidInput:
        return person.id
