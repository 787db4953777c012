"""The texts of running answers that a checkpoint saves.

Reasoning is long, and ends before the text begins: it is written only while it grows itself.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.db.statements import table_of
from genai_app.models import Generation, Message, Status

_MESSAGES, _RUNS = table_of(Message), table_of(Generation)
# an answer whose run was lost may go on in another process: only that one writes it then
OWNED = sa.exists().where(
    _RUNS.c.message_id == _MESSAGES.c.id, _RUNS.c.owner == sa.bindparam("process")
)
OWNED_RUN = OWNED.where(_RUNS.c.ended_at.is_(None))
ANY_LENGTH = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Growth:
    """The text of a running answer at a checkpoint. `reasoning`: None where the database has it.
    `swaps`: how often both have changed places: they may be shorter then."""

    message_id: uuid.UUID
    text: str
    first_token_at: datetime | None
    reasoning: str | None = None
    reasoning_ms: int | None = None
    swaps: int = 0


async def save_growth(session: AsyncSession, grown: Sequence[Growth], owner: str) -> None:
    """Saves the texts of answers that still run. `owner`: this process, in their leases."""
    thoughts = [each for each in grown if each.reasoning is not None]
    await _update(
        session,
        ("text", "first_token_at"),
        [(g, g.text, g.first_token_at) for g in grown],
        owner,
    )
    await _update(
        session,
        ("reasoning", "reasoning_ms"),
        [(g, g.reasoning or "", g.reasoning_ms) for g in thoughts],
        owner,
    )


async def _update(
    session: AsyncSession,
    columns: tuple[str, str],
    rows: Sequence[tuple[Growth, str, object]],
    owner: str,
) -> None:
    """Updates two columns of messages that run: a text that has grown, and another."""
    if not rows:
        return
    text, other = columns
    statement = sa.update(Message).where(
        col(Message.id) == sa.bindparam("key"),
        col(Message.status) == Status.RUNNING,
        # not a checkpoint that was slower than the end of its run
        sa.func.length(_MESSAGES.c[text]) < sa.bindparam("size"),
        OWNED_RUN,
    )
    values: dict[str, Any] = {text: sa.bindparam("grown"), other: sa.bindparam("beside")}
    connection = await session.connection()
    await connection.execute(
        statement.values(values),
        [
            {
                "key": growth.message_id,
                "grown": value,
                "beside": beside,
                "size": ANY_LENGTH if growth.swaps else len(value),
                "process": owner,
            }
            for growth, value, beside in rows
        ],
    )
