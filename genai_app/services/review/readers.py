"""Who read a user's dialogs, when and why: what the audit holds of it, for that user."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import AuditEvent, Dialog, User
from genai_app.services.audit.events import Action, Outcome
from genai_app.services.cursors import Cursors

PAGE = 20
READING = (Action.DIALOG_READ, Action.DIALOG_REVEAL, Action.EXPORT)


@dataclass(frozen=True, slots=True)
class DialogReader:
    """One look at a dialog. `title`: "" for one that is gone, and for what was of several."""

    id: uuid.UUID
    at: datetime
    action: str
    name: str
    reason: str
    dialog_id: uuid.UUID | None
    title: str


@dataclass(frozen=True, slots=True)
class ReaderPage:
    """The latest first."""

    items: Sequence[DialogReader]
    next_cursor: str | None


class Readers:
    """Tells every user alike, whether names are hidden from reviewers or not."""

    def __init__(self, db: Database, cursors: Cursors) -> None:
        self._db = db
        self._cursors = cursors

    async def list(
        self, actor: Actor, *, limit: int = PAGE, cursor: str | None = None
    ) -> ReaderPage:
        """Others who read dialogs of the actor. Raises BadCursor."""
        cursors = self._cursors.of("readers", actor)
        query = (
            sa.select(
                col(AuditEvent.id),
                col(AuditEvent.at),
                col(AuditEvent.action),
                col(AuditEvent.actor_name),
                col(AuditEvent.target),
                col(AuditEvent.reason),
                col(User.full_name),
            )
            .join(User, col(User.id) == col(AuditEvent.actor_id), isouter=True)
            .where(
                col(AuditEvent.subject_id) == actor.user_id,
                col(AuditEvent.action).in_(READING),
                col(AuditEvent.outcome) == Outcome.DONE,
                col(AuditEvent.actor_id).is_distinct_from(actor.user_id),
            )
            .order_by(col(AuditEvent.at).desc(), col(AuditEvent.id).desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(
                sa.tuple_(col(AuditEvent.at), col(AuditEvent.id))
                < sa.tuple_(*cursors.read(cursor, datetime, uuid.UUID))
            )
        async with self._db.read() as session:
            rows = (await session.execute(query)).all()
            ids = {each: _id_in(each) for each in {row.target for row in rows}}
            found = await session.execute(
                sa.select(col(Dialog.id), col(Dialog.title)).where(
                    col(Dialog.id).in_([key for key in ids.values() if key]),
                    col(Dialog.user_id) == actor.user_id,
                )
            )
            titles = {row.id: row.title for row in found}
        items = [
            DialogReader(
                id=row.id,
                at=row.at,
                action=row.action,
                name=row.full_name or row.actor_name,
                reason=row.reason,
                dialog_id=ids[row.target] if ids[row.target] in titles else None,
                title=titles.get(ids[row.target], ""),
            )
            for row in rows[:limit]
        ]
        more = cursors.make(items[-1].at, items[-1].id) if len(rows) > limit else None
        return ReaderPage(items, more)


def _id_in(target: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(target)
    except ValueError:
        return None
