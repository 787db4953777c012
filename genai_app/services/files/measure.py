"""Looks at all files: how many there are, and what lies on the disk without a row."""

import asyncio

import sqlalchemy as sa
from sqlmodel import col

from genai_app import metrics
from genai_app.db.database import Database
from genai_app.models import Attachment, JobState
from genai_app.services.files.store import FileStore, Owned, is_locked

BATCH = 100
STATES = (
    (JobState.QUEUED, "queued"),
    (JobState.RUNNING, "reading"),
    (JobState.DONE, "ready"),
    (JobState.FAILED, "failed"),
)


async def measure_files(db: Database) -> None:
    """Sets the metrics of all files."""
    has_bytes = col(Attachment.wiped_at).is_(None)
    states = (
        sa.select(col(Attachment.state), sa.func.count())
        .where(has_bytes)
        .group_by(col(Attachment.state))
    )
    contents = (
        sa.select(sa.func.max(col(Attachment.size)).label("size"))
        .where(has_bytes)
        .group_by(col(Attachment.user_id), col(Attachment.sha256))
        .subquery()
    )
    async with db.read() as session:
        counts = {str(row[0]): int(row[1]) for row in await session.execute(states)}
        size = await session.scalar(sa.select(sa.func.sum(contents.c.size)))
    metrics.files_kept({name: counts.get(state, 0) for state, name in STATES}, int(size or 0))


async def find_orphans(db: Database, store: FileStore) -> list[Owned]:
    """Returns the files on this host that no row needs and no process holds."""
    there = await asyncio.to_thread(lambda: list(store.list_files()))
    orphans: list[Owned] = []
    for start in range(0, len(there), BATCH):
        batch = there[start : start + BATCH]
        for owned in await _unneeded(db, batch):
            # the lock ends after the commit: so the second look sees a row that just came
            is_held = await asyncio.to_thread(is_locked, store.folder(owned))
            if not is_held and await _unneeded(db, [owned]):
                orphans.append(owned)
    return orphans


async def _unneeded(db: Database, files: list[Owned]) -> list[Owned]:
    query = sa.select(col(Attachment.user_id), col(Attachment.id)).where(
        col(Attachment.id).in_([file_id for _, file_id in files]),
        col(Attachment.wiped_at).is_(None),
    )
    async with db.read() as session:
        needed = {(row[0], row[1]) for row in await session.execute(query)}
    return [owned for owned in files if owned not in needed]
