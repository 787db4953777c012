"""How long dialogs are kept. At night, and by `genai retention`, those go whose time is over, with
all that hangs on them; a legal hold keeps them. Figures of use and verified answers stay."""

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
from genai_app.models import AuditEvent, Dialog, Generation, Message, Origin, User
from genai_app.services.accounts.users import fold_username
from genai_app.services.audit.events import Action, event
from genai_app.settings.notations import DEPARTMENT
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

BATCH = 50  # dialogs a transaction: nobody waits long for a lock
NIGHT_HOUR = 3  # server time
LOCK = 0x67656E61_00000003  # of PostgreSQL's advisory locks: one process at a time
BY = "the system"


@dataclass(slots=True)
class Removed:
    """What went, or would go. `held`: dialogs whose time is over and that a legal hold keeps."""

    dialogs: int = 0
    messages: int = 0
    deleted_dialogs: int = 0  # among them: of those that their user had deleted
    held: int = 0


class Retention:
    """Removes dialogs whose time is over."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    async def run(self) -> None:
        """For the life of the process: every night at three, in one process of all."""
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
        """Remove what is due; with `dry_run` only count it. Both are audited.

        Raises:
            Conflict: retention_running: another process does it now.
        """
        removed = Removed()
        async with self._alone():
            due = self._due()
            async with self._db.read() as session:
                held = sa.select(sa.func.count()).select_from(Dialog).join(User, _OF_USER)
                removed.held = await session.scalar(held.where(due, _HELD)) or 0
            if dry_run:
                await self._count(due, removed)
            else:
                while await self._batch(due, removed):
                    pass
            row = event(
                Action.RETENTION, by=by, target="dialogs", dry_run=dry_run, **asdict(removed)
            )
            async with self._db.write() as session:
                session.add(row)
        log.info("retention.done", dry_run=dry_run, **asdict(removed))
        return removed

    async def _count(self, due: sa.ColumnElement[bool], removed: Removed) -> None:
        which = sa.and_(due, ~_HELD)
        dialogs = sa.select(sa.func.count()).select_from(Dialog).join(User, _OF_USER).where(which)
        messages = (
            sa.select(sa.func.count())
            .select_from(Message)
            .join(Dialog, col(Dialog.id) == col(Message.dialog_id))
            .join(User, _OF_USER)
            .where(which)
        )
        async with self._db.read() as session:
            removed.dialogs = await session.scalar(dialogs) or 0
            removed.messages = await session.scalar(messages) or 0
            deleted = dialogs.where(col(Dialog.deleted_at).is_not(None))
            removed.deleted_dialogs = await session.scalar(deleted) or 0

    async def _batch(self, due: sa.ColumnElement[bool], removed: Removed) -> int:
        """Remove some. A hold that was set a moment ago counts: it is looked at in the same
        transaction, under the row's lock."""
        query = (
            sa.select(col(Dialog.id), col(Dialog.deleted_at))
            .join(User, _OF_USER)
            .where(due, ~_HELD)
            .limit(BATCH)
            .with_for_update(of=(Dialog, User))
        )
        async with self._db.write() as session:
            found = (await session.execute(query)).all()
            ids = [row.id for row in found]
            if not ids:
                return 0
            removed.messages += await count_messages(session, ids)
            await session.execute(sa.delete(Dialog).where(col(Dialog.id).in_(ids)))
        removed.dialogs += len(ids)
        removed.deleted_dialogs += sum(row.deleted_at is not None for row in found)
        return len(ids)

    def _due(self) -> sa.ColumnElement[bool]:
        """Of a dialog joined with its user: its time is over and nothing is written in it."""
        now = clock.now()
        settings = self._settings
        over: list[sa.ColumnElement[bool]] = []
        # by the first rule that fits: department, role, all
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
        # unlike the others, 0 days is at once: nobody sees it but review
        deleted = now - timedelta(days=settings.deleted_days)
        over.append(col(Dialog.deleted_at) <= deleted)
        runs = sa.exists().where(
            col(Generation.dialog_id) == col(Dialog.id), col(Generation.ended_at).is_(None)
        )
        return sa.and_(sa.or_(*over), ~runs)

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        """No other process does it. SQLite has one writer, and batches of two do no harm there."""
        if self._db.is_sqlite:
            yield
            return
        async with self._db.write() as session:
            got = await session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(LOCK)))
            if not got:
                raise Conflict(code="retention_running")
            yield


class Holds:
    """Legal hold: what is held is removed by nothing.

    Args:
        by: whom the audit names as the one who acts.
    """

    def __init__(self, db: Database, by: str) -> None:
        self._db = db
        self._by = by

    async def set_user(self, username: str, origin: Origin, *, on: bool) -> None:
        """Hold, or release, all dialogs of a user and the account. Raises NotFound."""
        folded = fold_username(username)
        async with self._db.write() as session:
            found = await session.scalar(
                sa.update(User)
                .where(col(User.username) == folded, col(User.origin) == origin)
                .values(held_at=sa.func.coalesce(col(User.held_at), clock.now()) if on else None)
                .returning(col(User.id))
            )
            if found is None:
                raise NotFound(code="user_not_found")
            session.add(self._event(folded, found, "user", on=on))

    async def set_dialog(self, dialog_id: str, *, on: bool) -> None:
        """Hold, or release, one dialog, deleted or not. Raises NotFound."""
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
        # no subject: that somebody is under investigation is not told to them
        told: dict[str, Any] = {"kind": kind, "hold": "on" if on else "off", "user": user_id}
        return event(Action.HOLD, by=self._by, target=target, **told)


async def count_messages(session: Any, dialog_ids: list[uuid.UUID]) -> int:
    """How many messages these dialogs have."""
    query = sa.select(sa.func.count()).select_from(Message)
    return await session.scalar(query.where(col(Message.dialog_id).in_(dialog_ids))) or 0


_OF_USER = col(User.id) == col(Dialog.user_id)
_HELD = sa.or_(col(Dialog.held_at).is_not(None), col(User.held_at).is_not(None))


def _older(now: datetime, days: int) -> sa.ColumnElement[bool]:
    """Nothing was said in it for so many days; 0: it is kept for ever."""
    return col(Dialog.updated_at) <= now - timedelta(days=days) if days else sa.false()


def _until_night() -> float:
    """Seconds until it is three o'clock here."""
    here = clock.now().astimezone()
    night = here.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    if night <= here:
        night += timedelta(days=1)
    return (night - here).total_seconds()
