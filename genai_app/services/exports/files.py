"""The directory of exported files: where they lie, and how they are removed."""

import asyncio
import os

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.models import Export, JobState
from genai_app.settings.settings import Settings


class ExportFiles:
    """Files of exports on this host. A file that is not complete has the ending `.part`."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self.directory = settings.data_dir.absolute() / "exports"

    def create_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def remove(self, file_name: str) -> None:
        """Removes a file, complete or not."""
        if file_name:
            for suffix in ("", ".part"):
                (self.directory / (file_name + suffix)).unlink(missing_ok=True)

    async def sweep(self) -> int:
        """Deletes expired exports, and the files of this host that no row names: those of killed
        processes and of deleted rows. Returns the number of removed files."""
        async with self._db.write() as session:
            await session.execute(sa.delete(Export).where(col(Export.expires_at) <= clock.now()))
        # the files are listed before the rows are read: else a file whose row is claimed in between
        # would be removed
        names = await asyncio.to_thread(lambda: os.listdir(self.directory))
        async with self._db.read() as session:
            file_names = await session.scalars(
                sa.select(col(Export.file_name)).where(
                    col(Export.state).in_((JobState.RUNNING, JobState.DONE))
                )
            )
            kept = set(file_names)
        removed = [name for name in names if name.partition(".")[0] not in kept]
        for name in removed:
            await asyncio.to_thread((self.directory / name).unlink, missing_ok=True)
        return len(removed)
