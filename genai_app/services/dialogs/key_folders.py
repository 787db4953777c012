"""Dialogs that API keys began: a folder for each key, so that a program's calls do not bury what
its owner talked about."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import ApiKey, Dialog

MOST_COUNTED = 1000  # a program may have made millions; the sidebar asks at every question


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """The dialogs of one key. `count`: MOST_COUNTED stands for that many or more."""

    key_id: uuid.UUID
    name: str
    count: int


class KeyFolders:
    """Lists the folders of a user's keys, revoked ones too."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def list(self, actor: Actor) -> Sequence[KeyFolder]:
        """Returns the folders with a dialog in them, by the key's name."""
        dialogs = (
            sa.select(sa.literal(1))
            .where(
                col(Dialog.key_id) == col(ApiKey.id),
                col(Dialog.user_id) == actor.user_id,
                col(Dialog.deleted_at).is_(None),
            )
            .correlate(ApiKey)
            .limit(MOST_COUNTED)
            .subquery()
        )
        count = sa.select(sa.func.count()).select_from(dialogs).correlate(ApiKey).scalar_subquery()
        query = (
            sa.select(col(ApiKey.id), col(ApiKey.name), count)
            .where(col(ApiKey.user_id) == actor.user_id)
            .order_by(col(ApiKey.name), col(ApiKey.id))
        )
        async with self._db.read() as session:
            rows = await session.execute(query)
            return [KeyFolder(*row) for row in rows if row[2]]


def in_folder(key_id: uuid.UUID | None, *, own: bool) -> list[sa.ColumnElement[bool]]:
    """Returns the conditions of a dialog of that key, or (`own`) of none; no condition without
    either."""
    if key_id is not None:
        return [col(Dialog.key_id) == key_id]
    return [col(Dialog.key_id).is_(None)] if own else []
