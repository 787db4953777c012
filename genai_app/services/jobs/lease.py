"""Claims queued jobs, and the lease of a process on the job that it does."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import Attachment, BackgroundJob, Export, JobState
from genai_app.models.database_time import database_now

RENEW_S = 0.5
LEASE_S = 10.0
MAX_TRIES = 3
UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)
ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)

# a row of a table of jobs
JobRow = TypeVar("JobRow", Export, BackgroundJob, Attachment)


class LeaseLost(Exception):
    """Another process claimed the job, or it was cancelled or removed."""


async def claim(
    db: Database,
    rows: type[JobRow],
    begin: Callable[[JobRow], None],
    *,
    which: Sequence[sa.ColumnElement[bool]] = (),
    order: Sequence[sa.ColumnElement[Any]] = (),
    kept: timedelta | None,
    lost_code: str,
) -> JobRow | None:
    """Claims the oldest job of `rows` that is queued or whose lease expired, or the first in
    another order. Returns None when there is none. A job that already used up its tries fails.

    Args:
        begin: changes the row for the next try, in the transaction of the claim.
        which: further conditions on the rows.
        kept: how long the row of an ended job stays; None keeps it.
        lost_code: the error of a job that ended each process which tried it.
    """
    expired = col(rows.lease_until) < database_now()
    free = sa.or_(
        col(rows.state) == JobState.QUEUED,
        sa.and_(col(rows.state) == JobState.RUNNING, expired),
    )
    first = order or (col(rows.id),)
    oldest = sa.select(rows).where(free, *which).order_by(*first).limit(1)
    while True:
        async with db.read() as session:  # mostly there is none: no writer is disturbed
            if await session.scalar(oldest) is None:
                return None
        async with db.write() as session:
            row = await session.scalar(oldest.with_for_update(skip_locked=True, of=rows))
            if row is None:
                return None
            row.tries += 1
            row.state = JobState.RUNNING
            begin(row)
            if row.tries > MAX_TRIES:
                _end(row, JobState.FAILED, lost_code, kept)
            else:
                row.lease_until = await session.scalar(sa.select(database_now(LEASE_S)))
            session.add(row)
        if row.state == JobState.RUNNING:
            return row


class Lease(Generic[JobRow]):
    """The lease of this process on one job, and the job's progress.

    The expiry in the row proves whose the lease is: each renewal writes a new one. `lost`: another
    process claimed the job, or it was cancelled or removed.

    Args:
        work: the task that does the job; it is cancelled when the lease is lost.
    """

    def __init__(self, db: Database, row: JobRow, work: asyncio.Task[None]) -> None:
        self._db = db
        self.row = row
        self._work = work
        self._until = row.lease_until
        self._changing = asyncio.Lock()
        self.total, self.done = row.total, row.done
        self.lost = False

    def set_progress(self, done: int, total: int) -> None:
        # rows are added while an export is written: `done` may pass the first count
        self.done, self.total = done, max(total, done)

    async def keep(self) -> None:
        """Renews the lease until cancelled. Cancels the work when the lease is lost."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                held = await self._change(
                    lease_until=database_now(LEASE_S), done=self.done, total=self.total
                )
            except StorageUnavailable:
                continue  # if the lease expires meanwhile, the next renewal shows it
            if not held:
                self._work.cancel()
                return

    async def finish(
        self, state: JobState, code: str = "", *, kept: timedelta | None, **values: Any
    ) -> bool:
        """Writes the end of the job, with more `values` of its row. Returns False when the lease
        was lost."""
        row = self.row
        row.total, row.done = self.total, self.done
        for name, value in values.items():
            setattr(row, name, value)
        _end(row, state, code, kept)
        names = ("state", "error_code", "total", "done", "finished_at", "expires_at")
        ending = {name: getattr(row, name) for name in names}
        return await self._change(**ending, **values, lease_until=None)

    async def give_back(self) -> None:
        """Returns the job to the queue. The try does not count: it is not the job's fault."""
        with suppress(StorageUnavailable):  # then the lease expires
            await self._change(
                state=JobState.QUEUED, lease_until=None, done=0, tries=self.row.tries - 1
            )

    @asynccontextmanager
    async def transaction(self, **values: Any) -> AsyncGenerator[AsyncSession]:
        """Yields a session whose writes are committed together with new values of the row.

        Raises:
            LeaseLost: nothing was changed.
            StorageUnavailable: it is not known whether anything was.
        """
        async with self._changing:
            async with self._db.write() as session:
                result = await session.execute(
                    sa.update(type(self.row))
                    .where(
                        col(type(self.row).id) == self.row.id,
                        col(type(self.row).state) == JobState.RUNNING,
                        col(type(self.row).lease_until) == self._until,
                    )
                    .values(**values)
                    .returning(col(type(self.row).lease_until))
                )
                held = result.one_or_none()
                if held is None:
                    self.lost, self._until = True, None
                    raise LeaseLost
                yield session
            self._until = held.lease_until

    async def _change(self, **values: Any) -> bool:
        """Updates the row. Returns False and changes nothing when the lease is lost."""
        try:
            async with self.transaction(**values):
                return True
        except LeaseLost:
            return False


async def cancel_job(
    db: Database, rows: type[JobRow], job_id: uuid.UUID, *, kept: timedelta | None
) -> bool:
    """Cancels a job that is queued or running. Returns False when it already ended."""
    async with db.write() as session:
        cancelled = await session.scalar(
            sa.update(rows)
            .where(col(rows.id) == job_id, col(rows.state).in_(UNDER_WAY))
            .values(
                state=JobState.CANCELLED,
                finished_at=clock.now(),
                expires_at=None if kept is None else clock.now() + kept,
                lease_until=None,
            )
            .returning(col(rows.id))
        )
    return cancelled is not None


def _end(row: JobRow, state: JobState, code: str, kept: timedelta | None) -> None:
    row.state, row.error_code = state, code
    row.finished_at = clock.now()
    row.expires_at = None if kept is None else clock.now() + kept
