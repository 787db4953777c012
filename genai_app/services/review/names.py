"""Whose a dialog is, as far as a reviewer may know it."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.models import AuditEvent, User
from genai_app.services.audit.events import Action, Outcome
from genai_app.services.review.pseudonyms import pseudonym

Mode = Literal["named", "pseudonymous", "off"]

REVEAL_S = 3600
MAX_LISTED_USERS = 50
MAX_DEPARTMENTS = 500


@dataclass(frozen=True, slots=True)
class Person:
    """`code` is the pseudonym; the rest is empty while nothing else may be known."""

    code: str
    user_id: uuid.UUID | None = None
    username: str = ""
    full_name: str = ""


class Names:
    """Names, or pseudonyms in their place.

    Args:
        secret: the key of the pseudonyms.
    """

    def __init__(self, secret: bytes, mode: Mode) -> None:
        self._secret = secret
        self.named = mode == "named"

    def shown(
        self, user_id: uuid.UUID, username: str, full_name: str, *, revealed: bool = False
    ) -> Person:
        code = pseudonym(self._secret, user_id)
        if not (self.named or revealed):
            return Person(code)
        return Person(code, user_id, username, full_name or username)

    async def find(
        self, session: AsyncSession, text: str
    ) -> Collection[uuid.UUID] | sa.Select[uuid.UUID]:
        """The users that `text` names: by id or a part of a name; under pseudonyms by the code
        alone. Very many come as the query that finds them."""
        if not self.named:
            wanted = text.split()[-1].upper() if text.split() else ""
            ids = await session.scalars(sa.select(col(User.id)))
            return [each for each in ids if pseudonym(self._secret, each) == wanted]
        try:
            return [uuid.UUID(text)]
        except ValueError:
            pass
        query = sa.select(col(User.id)).where(
            sa.or_(
                col(User.username).icontains(text, autoescape=True),
                col(User.full_name).icontains(text, autoescape=True),
            )
        )
        found = list(await session.scalars(query.limit(MAX_LISTED_USERS + 1)))
        return found if len(found) <= MAX_LISTED_USERS else query

    async def is_revealed(self, session: AsyncSession, actor: Actor, dialog_id: uuid.UUID) -> bool:
        """Whether the actor gave a reason for this dialog within the hour, by the audit."""
        return await did(session, actor, Action.DIALOG_REVEAL, dialog_id, REVEAL_S)


async def did(
    session: AsyncSession, actor: Actor, action: Action, dialog_id: uuid.UUID, within_s: float
) -> bool:
    """Whether the audit has this deed of the actor on this dialog, so long ago at most."""
    found = await session.scalar(
        sa.select(col(AuditEvent.id))
        .where(
            col(AuditEvent.actor_id) == actor.user_id,
            col(AuditEvent.at) > clock.now() - timedelta(seconds=within_s),
            col(AuditEvent.action) == action,
            col(AuditEvent.target) == str(dialog_id),
            col(AuditEvent.outcome) == Outcome.DONE,
        )
        .limit(1)
    )
    return found is not None


async def list_departments(session: AsyncSession) -> list[str]:
    """Of all users, for a filter."""
    query = (
        sa.select(col(User.department))
        .where(col(User.department) != "")
        .distinct()
        .order_by(col(User.department))
        .limit(MAX_DEPARTMENTS)
    )
    return list(await session.scalars(query))
