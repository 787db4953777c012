"""Imports: dialogs from the export files of other chats, which are read in the background
(jobs.py). Each belongs to one user; its file is removed as soon as it is read."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.errors import Conflict, NotFound, StorageUnavailable
from genai_app.i18n import DEFAULT_LOCALE, LOCALES
from genai_app.models import BackgroundJob, User
from genai_app.services.audit.events import Action, event
from genai_app.services.imports.jobs import KIND, ImportJobs
from genai_app.services.jobs.lease import ENDED, UNDER_WAY, cancel_job
from genai_app.settings.settings import Settings
from genai_app.text import clean_text

MAX_KEPT = 20  # of one user; the oldest go when there are more
MAX_NAME_CHARS = 200


class Imports:
    """Takes uploaded files, and shows each import to its owner only."""

    def __init__(self, db: Database, settings: Settings, jobs: ImportJobs | None = None) -> None:
        self._db = db
        self.jobs = jobs or ImportJobs(db, settings)
        self._uploading: set[uuid.UUID] = set()  # users

    @asynccontextmanager
    async def upload(self, actor: Actor) -> AsyncGenerator[Path]:
        """Yields the path of an empty file to be filled. `start` takes it; else the file is removed
        at the end of the block.

        Raises:
            Conflict: import_running: another one of this user is not over.
            StorageUnavailable: the file cannot be written.
        """
        if actor.user_id in self._uploading or await self._is_under_way(actor):
            raise Conflict(code="import_running")
        self._uploading.add(actor.user_id)
        path: Path | None = None
        try:
            path = await asyncio.to_thread(self.jobs.files.new_part)
            yield path
        except OSError as error:
            raise StorageUnavailable(str(error)[:300]) from error
        finally:
            self._uploading.discard(actor.user_id)
            if path is not None:
                await asyncio.shield(asyncio.to_thread(path.unlink, missing_ok=True))

    async def start(
        self, actor: Actor, part: Path, name: str, locale: str = DEFAULT_LOCALE
    ) -> BackgroundJob:
        """Queues the import of a file that was uploaded to its end.

        Args:
            part: as `upload` gave it.
            name: as the user's system names the file; for display only.

        Raises:
            Conflict: import_running.
        """
        complete = part.with_suffix("")
        size = (await asyncio.to_thread(part.rename, complete)).stat().st_size
        name = " ".join(clean_text(name).replace("\\", "/").rpartition("/")[2].split())
        row = BackgroundJob(
            owner_id=actor.user_id,
            kind=KIND,
            chosen=json.dumps({"name": name[:MAX_NAME_CHARS], "size": size}),
            locale=locale if locale in LOCALES else DEFAULT_LOCALE,
            file_name=complete.name,
        )
        try:
            async with self._db.write() as session:
                # the user's row is locked: two uploads at the same time would both pass the check
                await session.execute(
                    sa.select(col(User.id)).where(col(User.id) == actor.user_id).with_for_update()
                )
                if await session.scalar(sa.select(_is_running(actor))):
                    raise Conflict(code="import_running")
                old = await session.scalars(
                    sa.select(col(BackgroundJob.id))
                    .where(_own(actor), col(BackgroundJob.state).in_(ENDED))
                    .order_by(col(BackgroundJob.id).desc())
                    .offset(MAX_KEPT - 1)
                )
                await session.execute(
                    sa.delete(BackgroundJob).where(col(BackgroundJob.id).in_(old.all()))
                )
                session.add(row)
                session.add(event(Action.IMPORT, by=actor, target="mine", size=size))
        except BaseException:
            await asyncio.shield(asyncio.to_thread(complete.unlink, missing_ok=True))
            raise
        self.jobs.wake()
        return row

    async def list(self, actor: Actor) -> Sequence[BackgroundJob]:
        """Returns the actor's imports that have not expired, newest first."""
        query = sa.select(BackgroundJob).where(_own(actor)).order_by(col(BackgroundJob.id).desc())
        async with self._db.read() as session:
            return (await session.scalars(query)).all()

    async def get(self, actor: Actor, import_id: object) -> BackgroundJob:
        """Raises NotFound."""
        key = parse_id(import_id)
        query = sa.select(BackgroundJob).where(_own(actor), col(BackgroundJob.id) == key)
        async with self._db.read() as session:
            row = await session.scalar(query)
        if row is None:
            raise NotFound
        return row

    async def cancel(self, actor: Actor, import_id: object) -> bool:
        """Cancels an import that is queued or running; dialogs that have come already stay.
        Returns False when it already ended. Raises NotFound."""
        row = await self.get(actor, import_id)
        if not await cancel_job(self._db, BackgroundJob, row.id, kept=self.jobs.kept):
            return False
        self.jobs.cancel(row.id)
        await asyncio.to_thread(self.jobs.files.remove, row.file_name)
        return True

    async def remove(self, actor: Actor, import_id: object) -> None:
        """Cancels an import that is queued or running; forgets the result of an ended one.

        Raises NotFound.
        """
        if await self.cancel(actor, import_id):
            return
        row = await self.get(actor, import_id)
        async with self._db.write() as session:
            await session.execute(sa.delete(BackgroundJob).where(col(BackgroundJob.id) == row.id))

    async def _is_under_way(self, actor: Actor) -> bool:
        async with self._db.read() as session:
            return bool(await session.scalar(sa.select(_is_running(actor))))


def _is_running(actor: Actor) -> sa.ColumnElement[bool]:
    return sa.exists().where(_own(actor), col(BackgroundJob.state).in_(UNDER_WAY))


def _own(actor: Actor) -> sa.ColumnElement[bool]:
    return sa.and_(
        col(BackgroundJob.owner_id) == actor.user_id,
        col(BackgroundJob.kind) == KIND,
        sa.or_(
            col(BackgroundJob.expires_at).is_(None), col(BackgroundJob.expires_at) > clock.now()
        ),
    )
