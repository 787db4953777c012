"""Who did what, and whether it was allowed: one row an event, in the transaction of the deed where
there is one. Never a password, a token, or what somebody asked or was told."""

import uuid
from contextvars import ContextVar
from dataclasses import fields
from typing import Any

import structlog
from cachetools import TTLCache

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import Forbidden, StorageUnavailable
from genai_app.models import Action, AuditEvent, Channel, Outcome, Role, User
from genai_app.text import clean_text

log = structlog.stdlib.get_logger(__name__)

MAX_TARGET = 200
MIN_REASON = 10
MAX_REASON = 500
NEWS_S = 60.0

# The address of the client that this task serves; set by the door it came through.
client_address: ContextVar[str] = ContextVar("client_address", default="")


def event(
    action: Action,
    outcome: Outcome = Outcome.DONE,
    *,
    by: Actor | User | str = "",
    target: str = "",
    channel: Channel | str = "",
    subject: uuid.UUID | None = None,
    why: str = "",
    **details: object,
) -> AuditEvent:
    """The row to add to a session.

    Args:
        by: who acts; a name where nobody is known by it, or the operator's command line.
        target: what it is done to, as an administrator would name it.
        subject: whose dialogs it is about; that user sees the event on `/settings`.
        why: the reason that the actor gave, in their own words.
        details: short facts such as `reason="disabled"`; no content of dialogs.
    """
    known = by if isinstance(by, Actor | User) else None
    actor_id = known.user_id if isinstance(known, Actor) else known.id if known else None
    name = by if isinstance(by, str) else by.username
    return AuditEvent(
        action=action,
        outcome=outcome,
        actor_id=actor_id,
        actor_name=clean_text(name)[:MAX_TARGET],
        target=clean_text(target)[:MAX_TARGET],
        channel=channel or (known.channel if isinstance(known, Actor) else ""),
        address=client_address.get(),
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
        subject_id=subject,
        reason=clean_text(why)[:MAX_REASON],
        details=" ".join(f"{key}={clean_text(str(value))[:100]}" for key, value in details.items()),
    )


def names_of(filters: Any) -> str:
    """Which fields of a dataclass are set, for an event that must not tell what was looked for."""
    return ",".join(each.name for each in fields(filters) if getattr(filters, each.name)) or "none"


class Audit:
    """Writes events that belong to no other transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._news: TTLCache[tuple[str, ...], bool] = TTLCache(10_000, NEWS_S)

    async def record_news(self, row: AuditEvent, *of: str) -> None:
        """Commit the first of a minute of these events: a program that knocks again and again must
        not fill the table. `of`: what makes two of them the same; by default who does what to whom.
        """
        same = of or (str(row.actor_id), row.actor_name, row.action, row.outcome, row.target)
        if same not in self._news:
            self._news[same] = True
            await self.record(row)

    async def record(self, row: AuditEvent) -> None:
        """Commit one event. A refusal stands although the database is away: then the log has it."""
        try:
            async with self._db.write() as session:
                session.add(row)
        except StorageUnavailable:
            log.error(
                "audit.lost",
                action=row.action,
                outcome=row.outcome,
                actor=row.actor_name,
                target=row.target,
                details=row.details,
            )

    async def let_in(self, actor: Actor, role: Role, target: str) -> None:
        """Raises Forbidden, audited, unless the actor has `role` or a higher one."""
        if not actor.has(role):
            await self.record_news(event(Action.ACCESS, Outcome.REFUSED, by=actor, target=target))
            raise Forbidden
