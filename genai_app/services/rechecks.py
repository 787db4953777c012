"""Whoever is logged in is looked up in the directory again and again: who was disabled, expired,
deleted or taken out of the groups there is out here too, at every door.

A directory that is down, slow or confused says nothing about anybody: everything stays as it is,
and an alarm is raised.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock, metrics
from genai_app.access import Actor
from genai_app.adapters.directory import Directory
from genai_app.db import Database
from genai_app.errors import AppError, DirectoryUnavailable, StorageUnavailable
from genai_app.models import ApiKey, Generation, Origin, Session, User
from genai_app.services.audit import Action, Audit, Outcome, event
from genai_app.services.keys import alive_key
from genai_app.services.sessions import live_session
from genai_app.services.staff import BY, Staff

log = structlog.stdlib.get_logger(__name__)

LOOK_S = 2.0  # how often it is seen who is due
BATCH = 100
AT_ONCE = 2  # of the directory's eight threads; the others are for logins
PAUSE_S = 15.0  # after the directory did not answer
AUDITED_EVERY_S = 600.0
KNOWN_S = 10.0  # how long an answer tells that the directory serves


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

    async def hurry(self, actor: Actor) -> int:
        """Make everybody due at once, for this or another replica. Returns how many have a login, a
        key or a running answer."""
        async with self._db.write() as session:
            found = await session.scalars(
                sa.update(User)
                .where(
                    col(User.origin) == Origin.DIRECTORY,
                    col(User.disabled_at).is_(None),
                    _is_here(clock.now()),
                )
                .values(checked_at=None)
                .returning(col(User.id))
            )
            count = len(found.all())
            session.add(event(Action.RECHECK, by=actor, target="everybody", count=count))
        return count

    async def _recheck(self, user: User) -> bool:
        if not await self._claim(user):
            return True
        try:
            person = await self._directory.find(user.external_id or "", user.directory_dn)
        except DirectoryUnavailable as error:
            await self._unclaim(user)
            await self.note_lost(error)
            return False
        self.note_back()
        await self._staff.keep(user, person)
        return True

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
        """It did."""
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
                col(User.disabled_at).is_(None),
                sa.or_(col(User.checked_at).is_(None), col(User.checked_at) <= due),
                _is_here(now),
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


def _is_here(now: datetime) -> sa.ColumnElement[bool]:
    """Of a user: something of theirs goes on."""
    return sa.or_(
        sa.exists().where(col(Session.user_id) == col(User.id), live_session(now)),
        sa.exists().where(col(ApiKey.user_id) == col(User.id), alive_key(now)),
        sa.exists().where(
            col(Generation.user_id) == col(User.id), col(Generation.ended_at).is_(None)
        ),
    )
