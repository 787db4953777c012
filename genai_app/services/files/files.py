"""Files that users send with their questions: uploaded, read in the background, listed, attached,
deleted. Each belongs to one user; nobody else finds it."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import (
    Actor,
    get_attachment,
    get_dialog,
    parse_id,
)
from genai_app.adapters.redis.client import LimitStorage
from genai_app.db.database import Database
from genai_app.errors import InvalidInput
from genai_app.models import Attachment, Dialog, Message, MessageAttachment
from genai_app.services.audit.events import Action, event
from genai_app.services.cursors import Cursors
from genai_app.services.files.contents import FileContents, check_ready
from genai_app.services.files.jobs import FileJobs
from genai_app.services.files.removal import FileRemoval
from genai_app.services.files.rows import attachments_of
from genai_app.services.files.store import FileStore
from genai_app.services.files.uploads import Uploads, contents_of
from genai_app.settings.settings import Settings

PAGE = 50
MAX_ATTACHED = 10  # to one message


@dataclass(frozen=True, slots=True)
class FilePage:
    """Files, newest first; `next_cursor` asks for the page after this one."""

    items: list[Attachment]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class FileUsage:
    """The number of a user's files, and the bytes that they take of those allowed. Equal contents
    count once."""

    files: int
    bytes: int
    most_bytes: int


class Files:
    """The files of an actor.

    Args:
        storage: counts uploads.

    Attributes:
        contents: reads what is in them.
        uploads: takes new ones.
        removal: removes those whose time is over.
    """

    def __init__(
        self, db: Database, settings: Settings, cursors: Cursors, storage: LimitStorage
    ) -> None:
        self._db = db
        self._cursors = cursors
        self.store = FileStore(settings)
        self.contents = FileContents(self.store)
        self.uploads = Uploads(db, settings, self.store, storage)
        self.removal = FileRemoval(db, settings, self.store)
        self.jobs = FileJobs(db, self.store, self.removal, sole_process=settings.embedded)

    async def list(self, actor: Actor, *, limit: int = PAGE, cursor: str | None = None) -> FilePage:
        """Returns the actor's files. Raises BadCursor."""
        cursors = self._cursors.of("files", actor)
        query = (
            sa.select(Attachment)
            .where(col(Attachment.user_id) == actor.user_id, col(Attachment.deleted_at).is_(None))
            .order_by(col(Attachment.id).desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(col(Attachment.id) < cursors.read(cursor, uuid.UUID)[0])
        async with self._db.read() as session:
            rows = list(await session.scalars(query))
        items = rows[:limit]
        more = cursors.make(items[-1].id) if len(rows) > limit else None
        return FilePage(items, more)

    async def get(self, actor: Actor, file_id: object) -> Attachment:
        """Raises NotFound."""
        async with self._db.read() as session:
            return await get_attachment(session, actor, file_id)

    async def usage(self, actor: Actor) -> FileUsage:
        """Returns how much room the actor's files take."""
        async with self._db.read() as session:
            count, contents = await contents_of(session, actor.user_id)
        return FileUsage(count, sum(contents.values()), self.uploads.most_bytes)

    async def ready_attachments(
        self, actor: Actor, file_ids: Sequence[object]
    ) -> Sequence[Attachment]:
        """Returns files to be sent with a question, each once, in this order.

        Raises:
            NotFound.
            InvalidInput: too_many_files, or the code of a file that could not be read.
            Conflict: file_not_ready.
        """
        keys = list(dict.fromkeys(map(parse_id, file_ids)))
        if len(keys) > MAX_ATTACHED:
            raise InvalidInput(code="too_many_files", limit=MAX_ATTACHED, param="attachments")
        async with self._db.read() as session:
            rows = [await get_attachment(session, actor, key) for key in keys]
        for row in rows:
            check_ready(row)
        return rows

    async def of_messages(
        self, actor: Actor, message_ids: Sequence[uuid.UUID]
    ) -> Mapping[uuid.UUID, Sequence[Attachment]]:
        """Returns the files of the actor's own messages, in their order, also deleted ones."""
        async with self._db.read() as session:
            own = await session.scalars(
                sa.select(col(Message.id))
                .join(Dialog, col(Dialog.id) == col(Message.dialog_id))
                .where(col(Message.id).in_(message_ids), col(Dialog.user_id) == actor.user_id)
            )
            return await attachments_of(session, own.all())

    async def of_dialog(self, actor: Actor, dialog_id: object) -> Sequence[Attachment]:
        """Returns the files of all messages of a dialog, oldest first. Raises NotFound."""
        async with self._db.read() as session:
            dialog = await get_dialog(session, actor, dialog_id)
            rows = await session.scalars(
                sa.select(Attachment)
                .join(MessageAttachment, col(MessageAttachment.attachment_id) == col(Attachment.id))
                .join(Message, col(Message.id) == col(MessageAttachment.message_id))
                .where(col(Message.dialog_id) == dialog.id, col(Attachment.deleted_at).is_(None))
                .order_by(col(Attachment.id))
                .distinct()
            )
            return rows.all()

    async def delete(self, actor: Actor, file_id: object) -> None:
        """Deletes a file with its bytes, also while it is being read. Its name stays in messages
        that have it. A legal hold keeps the bytes, out of the actor's sight.

        Raises NotFound.
        """
        async with self._db.write() as session:
            row = await get_attachment(session, actor, file_id, lock=True)
            size = row.size
            is_free = await self.removal.delete(session, row)
            session.add(event(Action.FILE_DELETE, by=actor, target=str(row.id), size=size))
        self.jobs.cancel(row.id)
        if is_free:
            await asyncio.shield(self.removal.remove_bytes(row))
