"""Rechecks accounts in the directory at intervals: those with a live session, API key or running
answer, and those that the directory closed.

An account that was disabled, locked, expired, deleted or removed from the groups in the directory
is closed here too, and opens again when the directory says so. When the directory is down or slow,
a group is missing, or accounts cannot be read or vanish together, nothing changes for anybody, and
an alarm is raised.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.adapters.directory.client import Directory, PersonUnreadable
from genai_app.db.database import Database
from genai_app.errors import DirectoryUnavailable, StorageUnavailable
from genai_app.models import ApiKey, Generation, MessengerLink, Origin, Session, User
from genai_app.services.accounts.api_keys import alive_key
from genai_app.services.accounts.directory_alarms import (
    GROUP_CAUSES,
    Alarm,
    AlarmCause,
    DirectoryAlarms,
)
from genai_app.services.accounts.directory_status import DirectoryStatus
from genai_app.services.accounts.sessions import live_session
from genai_app.services.accounts.staff import CLOSED_BY_DIRECTORY, Staff
from genai_app.services.audit.events import Action, event

log = structlog.stdlib.get_logger(__name__)

POLL_S = 2.0  # pause between two queries for due accounts
BATCH = 100
MAX_PARALLEL = 2  # of the directory's eight threads; the others are for logins
RETRY_S = 15.0  # pause after the directory did not answer
GROUPS_EVERY_S = 60.0  # between two checks of the groups of the settings
SAMPLE = 50  # other accounts that are searched when an account is gone
FEW_GONE = 2  # missing accounts that a sample of any size may have
SHARE_GONE = 0.2
HELD_FOR = timedelta(days=1)  # how long accounts that vanished together stay open
CLOSED_DAYS, CLOSED_EVERY = 30, timedelta(days=1)  # closed for longer: rechecked once a day


class Rechecks:
    """Rechecks accounts and raises the alarms of the directory.

    Args:
        every_s: seconds between two checks of an account with a live session, key or answer.
    """

    def __init__(
        self,
        db: Database,
        directory: Directory,
        status: DirectoryStatus,
        staff: Staff,
        every_s: float,
    ) -> None:
        self._db = db
        self._directory = directory
        self._status = status
        self._staff = staff
        self._every_s = every_s
        self.alarms = DirectoryAlarms(db)
        self._groups_due_at = 0.0  # of the event loop's clock

    async def run(self) -> None:
        """Rechecks until cancelled."""
        while True:
            try:
                pause_s = POLL_S if await self.recheck_due() else RETRY_S
            except StorageUnavailable:
                pause_s = POLL_S
            except Exception:
                log.exception("rechecks.bug")
                pause_s = RETRY_S
            await asyncio.sleep(min(pause_s, self._every_s))

    async def recheck_due(self) -> bool:
        """Rechecks the groups and accounts that are due. Returns False when the directory did not
        answer."""
        if not await self._check_groups():
            return False
        slots = asyncio.Semaphore(MAX_PARALLEL)
        while users := await self._list_due():
            failed = False

            async def recheck(user: User) -> None:
                nonlocal failed
                async with slots:
                    if not failed:
                        failed = not await self._recheck(user)

            await asyncio.gather(*(recheck(user) for user in users))
            if failed:
                return False
        return True

    async def make_all_due(self, actor: Actor) -> int:
        """Makes all accounts due immediately, for this or another replica. Returns the number of
        accounts that have a live session, key or answer, or that the directory closed."""
        self._groups_due_at = 0.0
        async with self._db.write() as session:
            ids = await session.scalars(
                sa.update(User)
                .where(col(User.origin) == Origin.DIRECTORY, _is_watched(clock.now()))
                .values(checked_at=None)
                .returning(col(User.id))
            )
            count = len(ids.all())
            session.add(event(Action.RECHECK, by=actor, target="everybody", count=count))
        return count

    async def _recheck(self, user: User) -> bool:
        """Updates an account from the directory. Returns False when the directory did not
        answer."""
        if not await self._claim(user):
            return True
        unreadable = Alarm(AlarmCause.PEOPLE_UNREADABLE, user.username)
        try:
            person = await self._directory.find(user.external_id or "", user.directory_dn)
            held = person is None and await self._is_held(user)
        except PersonUnreadable:
            self._status.directory_recovered()
            await self.alarms.add(unreadable)
            return True
        except DirectoryUnavailable as error:
            await self._unclaim(user)
            await self._status.directory_failed(error)
            return False
        self._status.directory_recovered()
        await self.alarms.end(unreadable)
        if not held:
            await self._staff.keep(user, person)
        return True

    async def _check_groups(self) -> bool:
        """Raises or ends the alarms of the groups, if they are due. Returns False when the
        directory did not answer."""
        now = asyncio.get_running_loop().time()
        if now < self._groups_due_at:
            return True
        try:
            faults = await self._directory.group_faults()
            if self.alarms.since(AlarmCause.PEOPLE_VANISHED) is not None:
                await self._have_vanished()
        except DirectoryUnavailable as error:
            await self._status.directory_failed(error)
            return False
        self._groups_due_at = now + min(GROUPS_EVERY_S, self._every_s)
        alarms = [Alarm(AlarmCause(fault.value), name) for name, fault in faults.items()]
        await self.alarms.replace(GROUP_CAUSES, alarms)
        await self.alarms.end_older(AlarmCause.PEOPLE_UNREADABLE, 3 * self._every_s)
        return True

    async def _is_held(self, user: User) -> bool:
        """Returns whether an account that is gone stays open for now, because it vanished together
        with others: then lost rights of the service account or a moved folder are the likelier
        cause. After a day it is closed.

        Raises:
            DirectoryUnavailable
        """
        if user.disabled_at is not None or not await self._have_vanished(user):
            return False
        since = self.alarms.since(AlarmCause.PEOPLE_VANISHED)
        return since is not None and clock.now() < since + HELD_FOR

    async def _have_vanished(self, beside: User | None = None) -> bool:
        """Returns whether too many of a sample of open accounts are gone from the directory. Raises
        or ends the alarm.

        Args:
            beside: an account to leave out of the sample.

        Raises:
            DirectoryUnavailable
        """
        query = (
            sa.select(col(User.external_id))
            .where(
                col(User.origin) == Origin.DIRECTORY,
                col(User.disabled_at).is_(None),
                col(User.external_id).is_not(None),
                *([col(User.id) != beside.id] if beside else ()),
            )
            .order_by(col(User.checked_at).desc())
            .limit(SAMPLE)
        )
        async with self._db.read() as session:
            others = [each for each in await session.scalars(query) if each]
        visible = await self._directory.count_seen(others)
        gone = len(others) - visible
        vanished = visible == 0 or gone > max(FEW_GONE, SHARE_GONE * len(others))
        alarms = [Alarm(AlarmCause.PEOPLE_VANISHED, "")] if vanished else []
        await self.alarms.replace((AlarmCause.PEOPLE_VANISHED,), alarms)
        return vanished

    async def _list_due(self) -> Sequence[User]:
        now = clock.now()
        due = now - timedelta(seconds=self._every_s)
        query = (
            sa.select(User)
            .where(
                col(User.origin) == Origin.DIRECTORY,
                col(User.external_id).is_not(None),
                sa.or_(
                    col(User.checked_at).is_(None),
                    sa.and_(col(User.checked_at) <= due, _is_watched(now)),
                    sa.and_(col(User.checked_at) <= now - CLOSED_EVERY, _is_closed()),
                ),
                sa.or_(_is_watched(now), _is_closed()),
            )
            .order_by(col(User.checked_at))
            .limit(BATCH)
        )
        async with self._db.read() as session:
            return (await session.scalars(query)).all()

    async def _claim(self, user: User) -> bool:
        """Claims the account's recheck for this replica. Returns False when another replica was
        first."""
        checked_at, before = col(User.checked_at), user.checked_at
        unchanged = checked_at.is_(None) if before is None else checked_at == before
        async with self._db.write() as session:
            claimed = await session.scalar(
                sa.update(User)
                .where(col(User.id) == user.id, unchanged)
                .values(checked_at=clock.now())
                .returning(col(User.id))
            )
        return claimed is not None

    async def _unclaim(self, user: User) -> None:
        """Makes a claimed account due again after the directory did not answer."""
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(checked_at=user.checked_at)
            )


def _is_closed() -> sa.ColumnElement[bool]:
    """Returns the condition that the directory closed the account, and so may open it again."""
    return sa.and_(
        col(User.disabled_at).is_not(None),
        col(User.disabled_reason).startswith(CLOSED_BY_DIRECTORY, autoescape=True),
    )


def _is_watched(now: datetime) -> sa.ColumnElement[bool]:
    """Returns the condition that an account is rechecked at each interval: an open account in use,
    or a closed account that has an API key or was closed in the last CLOSED_DAYS days."""
    recently = col(User.disabled_at) > now - timedelta(days=CLOSED_DAYS)
    return sa.or_(
        sa.and_(col(User.disabled_at).is_(None), _is_in_use(now)),
        sa.and_(_is_closed(), sa.or_(recently, _has_key(now))),
    )


def _has_key(now: datetime) -> sa.ColumnElement[bool]:
    return sa.exists().where(col(ApiKey.user_id) == col(User.id), alive_key(now))


def _is_in_use(now: datetime) -> sa.ColumnElement[bool]:
    """Returns the condition that a user has an API key, a linked messenger, a live session or a
    running answer."""
    return sa.or_(
        _has_key(now),
        sa.exists().where(
            col(MessengerLink.user_id) == col(User.id), col(MessengerLink.unlinked_at).is_(None)
        ),
        sa.exists().where(col(Session.user_id) == col(User.id), live_session(now)),
        sa.exists().where(
            col(Generation.user_id) == col(User.id), col(Generation.ended_at).is_(None)
        ),
    )
