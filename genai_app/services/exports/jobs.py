"""Makes exports in the background. A row is a job.

Whichever process is free claims it with a lease and renews that twice a second together with the
progress; a lease that ran out says that its process is gone, and another one begins anew. The
moment until which it is held is also the proof of who holds it.
"""

import asyncio
import os
import secrets
import uuid
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.errors import AppError, StorageUnavailable
from genai_app.models import Export, JobState, User
from genai_app.models.database_time import database_now
from genai_app.services.exports.choice import ExportChoice, ExportKind, Format
from genai_app.services.exports.writer import ExportRun, Job
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

AT_ONCE = 2
LOOK_S = 1.0
RENEW_S = 0.5
LEASE_S = 10.0
SWEEP_S = 60.0
MAX_TRIES = 3
UNDER_WAY = (JobState.QUEUED, JobState.RUNNING)
ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class ExportJobs:
    """At most two at a time in this process."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._run = ExportRun(db, settings)
        self.directory = settings.data_dir.absolute() / "exports"
        self._jobs: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def hurry(self) -> None:
        """There is a new job."""
        self._wake.set()

    def cancel(self, export_id: uuid.UUID) -> None:
        """End the job here and now, if it is one of this process. Another one sees its row."""
        if job := self._jobs.get(export_id):
            job.cancel()

    async def open(self) -> None:
        """Begin to look for jobs. On a database of this process alone, what a dead one held is free
        at once."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
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
        """Give what is being made back to the queue."""
        for task in [*self._loops, *self._jobs.values()]:
            task.cancel()
        await asyncio.gather(*self._loops, *self._jobs.values(), return_exceptions=True)

    async def _look(self) -> None:
        while True:
            self._wake.clear()
            try:
                while len(self._jobs) < AT_ONCE and (row := await self._claim()) is not None:
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

    async def _claim(self) -> Export | None:
        """The oldest job that nobody makes, with a new file name and our lease."""
        lost = col(Export.lease_until) < database_now()
        free = sa.or_(
            col(Export.state) == JobState.QUEUED,
            sa.and_(col(Export.state) == JobState.RUNNING, lost),
        )
        oldest = sa.select(Export).where(free).order_by(col(Export.id)).limit(1)
        async with self._db.read() as session:  # mostly there is none: no writer is disturbed
            if await session.scalar(oldest) is None:
                return None
        async with self._db.write() as session:
            row = await session.scalar(oldest.with_for_update(skip_locked=True))
            if row is None:
                return None
            choice = ExportChoice.of_json(row.chosen)
            choice.tries += 1
            row.chosen = choice.to_json()
            row.state = JobState.RUNNING
            row.done = 0
            row.file_name = secrets.token_hex(16)
            if choice.tries > MAX_TRIES:  # it takes every process with it that makes it
                self._end(row, JobState.FAILED, "export_lost")
            else:
                row.lease_until = await session.scalar(sa.select(database_now(LEASE_S)))
            session.add(row)
        return row if row.state == JobState.RUNNING else await self._claim()

    async def _make(self, row: Export) -> None:
        job = await self._job(row)
        path = self.directory / row.file_name
        part = path.with_name(path.name + ".part")
        work = asyncio.current_task()
        assert work is not None  # made by _look
        lease = _Lease(self._db, row, work)
        keeping = asyncio.create_task(lease.keep(), name=f"lease of {row.id}")
        try:
            await self._run.write(job, part, lease.note)
            size = (await asyncio.to_thread(_settle, part, path)).st_size
            finishing = asyncio.ensure_future(self._finish(lease, JobState.DONE, size=size))
            try:
                await asyncio.shield(finishing)
            except asyncio.CancelledError:  # too late: the file and the row that tells of it stay
                await finishing
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(self.unlink, row.file_name))
            if not lease.lost:  # the process ends; or the user cancelled, and the row says so
                await asyncio.shield(self._give_back(lease))
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
        self, lease: "_Lease", state: JobState, code: str = "", size: int = 0
    ) -> None:
        row = lease.row
        row.total, row.done, row.size = lease.total, lease.done, size
        self._end(row, state, code)
        values = {
            name: getattr(row, name)
            for name in (
                "state",
                "error_code",
                "total",
                "done",
                "size",
                "finished_at",
                "expires_at",
            )
        }
        if not await lease.change(**values, lease_until=None):
            await asyncio.to_thread(self.unlink, row.file_name)

    async def _give_back(self, lease: "_Lease") -> None:
        choice = ExportChoice.of_json(lease.row.chosen)
        choice.tries -= 1  # it was no fault of the job
        with suppress(StorageUnavailable):  # then its lease runs out
            await lease.change(
                state=JobState.QUEUED, lease_until=None, done=0, chosen=choice.to_json()
            )

    def _end(self, row: Export, state: JobState, code: str) -> None:
        row.state, row.error_code = state, code
        row.finished_at, row.expires_at = clock.now(), expiry(self._settings)

    async def _keep_clean(self) -> None:
        while True:
            try:
                await self.sweep()
            except StorageUnavailable:
                pass
            except Exception:
                log.exception("background.bug", while_doing="export sweep")
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> int:
        """Forget exports that expired, and remove files of this host that are no row's: of dead
        processes, of rows that are gone. Returns how many files."""
        async with self._db.write() as session:
            await session.execute(sa.delete(Export).where(col(Export.expires_at) <= clock.now()))
        # first the files, then the rows: a file of a row that is made in between is not looked at
        names = await asyncio.to_thread(lambda: os.listdir(self.directory))
        async with self._db.read() as session:
            kept = await session.scalars(
                sa.select(col(Export.file_name)).where(
                    col(Export.state).in_((JobState.RUNNING, JobState.DONE))
                )
            )
            known = set(kept)
        gone = [name for name in names if name.partition(".")[0] not in known]
        for name in gone:
            await asyncio.to_thread((self.directory / name).unlink, missing_ok=True)
        return len(gone)

    def unlink(self, file_name: str) -> None:
        """Remove a file of ours, whole or not."""
        if file_name:
            for each in ("", ".part"):
                (self.directory / (file_name + each)).unlink(missing_ok=True)


class _Lease:
    """Our hold of one job, and how far it is. `lost`: it is somebody else's, or cancelled."""

    def __init__(self, db: Database, row: Export, work: asyncio.Task[None]) -> None:
        self._db = db
        self.row = row
        self._work = work
        self._until = row.lease_until
        self._changing = asyncio.Lock()
        self.total = self.done = 0
        self.lost = False

    def note(self, done: int, total: int) -> None:
        # people go on while it is made: never more than all
        self.done, self.total = done, max(total, done)

    async def keep(self) -> None:
        """Renew it until cancelled; stop the work when it is lost."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                held = await self.change(
                    lease_until=database_now(LEASE_S), done=self.done, total=self.total
                )
            except StorageUnavailable:
                continue  # when the lease runs out meanwhile, the next one tells
            if not held:
                self._work.cancel()
                return

    async def change(self, **values: Any) -> bool:
        """Write into the row if it is still ours. Returns whether it is."""
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
    """When a file that is made now is removed."""
    return clock.now() + timedelta(days=settings.export_days)


def _settle(part: Path, path: Path) -> os.stat_result:
    """Give a whole file its name."""
    part.rename(path)
    return path.stat()
