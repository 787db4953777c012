"""Does jobs in the background. A row of a table is a job.

Any process with a free worker claims the oldest job with a lease and renews it twice a second,
together with the progress (lease.py). When a process dies, its lease expires and another process
starts the job again.
"""

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Generic

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.errors import AppError, StorageUnavailable
from genai_app.models import JobState
from genai_app.models.database_time import database_now
from genai_app.services.jobs.lease import JobRow, Lease, LeaseLost, claim

log = structlog.stdlib.get_logger(__name__)

LOOK_S = 1.0
SWEEP_S = 60.0


class JobWork(ABC, Generic[JobRow]):
    """Does the jobs of one kind.

    Attributes:
        noun: names the kind in the log and in codes: `<noun>_lost`, `<noun>_failed`.
        rows: the table of the jobs.
        most: jobs that a process does at the same time.
        kept: how long the row of an ended job stays; None: until its owner or a rule removes it.
    """

    noun: str
    rows: type[JobRow]
    most: int
    kept: timedelta | None

    async def claimable(self) -> Sequence[sa.ColumnElement[bool]]:
        """Returns further conditions on the rows that this process may claim."""
        return ()

    def order(self) -> Sequence[sa.ColumnElement[Any]]:
        """Returns the order in which jobs are claimed; by default the oldest is the first."""
        return ()

    @abstractmethod
    def begin(self, row: JobRow) -> None:
        """Changes a row for its next try, in the transaction that claims it."""

    @abstractmethod
    async def do(self, row: JobRow, lease: Lease[JobRow]) -> dict[str, Any]:
        """Does the job. Returns the values of the row that say what came of it."""

    @abstractmethod
    async def cleanup(self, row: JobRow, state: JobState | None) -> None:
        """Removes the files that nobody needs after a try. `state`: how the job ended; None when
        another try follows, here or elsewhere."""

    @abstractmethod
    async def sweep(self) -> int:
        """Removes expired rows, and files that no row names. Returns the number of files."""


class JobRunner(Generic[JobRow]):
    """The workers of this process for the jobs of one kind.

    Args:
        sole_process: no other process uses this database.
    """

    def __init__(self, db: Database, work: JobWork[JobRow], *, sole_process: bool) -> None:
        self._db = db
        self._work = work
        self.kept: timedelta | None = work.kept
        self._sole_process = sole_process
        self._jobs: dict[uuid.UUID, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def wake(self) -> None:
        """Looks for jobs at once: a new one was committed."""
        self._wake.set()

    def cancel(self, job_id: uuid.UUID) -> None:
        """Cancels the job if this process does it. Another process sees the change of the row."""
        if job := self._jobs.get(job_id):
            job.cancel()

    async def open(self) -> None:
        """Starts to look for jobs. Where only one process uses the database, the leases of a
        process that died are expired at once."""
        if self._sole_process:
            async with self._db.write() as session:
                await session.execute(
                    sa.update(self._work.rows)
                    .where(col(self._work.rows.state) == JobState.RUNNING)
                    .values(lease_until=database_now(-1))
                )
        self._loops = [
            asyncio.create_task(self._look(), name=f"{self._work.noun}s"),
            asyncio.create_task(self._keep_clean(), name=f"{self._work.noun} sweep"),
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
                    len(self._jobs) < self._work.most and (row := await self._claim()) is not None
                ):
                    task = asyncio.create_task(self._do(row), name=f"{self._work.noun} {row.id}")
                    self._jobs[row.id] = task
                    task.add_done_callback(lambda _, key=row.id: self._done(key))
            except StorageUnavailable as error:
                log.warning("storage.unavailable", while_doing=self._work.noun, detail=error.detail)
            except Exception:
                log.exception("background.bug", while_doing=self._work.noun)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()

    async def _claim(self) -> JobRow | None:
        return await claim(
            self._db,
            self._work.rows,
            self._work.begin,
            which=await self._work.claimable(),
            order=self._work.order(),
            kept=self.kept,
            lost_code=f"{self._work.noun}_lost",
        )

    def _done(self, job_id: uuid.UUID) -> None:
        self._jobs.pop(job_id, None)
        self._wake.set()

    async def _do(self, row: JobRow) -> None:
        task = asyncio.current_task()
        assert task is not None  # made by _look
        lease = Lease(self._db, row, task)
        keeping = asyncio.create_task(lease.keep(), name=f"lease of {row.id}")
        try:
            values = await self._work.do(row, lease)
            finishing = asyncio.ensure_future(self._finish(lease, JobState.DONE, **values))
            try:
                await asyncio.shield(finishing)
            except asyncio.CancelledError:  # too late: the result and its row stay
                await finishing
        except (asyncio.CancelledError, LeaseLost):
            await asyncio.shield(self._work.cleanup(row, None))
            if not lease.lost:  # the process ends; or the user cancelled, and the row says so
                await asyncio.shield(lease.give_back())
        except AppError as error:
            log.warning(
                f"{self._work.noun}.failed", job=str(row.id), code=error.code, detail=error.detail
            )
            await self._finish(lease, JobState.FAILED, error.code)
        except Exception:
            log.exception(f"{self._work.noun}.bug", job=str(row.id))
            await self._finish(lease, JobState.FAILED, f"{self._work.noun}_failed")
        finally:
            keeping.cancel()

    async def _finish(
        self, lease: Lease[JobRow], state: JobState, code: str = "", **values: Any
    ) -> None:
        """Ends the job, unless its lease was lost meanwhile."""
        held = await lease.finish(state, code, kept=self.kept, **values)
        await self._work.cleanup(lease.row, state if held else None)

    async def _keep_clean(self) -> None:
        while True:
            try:
                await self._work.sweep()
            except StorageUnavailable:
                pass
            except Exception:
                log.exception("background.bug", while_doing=f"{self._work.noun} sweep")
            await asyncio.sleep(SWEEP_S)
