"""Logins. The browser holds a random token, the table its keyed hash: a stolen table is no key.

A login through the API is a row of the same table (tokens.py), alive by the same rules.
"""

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.db.statements import Statement
from genai_app.errors import NotAuthenticated, NotFound
from genai_app.models import Channel, Generation, Role, Session, User, UtcDateTime
from genai_app.services.audit.events import Action, event
from genai_app.text import clean_text

COOKIE = "genai_session"  # of browsers
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # 32 bytes, urlsafe, no padding
MAX_ADDRESS = 100
MAX_USER_AGENT = 400
MAX_LISTED = 100  # logins that an account's page shows
ACTOR_COLUMNS = (
    col(User.id),
    col(User.username),
    col(User.full_name),
    col(User.role),
    col(User.rate_limit),
)


async def end_sessions(
    session: AsyncSession, user_id: uuid.UUID, reason: str, *, but: uuid.UUID | None = None
) -> None:
    """End every login of a user within the transaction that gives the cause, all but one if that
    is given."""
    which = [col(Session.user_id) == user_id, col(Session.ended_at).is_(None)]
    if but is not None:
        which.append(col(Session.id) != but)
    await session.execute(
        sa.update(Session).where(*which).values(ended_at=clock.now(), end_reason=reason)
    )


async def shut_out(session: AsyncSession, user_id: uuid.UUID, reason: str) -> None:
    """Disable a user who is not yet, end every login and ask every running answer to stop. Keys and
    tokens are nobody's from then on."""
    await session.execute(
        sa.update(User)
        .where(col(User.id) == user_id, col(User.disabled_at).is_(None))
        .values(disabled_at=clock.now(), disabled_reason=reason)
    )
    await end_sessions(session, user_id, reason)
    await session.execute(
        sa.update(Generation)
        .where(col(Generation.user_id) == user_id, col(Generation.ended_at).is_(None))
        .values(stop_requested_at=clock.now())
    )


class Sessions:
    """Starts, finds and ends logins.

    Args:
        secret: the key of the token hashes; another key logs everybody out.
        ttl_s: how long a login lasts, from its start.
    """

    def __init__(self, db: Database, secret: bytes, ttl_s: int) -> None:
        self._db = db
        self._secret = secret
        self._ttl_s = ttl_s

    async def start(self, user: User, *, address: str, user_agent: str) -> str:
        """A new login of `user`. Returns the token for the cookie; it is kept nowhere else.

        Raises:
            NotAuthenticated: the account was disabled meanwhile.
        """
        token = secrets.token_urlsafe(32)
        await self._add(user, token, Channel.WEB, address, user_agent)
        return token

    async def start_api(self, user: User, *, address: str, user_agent: str) -> Session:
        """A new login of `user` whose refresh token has the id `refresh_id`; nobody gets a cookie's
        token for it.

        Raises:
            NotAuthenticated: the account was disabled meanwhile.
        """
        nobodys = secrets.token_urlsafe(32)
        return await self._add(user, nobodys, Channel.API, address, user_agent, uuid.uuid4())

    async def _add(
        self,
        user: User,
        token: str,
        channel: Channel,
        address: str,
        user_agent: str,
        refresh_id: uuid.UUID | None = None,
    ) -> Session:
        now = clock.now()
        row = Session(
            user_id=user.id,
            token_hash=self._hash(token),
            refresh_id=refresh_id,
            channel=channel,
            created_at=now,
            expires_at=now + timedelta(seconds=self._ttl_s),
            address=stored_address(address),
            user_agent=clean_text(user_agent)[:MAX_USER_AGENT],
        )
        async with self._db.write() as session:
            # the row lock orders this against Users.disable, which ends what it can see
            active = await session.scalar(
                sa.select(col(User.id))
                .where(col(User.id) == user.id, col(User.disabled_at).is_(None))
                .with_for_update(read=True)
            )
            if active is None:
                raise NotAuthenticated
            session.add(row)
            session.add(event(Action.LOGIN, by=user, channel=channel))
        return row

    async def find_actor(self, token: str | None, channel: Channel = Channel.WEB) -> Actor | None:
        """Who holds `token`, with the name and role of this moment.

        None for a login that ended or expired, for a disabled account, and, without a query, for
        what cannot be a token.

        Raises:
            StorageUnavailable: nobody can tell; this is not "logged out".
        """
        if token is None or not _TOKEN.fullmatch(token):
            return None
        return await find_holder(self._db, _BY_TOKEN, channel, token_hash=self._hash(token))

    async def log_out(self, actor: Actor) -> None:
        """End the login through which `actor` came; one by an API key has none."""
        async with self._db.write() as session:
            ended = await session.scalar(
                sa.update(Session)
                .where(col(Session.id) == actor.session_id, col(Session.ended_at).is_(None))
                .values(ended_at=clock.now(), end_reason="logout")
                .returning(col(Session.id))
            )
            if ended is not None:
                session.add(event(Action.LOGOUT, by=actor))

    async def end(self, session_id: uuid.UUID, reason: str) -> None:
        """End one login; one that has ended keeps its first reason."""
        async with self._db.write() as session:
            await session.execute(
                sa.update(Session)
                .where(col(Session.id) == session_id, col(Session.ended_at).is_(None))
                .values(ended_at=clock.now(), end_reason=reason)
            )

    async def end_all(self, user_id: uuid.UUID, reason: str) -> None:
        """End every login of a user."""
        async with self._db.write() as session:
            await end_sessions(session, user_id, reason)

    async def list_live(self, actor: Actor) -> list[Session]:
        """The actor's own logins that are good now, newest first."""
        return await self.list_of(actor.user_id)

    async def list_of(self, user_id: uuid.UUID) -> list[Session]:
        """A user's logins that are good now, newest first."""
        query = (
            sa.select(Session)
            .where(
                col(Session.user_id) == user_id,
                live_session(),
            )
            .order_by(col(Session.created_at).desc(), col(Session.id).desc())
            .limit(MAX_LISTED)
        )
        async with self._db.read() as session:
            return list(await session.scalars(query))

    async def end_own(self, actor: Actor, session_id: object) -> None:
        """End one of the actor's own logins. Raises NotFound, also for one that has ended."""
        key = parse_id(session_id)
        async with self._db.write() as session:
            if await _end_where(session, actor, col(Session.id) == key) == 0:
                raise NotFound
            session.add(event(Action.SESSION_REVOKE, by=actor, target=str(key)))

    async def end_others(self, actor: Actor) -> int:
        """End all logins of the actor but the present one. Returns how many there were."""
        async with self._db.write() as session:
            ended = await _end_where(session, actor, col(Session.id) != actor.session_id)
            if ended:
                session.add(event(Action.SESSION_REVOKE, by=actor, target="others", count=ended))
        return ended

    async def list_ended(self, session_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Those of `session_ids` that are no login now: ended, expired, disabled, or gone."""
        if not session_ids:
            return set()
        query = (
            sa.select(col(Session.id))
            .join(User, col(User.id) == col(Session.user_id))
            .where(col(Session.id).in_(session_ids), alive_session())
        )
        async with self._db.read() as session:
            alive = await session.scalars(query)
            return set(session_ids) - set(alive)

    def _hash(self, token: str) -> bytes:
        return hmac.new(self._secret, token.encode(), hashlib.sha256).digest()


def stored_address(address: str) -> str:
    """A client's address as the table keeps it."""
    return clean_text(address)[:MAX_ADDRESS]


def holder_by(*which: sa.ColumnElement[bool]) -> Statement:
    """The statement of `find_holder` for sessions that `which` names by its parameters."""
    return Statement(
        sa.select(col(Session.id), *ACTOR_COLUMNS)
        .join(User, col(User.id) == col(Session.user_id))
        .where(*which, alive_session(sa.bindparam("now", type_=UtcDateTime)))
    )


async def find_holder(
    db: Database, holder: Statement, channel: Channel, **which: object
) -> Actor | None:
    """The user of the live session that `which` names, as of this moment, by one query.

    Raises:
        StorageUnavailable: nobody can tell.
    """
    async with db.statement_runner() as runner:
        rows = await runner.fetch(holder, **which, now=clock.now())
    if not rows:
        return None
    session_id, *user = rows[0]
    return make_actor(user, channel, session_id=session_id)


def make_actor(
    columns: Sequence[Any],
    channel: Channel,
    *,
    session_id: uuid.UUID | None = None,
    key_id: uuid.UUID | None = None,
) -> Actor:
    """An actor of what a query for ACTOR_COLUMNS gave."""
    user_id, username, full_name, role, rate_limit = columns
    return Actor(user_id, username, full_name, Role(role), channel, session_id, key_id, rate_limit)


def alive_session(now: Any = None) -> sa.ColumnElement[bool]:
    """Of a session joined with its user: it is a login at this moment, or at `now`."""
    return sa.and_(live_session(now), col(User.disabled_at).is_(None))


def live_session(now: Any = None) -> sa.ColumnElement[bool]:
    """Of a session alone: it has neither ended nor expired."""
    moment = clock.now() if now is None else now
    return sa.and_(col(Session.ended_at).is_(None), col(Session.expires_at) > moment)


_BY_TOKEN = holder_by(col(Session.token_hash) == sa.bindparam("token_hash"))


async def _end_where(session: AsyncSession, actor: Actor, which: sa.ColumnElement[bool]) -> int:
    """End the actor's own live logins among `which`. Returns how many."""
    ended = await session.scalars(
        sa.update(Session)
        .where(
            which,
            col(Session.user_id) == actor.user_id,
            live_session(),
        )
        .values(ended_at=clock.now(), end_reason="revoked")
        .returning(col(Session.id))
    )
    return len(ended.all())
