"""Writes exports in the background. A row of the table is a job.

Any process with a free worker claims the oldest job with a lease and renews it twice a second,
together with the progress (lease.py). When a process dies, its lease expires and another process
starts the job again.
"""

import asyncio
import os
import uuid
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.errors import AppError, StorageUnavailable
from genai_app.models import Export, JobState, User
from genai_app.models.database_time import database_now
from genai_app.services.exports.choice import ExportChoice, ExportKind, Format
from genai_app.services.exports.files import ExportFiles
from genai_app.services.exports.lease import ExportLease, claim_export
from genai_app.services.exports.writer import ExportRun, Job
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

MAX_JOBS = 2
LOOK_S = 1.0
SWEEP_S = 60.0
UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)
ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class ExportJobs:
    """The workers of this process: at most MAX_JOBS exports are written at the same time."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._run = ExportRun(db, settings)
        self.files = ExportFiles(db, settings)
        self._jobs: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def wake(self) -> None:
        """Looks for jobs at once: a new one was committed."""
        self._wake.set()

    def cancel(self, export_id: uuid.UUID) -> None:
        """Cancels the job if this process runs it. Another process sees the change of the row."""
        if job := self._jobs.get(export_id):
            job.cancel()

    async def open(self) -> None:
        """Starts to look for jobs. On SQLite, which only one process uses, the leases of a process
        that died are expired at once."""
        self.files.create_directory()
        if self._settings.embedded:
            async with self._db.write() as session:
                await session.execute(
                    sa.update(Export)
                    .where(col(Export.state) == JobState.RUNNING)
                    .values(lease_until=database_now(-1))
                )
        self._loops = [
            asyncio.create_task(self._look(), name="exports"),
            asyncio.create_task(self._keep_clean(), name="export sweep"),
        ]

    async def close(self) -> None:
        """Stops, and returns running jobs to the queue."""
        for task in [*self._loops, *self._jobs.values()]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._jobs.values(), return_exceptions=True)

    async def _look(self) -> None:
        while True:
            self._wake.clear()
            try:
                while (
                    len(self._jobs) < MAX_JOBS
                    and (row := await claim_export(self._db, self._settings)) is not None
                ):
                    task = asyncio.create_task(self._make(row), name=f"export {row.id}")
                    self._jobs[row.id] = task
                    task.add_done_callback(lambda _, key=row.id: self._done(key))
            except StorageUnavailable as error:
                log.warning("storage.unavailable", while_doing="exports", detail=error.detail)
            except Exception:
                log.exception("background.bug", while_doing="exports")
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()

    def _done(self, export_id: uuid.UUID) -> None:
        self._jobs.pop(export_id, None)
        self._wake.set()

    async def _make(self, row: Export) -> None:
        job = await self._job(row)
        path = self.files.directory / row.file_name
        part = path.with_name(path.name + ".part")
        work = asyncio.current_task()
        assert work is not None  # made by _look
        lease = ExportLease(self._db, row, work)
        keeping = asyncio.create_task(lease.keep(), name=f"lease of {row.id}")
        try:
            await self._run.write(job, part, lease.set_progress)
            size = (await asyncio.to_thread(_complete, part, path)).st_size
            finishing = asyncio.ensure_future(self._finish(lease, JobState.DONE, size=size))
            try:
                await asyncio.shield(finishing)
            except asyncio.CancelledError:  # too late: the file and its row stay
                await finishing
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(self.files.remove, row.file_name))
            if not lease.lost:  # the process ends; or the user cancelled, and the row says so
                await asyncio.shield(lease.give_back())
        except AppError as error:
            log.warning("export.failed", export=str(row.id), code=error.code, detail=error.detail)
            await self._finish(lease, JobState.FAILED, error.code)
        except Exception:
            log.exception("export.bug", export=str(row.id))
            await self._finish(lease, JobState.FAILED, "export_failed")
        finally:
            keeping.cancel()

    async def _job(self, row: Export) -> Job:
        async with self._db.read() as session:
            owner = await session.get(User, row.owner_id)
        return Job(
            kind=ExportKind(row.kind),
            format=Format(row.format),
            choice=ExportChoice.of_json(row.chosen),
            owner_id=row.owner_id,
            username=owner.username if owner else "",
            locale=row.locale,
        )

    async def _finish(
        self, lease: ExportLease, state: JobState, code: str = "", size: int = 0
    ) -> None:
        """Ends the job. Its file is removed when the lease was lost meanwhile."""
        if not await lease.finish(self._settings, state, code, size):
            await asyncio.to_thread(self.files.remove, lease.row.file_name)

    async def _keep_clean(self) -> None:
        while True:
            try:
                await self.files.sweep()
            except StorageUnavailable:
                pass
            except Exception:
                log.exception("background.bug", while_doing="export sweep")
            await asyncio.sleep(SWEEP_S)


def _complete(part: Path, path: Path) -> os.stat_result:
    """Renames a file that is written to its end."""
    part.rename(path)
    return path.stat()
