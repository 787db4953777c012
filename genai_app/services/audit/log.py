"""Lists audit events for administrators, newest first, filtered by actor, action, target and
time."""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.models import AuditEvent, Role, User
from genai_app.services.audit.chain import AuditChain, ChainCheck
from genai_app.services.audit.events import Action, Audit, Outcome, event, names_of
from genai_app.services.cursors import Cursors
from genai_app.text import clean_text

PAGE = 50
MAX_PAGE = 200
MAX_TEXT = 200
_TABLE = table_of(AuditEvent)
_COLUMNS = [
    _TABLE.c[name]
    for name in (
        *("id", "at", "action", "outcome", "actor_id", "actor_name", "channel"),
        *("address", "details", "reason", "seq"),
    )
]


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """Filters of events; None and "" match all. Names are compared whole, without case."""

    action: Action | None = None
    outcome: Outcome | None = None
    actor: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows with the columns of AuditEvent, and the cursor of the next page.

    `full_names`: of actors that still have an account, by `actor_id`.
    """

    items: Sequence[Any]
    next_cursor: str | None
    full_names: Mapping[uuid.UUID, str]


class AuditLog:
    """Lists events and checks the chain, for administrators."""

    def __init__(
        self, db: Database, chain: AuditChain, cursors: Cursors, *, names_hidden: bool = False
    ) -> None:
        self._db = db
        self._chain = chain
        self._cursors = cursors
        self._target = _without_own_dialogs() if names_hidden else _TABLE.c.target
        self._audit = Audit(db)

    async def verify(
        self, actor: Actor, progress: Callable[[int, int], None] | None = None
    ) -> ChainCheck:
        """Checks the chain. Raises Forbidden."""
        await self._audit.let_in(actor, Role.ADMIN, "audit")
        return await self._chain.verify(progress)

    async def list(
        self, actor: Actor, filters: AuditFilters, *, cursor: str | None = None, limit: int = PAGE
    ) -> AuditPage:
        """Returns a page of events. Each call is an event as well.

        Raises Forbidden, BadCursor.
        """
        await self._audit.let_in(actor, Role.ADMIN, "audit")
        cursors = self._cursors.of("audit", actor, **asdict(filters))
        after = None if cursor is None else cursors.read(cursor, datetime, uuid.UUID)
        seen = event(Action.ADMIN_VIEW, by=actor, target="audit", filters=names_of(filters))
        await self._audit.record(seen)
        limit = max(1, min(limit, MAX_PAGE))
        query = (
            sa.select(*_COLUMNS, self._target.label("target"))
            .where(*_conditions(filters, self._target))
            .order_by(_TABLE.c.at.desc(), _TABLE.c.id.desc())
            .limit(limit + 1)
        )
        if after is not None:
            query = query.where(sa.tuple_(_TABLE.c.at, _TABLE.c.id) < sa.tuple_(*after))
        async with self._db.read() as session:
            rows = (await session.execute(query)).all()
            items = rows[:limit]
            full_names = await _full_names(session, {row.actor_id for row in items})
        more = cursors.make(items[-1].at, items[-1].id) if len(rows) > limit else None
        return AuditPage(items, more, full_names)


async def _full_names(
    session: AsyncSession, ids: Collection[uuid.UUID | None]
) -> dict[uuid.UUID, str]:
    names = sa.select(col(User.id), col(User.full_name)).where(
        col(User.id).in_(ids), col(User.full_name) != ""
    )
    return {user_id: name for user_id, name in await session.execute(names)}


def _without_own_dialogs() -> sa.ColumnElement[str]:
    """Returns the target; "" for events on the actor's own dialog: actor and dialog together reveal
    whose dialog it is."""
    own = sa.or_(
        sa.and_(
            _TABLE.c.action.in_((Action.EXPORT, Action.EXPORT_DOWNLOAD)),
            _TABLE.c.details.startswith("kind=dialog "),
        ),
        _TABLE.c.details == "reason=own_answer",
    )
    return sa.case((own, ""), else_=_TABLE.c.target)


def _conditions(
    filters: AuditFilters, target: sa.ColumnElement[str]
) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if filters.action:
        conditions.append(_TABLE.c.action == filters.action)
    if filters.outcome:
        conditions.append(_TABLE.c.outcome == filters.outcome)
    for column, text in ((_TABLE.c.actor_name, filters.actor), (target, filters.target)):
        if text:
            conditions.append(sa.func.lower(column) == clean_text(text).strip()[:MAX_TEXT].lower())
    if filters.since:
        conditions.append(_TABLE.c.at >= filters.since)
    if filters.until:
        conditions.append(_TABLE.c.at < filters.until)
    return conditions
