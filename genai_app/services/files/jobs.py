"""Reads uploaded files in the background (services/jobs): each row of the table is a file."""

import asyncio
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import aliased
from sqlmodel import col

from genai_app import metrics
from genai_app.adapters.documents.reading import read_document
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.errors import AppError, NotFound
from genai_app.models import Attachment, JobState, UtcDateTime
from genai_app.services.files.removal import FileRemoval
from genai_app.services.files.rows import owned_by
from genai_app.services.files.store import FileStore, new_reading, publish, remove_left
from genai_app.services.jobs.lease import Lease
from genai_app.services.jobs.runner import JobRunner, JobWork

log = structlog.stdlib.get_logger(__name__)


class FileWork(JobWork[Attachment]):
    """Reads files, each in a child process. A process reads two at the same time, those of users
    first of whom fewer are being read."""

    noun = "file"
    rows = Attachment
    most = 2
    kept = None

    def __init__(self, store: FileStore, removal: FileRemoval) -> None:
        self._store = store
        self._removal = removal
        self._targets: dict[uuid.UUID, Path] = {}

    async def claimable(self) -> Sequence[sa.ColumnElement[bool]]:
        return [col(Attachment.deleted_at).is_(None)]

    def order(self) -> Sequence[sa.ColumnElement[Any]]:
        """Returns the order of claims: first the user of whom fewer files are being read, then the
        one whose last file was read longer ago."""
        other = aliased(Attachment)
        same_user = col(other.user_id) == col(Attachment.user_id)
        read_now = (
            sa.select(sa.func.count())
            .select_from(other)
            .where(col(other.state) == JobState.RUNNING, same_user)
            .scalar_subquery()
        )
        last_read = sa.select(sa.func.max(col(other.finished_at))).where(same_user)
        never = sa.literal(datetime(1970, 1, 1, tzinfo=UTC), UtcDateTime)
        served = sa.func.coalesce(last_read.scalar_subquery(), never)
        return [read_now, served, table_of(Attachment).c.id]

    def begin(self, row: Attachment) -> None:
        row.done = 0

    async def do(self, row: Attachment, lease: Lease[Attachment]) -> dict[str, Any]:
        """Reads a file. Returns what its row says of it."""
        owned = owned_by(row)
        source = self._store.content(owned)
        if not await asyncio.to_thread(source.is_file):
            raise NotFound(code="file_lost")
        target = await asyncio.to_thread(new_reading, self._store.folder(owned))
        self._targets[row.id] = target
        began = time.monotonic()
        try:
            summary = await read_document(source, row.name, target)
        except AppError:
            metrics.file_read("failed", time.monotonic() - began)
            raise
        metrics.file_read("read", time.monotonic() - began)
        await asyncio.to_thread(publish, target)
        return {
            "media_type": summary.media_type,
            "kind": summary.kind,
            "pages": summary.pages,
            "chars": summary.chars,
            "tokens": summary.tokens,
            "summary": msgspec.json.encode(summary).decode(),
        }

    async def cleanup(self, row: Attachment, state: JobState | None) -> None:
        target = self._targets.pop(row.id, None)
        if target is not None and state != JobState.DONE:
            await asyncio.to_thread(remove_left, target)

    async def sweep(self) -> int:
        return await self._removal.sweep()


class FileJobs(JobRunner[Attachment]):
    """The workers of this process."""

    def __init__(
        self, db: Database, store: FileStore, removal: FileRemoval, *, sole_process: bool
    ) -> None:
        super().__init__(db, FileWork(store, removal), sole_process=sole_process)
        self._store = store

    async def open(self) -> None:
        await asyncio.to_thread(self._store.create_directory)
        await super().open()
