"""The lease of the one process that reads a messenger's updates, by the database's clock.

jobs/lease.py is of a job that ends and belongs to a user; a poller does neither, so its row has no
state, tries or owner among the users.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import MessengerPoller
from genai_app.models.database_time import database_now
from genai_app.services.jobs.lease import LeaseLost

RENEW_S = 2.0
LEASE_S = 10.0


class PollerLease:
    """The lease of this process on a messenger. `position`: how far its updates were read.

    Args:
        owner: the name of this process.
    """

    def __init__(self, db: Database, messenger: str, owner: str) -> None:
        self._db = db
        self._messenger = messenger
        self._owner = owner
        self._row = col(MessengerPoller.messenger) == messenger
        self.position = ""

    async def claim(self) -> bool:
        """Takes the lease if it is free. Returns False while another process has it."""
        with suppress(IntegrityError):  # another process adds the same row
            async with self._db.write() as session:
                if await session.get(MessengerPoller, self._messenger) is None:
                    session.add(MessengerPoller(messenger=self._messenger))
        until, owner = col(MessengerPoller.lease_until), col(MessengerPoller.owner)
        free = sa.or_(until.is_(None), until < database_now(), owner == self._owner)
        async with self._db.write() as session:
            held = (
                await session.execute(
                    sa.update(MessengerPoller)
                    .where(self._row, free)
                    .values(owner=self._owner, lease_until=database_now(LEASE_S))
                    .returning(col(MessengerPoller.position))
                )
            ).one_or_none()
        if held is None:
            return False
        self.position = held.position
        return True

    async def keep(self) -> None:
        """Renews the lease. Returns when it is lost, or could not be renewed in time."""
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()
        while loop.time() < renewed_at + LEASE_S - RENEW_S:
            await asyncio.sleep(RENEW_S)
            asked_at = loop.time()
            with suppress(StorageUnavailable):
                async with asyncio.timeout(LEASE_S - RENEW_S):
                    if not await self._renew():
                        return
                renewed_at = asked_at

    async def _renew(self) -> bool:
        async with self._db.write() as session:
            held = await session.scalar(
                sa.update(MessengerPoller)
                .where(self._row, self._is_held())
                .values(lease_until=database_now(LEASE_S))
                .returning(col(MessengerPoller.messenger))
            )
        return held is not None

    def _is_held(self) -> sa.ColumnElement[bool]:
        until = col(MessengerPoller.lease_until)
        return sa.and_(col(MessengerPoller.owner) == self._owner, until > database_now())

    @asynccontextmanager
    async def transaction(self, position: str) -> AsyncGenerator[AsyncSession]:
        """Yields a session whose writes are committed together with the new position.

        Raises:
            LeaseLost: nothing was changed.
        """
        async with self._db.write() as session:
            held = await session.scalar(
                sa.update(MessengerPoller)
                .where(self._row, self._is_held())
                .values(position=position)
                .returning(col(MessengerPoller.messenger))
            )
            if held is None:
                raise LeaseLost
            yield session
        self.position = position

    async def release(self) -> None:
        """Frees the lease for another process, at the orderly end of this one."""
        with suppress(StorageUnavailable):  # then it expires
            async with self._db.write() as session:
                await session.execute(
                    sa.update(MessengerPoller)
                    .where(self._row, col(MessengerPoller.owner) == self._owner)
                    .values(lease_until=None)
                )
