"""Looks up in the directory, again and again, whoever has something open here: who was disabled,
locked, expired, deleted or taken out of the groups there is out here too, at every door. Who was
closed for that is looked up as well, and comes back by itself.

A directory that is down, slow or confused, a group that is gone, people who cannot be read or who
vanish together say nothing about anybody: everything stays as it is, and an alarm is raised.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock, metrics
from genai_app.access import Actor
from genai_app.adapters.directory.client import Directory, PersonUnreadable
from genai_app.db.database import Database
from genai_app.errors import AppError, DirectoryUnavailable, StorageUnavailable
from genai_app.models import ApiKey, Generation, Origin, Session, User
from genai_app.services.accounts.api_keys import alive_key
from genai_app.services.accounts.directory_alarms import (
    GROUP_CAUSES,
    Alarm,
    AlarmCause,
    DirectoryAlarms,
)
from genai_app.services.accounts.sessions import live_session
from genai_app.services.accounts.staff import BY, CLOSED_BY_DIRECTORY, Staff
from genai_app.services.audit.events import Action, Audit, Outcome, event

log = structlog.stdlib.get_logger(__name__)

LOOK_S = 2.0  # how often it is seen who is due
BATCH = 100
AT_ONCE = 2  # of the directory's eight threads; the others are for logins
PAUSE_S = 15.0  # after the directory did not answer
AUDITED_EVERY_S = 600.0
KNOWN_S = 10.0  # how long an answer tells that the directory serves
GROUPS_EVERY_S = 60.0  # how often the groups of the settings are looked for
SAMPLE = 50  # other accounts that are looked for when one is gone
FEW_GONE = 2  # so many of a sample may be gone, whatever its size
SHARE_GONE = 0.2
HELD_FOR = timedelta(days=1)  # how long accounts that vanished together stay open
CLOSED_DAYS, CLOSED_EVERY = 30, timedelta(days=1)  # closed for longer: looked up once a day


class Rechecks:
    """Looks accounts up.

    Args:
        every_s: how old what is known of an account with a live login, key or answer may be.
    """

    def __init__(self, db: Database, directory: Directory, staff: Staff, every_s: float) -> None:
        self._db = db
        self._directory = directory
        self._staff = staff
        self._every_s = every_s
        self._audit = Audit(db)
        self.alarms = DirectoryAlarms(db)
        self._groups_due_at = 0.0
        self._audited_at: float | None = None
        self._lost = False
        self._known_until = 0.0

    async def run(self) -> None:
        """For the life of the process."""
        while True:
            try:
                pause_s = PAUSE_S if await self.look() else LOOK_S
            except StorageUnavailable:
                pause_s = LOOK_S
            except Exception:
                log.exception("rechecks.bug")
                pause_s = PAUSE_S
            await asyncio.sleep(min(pause_s, self._every_s))

    async def look(self) -> bool:
        """Look up everybody who is due. Returns whether the directory failed us."""
        if not await self._look_for_groups():
            return True
        places = asyncio.Semaphore(AT_ONCE)
        while users := await self._list_due():
            failed = False

            async def one(user: User) -> None:
                nonlocal failed
                async with places:
                    if not failed:
                        failed = not await self._recheck(user)

            await asyncio.gather(*(one(user) for user in users))
            if failed:
                return True
        return False

    async def check_all_now(self, actor: Actor) -> int:
        """Make everybody due at once, for this or another replica. Returns how many have a login, a
        key or a running answer, or were closed by the directory."""
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
        if not await self._claim(user):
            return True
        unreadable = Alarm(AlarmCause.PEOPLE_UNREADABLE, user.username)
        try:
            person = await self._directory.find(user.external_id or "", user.directory_dn)
            held = person is None and await self._is_held(user)
        except PersonUnreadable:
            self.note_back()
            await self.alarms.add(unreadable)
            return True
        except DirectoryUnavailable as error:
            await self._unclaim(user)
            await self.note_lost(error)
            return False
        self.note_back()
        await self.alarms.end(unreadable)
        if not held:
            await self._staff.keep(user, person)
        return True

    async def _look_for_groups(self) -> bool:
        """Raises or ends alarms for the groups of the settings, now and then. Returns whether the
        directory served."""
        now = asyncio.get_running_loop().time()
        if now < self._groups_due_at:
            return True
        try:
            faults = await self._directory.group_faults()
            if self.alarms.since(AlarmCause.PEOPLE_VANISHED) is not None:
                await self._have_vanished()
        except DirectoryUnavailable as error:
            await self.note_lost(error)
            return False
        self._groups_due_at = now + min(GROUPS_EVERY_S, self._every_s)
        alarms = [Alarm(AlarmCause(fault.value), name) for name, fault in faults.items()]
        await self.alarms.replace(GROUP_CAUSES, alarms)
        await self.alarms.end_older(AlarmCause.PEOPLE_UNREADABLE, 3 * self._every_s)
        return True

    async def _is_held(self, user: User) -> bool:
        """Whether an account that is gone stays open, for it vanished together with others: rights
        of the service account or a folder of the directory are the likelier cause. Held for a day.

        Raises:
            DirectoryUnavailable
        """
        if user.disabled_at is not None or not await self._have_vanished(user):
            return False
        since = self.alarms.since(AlarmCause.PEOPLE_VANISHED)
        return since is not None and clock.now() < since + HELD_FOR

    async def _have_vanished(self, beside: User | None = None) -> bool:
        """Whether too many of a sample of open accounts are gone; raises or ends the alarm.

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
        seen = await self._directory.count_seen(others)
        gone = len(others) - seen
        vanished = seen == 0 or gone > max(FEW_GONE, SHARE_GONE * len(others))
        alarms = [Alarm(AlarmCause.PEOPLE_VANISHED, "")] if vanished else []
        await self.alarms.replace((AlarmCause.PEOPLE_VANISHED,), alarms)
        return vanished

    async def check(self) -> None:
        """Whether the directory serves, as known not long ago. Raises DirectoryUnavailable."""
        if asyncio.get_running_loop().time() >= self._known_until:
            try:
                await self._directory.check()
            except DirectoryUnavailable as error:
                await self.note_lost(error)
            else:
                self.note_back()
        if self._lost:
            raise DirectoryUnavailable

    async def note_lost(self, error: AppError) -> None:
        """The directory did not answer: log it, measure it, and audit it now and then."""
        metrics.directory_up(False)
        log.error("directory.unavailable", detail=error.detail)
        self._lost = True
        now = asyncio.get_running_loop().time()
        self._known_until = now + KNOWN_S
        if self._audited_at is None or now - self._audited_at > AUDITED_EVERY_S:
            self._audited_at = now
            await self._audit.record(
                event(Action.DIRECTORY_LOST, Outcome.REFUSED, by=BY, reason=error.detail)
            )

    def note_back(self) -> None:
        """Ends the outage: the directory answered."""
        metrics.directory_up(True)
        self._known_until = asyncio.get_running_loop().time() + KNOWN_S
        if self._lost:
            self._lost = False
            self._audited_at = None
            log.info("directory.back")

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
        """So that of several replicas one asks."""
        known, before = col(User.checked_at), user.checked_at
        unchanged = known.is_(None) if before is None else known == before
        async with self._db.write() as session:
            claimed = await session.scalar(
                sa.update(User)
                .where(col(User.id) == user.id, unchanged)
                .values(checked_at=clock.now())
                .returning(col(User.id))
            )
        return claimed is not None

    async def _unclaim(self, user: User) -> None:
        """Nothing was learnt: the account stays due."""
        async with self._db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == user.id).values(checked_at=user.checked_at)
            )


def _is_closed() -> sa.ColumnElement[bool]:
    """Of a user: the directory closed the account, and may open it."""
    return sa.and_(
        col(User.disabled_at).is_not(None),
        col(User.disabled_reason).startswith(CLOSED_BY_DIRECTORY, autoescape=True),
    )


def _is_watched(now: datetime) -> sa.ColumnElement[bool]:
    """Of a user: looked up at every turn. Open accounts with something that goes on; closed ones
    with a key that would be good again, and those that were closed not long ago."""
    lately = col(User.disabled_at) > now - timedelta(days=CLOSED_DAYS)
    return sa.or_(
        sa.and_(col(User.disabled_at).is_(None), _is_here(now)),
        sa.and_(_is_closed(), sa.or_(lately, _has_key(now))),
    )


def _has_key(now: datetime) -> sa.ColumnElement[bool]:
    return sa.exists().where(col(ApiKey.user_id) == col(User.id), alive_key(now))


def _is_here(now: datetime) -> sa.ColumnElement[bool]:
    """Of a user: something of theirs goes on."""
    return sa.or_(
        _has_key(now),
        sa.exists().where(col(Session.user_id) == col(User.id), live_session(now)),
        sa.exists().where(
            col(Generation.user_id) == col(User.id), col(Generation.ended_at).is_(None)
        ),
    )
