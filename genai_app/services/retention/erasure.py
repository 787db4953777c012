"""Erasure of a user: removes everything of theirs that is not kept on purpose, with a receipt.

Each step is a transaction of its own and can be repeated, so that the next run completes a run that
was interrupted. The account stays as a row without personal data, because the audit refers to its
id.
"""

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.errors import Conflict, NotFound
from genai_app.models import (
    ApiKey,
    BackgroundJob,
    Dialog,
    Export,
    Feedback,
    Folder,
    Generation,
    Message,
    MessageSearch,
    MessageVerdict,
    MessengerAnswer,
    MessengerChat,
    MessengerCode,
    MessengerLink,
    MessengerUpdate,
    Origin,
    QueuedQuestion,
    Review,
    ReviewNote,
    Session,
    UsagePerson,
    User,
    VerifiedAnswer,
)
from genai_app.services.accounts.sessions import shut_out
from genai_app.services.accounts.users import fold_username
from genai_app.services.audit.events import Action, event
from genai_app.services.exports.files import ExportFiles
from genai_app.services.files.removal import FileRemoval
from genai_app.services.files.store import FileStore
from genai_app.services.imports.files import ImportFiles
from genai_app.services.retention.retention import BATCH, HELD, OF_USER
from genai_app.services.reuse.cache import AnswerCache
from genai_app.settings.settings import Settings

MESSENGERS = (MessengerLink, MessengerCode, MessengerChat, MessengerUpdate, MessengerAnswer)
REASON = "erased"
PREFIX = "erased-"
KEPT = (
    "audit events: who did what, under the id and the name of then",
    "verified answers that the user wrote, without the name",
    "digests of answers that a reviewer called wrong or unsafe, without text or user",
    "files that a reviewer exported, until they expire",
    "usage figures, which name nobody",
    "what a messenger itself keeps of its chat with the bot",
    "backups, until they are rotated out",
    "counters of limits, and without Redis answers in the memory of a server, until they expire",
)


@dataclass(slots=True)
class Receipt:
    """The numbers of removed items by store: rows of tables, keys of Redis, files. `already`: the
    user had been erased before this run."""

    user_id: str
    at: str
    already: bool = False
    tables: dict[str, int] = field(default_factory=dict[str, int])
    redis: dict[str, int] = field(default_factory=dict[str, int])
    files: dict[str, int] = field(default_factory=dict[str, int])
    kept: tuple[str, ...] = KEPT

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)


class Erasure:
    """Erases accounts.

    Args:
        cache: holds the answers of GENAI_CACHE_SCOPE=user.
        by: the actor's name in the audit.
    """

    def __init__(
        self, db: Database, settings: Settings, cache: AnswerCache, by: str = "the system"
    ) -> None:
        self._db = db
        self._settings = settings
        self._cache = cache
        self._by = by

    async def erase(self, name: str, origin: Origin = Origin.LOCAL) -> Receipt:
        """Erases an account. `name`: the username or the id; of an erased account the id or its
        present username.

        Raises:
            NotFound: user_not_found.
            Conflict: under_hold: a legal hold keeps the user or one of the dialogs.
        """
        user = await self._find(name, origin)
        if await self._is_held(user.id):
            raise Conflict(code="under_hold")
        receipt = Receipt(str(user.id), clock.now().isoformat())
        receipt.already = user.username.startswith(PREFIX)
        async with self._db.write() as session:
            await shut_out(session, user.id, REASON)
        for step in (
            self._erase_exports,
            self._erase_imports,
            self._erase_dialogs,
            self._erase_files,
            self._erase_logins_and_usage,
            self._erase_names,
        ):
            await step(user.id, receipt)
        await self._erase_account(user, receipt)
        return receipt

    async def _find(self, name: str, origin: Origin) -> User:
        async with self._db.read() as session:
            try:
                return await self._by_id(session, uuid.UUID(name))
            except ValueError:
                pass
            user = await session.scalar(
                sa.select(User).where(
                    col(User.username) == fold_username(name), col(User.origin) == origin
                )
            )
        if user is None:
            raise NotFound(code="user_not_found")
        return user

    async def _by_id(self, session: AsyncSession, key: uuid.UUID) -> User:
        user = await session.get(User, key)
        if user is None:
            raise NotFound(code="user_not_found")
        return user

    async def _is_held(self, user_id: uuid.UUID) -> bool:
        held = sa.or_(
            sa.exists().where(col(User.id) == user_id, col(User.held_at).is_not(None)),
            sa.exists().where(col(Dialog.user_id) == user_id, col(Dialog.held_at).is_not(None)),
        )
        async with self._db.read() as session:
            return bool(await session.scalar(sa.select(held)))

    async def _erase_exports(self, user_id: uuid.UUID, receipt: Receipt) -> None:
        """Removes the rows, then the files. The sweep of exports removes files without a row, also
        those that cannot be removed now."""
        async with self._db.write() as session:
            names = await session.scalars(
                sa.delete(Export)
                .where(col(Export.owner_id) == user_id)
                .returning(col(Export.file_name))
            )
            file_names = list(names)
        receipt.tables["exports"] = len(file_names)
        files = ExportFiles(self._db, self._settings)
        removed = 0
        for name in filter(None, file_names):
            path = files.directory / name
            removed += path.is_file()
            files.remove(name)
        receipt.files["exports"] = removed

    async def _erase_imports(self, user_id: uuid.UUID, receipt: Receipt) -> None:
        """Removes the rows, which ends an import that runs, then the uploaded files."""
        async with self._db.write() as session:
            names = await session.scalars(
                sa.delete(BackgroundJob)
                .where(col(BackgroundJob.owner_id) == user_id)
                .returning(col(BackgroundJob.file_name))
            )
            file_names = list(names)
        receipt.tables["jobs"] = len(file_names)
        files = ImportFiles(self._db, self._settings)
        receipt.files["imports"] = sum(files.remove(name) for name in file_names)

    async def _erase_dialogs(self, user_id: uuid.UUID, receipt: Receipt) -> None:
        """Removes the dialogs in batches. Foreign keys remove what belongs to them.

        Raises Conflict: under_hold: since the erasure began.
        """
        counted = (
            *(Message, Generation, QueuedQuestion, MessageSearch),
            *(Review, Feedback, MessageVerdict, ReviewNote),
        )
        tables = [table_of(each) for each in counted]
        counts = dict.fromkeys(("dialogs", *(table.name for table in tables)), 0)
        while True:
            async with self._db.write() as session:
                query = (
                    sa.select(col(Dialog.id), HELD)
                    .join(User, OF_USER)
                    .where(col(Dialog.user_id) == user_id)
                    .limit(BATCH)
                    .with_for_update(of=(Dialog, User))
                )
                rows = [(row[0], row[1]) for row in await session.execute(query)]
                if any(held for _, held in rows):
                    raise Conflict(code="under_hold")
                ids = [dialog_id for dialog_id, _ in rows]
                for table in tables:
                    query = sa.select(sa.func.count()).select_from(table)
                    count = await session.scalar(query.where(table.c.dialog_id.in_(ids)))
                    counts[table.name] += count or 0
                await session.execute(sa.delete(Dialog).where(col(Dialog.id).in_(ids)))
            counts["dialogs"] += len(ids)
            if len(ids) < BATCH:
                break
        receipt.tables |= counts

    async def _erase_files(self, user_id: uuid.UUID, receipt: Receipt) -> None:
        """Removes the uploaded files, with their bytes and what was read in them."""
        removal = FileRemoval(self._db, self._settings, FileStore(self._settings))
        removed, receipt.tables["attachments"] = await removal.remove_of_user(user_id)
        receipt.files["attachments"] = removed.files
        receipt.files["attachment_bytes"] = removed.bytes

    async def _erase_logins_and_usage(self, user_id: uuid.UUID, receipt: Receipt) -> None:
        """Removes sessions, API keys, feedback, folders, what messengers know and cached answers,
        and makes the usage figures anonymous."""
        for kind in (Session, ApiKey, Feedback, Folder, *MESSENGERS):
            table = table_of(kind)
            async with self._db.write() as session:
                removed = await session.execute(
                    sa.delete(table)
                    .where(table.c.user_id == user_id)
                    .returning(*table.primary_key.columns)
                )
            earlier = receipt.tables.get(table.name, 0)
            receipt.tables[table.name] = earlier + len(removed.all())
        nobody = uuid.UUID(
            bytes=hashlib.sha256(user_id.bytes + self._settings.secret).digest()[:16]
        )
        async with self._db.write() as session:
            moved = await session.scalars(
                sa.update(UsagePerson)
                .where(col(UsagePerson.user_id) == user_id)
                .values(user_id=nobody)
                .returning(col(UsagePerson.hour))
            )
            receipt.tables["usage_people"] = len(moved.all())
        receipt.redis["answers"] = await self._cache.forget_user(user_id)

    async def _erase_names(self, user_id: uuid.UUID, receipt: Receipt) -> None:
        """Replaces the name in the work of a reviewer. The work itself stays."""
        for kind, owner, name in (
            (VerifiedAnswer, "owner_id", "owner_name"),
            (ReviewNote, "author_id", "author_name"),
            (MessageVerdict, "reviewer_id", "reviewer_name"),
            (Review, "assignee_id", "assignee_name"),
        ):
            table = table_of(kind)
            async with self._db.write() as session:
                changed = await session.execute(
                    sa.update(table)
                    .where(table.c[owner] == user_id, table.c[name] != nameless(user_id))
                    .values({name: nameless(user_id)})
                    .returning(*table.primary_key.columns)
                )
                receipt.tables[f"{table.name}.{name}"] = len(changed.all())

    async def _erase_account(self, user: User, receipt: Receipt) -> None:
        """Removes the personal data of the account and adds the receipt to the audit. Runs last."""
        counts: dict[str, Any] = receipt.tables | {"files": _count_files(receipt)}
        async with self._db.write() as session:
            await session.execute(
                sa.update(User)
                .where(col(User.id) == user.id)
                .values(
                    username=nameless(user.id),
                    external_id=None,
                    full_name="",
                    mail="",
                    department="",
                    directory_dn="",
                    instructions="",
                    password_hash=None,
                    rate_limit=None,
                    group_role=None,
                    granted_role=None,
                    role="user",
                    disabled_reason=REASON,
                )
            )
            receipt.tables["users"] = 1
            session.add(
                event(Action.ERASE, by=self._by, target=nameless(user.id), user=user.id, **counts)
            )


def _count_files(receipt: Receipt) -> int:
    return sum(count for name, count in receipt.files.items() if not name.endswith("_bytes"))


def nameless(user_id: uuid.UUID) -> str:
    """Returns the name that replaces the user's name."""
    return PREFIX + user_id.hex[-12:]
