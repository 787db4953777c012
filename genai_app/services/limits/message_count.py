"""The units of a user's limit, counted from the committed messages."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from limits import RateLimitItem
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.models import Message

# errors after which a question costs nothing: it was refused, or only an administrator can mend it
FREE_ERRORS = ("model_refused", "model_unknown", "model_auth", "context_too_long")
FUTURE_SLACK = timedelta(seconds=2)  # between processes, as each has measured the database's clock


async def count_messages(
    session: AsyncSession,
    actor: Actor,
    rate: RateLimitItem,
    *,
    before: datetime | None = None,
) -> int:
    """Returns how many units of this window the committed messages took.

    Args:
        before: leaves out messages from then on.
    """
    query = sa.select(sa.func.count()).select_from(Message)
    if before is not None:
        query = query.where(col(Message.created_at) < before)
    return await session.scalar(query.where(*_taken_by(actor, rate))) or 0


async def seconds_until_unit(
    session: AsyncSession, actor: Actor, rate: RateLimitItem, used: int
) -> float:
    """Returns the seconds until a unit comes back: of all that are out, the oldest that
    counts."""
    oldest: datetime | None = await session.scalar(
        sa.select(col(Message.created_at))
        .where(*_taken_by(actor, rate))
        .order_by(col(Message.created_at))
        .offset(max(used - rate.amount, 0))
        .limit(1)
    )
    if oldest is None:
        return 0.0
    return max((oldest - clock.now()).total_seconds() + rate.get_expiry(), 0.0)


def _taken_by(actor: Actor, rate: RateLimitItem) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns the conditions of answers of this window that cost a unit. Imported ones have no
    source."""
    now = clock.now()
    return (
        col(Message.user_id) == actor.user_id,
        col(Message.source).is_not(None),
        sa.func.coalesce(col(Message.error_code), "").not_in(FREE_ERRORS),
        col(Message.created_at) > now - timedelta(seconds=rate.get_expiry()),
        # what is dated later is from before the clock was set back
        col(Message.created_at) < now + FUTURE_SLACK,
    )
