"""The leaf that a page shows of a dialog, and the one that it goes back to in another branch."""

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.models import Dialog, Message


async def leaf_below(
    session: AsyncSession, dialog: Dialog, message_id: uuid.UUID
) -> uuid.UUID | None:
    """Returns the leaf of the branch through a message that was looked at last: the one that is
    shown, else the one that was left last, else the newest."""
    key, parent = sa.column("id", sa.Uuid()), sa.column("parent_id", sa.Uuid())
    messages = sa.table("messages", key, parent)
    below = sa.select(key).select_from(messages).where(key == message_id)
    below = below.cte("below", recursive=True)
    child = messages.alias()
    below = below.union_all(sa.select(child.c.id).where(child.c.parent_id == below.c.id))
    reply = messages.alias()
    return await session.scalar(
        sa.select(col(Message.id))
        .join(below, col(Message.id) == below.c.id)
        .where(~sa.exists().where(reply.c.parent_id == below.c.id))
        .order_by(
            sa.case((col(Message.id) == dialog.leaf_id, 0), else_=1),
            col(Message.left_at).desc().nulls_last(),
            col(Message.id).desc(),
        )
        .limit(1)
    )


async def show_leaf(
    session: AsyncSession,
    dialog: Dialog,
    leaf_id: uuid.UUID | None,
    *,
    below: uuid.UUID | None = None,
) -> None:
    """Has the page show the branch to `leaf_id`, and notes that it leaves the one before.

    Args:
        below: the message that the new branch goes on from; below the old leaf nothing is left.
    """
    if dialog.leaf_id not in (None, leaf_id, below):
        await session.execute(
            sa.update(Message)
            .where(col(Message.id) == dialog.leaf_id)
            .values(left_at=clock.now())
            .execution_options(synchronize_session=False)
        )
    dialog.leaf_id = leaf_id
    session.add(dialog)
