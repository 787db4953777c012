"""Claims queued exports, and the lease of a process on the export that it writes."""

import asyncio
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import Export, JobState
from genai_app.models.database_time import database_now
from genai_app.services.exports.choice import ExportChoice
from genai_app.settings.settings import Settings

RENEW_S = 0.5
LEASE_S = 10.0
MAX_TRIES = 3


async def claim_export(db: Database, settings: Settings) -> Export | None:
    """Claims the oldest export that is queued or whose lease expired, and gives it a new file name.

    Returns None when there is none. An export that already used up its tries fails.
    """
    expired = col(Export.lease_until) < database_now()
    free = sa.or_(
        col(Export.state) == JobState.QUEUED,
        sa.and_(col(Export.state) == JobState.RUNNING, expired),
    )
    oldest = sa.select(Export).where(free).order_by(col(Export.id)).limit(1)
    while True:
        async with db.read() as session:  # mostly there is none: no writer is disturbed
            if await session.scalar(oldest) is None:
                return None
        async with db.write() as session:
            row = await session.scalar(oldest.with_for_update(skip_locked=True))
            if row is None:
                return None
            choice = ExportChoice.of_json(row.chosen)
            choice.tries += 1
            row.chosen = choice.to_json()
            row.state = JobState.RUNNING
            row.done = 0
            row.file_name = secrets.token_hex(16)
            if choice.tries > MAX_TRIES:  # it killed each process that tried it
                _end(row, JobState.FAILED, "export_lost", settings)
            else:
                row.lease_until = await session.scalar(sa.select(database_now(LEASE_S)))
            session.add(row)
        if row.state == JobState.RUNNING:
            return row


class ExportLease:
    """The lease of this process on one export, and the progress of the file.

    The expiry in the row proves whose the lease is: each renewal writes a new one. `lost`: another
    process claimed the export, or it was cancelled or removed.

    Args:
        work: the task that writes the file; it is cancelled when the lease is lost.
    """

    def __init__(self, db: Database, row: Export, work: asyncio.Task[None]) -> None:
        self._db = db
        self.row = row
        self._work = work
        self._until = row.lease_until
        self._changing = asyncio.Lock()
        self.total = self.done = 0
        self.lost = False

    def set_progress(self, done: int, total: int) -> None:
        # rows are added while the file is written: `done` may pass the first count
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
        self, settings: Settings, state: JobState, code: str = "", size: int = 0
    ) -> bool:
        """Writes the end of the export, and its size in bytes. Returns False when the lease was
        lost."""
        row = self.row
        row.total, row.done, row.size = self.total, self.done, size
        _end(row, state, code, settings)
        names = ("state", "error_code", "total", "done", "size", "finished_at", "expires_at")
        values = {name: getattr(row, name) for name in names}
        return await self._change(**values, lease_until=None)

    async def give_back(self) -> None:
        """Returns the export to the queue. The try does not count: it is not the export's fault."""
        choice = ExportChoice.of_json(self.row.chosen)
        choice.tries -= 1
        with suppress(StorageUnavailable):  # then the lease expires
            await self._change(
                state=JobState.QUEUED, lease_until=None, done=0, chosen=choice.to_json()
            )

    async def _change(self, **values: Any) -> bool:
        """Updates the row. Returns False and changes nothing when the lease is lost."""
        async with self._changing:
            async with self._db.write() as session:
                result = await session.execute(
                    sa.update(Export)
                    .where(
                        col(Export.id) == self.row.id,
                        col(Export.state) == JobState.RUNNING,
                        col(Export.lease_until) == self._until,
                    )
                    .values(**values)
                    .returning(col(Export.lease_until))
                )
                held = result.one_or_none()
            self.lost = held is None
            self._until = None if held is None else held.lease_until
            return not self.lost


def expiry(settings: Settings) -> datetime:
    """Returns the moment at which a file that is finished now is removed."""
    return clock.now() + timedelta(days=settings.export_days)


def _end(row: Export, state: JobState, code: str, settings: Settings) -> None:
    row.state, row.error_code = state, code
    row.finished_at, row.expires_at = clock.now(), expiry(settings)
