"""Writes exports in the background (services/jobs): each row of the table is a file to be made."""

import asyncio
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

from genai_app.db.database import Database
from genai_app.models import Export, JobState, User
from genai_app.services.exports.choice import ExportChoice, ExportKind, Format
from genai_app.services.exports.files import ExportFiles
from genai_app.services.exports.writer import ExportRun, Job
from genai_app.services.jobs.lease import Lease
from genai_app.services.jobs.runner import JobRunner, JobWork
from genai_app.settings.settings import Settings


class ExportWork(JobWork[Export]):
    """Writes the file of an export. A process writes two at the same time."""

    noun = "export"
    rows = Export
    most = 2

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self.kept = timedelta(days=settings.export_days)
        self._run = ExportRun(db, settings)
        self.files = ExportFiles(db, settings)

    def begin(self, row: Export) -> None:
        row.done = 0
        row.file_name = secrets.token_hex(16)

    async def do(self, row: Export, lease: Lease[Export]) -> dict[str, Any]:
        """Writes the file. Returns its size in bytes."""
        job = await self._job(row)
        path = self.files.directory / row.file_name
        part = path.with_name(path.name + ".part")
        await self._run.write(job, part, lease.set_progress)
        return {"size": (await asyncio.to_thread(_complete, part, path)).st_size}

    async def cleanup(self, row: Export, state: JobState | None) -> None:
        if state != JobState.DONE:
            await asyncio.to_thread(self.files.remove, row.file_name)

    async def sweep(self) -> int:
        return await self.files.sweep()

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


class ExportJobs(JobRunner[Export]):
    """The workers of this process."""

    def __init__(self, db: Database, settings: Settings) -> None:
        work = ExportWork(db, settings)
        super().__init__(db, work, sole_process=settings.embedded)
        self.files = work.files

    async def open(self) -> None:
        self.files.create_directory()
        await super().open()


def _complete(part: Path, path: Path) -> os.stat_result:
    """Renames a file that is written to its end."""
    part.rename(path)
    return path.stat()
