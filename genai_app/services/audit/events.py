"""Audit events: who did what, and whether it was allowed. An event is one row, written in the same
transaction as the change where there is one. It holds no passwords, tokens or text of dialogs."""

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

# The address of the client whose request this task handles; set where the request is received.
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
    """Returns a row to be added to a session.

    Args:
        by: the actor; a text for a name without an account, or for the command line.
        target: the object of the action, as an administrator would name it.
        subject: the user whose dialogs the event is about, who sees it on `/settings`.
        why: the reason that the actor gave, in their own words.
        details: short facts such as `reason="disabled"`; no content of dialogs.
    """
    account = by if isinstance(by, Actor | User) else None
    actor_id = account.user_id if isinstance(account, Actor) else account.id if account else None
    name = by if isinstance(by, str) else by.username
    return AuditEvent(
        action=action,
        outcome=outcome,
        actor_id=actor_id,
        actor_name=clean_text(name)[:MAX_TARGET],
        target=clean_text(target)[:MAX_TARGET],
        channel=channel or (account.channel if isinstance(account, Actor) else ""),
        address=client_address.get(),
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
        subject_id=subject,
        reason=clean_text(why)[:MAX_REASON],
        details=" ".join(f"{key}={clean_text(str(value))[:100]}" for key, value in details.items()),
    )


def names_of(filters: Any) -> str:
    """Returns the names of the fields that are set, for an event that must not hold their
    values."""
    return ",".join(each.name for each in fields(filters) if getattr(filters, each.name)) or "none"


class Audit:
    """Writes events that belong to no other transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._news: TTLCache[tuple[str, ...], bool] = TTLCache(10_000, NEWS_S)

    async def record_news(self, row: AuditEvent, *of: str) -> None:
        """Commits an event unless the same one was committed within the last minute: a program that
        repeats a request must not fill the table. `of`: the key of equal events; by default actor,
        action, outcome and target.
        """
        same = of or (str(row.actor_id), row.actor_name, row.action, row.outcome, row.target)
        if same not in self._news:
            self._news[same] = True
            await self.record(row)

    async def record(self, row: AuditEvent) -> None:
        """Commits one event. While the database is away it is written to the log instead."""
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
