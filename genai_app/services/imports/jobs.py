"""Imports dialogs in the background (services/jobs): each row of the kind is an uploaded file.

A batch of dialogs is committed together with the counts of all so far. So the next try, after the
process died, goes on behind them: nothing comes twice, and the counts are right.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.db.failures import Undone
from genai_app.db.statements import Row
from genai_app.errors import InvalidInput, NotFound, StorageUnavailable, TooLarge
from genai_app.models import BackgroundJob, Dialog, JobState, Message, User
from genai_app.models.database_time import database_now
from genai_app.services.imports.child import reading
from genai_app.services.imports.counts import ImportCounts
from genai_app.services.imports.files import ImportFiles
from genai_app.services.imports.reader.frames import ReadDialog, ReadEnd, ReadProgress, Unread
from genai_app.services.imports.rows import dialog_rows, imported_id
from genai_app.services.jobs.lease import LEASE_S, UNDER_WAY, Lease
from genai_app.services.jobs.runner import JobRunner, JobWork
from genai_app.settings.notations import kept_days
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

KIND = "import"
KEPT = timedelta(days=7)
LOST_AFTER = timedelta(days=1)  # without a process that has the file
BATCH_DIALOGS, BATCH_MESSAGES, BATCH_CHARS = 50, 500, 500_000
INSERTED = 500  # messages of one statement
RETRY_S = 1.0
Read = ReadDialog | Unread


class ImportWork(JobWork[BackgroundJob]):
    """Imports the dialogs of a file. A process reads one file at a time."""

    noun = KIND
    rows = BackgroundJob
    most = 1
    kept = KEPT

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self.files = ImportFiles(db, settings)

    async def claimable(self) -> Sequence[sa.ColumnElement[bool]]:
        """Returns the condition that the file is on this host."""
        names = await asyncio.to_thread(self.files.list_complete)
        return [col(BackgroundJob.kind) == KIND, col(BackgroundJob.file_name).in_(names)]

    def begin(self, row: BackgroundJob) -> None:
        """Changes nothing: the next try goes on behind what is committed."""

    async def do(self, row: BackgroundJob, lease: Lease[BackgroundJob]) -> dict[str, Any]:
        """Imports what the file has behind the dialogs that are counted. Returns the counts."""
        writer = await self._writer(row, lease)
        before, seen = writer.counts.seen, 0
        async with reading(self.files.directory / row.file_name) as frames:
            async for frame in frames:
                if isinstance(frame, ReadProgress):
                    lease.set_progress(frame.done, frame.total)
                elif isinstance(frame, ReadEnd):
                    await writer.flush()
                    _check(writer.counts, frame.stopped)
                    writer.counts.stopped = frame.stopped
                else:
                    seen += 1
                    if seen > before:
                        await writer.add(frame)
        whole = max(lease.total, 1)  # a small file is read before any progress is told
        lease.set_progress(whole, whole)
        return {"result": writer.counts.to_json()}

    async def cleanup(self, row: BackgroundJob, state: JobState | None) -> None:
        if state is not None:
            await asyncio.to_thread(self.files.remove, row.file_name)

    async def sweep(self) -> int:
        now = clock.now()
        job = BackgroundJob
        abandoned = sa.or_(col(job.lease_until).is_(None), col(job.lease_until) < database_now())
        async with self._db.write() as session:
            await session.execute(
                sa.delete(job).where(col(job.kind) == KIND, col(job.expires_at) <= now)
            )
            await session.execute(
                sa.update(job)
                .where(
                    col(job.kind) == KIND,
                    col(job.state).in_(UNDER_WAY),
                    col(job.created_at) < now - LOST_AFTER,
                    abandoned,
                )
                .values(
                    state=JobState.FAILED,
                    error_code="import_lost",
                    finished_at=now,
                    expires_at=now + KEPT,
                    lease_until=None,
                )
            )
        return await self.files.sweep()

    async def _writer(self, row: BackgroundJob, lease: Lease[BackgroundJob]) -> "ImportWriter":
        async with self._db.read() as session:
            user = await session.get(User, row.owner_id)
        if user is None:  # erased a moment ago
            raise NotFound(code="import_lost")
        settings = self._settings
        rules = settings.retention_rules
        days = kept_days(rules, settings.retention_days, user.department, user.role)
        oldest = clock.now() - timedelta(days=days) if days else None
        return ImportWriter(lease, ImportCounts.of_json(row.result), oldest)


class ImportJobs(JobRunner[BackgroundJob]):
    """The workers of this process."""

    def __init__(self, db: Database, settings: Settings) -> None:
        work = ImportWork(db, settings)
        super().__init__(db, work, sole_process=settings.embedded)
        self.files = work.files

    async def open(self) -> None:
        self.files.create_directory()
        await super().open()


class ImportWriter:
    """Writes dialogs in batches, each in one transaction with the counts.

    Args:
        oldest: retention removes a dialog that was last changed before; None keeps all.
    """

    def __init__(
        self, lease: Lease[BackgroundJob], counts: ImportCounts, oldest: datetime | None
    ) -> None:
        self._lease = lease
        self.counts = counts
        self._oldest = oldest
        self._batch: list[Read] = []
        self._messages = self._chars = 0

    async def add(self, read: Read) -> None:
        """Adds a dialog to the batch, and writes the batch when it is large enough.

        Raises LeaseLost.
        """
        self._batch.append(read)
        if isinstance(read, ReadDialog):
            self._messages += len(read.messages)
            self._chars += sum(len(each.text) for each in read.messages)
        if (
            len(self._batch) >= BATCH_DIALOGS
            or self._messages >= BATCH_MESSAGES
            or self._chars >= BATCH_CHARS
        ):
            await self.flush()

    async def flush(self) -> None:
        """Writes the batch; waits while the database is away. Raises LeaseLost."""
        while self._batch:
            try:
                counts = await self._write()
            except Undone:
                continue
            except StorageUnavailable as error:
                log.warning("storage.unavailable", while_doing="import", detail=error.detail)
                await asyncio.sleep(RETRY_S)
                continue
            self.counts = counts
            self._batch, self._messages, self._chars = [], 0, 0

    async def _write(self) -> ImportCounts:
        """Commits the batch. Returns the counts after it."""
        counts, row = replace(self.counts), self._lease.row
        dialogs = [each for each in self._batch if isinstance(each, ReadDialog)]
        counts.seen += len(self._batch)
        for each in self._batch:
            if isinstance(each, Unread):
                counts.empty += each.reason == "empty"
                counts.unread += each.reason != "empty"
        async with self._lease.transaction(lease_until=database_now(LEASE_S)) as session:
            new = await self._new(session, dialogs, counts)
            for dialog, messages in self._rows(new, counts):
                await session.execute(sa.insert(Dialog), [dialog])
                for start in range(0, len(messages), INSERTED):
                    await session.execute(sa.insert(Message), messages[start : start + INSERTED])
            await session.execute(
                sa.update(BackgroundJob)
                .where(col(BackgroundJob.id) == row.id)
                .values(result=counts.to_json())
            )
        return counts

    async def _new(
        self, session: AsyncSession, dialogs: Sequence[ReadDialog], counts: ImportCounts
    ) -> list[ReadDialog]:
        """Returns the dialogs that are not there yet; counts the others."""
        owner_id = self._lease.row.owner_id
        ids = [imported_id(owner_id, each) for each in dialogs]
        rows = await session.execute(
            sa.select(col(Dialog.id), col(Dialog.deleted_at)).where(col(Dialog.id).in_(ids))
        )
        there: dict[uuid.UUID, datetime | None] = {row.id: row.deleted_at for row in rows}
        new: list[ReadDialog] = []
        for key, dialog in zip(ids, dialogs, strict=True):
            if key not in there:
                there[key] = None
                new.append(dialog)
            elif there[key] is None:
                counts.repeated += 1
            else:
                counts.deleted += 1
        return new

    def _rows(
        self, dialogs: Sequence[ReadDialog], counts: ImportCounts
    ) -> list[tuple[Row, list[Row]]]:
        """Returns the rows of the dialogs that retention would keep; counts them all."""
        job, now = self._lease.row, clock.now()
        pairs: list[tuple[Row, list[Row]]] = []
        for each in dialogs:
            dialog, messages = dialog_rows(job.owner_id, each, job.locale, now)
            if self._oldest is not None and dialog["updated_at"] <= self._oldest:
                counts.expired += 1
                continue
            pairs.append((dialog, messages))
            counts.imported += 1
            counts.messages += len(messages)
            counts.cut += any(message.cut for message in each.messages)
        return pairs


def _check(counts: ImportCounts, stopped: str) -> None:
    """Raises InvalidInput or TooLarge where no dialog of a file could be read."""
    if counts.seen > counts.unread:
        return
    if stopped == "too_large":
        raise TooLarge(code="import_unpacked_too_large")
    is_named = stopped in ("damaged", "encrypted")
    raise InvalidInput(code=f"import_{stopped}" if is_named else "import_unknown")
