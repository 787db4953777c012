"""Retention: removes dialogs that are older than their retention period, every night and by
`genai retention`, with everything that belongs to them. A legal hold keeps them. Usage figures and
verified answers stay."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock
from genai_app.access import parse_id
from genai_app.db.database import Database
from genai_app.errors import Conflict, NotFound, StorageUnavailable
from genai_app.models import (
    AuditEvent,
    Dialog,
    Generation,
    Message,
    MessengerAnswer,
    MessengerUpdate,
    Origin,
    QueuedQuestion,
    User,
)
from genai_app.services.accounts.users import fold_username
from genai_app.services.audit.events import Action, event
from genai_app.services.files.removal import FileRemoval
from genai_app.services.files.store import FileStore
from genai_app.settings.notations import DEPARTMENT
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

BATCH = 50  # dialogs in a transaction: few, so that locks are short
NIGHT_HOUR = 3  # server time
FROM_MESSENGERS = timedelta(days=2)  # Telegram itself keeps an update for a day
LOCK = 0x67656E61_00000003  # the key of PostgreSQL's advisory lock
BY = "the system"


@dataclass(slots=True)
class Removed:
    """The numbers of removed items; in a dry run of items to remove. `held`: overdue dialogs that a
    legal hold keeps."""

    dialogs: int = 0
    messages: int = 0
    deleted_dialogs: int = 0  # those of `dialogs` that their user had deleted
    held: int = 0
    files: int = 0


class Retention:
    """Removes dialogs that are older than their retention period."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        self._files = FileRemoval(db, settings, FileStore(settings))

    async def run(self) -> None:
        """Removes overdue dialogs every night at NIGHT_HOUR, until cancelled. Every process runs
        this; one of them does the work of a night."""
        while True:
            await asyncio.sleep(_until_night())
            try:
                await self.remove()
            except Conflict:
                log.info("retention.elsewhere")
            except StorageUnavailable as error:
                log.warning("storage.unavailable", while_doing="retention", detail=error.detail)
            except Exception:
                log.exception("background.bug", while_doing="retention")

    async def remove(self, *, by: str = BY, dry_run: bool = False) -> Removed:
        """Removes overdue dialogs. `dry_run`: only counts them. Both are audited.

        Args:
            by: the actor's name in the audit.

        Raises:
            Conflict: retention_running: another process removes dialogs now.
        """
        removed = Removed()
        async with self._locked():
            overdue = self._overdue()
            async with self._db.read() as session:
                held = sa.select(sa.func.count()).select_from(Dialog).join(User, OF_USER)
                removed.held = await session.scalar(held.where(overdue, HELD)) or 0
            if dry_run:
                await self._count(overdue, removed)
                removed.files = await self._files.count_expired()
            else:
                while await self._remove_batch(overdue, removed):
                    pass
                await self._remove_unanswered()
                removed.files = (await self._files.remove_expired()).files
            row = event(
                Action.RETENTION, by=by, target="dialogs", dry_run=dry_run, **asdict(removed)
            )
            async with self._db.write() as session:
                session.add(row)
        log.info("retention.done", dry_run=dry_run, **asdict(removed))
        return removed

    async def _count(self, overdue: sa.ColumnElement[bool], removed: Removed) -> None:
        which = sa.and_(overdue, ~HELD)
        dialogs = sa.select(sa.func.count()).select_from(Dialog).join(User, OF_USER).where(which)
        messages = (
            sa.select(sa.func.count())
            .select_from(Message)
            .join(Dialog, col(Dialog.id) == col(Message.dialog_id))
            .join(User, OF_USER)
            .where(which)
        )
        async with self._db.read() as session:
            removed.dialogs = await session.scalar(dialogs) or 0
            removed.messages = await session.scalar(messages) or 0
            deleted = dialogs.where(col(Dialog.deleted_at).is_not(None))
            removed.deleted_dialogs = await session.scalar(deleted) or 0

    async def _remove_batch(self, overdue: sa.ColumnElement[bool], removed: Removed) -> int:
        """Removes up to BATCH dialogs. Returns how many. Checks holds in the same transaction under
        the rows' locks, so that a hold that was just set counts."""
        query = (
            sa.select(col(Dialog.id), col(Dialog.deleted_at))
            .join(User, OF_USER)
            .where(overdue, ~HELD)
            .limit(BATCH)
            .with_for_update(of=(Dialog, User))
        )
        async with self._db.write() as session:
            rows = (await session.execute(query)).all()
            ids = [row.id for row in rows]
            if not ids:
                return 0
            removed.messages += await count_messages(session, ids)
            await session.execute(sa.delete(Dialog).where(col(Dialog.id).in_(ids)))
        removed.dialogs += len(ids)
        removed.deleted_dialogs += sum(row.deleted_at is not None for row in rows)
        return len(ids)

    async def _remove_unanswered(self) -> None:
        """Removes what waits for the bot of a messenger that nobody runs: updates with their texts,
        and the places of answers. The answers stay."""
        oldest = clock.now() - FROM_MESSENGERS
        held = sa.select(col(User.id)).where(col(User.held_at).is_not(None))
        user_id = col(MessengerUpdate.user_id)
        async with self._db.write() as session:
            await session.execute(
                sa.delete(MessengerUpdate).where(
                    col(MessengerUpdate.taken_at) < oldest,
                    sa.or_(user_id.is_(None), user_id.not_in(held)),
                )
            )
            await session.execute(
                sa.delete(MessengerAnswer).where(col(MessengerAnswer.created_at) < oldest)
            )

    def _overdue(self) -> sa.ColumnElement[bool]:
        """Returns the condition on a dialog joined with its user: the retention period is over and
        no answer is running."""
        now = clock.now()
        settings = self._settings
        over: list[sa.ColumnElement[bool]] = []
        # the first rule that fits applies: department, role, all
        rules = settings.retention_rules
        named = {
            name.removeprefix(DEPARTMENT): days
            for name, days in rules.items()
            if name.startswith(DEPARTMENT)
        }
        roles = {name: days for name, days in rules.items() if not name.startswith(DEPARTMENT)}
        elsewhere = col(User.department).not_in(named) if named else sa.true()
        for department, days in named.items():
            over.append(sa.and_(col(User.department) == department, _older(now, days)))
        for role, days in roles.items():
            over.append(sa.and_(elsewhere, col(User.role) == role, _older(now, days)))
        others = col(User.role).not_in(roles) if roles else sa.true()
        over.append(sa.and_(elsewhere, others, _older(now, settings.retention_days)))
        # here 0 days means at once and not for ever: only reviewers still see deleted dialogs
        deleted = now - timedelta(days=settings.deleted_days)
        over.append(col(Dialog.deleted_at) <= deleted)
        runs = sa.exists().where(
            col(Generation.dialog_id) == col(Dialog.id), col(Generation.ended_at).is_(None)
        )
        return sa.and_(sa.or_(*over), ~runs)

    @asynccontextmanager
    async def _locked(self) -> AsyncGenerator[None]:
        """Excludes other processes. Raises Conflict. SQLite needs no lock: it has one writer, and
        two runs do no harm."""
        if self._db.is_sqlite:
            yield
            return
        async with self._db.write() as session:
            is_locked = await session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(LOCK)))
            if not is_locked:
                raise Conflict(code="retention_running")
            yield


class Holds:
    """Sets and releases legal holds. Nothing removes what is under a hold.

    Args:
        by: the actor's name in the audit.
    """

    def __init__(self, db: Database, by: str) -> None:
        self._db = db
        self._by = by

    async def set_user(self, username: str, origin: Origin, *, on: bool) -> None:
        """Holds or releases an account with all its dialogs. Raises NotFound."""
        folded = fold_username(username)
        async with self._db.write() as session:
            user_id = await session.scalar(
                sa.update(User)
                .where(col(User.username) == folded, col(User.origin) == origin)
                .values(held_at=sa.func.coalesce(col(User.held_at), clock.now()) if on else None)
                .returning(col(User.id))
            )
            if user_id is None:
                raise NotFound(code="user_not_found")
            session.add(self._event(folded, user_id, "user", on=on))

    async def set_dialog(self, dialog_id: str, *, on: bool) -> None:
        """Holds or releases a dialog, also a deleted one. Raises NotFound."""
        key = parse_id(dialog_id)
        held_at = sa.func.coalesce(col(Dialog.held_at), clock.now()) if on else None
        async with self._db.write() as session:
            user_id = await session.scalar(
                sa.update(Dialog)
                .where(col(Dialog.id) == key)
                .values(held_at=held_at)
                .returning(col(Dialog.user_id))
            )
            if user_id is None:
                raise NotFound(code="dialog_not_found")
            session.add(self._event(str(key), user_id, "dialog", on=on))

    def _event(self, target: str, user_id: uuid.UUID, kind: str, *, on: bool) -> AuditEvent:
        # without a subject: the user must not see that they are under investigation
        details: dict[str, Any] = {"kind": kind, "hold": "on" if on else "off", "user": user_id}
        return event(Action.HOLD, by=self._by, target=target, **details)


async def count_messages(session: Any, dialog_ids: list[uuid.UUID]) -> int:
    """Counts the messages of these dialogs."""
    query = sa.select(sa.func.count()).select_from(Message)
    return await session.scalar(query.where(col(Message.dialog_id).in_(dialog_ids))) or 0


OF_USER = col(User.id) == col(Dialog.user_id)
HELD = sa.or_(col(Dialog.held_at).is_not(None), col(User.held_at).is_not(None))


def _older(now: datetime, days: int) -> sa.ColumnElement[bool]:
    """Returns the condition on a dialog: no message for `days` days, also none that waits to be
    sent. 0 days: kept for ever."""
    if not days:
        return sa.false()
    oldest = now - timedelta(days=days)
    waits = sa.exists().where(
        col(QueuedQuestion.dialog_id) == col(Dialog.id), col(QueuedQuestion.created_at) > oldest
    )
    return sa.and_(col(Dialog.updated_at) <= oldest, ~waits)


def _until_night() -> float:
    """Returns the seconds until NIGHT_HOUR in the server's time zone."""
    now = clock.now().astimezone()
    night = now.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    if night <= now:
        night += timedelta(days=1)
    return (night - now).total_seconds()
