"""API keys: named, long-lived, for scripts. Shown once; the table has the keyed hash."""

import asyncio
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.db.statements import Statement
from genai_app.errors import Conflict, InvalidInput, NotFound, StorageUnavailable
from genai_app.models import ApiKey, Channel, User, UtcDateTime
from genai_app.services.accounts.sessions import ACTOR_COLUMNS, make_actor
from genai_app.services.audit.events import Action, event
from genai_app.services.derived_keys import derive_key
from genai_app.text import clean_text, is_invisible

PREFIX = "gk_"  # so that scanners of repositories find a key that was committed
_KEY = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")  # 32 bytes, urlsafe, no padding
HINT = 7
MAX_KEYS = 20
MAX_NAME = 100
USE_NOTED_EVERY_S = 60


class Keys:
    """Makes, finds and revokes keys.

    Args:
        secret: the key of the hashes is derived from it; another one makes every key void.
    """

    def __init__(self, db: Database, secret: bytes) -> None:
        self._db = db
        self._secret = derive_key(secret, "api keys")
        self._notes: dict[uuid.UUID, asyncio.Task[None]] = {}

    async def create(
        self, actor: Actor, name: str, expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """A new key of the actor, and its text, which is kept nowhere.

        Raises:
            InvalidInput: bad_key_name, or bad_expiry: a moment that has passed.
            Conflict: too_many_keys.
        """
        name = clean_text(name).strip()
        if not 0 < len(name) <= MAX_NAME or any(map(is_invisible, name)):
            raise InvalidInput(code="bad_key_name")
        if expires_at is not None and expires_at <= clock.now():
            raise InvalidInput(code="bad_expiry")
        text = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            user_id=actor.user_id,
            name=name,
            key_hash=self._hash(text),
            hint=text[:HINT],
            expires_at=expires_at,
        )
        async with self._db.write() as session:
            # one at a time for each user: two at once would both find room for the last one
            await session.execute(
                sa.select(col(User.id)).where(col(User.id) == actor.user_id).with_for_update()
            )
            count = await session.scalar(
                sa.select(sa.func.count())
                .select_from(ApiKey)
                .where(col(ApiKey.user_id) == actor.user_id, alive_key())
            )
            if (count or 0) >= MAX_KEYS:
                raise Conflict(code="too_many_keys")
            session.add(key)
            session.add(event(Action.KEY_CREATE, by=actor, target=name, key=key.hint))
        return key, text

    async def list(self, actor: Actor) -> Sequence[ApiKey]:
        """The actor's keys that were not revoked, newest first; an expired one is told as such."""
        return await self.list_of(actor.user_id)

    async def list_of(self, user_id: uuid.UUID) -> Sequence[ApiKey]:
        """A user's keys that were not revoked, newest first."""
        query = (
            sa.select(ApiKey)
            .where(col(ApiKey.user_id) == user_id, col(ApiKey.revoked_at).is_(None))
            .order_by(col(ApiKey.id).desc())
        )
        async with self._db.read() as session:
            return (await session.scalars(query)).all()

    async def revoke(self, actor: Actor, key_id: object) -> None:
        """End a key of the actor at once. Raises NotFound: revoked already, or not theirs."""
        async with self._db.write() as session:
            row = (
                await session.execute(
                    sa.update(ApiKey)
                    .where(
                        col(ApiKey.id) == parse_id(key_id),
                        col(ApiKey.user_id) == actor.user_id,
                        col(ApiKey.revoked_at).is_(None),
                    )
                    .values(revoked_at=clock.now())
                    .returning(col(ApiKey.name), col(ApiKey.hint))
                )
            ).one_or_none()
            if row is None:
                raise NotFound
            session.add(event(Action.KEY_REVOKE, by=actor, target=row.name, key=row.hint))

    async def find_actor(self, text: str) -> Actor | None:
        """Whose key this is, with the name and role of this moment; None for nobody's.

        Raises:
            StorageUnavailable: nobody can tell.
        """
        if not _KEY.fullmatch(text):
            return None
        async with self._db.statement_runner() as runner:
            rows = await runner.fetch(_HOLDER, key_hash=self._hash(text), now=clock.now())
        if not rows:
            return None
        key_id, last_used_at, *user = rows[0]
        self._note_use(key_id, last_used_at)
        return make_actor(user, Channel.API, key_id=key_id)

    async def close(self) -> None:
        """Let the notes of last uses be written."""
        await asyncio.gather(*self._notes.values())

    def _note_use(self, key_id: uuid.UUID, last_used_at: datetime | None) -> None:
        """At most once a minute, and nobody waits for it."""
        before = clock.now() - timedelta(seconds=USE_NOTED_EVERY_S)
        if key_id in self._notes or (last_used_at is not None and last_used_at > before):
            return
        task = asyncio.create_task(self._write_use(key_id), name="key use")
        self._notes[key_id] = task
        task.add_done_callback(lambda _: self._notes.pop(key_id, None))

    async def _write_use(self, key_id: uuid.UUID) -> None:
        with suppress(StorageUnavailable):  # the next use tries again
            async with self._db.write() as session:
                await session.execute(
                    sa.update(ApiKey)
                    .where(col(ApiKey.id) == key_id)
                    .values(last_used_at=clock.now())
                )

    def _hash(self, text: str) -> bytes:
        return hmac.new(self._secret, text.encode(), hashlib.sha256).digest()


def alive_key(now: Any = None) -> sa.ColumnElement[bool]:
    """Of a key: it opens the API at this moment, or at `now`; its user is another question."""
    moment = clock.now() if now is None else now
    return sa.and_(
        col(ApiKey.revoked_at).is_(None),
        sa.or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > moment),
    )


_HOLDER = Statement(
    sa.select(col(ApiKey.id), col(ApiKey.last_used_at), *ACTOR_COLUMNS)
    .join(User, col(User.id) == col(ApiKey.user_id))
    .where(
        col(ApiKey.key_hash) == sa.bindparam("key_hash"),
        alive_key(sa.bindparam("now", type_=UtcDateTime)),
        col(User.disabled_at).is_(None),
    )
)
