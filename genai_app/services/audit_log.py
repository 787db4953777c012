"""The audit as administrators read it: newest first, by who, what, whom and when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from genai_app.access import Actor
from genai_app.db import Database, table_of
from genai_app.models import AuditEvent, Role
from genai_app.services.audit import Action, Audit, Outcome, event, names_of
from genai_app.services.audit_chain import AuditChain, Verdict
from genai_app.services.cursors import make_cursor, parse_cursor
from genai_app.text import clean_text

PAGE = 50
MAX_PAGE = 200
MAX_TEXT = 200
_TABLE = table_of(AuditEvent)
_COLUMNS = [
    _TABLE.c[name]
    for name in (
        *("id", "at", "action", "outcome", "actor_name", "target", "channel", "address"),
        *("details", "reason", "seq"),
    )
]


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """What is looked for; None and "" leave it open. Names are whole, in any case."""

    action: Action | None = None
    outcome: Outcome | None = None
    actor: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows with the columns of AuditEvent, and the cursor of the next page."""

    items: Sequence[Any]
    next_cursor: str | None


class AuditLog:
    """Reads the audit, and checks it."""

    def __init__(self, db: Database, chain: AuditChain) -> None:
        self._db = db
        self._chain = chain
        self._audit = Audit(db)

    async def verify(
        self, actor: Actor, progress: Callable[[int, int], None] | None = None
    ) -> Verdict:
        """Check the chain. Raises Forbidden."""
        await self._audit.let_in(actor, Role.ADMIN, "audit")
        return await self._chain.verify(progress)

    async def list(
        self, actor: Actor, filters: AuditFilters, *, cursor: str | None = None, limit: int = PAGE
    ) -> AuditPage:
        """A page of events. That it was looked at is an event too.

        Raises Forbidden, InvalidInput for a cursor that was not given out.
        """
        await self._audit.let_in(actor, Role.ADMIN, "audit")
        if cursor is None:
            seen = event(Action.ADMIN_VIEW, by=actor, target="audit", filters=names_of(filters))
            await self._audit.record_news(seen)
        limit = max(1, min(limit, MAX_PAGE))
        query = (
            sa.select(*_COLUMNS)
            .where(*_conditions(filters))
            .order_by(_TABLE.c.at.desc(), _TABLE.c.id.desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(
                sa.tuple_(_TABLE.c.at, _TABLE.c.id) < sa.tuple_(*parse_cursor(cursor))
            )
        async with self._db.read() as session:
            found = (await session.execute(query)).all()
        items = found[:limit]
        more = make_cursor(items[-1].at, items[-1].id) if len(found) > limit else None
        return AuditPage(items, more)


def _conditions(filters: AuditFilters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.action:
        found.append(_TABLE.c.action == filters.action)
    if filters.outcome:
        found.append(_TABLE.c.outcome == filters.outcome)
    for column, text in ((_TABLE.c.actor_name, filters.actor), (_TABLE.c.target, filters.target)):
        if text:
            found.append(sa.func.lower(column) == clean_text(text).strip()[:MAX_TEXT].lower())
    if filters.since:
        found.append(_TABLE.c.at >= filters.since)
    if filters.until:
        found.append(_TABLE.c.at < filters.until)
    return found
