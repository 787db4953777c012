"""Removes files whose time is over, and what killed processes left.

First the row goes, then the bytes: a process that dies in between leaves bytes without a row, which
the next sweep removes.
"""

import asyncio
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.models import Attachment
from genai_app.services.files.measure import find_orphans, measure_files
from genai_app.services.files.rows import is_attached, is_under_hold, owned_by
from genai_app.services.files.store import FileStore, Owned, sweep_parts
from genai_app.settings.settings import Settings

BATCH = 100
UNATTACHED = timedelta(days=1)  # how long a file waits for its question
SWEEP_S = 3600.0  # parts are swept with each call


@dataclass(slots=True)
class RemovedFiles:
    """Numbers of files, and of the bytes that were removed for them."""

    files: int = 0
    bytes: int = 0


class FileRemoval:
    """Removes files of all users, but for those under a legal hold.

    Args:
        store: the directory of files.
    """

    def __init__(self, db: Database, settings: Settings, store: FileStore) -> None:
        self._db = db
        self._days = settings.file_days
        self._store = store
        self._swept_at: float | None = None

    async def sweep(self) -> int:
        """Removes what killed processes left of uploads; once an hour also files whose time is over
        and bytes without a row. Returns the number of uploads and files."""
        removed = await asyncio.to_thread(sweep_parts, self._store.directory)
        await measure_files(self._db)
        if self._swept_at is None or time.monotonic() - self._swept_at >= SWEEP_S:
            self._swept_at = time.monotonic()
            removed += (await self.remove_expired()).files
            removed += len(await self.remove_orphans())
        return removed

    async def remove_expired(self) -> RemovedFiles:
        """Removes files that were deleted, that no question took within a day, whose dialogs are
        gone, or that are older than GENAI_FILE_DAYS. The name stays in messages that have it."""
        removed = RemovedFiles()
        while await self._remove_batch(expired(self._days), removed):
            pass
        return removed

    async def count_expired(self) -> int:
        """Returns how many files `remove_expired` would remove."""
        query = sa.select(sa.func.count()).select_from(Attachment)
        async with self._db.read() as session:
            return await session.scalar(query.where(expired(self._days), ~is_under_hold())) or 0

    async def remove_of_user(self, user_id: uuid.UUID) -> tuple[RemovedFiles, int]:
        """Removes all files of a user, for an erasure, also their names. Returns also the number of
        rows."""
        async with self._db.write() as session:
            result = await session.scalars(
                sa.delete(Attachment)
                .where(col(Attachment.user_id) == user_id)
                .returning(col(Attachment.id))
            )
            ids = result.all()
        removed = RemovedFiles()
        # also what killed processes left
        there = await asyncio.to_thread(lambda: list(self._store.list_files()))
        left = [owned for owned in there if owned[0] == user_id]
        for owned in left:
            await self._remove_bytes([owned], removed)
        return removed, len(ids)

    async def delete(self, session: AsyncSession, row: Attachment) -> bool:
        """Deletes a file whose row is locked. Returns whether its bytes are to be removed after the
        commit: a legal hold keeps them."""
        row.deleted_at = clock.now()
        session.add(row)
        await session.flush()
        return bool(await self._drop(session, col(Attachment.id) == row.id))

    async def remove_bytes(self, row: Attachment) -> int:
        """Removes the bytes of a file that was deleted. Returns their number."""
        removed = RemovedFiles()
        await self._remove_bytes([owned_by(row)], removed)
        return removed.bytes

    async def remove_orphans(self) -> list[Owned]:
        orphans = await find_orphans(self._db, self._store)
        await self._remove_bytes(orphans, RemovedFiles())
        return orphans

    async def _remove_batch(self, which: sa.ColumnElement[bool], removed: RemovedFiles) -> int:
        async with self._db.write() as session:
            dropped = await self._drop(session, which)
        await self._remove_bytes(dropped, removed)
        return len(dropped)

    async def _drop(self, session: AsyncSession, which: sa.ColumnElement[bool]) -> list[Owned]:
        """Deletes rows; of those that messages have, the content alone. Returns the files."""
        free = sa.and_(which, ~is_under_hold())
        locked = await session.scalars(
            sa.select(col(Attachment.id))
            .where(free)
            .order_by(col(Attachment.id))
            .limit(BATCH)
            .with_for_update(of=Attachment)
        )
        # again, now that none of them can be attached: a message may have come before the lock
        result = await session.execute(
            sa.select(col(Attachment.user_id), col(Attachment.id), is_attached()).where(
                col(Attachment.id).in_(locked.all()), free
            )
        )
        rows = result.all()
        now = clock.now()
        await session.execute(
            sa.update(Attachment)
            .where(col(Attachment.id).in_([row[1] for row in rows if row[2]]))
            .values(
                deleted_at=sa.func.coalesce(col(Attachment.deleted_at), now),
                wiped_at=now,
                summary="{}",
                lease_until=None,
            )
        )
        await session.execute(
            sa.delete(Attachment).where(
                col(Attachment.id).in_([row[1] for row in rows if not row[2]])
            )
        )
        return [(row[0], row[1]) for row in rows]

    async def _remove_bytes(self, files: Iterable[Owned], removed: RemovedFiles) -> None:
        for owned in files:
            removed.bytes += await asyncio.to_thread(self._store.remove, owned)
            removed.files += 1


def expired(days: int) -> sa.ColumnElement[bool]:
    """Returns the condition on a file that its time is over. `days`: GENAI_FILE_DAYS."""
    now, row = clock.now(), Attachment
    has_bytes = col(row.wiped_at).is_(None)
    over = [
        sa.and_(has_bytes, col(row.deleted_at).is_not(None)),
        sa.and_(col(row.dialog_id).is_(None), col(row.created_at) <= now - UNATTACHED),
        col(row.dialog_id).is_not(None),
    ]
    over[1:] = [sa.and_(each, ~is_attached()) for each in over[1:]]
    if days:
        over.append(sa.and_(has_bytes, col(row.created_at) <= now - timedelta(days)))
    return sa.or_(*over)
