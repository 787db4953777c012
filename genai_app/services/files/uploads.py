"""Takes the bytes of files, piece by piece, within the bounds of file, user and disk."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager

import sqlalchemy as sa
from limits import RateLimitItemPerMinute
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import metrics
from genai_app.access import Actor
from genai_app.adapters.redis.client import LimitStorage
from genai_app.db.database import Database
from genai_app.errors import (
    Conflict,
    FileTooLarge,
    InvalidInput,
    NotAuthenticated,
    RateLimited,
    StorageUnavailable,
    Unavailable,
)
from genai_app.models import Attachment, JobState, User, new_id
from genai_app.services.audit.events import Action, event
from genai_app.services.files.names import ending_of, media_type_of, shown_name
from genai_app.services.files.rows import owned_by
from genai_app.services.files.store import FileStore, UploadPart
from genai_app.settings.settings import Settings

MB = 1024**2
WRITE_BYTES = MB
MAX_TOGETHER = 10  # files of one request
MAX_FILES = 5000  # of one user
MAX_AT_ONCE = 6  # requests of one user, in this process
RATE = RateLimitItemPerMinute(120)  # requests of one user
WAIT_S = 5


class Upload:
    """The files of one request. None of them stays unless `commit` succeeds."""

    def __init__(self, uploads: "Uploads", actor: Actor) -> None:
        self._uploads = uploads
        self._actor = actor
        self._waiting = bytearray()
        self._names: list[str] = []
        self.parts: list[UploadPart] = []

    async def begin(self, name: str) -> None:
        """Begins the next file. Raises InvalidInput: too_many_files."""
        if len(self.parts) >= MAX_TOGETHER:
            raise InvalidInput(code="too_many_files", limit=MAX_TOGETHER, param="file")
        await self.flush()
        self._names.append(shown_name(name))
        self.parts.append(await asyncio.to_thread(self._uploads.store.new_part))

    async def add(self, data: bytes) -> None:
        """Takes more of the file that was begun.

        Raises FileTooLarge. Unavailable: files_no_space.
        """
        self._waiting += data
        longest = self._uploads.longest
        if self.parts[-1].size + len(self._waiting) > longest:
            raise FileTooLarge(limit_mb=longest // MB, param="file")
        if len(self._waiting) >= WRITE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            await asyncio.to_thread(self._uploads.check_space)
            await asyncio.to_thread(self.parts[-1].write, waiting)

    async def commit(self) -> list[Attachment]:
        """Makes the files the actor's, and queues them to be read.

        Raises:
            InvalidInput: file_empty, no_file.
            Conflict: files_full: the actor has no room for them.
        """
        await self.flush()
        if not self.parts:
            raise InvalidInput(code="no_file", param="file")
        if not all(part.size for part in self.parts):
            raise InvalidInput(code="file_empty", param="file")
        rows = [
            Attachment(
                id=new_id(),
                user_id=self._actor.user_id,
                name=name,
                media_type=media_type_of(name),
                size=part.size,
                sha256=part.sha256,
            )
            for name, part in zip(self._names, self.parts, strict=True)
        ]
        committing = asyncio.ensure_future(self._uploads.commit(self._actor, rows, self.parts))
        try:
            return await asyncio.shield(committing)
        except asyncio.CancelledError:  # the parts are in use until it ends
            await asyncio.gather(committing, return_exceptions=True)
            raise

    def close(self) -> None:
        for part in self.parts:
            part.close()


class Uploads:
    """Bounds and commits uploads.

    Args:
        storage: counts requests.
    """

    def __init__(
        self, db: Database, settings: Settings, store: FileStore, storage: LimitStorage
    ) -> None:
        self._db = db
        self.store = store
        self.longest = settings.file_max_mb * MB
        self._most = settings.files_per_user_mb * MB
        self._free = settings.files_free_mb * MB
        self._limiter = MovingWindowRateLimiter(storage)
        self._under_way: Counter[uuid.UUID] = Counter()

    @property
    def most_bytes(self) -> int:
        """Returns the bytes that one user may have."""
        return self._most

    @asynccontextmanager
    async def receive(self, actor: Actor) -> AsyncGenerator[Upload]:
        """Yields an upload to be filled and committed within the block.

        Raises:
            RateLimited: too_many_uploads.
            Conflict: files_full: the actor has no room for any file.
            Unavailable: files_no_space. StorageUnavailable: files cannot be written.
        """
        await self._admit(actor)
        upload = Upload(self, actor)
        self._under_way[actor.user_id] += 1
        try:
            await asyncio.to_thread(self.check_space)
            async with self._db.read() as session:
                await self._check_room(session, actor.user_id, [])
            yield upload
        except OSError as error:
            raise StorageUnavailable(str(error)[:300]) from error
        finally:
            self._under_way[actor.user_id] -= 1
            if not self._under_way[actor.user_id]:
                del self._under_way[actor.user_id]
            await asyncio.shield(asyncio.to_thread(upload.close))

    async def commit(
        self, actor: Actor, rows: list[Attachment], parts: list[UploadPart]
    ) -> list[Attachment]:
        with ExitStack() as placed:
            for row, part in zip(rows, parts, strict=True):
                await asyncio.to_thread(
                    placed.enter_context, self.store.placed(part, owned_by(row))
                )
            try:
                async with self._db.write() as session:
                    await self._lock(session, actor)
                    await self._check_room(session, actor.user_id, rows)
                    for row in rows:
                        await self._share(session, row)
                        session.add(row)
                        await session.flush()
                        session.add(_uploaded(actor, row))
            except BaseException:
                for row in rows:
                    await asyncio.to_thread(self.store.remove, owned_by(row))
                raise
        for row in rows:
            metrics.file_uploaded(row.size)
        return rows

    def check_space(self) -> None:
        """Raises Unavailable: files_no_space: the disk is nearly full."""
        if self._free and self.store.free_bytes() < self._free:
            raise Unavailable(code="files_no_space")

    async def _admit(self, actor: Actor) -> None:
        if self._under_way[actor.user_id] >= MAX_AT_ONCE:
            metrics.limit_hit("files")
            raise RateLimited(code="too_many_uploads", retry_after_s=WAIT_S)
        try:
            is_within = await self._limiter.hit(RATE, "files", str(actor.user_id))
        except StorageError:  # the other bounds hold
            return
        if not is_within:
            metrics.limit_hit("files")
            raise RateLimited(code="too_many_uploads", retry_after_s=WAIT_S)

    async def _lock(self, session: AsyncSession, actor: Actor) -> None:
        """Locks the row of the user: two uploads at once would both find room."""
        user = await session.scalar(
            sa.select(col(User.id))
            .where(col(User.id) == actor.user_id, col(User.disabled_at).is_(None))
            .with_for_update()
        )
        if user is None:
            raise NotAuthenticated

    async def _check_room(
        self, session: AsyncSession, user_id: uuid.UUID, rows: list[Attachment]
    ) -> None:
        """Raises Conflict: files_full."""
        count, contents = await contents_of(session, user_id)
        for row in rows:
            contents[row.sha256] = row.size
        used = sum(contents.values())
        is_full = used > self._most or (not rows and used >= self._most)
        if is_full or count + len(rows) > MAX_FILES:
            raise Conflict(code="files_full", limit_mb=self._most // MB)

    async def _share(self, session: AsyncSession, row: Attachment) -> None:
        """Lets the file use the bytes of an equal one of its user, and its reading if it has the
        same kind of name."""
        others = await session.scalars(
            sa.select(Attachment)
            .where(
                col(Attachment.user_id) == row.user_id,
                col(Attachment.sha256) == row.sha256,
                col(Attachment.deleted_at).is_(None),
            )
            .order_by(col(Attachment.id).desc())
            .limit(20)
        )
        same = sorted(others, key=lambda each: not _is_read_alike(each, row))
        for other in same[:1]:
            is_alike = _is_read_alike(other, row)
            is_read = await asyncio.to_thread(
                self.store.share, owned_by(row), owned_by(other), read=is_alike
            )
            if is_read:
                for name in (
                    *("state", "media_type", "kind", "pages", "chars", "tokens", "summary"),
                    "finished_at",
                ):
                    setattr(row, name, getattr(other, name))


async def contents_of(session: AsyncSession, user_id: uuid.UUID) -> tuple[int, dict[bytes, int]]:
    """Returns the number of a user's files, and the sizes of their contents, each once."""
    rows = await session.execute(
        sa.select(col(Attachment.sha256), sa.func.max(col(Attachment.size)), sa.func.count())
        .where(col(Attachment.user_id) == user_id, col(Attachment.wiped_at).is_(None))
        .group_by(col(Attachment.sha256))
    )
    contents = [(bytes(row[0]), int(row[1]), int(row[2])) for row in rows]
    return sum(count for *_, count in contents), {digest: size for digest, size, _ in contents}


def _is_read_alike(other: Attachment, row: Attachment) -> bool:
    return other.state == JobState.DONE and ending_of(other.name) == ending_of(row.name)


def _uploaded(actor: Actor, row: Attachment) -> object:
    return event(Action.FILE_UPLOAD, by=actor, target=str(row.id), size=row.size)
