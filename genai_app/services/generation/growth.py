"""The texts of running answers that a checkpoint saves.

Reasoning is long, and ends before the text begins: it is written only while it grows itself.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.models import Message, Status


@dataclass(frozen=True, slots=True)
class Growth:
    """The text of a running answer at a checkpoint. `reasoning`: None where the database has it."""

    message_id: uuid.UUID
    text: str
    first_token_at: datetime | None
    reasoning: str | None = None
    reasoning_ms: int | None = None


async def save_growth(session: AsyncSession, grown: Sequence[Growth]) -> None:
    """Saves the texts of answers that still run."""
    texts = [{"key": g.message_id, "grown": g.text, "first": g.first_token_at} for g in grown]
    await _update(session, texts, {"text": "grown", "first_token_at": "first"})
    thoughts = [
        {"key": g.message_id, "thoughts": g.reasoning, "ms": g.reasoning_ms}
        for g in grown
        if g.reasoning is not None
    ]
    await _update(session, thoughts, {"reasoning": "thoughts", "reasoning_ms": "ms"})


async def _update(
    session: AsyncSession, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]
) -> None:
    """Updates messages that run. `columns`: the key in `rows` of each column."""
    if not rows:
        return
    running = (col(Message.id) == sa.bindparam("key"), col(Message.status) == Status.RUNNING)
    values: dict[str, Any] = {name: sa.bindparam(key) for name, key in columns.items()}
    connection = await session.connection()
    await connection.execute(sa.update(Message).where(*running).values(values), rows)
