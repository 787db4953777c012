"""Files that come with a question and not by an upload: pictures in a call of OpenAI's API, files
that are sent to a bot. They are stored, read and bounded like any other."""

import asyncio
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import Conflict
from genai_app.models import Attachment, JobState
from genai_app.services.files.contents import check_ready
from genai_app.services.files.files import Files

WAIT_S = 90.0  # for the readers: others may be before
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file as it came. `name`: as the sender calls it."""

    name: str
    data: bytes
    sha256: bytes

    @classmethod
    def of(cls, name: str, data: bytes) -> "IncomingFile":
        """Returns the file with the hash of its bytes, which takes milliseconds for each MB: call
        it in a thread."""
        return cls(name, data, hashlib.sha256(data).digest())


class IncomingFiles:
    """Takes files for an actor, and waits until they are read."""

    def __init__(self, db: Database, files: Files) -> None:
        self._db = db
        self._files = files

    async def take(self, actor: Actor, files: Sequence[IncomingFile]) -> list[Attachment]:
        """Returns the files once they are read, in this order. One that the actor has already is
        not stored again.

        Raises:
            InvalidInput: file_empty, or the code of a file that cannot be read.
            FileTooLarge, RateLimited, Unavailable; Conflict: files_full. See Uploads.
            Conflict: file_not_ready: the readers have too much to do.
        """
        digests = list(dict.fromkeys(each.sha256 for each in files))
        stored = await self._stored(actor, digests)
        new = {each.sha256: each for each in files if each.sha256 not in stored}
        if new:
            async with self._files.uploads.receive(actor) as upload:
                for each in new.values():
                    await upload.begin(each.name)
                    await upload.add(each.data)
                rows = await upload.commit()
            self._files.jobs.wake()
            stored |= {row.sha256: row for row in rows}
        read = await self._read([stored[digest].id for digest in digests])
        return [read[stored[digest].id] for digest in digests]

    async def _stored(self, actor: Actor, digests: Sequence[bytes]) -> dict[bytes, Attachment]:
        query = sa.select(Attachment).where(
            col(Attachment.user_id) == actor.user_id,
            col(Attachment.sha256).in_(digests),
            col(Attachment.state) == JobState.DONE,
            col(Attachment.deleted_at).is_(None),
        )
        async with self._db.read() as session:
            rows = await session.scalars(query.order_by(col(Attachment.id)))
            return {row.sha256: row for row in rows}

    async def _read(self, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Attachment]:
        """Returns the rows as soon as all are read."""
        until = asyncio.get_running_loop().time() + WAIT_S
        query = sa.select(Attachment).where(col(Attachment.id).in_(ids))
        while True:
            async with self._db.read() as session:
                rows = {row.id: row for row in await session.scalars(query)}
            waiting = {JobState.QUEUED, JobState.RUNNING} & {row.state for row in rows.values()}
            if not waiting or asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(LOOK_S)
        if len(rows) < len(ids):
            raise Conflict(code="file_not_ready")
        for row in rows.values():
            check_ready(row)
        return rows
