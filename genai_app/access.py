"""Who asks, and the only way to a protected row: not yours is not found, like a random id."""

import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.errors import Forbidden, NotFound
from genai_app.models import Author, Channel, Dialog, Message, Review, Role, Status

RANK = {Role.USER: 0, Role.REVIEWER: 1, Role.ADMIN: 2}


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated user at one door: by a login, or by an API key. Made only by
    services/sessions.py and services/keys.py."""

    user_id: uuid.UUID
    username: str
    full_name: str
    role: Role
    channel: Channel
    session_id: uuid.UUID | None = None
    key_id: uuid.UUID | None = None
    rate_limit: str | None = None  # the user's own, in place of the role's

    def has(self, role: Role) -> bool:
        """Whether the actor has `role` or a higher one."""
        return RANK[self.role] >= RANK[role]


def parse_id(value: object) -> uuid.UUID:
    """An id that came from outside. Whatever is not an id names nothing: NotFound."""
    if isinstance(value, uuid.UUID):
        return value
    if not isinstance(value, str) or len(value) > 40:
        raise NotFound
    try:
        return uuid.UUID(value)
    except ValueError:
        raise NotFound from None


async def get_dialog(
    session: AsyncSession, actor: Actor, dialog_id: object, *, lock: bool = False
) -> Dialog:
    """The actor's own dialog, unless deleted. `lock`: nobody else changes it until the commit.

    Raises NotFound.
    """
    query = sa.select(Dialog)
    if lock:
        query = query.with_for_update()
    found = await session.scalar(
        query.where(
            col(Dialog.id) == parse_id(dialog_id),
            col(Dialog.user_id) == actor.user_id,
            col(Dialog.deleted_at).is_(None),
        )
    )
    if found is None:
        raise NotFound
    return found


async def get_message(
    session: AsyncSession, actor: Actor, message_id: object, author: Author | None = None
) -> Message:
    """A message in one of the actor's own dialogs, of `author` if given. Raises NotFound."""
    query = (
        sa.select(Message)
        .join(Dialog, col(Message.dialog_id) == col(Dialog.id))
        .where(
            col(Message.id) == parse_id(message_id),
            col(Dialog.user_id) == actor.user_id,
            col(Dialog.deleted_at).is_(None),
        )
    )
    if author is not None:
        query = query.where(col(Message.author) == author)
    found = await session.scalar(query)
    if found is None:
        raise NotFound
    return found


async def get_reviewed_dialog(
    session: AsyncSession, actor: Actor, dialog_id: object, *, lock: bool = False
) -> tuple[Dialog, Review]:
    """Anybody's dialog with its review, one that its user deleted too; there from its first ended
    answer on. `lock`: nobody else changes the review until the commit.

    Raises Forbidden for whoever is no reviewer, NotFound.
    """
    if not actor.has(Role.REVIEWER):
        raise Forbidden
    query = (
        sa.select(Dialog, Review)
        .join(Review, col(Review.dialog_id) == col(Dialog.id))
        .where(col(Dialog.id) == parse_id(dialog_id))
    )
    if lock:
        query = query.with_for_update(of=Review)
    found = (await session.execute(query)).first()
    if found is None:
        raise NotFound
    return found[0], found[1]


async def get_reviewed_answer(session: AsyncSession, actor: Actor, message_id: object) -> Message:
    """An answer in anybody's dialog that has ended. Raises Forbidden, NotFound."""
    if not actor.has(Role.REVIEWER):
        raise Forbidden
    found = await session.get(Message, parse_id(message_id))
    if found is None or found.author != Author.ASSISTANT or found.status == Status.RUNNING:
        raise NotFound
    return found
