"""API keys: named, long-lived keys for scripts. A key is shown once; the table stores its keyed
hash."""

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

PREFIX = "gk_"  # lets secret scanners detect a key that was committed to a repository
_KEY = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")  # 32 bytes, urlsafe, no padding
HINT = 7
MAX_KEYS = 20
MAX_NAME = 100
USE_RECORDED_EVERY_S = 60


class Keys:
    """Creates, lists, checks and revokes API keys.

    Args:
        secret: the key of the hashes is derived from it; a change of the secret ends all API keys.
    """

    def __init__(self, db: Database, secret: bytes) -> None:
        self._db = db
        self._secret = derive_key(secret, "api keys")
        self._recordings: dict[uuid.UUID, asyncio.Task[None]] = {}

    async def create(
        self, actor: Actor, name: str, expires_at: datetime | None = None
    ) -> tuple[ApiKey, str]:
        """Creates a key of the actor. Returns its row and its text, which is stored nowhere.

        Raises:
            InvalidInput: bad_key_name; bad_expiry: the time is in the past.
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
            # the lock counts concurrent requests of a user one by one, for MAX_KEYS
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
        """Returns the actor's keys that were not revoked, also expired ones, newest first."""
        return await self.list_of(actor.user_id)

    async def list_of(self, user_id: uuid.UUID) -> Sequence[ApiKey]:
        """Returns a user's keys that were not revoked, also expired ones, newest first."""
        query = (
            sa.select(ApiKey)
            .where(col(ApiKey.user_id) == user_id, col(ApiKey.revoked_at).is_(None))
            .order_by(col(ApiKey.id).desc())
        )
        async with self._db.read() as session:
            return (await session.scalars(query)).all()

    async def revoke(self, actor: Actor, key_id: object) -> None:
        """Revokes a key of the actor. Raises NotFound for a revoked key and another user's key."""
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
        """Returns the user of the key with the present name and role; None for an invalid key or a
        disabled user.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        if not _KEY.fullmatch(text):
            return None
        async with self._db.statement_runner() as runner:
            rows = await runner.fetch(_HOLDER, key_hash=self._hash(text), now=clock.now())
        if not rows:
            return None
        key_id, last_used_at, *user = rows[0]
        self._record_use(key_id, last_used_at)
        return make_actor(user, Channel.API, key_id=key_id)

    async def close(self) -> None:
        """Waits until the last uses are recorded."""
        await asyncio.gather(*self._recordings.values())

    def _record_use(self, key_id: uuid.UUID, last_used_at: datetime | None) -> None:
        """Records the time of a use in the background, at most once a minute for each key."""
        before = clock.now() - timedelta(seconds=USE_RECORDED_EVERY_S)
        if key_id in self._recordings or (last_used_at is not None and last_used_at > before):
            return
        task = asyncio.create_task(self._write_use(key_id), name="key use")
        self._recordings[key_id] = task
        task.add_done_callback(lambda _: self._recordings.pop(key_id, None))

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
    """Returns the condition that a key is neither revoked nor expired; its user may be disabled.
    `now`: a moment or a bind parameter; None: the present."""
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
