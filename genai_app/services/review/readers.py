"""The list for a user of who read their dialogs, when and why. The source is the audit."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import AuditEvent, Dialog, User
from genai_app.services.audit.events import Action, Outcome
from genai_app.services.cursors import Cursors

PAGE = 20
READING = (Action.DIALOG_READ, Action.DIALOG_REVEAL, Action.FILE_READ, Action.EXPORT)


@dataclass(frozen=True, slots=True)
class DialogReader:
    """An event in which somebody read a dialog of the user. `title`: "" for a removed dialog, and
    for an event about several dialogs."""

    id: uuid.UUID
    at: datetime
    action: str
    name: str
    reason: str
    dialog_id: uuid.UUID | None
    title: str


@dataclass(frozen=True, slots=True)
class ReaderPage:
    """Events, the newest first."""

    items: Sequence[DialogReader]
    next_cursor: str | None


class Readers:
    """Lists the readers of a user's dialogs, by name also where reviewers see only pseudonyms."""

    def __init__(self, db: Database, cursors: Cursors) -> None:
        self._db = db
        self._cursors = cursors

    async def list(
        self, actor: Actor, *, limit: int = PAGE, cursor: str | None = None
    ) -> ReaderPage:
        """Returns events in which others read dialogs of the actor. Raises BadCursor."""
        cursors = self._cursors.of("readers", actor)
        query = _reading_events(actor.user_id).limit(limit + 1)
        if cursor is not None:
            query = query.where(
                sa.tuple_(col(AuditEvent.at), col(AuditEvent.id))
                < sa.tuple_(*cursors.read(cursor, datetime, uuid.UUID))
            )
        async with self._db.read() as session:
            rows = (await session.execute(query)).all()
            ids = {target: _dialog_id(target) for target in {row.target for row in rows}}
            dialogs = await session.execute(
                sa.select(col(Dialog.id), col(Dialog.title)).where(
                    col(Dialog.id).in_([key for key in ids.values() if key]),
                    col(Dialog.user_id) == actor.user_id,
                )
            )
            titles = {dialog.id: dialog.title for dialog in dialogs}
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


def _reading_events(user_id: uuid.UUID) -> sa.Select[*tuple[Any, ...]]:
    """Returns the query for events in which somebody else read the user's dialogs, newest first."""
    return (
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
            col(AuditEvent.subject_id) == user_id,
            col(AuditEvent.action).in_(READING),
            col(AuditEvent.outcome) == Outcome.DONE,
            col(AuditEvent.actor_id).is_distinct_from(user_id),
        )
        .order_by(col(AuditEvent.at).desc(), col(AuditEvent.id).desc())
    )


def _dialog_id(target: str) -> uuid.UUID | None:
    """Returns the id in an event's target; None where the target is something else."""
    try:
        return uuid.UUID(target)
    except ValueError:
        return None
