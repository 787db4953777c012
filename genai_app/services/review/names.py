"""The names of users in the review: shown, or replaced by pseudonyms."""

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
ONE_READING_S = 3600  # further pages within this time belong to the same reading
MAX_LISTED_USERS = 50
MAX_DEPARTMENTS = 500


@dataclass(frozen=True, slots=True)
class DialogPerson:
    """The user of a dialog as a reviewer sees them. `code`: the pseudonym; the other fields are
    empty while the name is hidden."""

    code: str
    user_id: uuid.UUID | None = None
    username: str = ""
    full_name: str = ""


class Names:
    """Shows and finds users by their names, or by pseudonyms in a mode that hides names.

    Args:
        secret: the pseudonyms are derived from it.
    """

    def __init__(self, secret: bytes, mode: Mode) -> None:
        self._secret = secret
        self.named = mode == "named"

    def shown(
        self, user_id: uuid.UUID, username: str, full_name: str, *, revealed: bool = False
    ) -> DialogPerson:
        """Returns a user as reviewers see them. `revealed`: with the name in any mode."""
        code = pseudonym(self._secret, user_id)
        if not (self.named or revealed):
            return DialogPerson(code)
        return DialogPerson(code, user_id, username, full_name or username)

    async def find(
        self, session: AsyncSession, text: str
    ) -> Collection[uuid.UUID] | sa.Select[uuid.UUID]:
        """Returns the ids of the users that `text` names: by an id or a part of a name; while names
        are hidden by the pseudonym alone. More than MAX_LISTED_USERS are returned as a query."""
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
        user_ids = list(await session.scalars(query.limit(MAX_LISTED_USERS + 1)))
        return user_ids if len(user_ids) <= MAX_LISTED_USERS else query

    async def is_revealed(self, session: AsyncSession, actor: Actor, dialog_id: uuid.UUID) -> bool:
        """Returns whether the audit has a reveal of this dialog by the actor within REVEAL_S."""
        return await has_event(session, actor, Action.DIALOG_REVEAL, dialog_id, REVEAL_S)


async def has_event(
    session: AsyncSession,
    actor: Actor,
    action: Action,
    dialog_id: uuid.UUID,
    within_s: float,
    *,
    details: str = "",
) -> bool:
    """Returns whether the audit has this action of the actor on this dialog, with this text among
    its details, not older than `within_s`."""
    event_id = await session.scalar(
        sa.select(col(AuditEvent.id))
        .where(
            col(AuditEvent.actor_id) == actor.user_id,
            col(AuditEvent.at) > clock.now() - timedelta(seconds=within_s),
            col(AuditEvent.action) == action,
            col(AuditEvent.target) == str(dialog_id),
            col(AuditEvent.outcome) == Outcome.DONE,
            *([col(AuditEvent.details).contains(details, autoescape=True)] if details else []),
        )
        .limit(1)
    )
    return event_id is not None


async def list_departments(session: AsyncSession) -> list[str]:
    """Returns the departments of all users by name, at most MAX_DEPARTMENTS."""
    query = (
        sa.select(col(User.department))
        .where(col(User.department) != "")
        .distinct()
        .order_by(col(User.department))
        .limit(MAX_DEPARTMENTS)
    )
    return list(await session.scalars(query))
