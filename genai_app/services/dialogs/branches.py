"""Branches of a dialog's tree of messages: what is read of them, and how."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlmodel import col

from genai_app.access import parse_id
from genai_app.models import Attachment, Dialog, Message, VerifiedAnswer


@dataclass(frozen=True, slots=True)
class Branch:
    """Messages of the branch on the screen, oldest first.

    `siblings` maps a message's id to all messages under the same parent, where there are several:
    the answers of a question, or the questions that were asked at one point.
    `has_older`: messages stand before the first one. `verified`: by the id of an answer, the
    verified answer that it was copied from. `files`: by the id of a question, those that were sent
    with it; whoever shows them adds them.
    """

    dialog: Dialog
    messages: Sequence[Message]
    siblings: dict[uuid.UUID, tuple[uuid.UUID, ...]]
    has_older: bool
    verified: dict[uuid.UUID, VerifiedAnswer] = field(
        default_factory=dict[uuid.UUID, VerifiedAnswer]
    )
    files: Mapping[uuid.UUID, Sequence[Attachment]] = field(
        default_factory=dict[uuid.UUID, Sequence[Attachment]]
    )


def branch(leaf_id: uuid.UUID, limit: int) -> sa.CTE:
    """Returns `id` and `n` of at most `limit` messages from `leaf_id` (n = 1) up to the root."""
    key, parent = sa.column("id", sa.Uuid()), sa.column("parent_id", sa.Uuid())
    messages = sa.table("messages", key, parent)
    start = sa.select(key, parent, sa.literal(1).label("n")).select_from(messages)
    path = start.where(key == leaf_id).cte("path", recursive=True)
    above = messages.alias()
    return path.union_all(
        sa.select(above.c.id, above.c.parent_id, path.c.n + 1).where(
            above.c.id == path.c.parent_id, path.c.n < limit
        )
    )


async def load_branch(
    session: AsyncSession,
    leaf_id: uuid.UUID,
    limit: int,
    *,
    skip: int = 0,
    with_reasoning: bool = False,
) -> tuple[list[Message], dict[uuid.UUID, tuple[uuid.UUID, ...]]]:
    """Returns the last `limit` messages of a branch before its last `skip` ones, oldest first, and
    the siblings of a `Branch`. `reasoning` is left out unless it is asked for: it is long, and
    seldom read."""
    path = branch(leaf_id, skip + limit)
    query = (
        sa.select(Message)
        .join(path, col(Message.id) == path.c.id)
        .where(path.c.n > skip)
        .order_by(path.c.n)
    )
    if not with_reasoning:
        query = query.options(defer(Message.reasoning))  # pyright: ignore[reportArgumentType]
    newest_first = await session.scalars(query)
    messages = list(newest_first)[::-1]
    parents = {m.parent_id for m in messages if m.parent_id is not None}
    is_sibling = col(Message.parent_id).in_(parents)
    if messages and messages[0].parent_id is None:
        is_root = sa.and_(
            col(Message.dialog_id) == messages[0].dialog_id, col(Message.parent_id).is_(None)
        )
        is_sibling = sa.or_(is_sibling, is_root)
    rows = await session.execute(
        sa.select(col(Message.parent_id), col(Message.id))
        .where(is_sibling)
        .order_by(col(Message.id))
    )
    families: dict[uuid.UUID | None, list[uuid.UUID]] = {}
    for parent_id, message_id in rows:
        families.setdefault(parent_id, []).append(message_id)
    siblings = {
        m.id: tuple(families[m.parent_id]) for m in messages if len(families[m.parent_id]) > 1
    }
    return messages, siblings


async def branch_of(
    session: AsyncSession,
    dialog: Dialog,
    messages: Sequence[Message],
    siblings: dict[uuid.UUID, tuple[uuid.UUID, ...]],
) -> Branch:
    has_older = bool(messages) and messages[0].parent_id is not None
    return Branch(dialog, messages, siblings, has_older, await _verified(session, messages))


async def count_from(
    session: AsyncSession, dialog: Dialog, message_id: object, most: int | None
) -> int:
    """Returns how many messages the dialog's branch has from this one on, by depth alone; 0 when it
    is not in the dialog, or they are more than `most`."""
    depths = await session.execute(
        sa.select(col(Message.id), col(Message.depth)).where(
            col(Message.dialog_id) == dialog.id,
            col(Message.id).in_((dialog.leaf_id, parse_id(message_id))),
        )
    )
    by_id = {row[0]: row[1] for row in depths}
    wanted = by_id.get(parse_id(message_id))
    if wanted is None or dialog.leaf_id is None:
        return 0
    count = by_id[dialog.leaf_id] - wanted + 1
    return count if most is None or count <= most else 0


async def _verified(
    session: AsyncSession, messages: Sequence[Message]
) -> dict[uuid.UUID, VerifiedAnswer]:
    """Returns the verified answers that answers among `messages` were copied from, by answer."""
    verified_ids = {m.verified_id for m in messages if m.verified_id is not None}
    if not verified_ids:
        return {}
    answers = await session.scalars(
        sa.select(VerifiedAnswer).where(col(VerifiedAnswer.id).in_(verified_ids))
    )
    rows = {row.id: row for row in answers}
    return {
        m.id: rows[m.verified_id]
        for m in messages
        if m.verified_id is not None and m.verified_id in rows
    }
