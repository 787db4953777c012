"""Updates of a messenger in the database: each kept once, in order, until it is done."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.adapters.messenger import ChatFile, ChatUpdate, UpdateBatch, UpdateKind
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.models import MessengerLink, MessengerUpdate, new_id
from genai_app.services.messengers.lease import PollerLease
from genai_app.text import clean_text

KEPT = timedelta(days=2)  # Telegram itself keeps an update for a day
MAX_TEXT = 200_000

Waiting = tuple[uuid.UUID, ChatUpdate]


class Inbox:
    """Keeps the updates of one messenger."""

    def __init__(self, db: Database, messenger: str) -> None:
        self._db = db
        self._messenger = messenger

    async def take(self, lease: PollerLease, batch: UpdateBatch) -> Sequence[Waiting]:
        """Commits updates together with the position after them. Returns those that are new.

        Raises:
            LeaseLost: nothing was kept.
        """
        rows = [self._row(update) for update in batch.updates]
        table = table_of(MessengerUpdate)
        async with lease.transaction(batch.position) as session:
            if not rows:
                return []
            links = await session.execute(
                sa.select(col(MessengerLink.external_id), col(MessengerLink.user_id)).where(
                    col(MessengerLink.messenger) == self._messenger,
                    col(MessengerLink.unlinked_at).is_(None),
                    col(MessengerLink.external_id).in_({u.sender_id for u in batch.updates}),
                )
            )
            users = {external_id: user_id for external_id, user_id in links}
            for row, update in zip(rows, batch.updates, strict=True):
                row["user_id"] = users.get(update.sender_id)
            insert = sqlite.insert if self._db.is_sqlite else postgresql.insert
            statement = insert(table).on_conflict_do_nothing(
                index_elements=["messenger", "external_id"]
            )
            added = set(await session.scalars(statement.values(rows).returning(table.c.id)))
        pairs = zip(rows, batch.updates, strict=True)
        return [(row["id"], update) for row, update in pairs if row["id"] in added]

    async def list_waiting(self) -> Sequence[Waiting]:
        """Returns the updates that are not done, oldest first."""
        query = (
            sa.select(MessengerUpdate)
            .where(
                col(MessengerUpdate.messenger) == self._messenger,
                col(MessengerUpdate.done_at).is_(None),
            )
            .order_by(col(MessengerUpdate.id))
        )
        async with self._db.read() as session:
            rows = (await session.scalars(query)).all()
        return [(row.id, _update(row.body)) for row in rows]

    async def finish(self, keys: Sequence[uuid.UUID]) -> None:
        """Marks updates as done."""
        async with self._db.write() as session:
            await mark_done(session, keys)

    async def sweep(self) -> None:
        """Removes what was done days ago."""
        async with self._db.write() as session:
            await session.execute(
                sa.delete(MessengerUpdate).where(
                    col(MessengerUpdate.messenger) == self._messenger,
                    col(MessengerUpdate.done_at) < clock.now() - KEPT,
                )
            )

    def _row(self, update: ChatUpdate) -> dict[str, Any]:
        values = asdict(update) | {"text": clean_text(update.text)[:MAX_TEXT]}
        return {
            "id": new_id(),
            "messenger": self._messenger,
            "external_id": update.id,
            "chat_id": update.chat_id,
            "user_id": None,
            "body": json.dumps(values, ensure_ascii=False),
            "taken_at": clock.now(),
            "done_at": None,
        }


async def mark_done(session: AsyncSession, keys: Sequence[uuid.UUID]) -> None:
    """Marks updates as done. Their text is kept no longer: the dialog has it."""
    await session.execute(
        sa.update(MessengerUpdate)
        .where(col(MessengerUpdate.id).in_(keys))
        .values(done_at=clock.now(), body="")
    )


def _update(body: str) -> ChatUpdate:
    values = json.loads(body)
    files = tuple(ChatFile(**each) for each in values.get("files", ()))
    return ChatUpdate(**values | {"kind": UpdateKind(values["kind"]), "files": files})
