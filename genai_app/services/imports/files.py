"""The directory of uploaded files: where they lie until they are read."""

import asyncio
import os
import secrets
import time
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import BackgroundJob
from genai_app.services.jobs.lease import UNDER_WAY
from genai_app.settings.settings import Settings

UNNAMED_S = 600  # a file that no row names yet may still be uploaded


class ImportFiles:
    """Files of imports on this host. One that is still uploaded has the ending `.part`."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self.directory = settings.data_dir.absolute() / "imports"

    def create_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def new_part(self) -> Path:
        """Returns the path of a file that is to be uploaded. Creates the file, for this user
        alone."""
        path = self.directory / f"{secrets.token_hex(16)}.part"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        return path

    def list_complete(self) -> list[str]:
        """Returns the names of the files that are uploaded to their end."""
        try:
            return [name for name in os.listdir(self.directory) if not name.endswith(".part")]
        except FileNotFoundError:
            return []

    def remove(self, file_name: str) -> bool:
        """Removes a file. Returns whether it was there."""
        path = self.directory / file_name
        is_there = bool(file_name) and path.is_file()
        if is_there:
            path.unlink(missing_ok=True)
        return is_there

    async def sweep(self) -> int:
        """Removes the files that no import needs: those of lost uploads and of deleted rows.
        Returns their number."""
        names = await asyncio.to_thread(self._list_old)
        async with self._db.read() as session:
            file_names = await session.scalars(
                sa.select(col(BackgroundJob.file_name)).where(
                    col(BackgroundJob.state).in_(UNDER_WAY)
                )
            )
            kept = set(file_names)
        removed = [name for name in names if name not in kept]
        for name in removed:
            await asyncio.to_thread((self.directory / name).unlink, missing_ok=True)
        return len(removed)

    def _list_old(self) -> list[str]:
        latest = time.time() - UNNAMED_S
        with os.scandir(self.directory) as entries:
            return [each.name for each in entries if each.stat().st_mtime <= latest]
