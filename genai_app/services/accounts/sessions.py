"""Sessions of logged-in users. The browser keeps a random token, the table only its keyed hash, so
nobody can log in with a stolen table.

A login through the API is a row of the same table (tokens.py) under the same rules.
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
MAX_LISTED = 100  # sessions that an account's page shows
ACTOR_COLUMNS = (
    col(User.id),
    col(User.username),
    col(User.full_name),
    col(User.role),
    col(User.rate_limit),
    col(User.instructions),
)


async def end_sessions(
    session: AsyncSession, user_id: uuid.UUID, reason: str, *, but: uuid.UUID | None = None
) -> None:
    """Ends the sessions of a user, except the session `but`, in the caller's transaction."""
    which = [col(Session.user_id) == user_id, col(Session.ended_at).is_(None)]
    if but is not None:
        which.append(col(Session.id) != but)
    await session.execute(
        sa.update(Session).where(*which).values(ended_at=clock.now(), end_reason=reason)
    )


async def shut_out(session: AsyncSession, user_id: uuid.UUID, reason: str) -> None:
    """Disables a user, ends the sessions and requests the stop of running answers, in the caller's
    transaction. API keys and tokens are refused from then on. An account that is disabled already
    keeps its first reason."""
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
    """Starts, finds, lists and ends sessions.

    Args:
        secret: the key of the token hashes; a change of the key logs everybody out.
        ttl_s: seconds from the start of a session to its end.
    """

    def __init__(self, db: Database, secret: bytes, ttl_s: int) -> None:
        self._db = db
        self._secret = secret
        self._ttl_s = ttl_s

    async def start(self, user: User, *, address: str, user_agent: str) -> str:
        """Starts a session in the browser. Returns the token for the cookie, which is stored
        nowhere else.

        Raises:
            NotAuthenticated: the account was disabled meanwhile.
        """
        token = secrets.token_urlsafe(32)
        await self._add(user, token, Channel.WEB, address, user_agent)
        return token

    async def start_api(self, user: User, *, address: str, user_agent: str) -> Session:
        """Starts a session through the API, whose refresh token has the id `refresh_id` of the
        returned row. It has no usable cookie.

        Raises:
            NotAuthenticated: the account was disabled meanwhile.
        """
        unused_token = secrets.token_urlsafe(32)  # the column must not be empty
        return await self._add(user, unused_token, Channel.API, address, user_agent, uuid.uuid4())

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
            # the row lock waits for a concurrent Users.disable, which ends only committed sessions
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
        """Returns the user of the token with the present name and role.

        None for a session that ended or expired, for a disabled account, and, without a query, for
        a text that cannot be a token.

        Raises:
            StorageUnavailable: the database does not answer; the user may still be logged in.
        """
        if token is None or not _TOKEN.fullmatch(token):
            return None
        return await find_holder(self._db, _BY_TOKEN, channel, token_hash=self._hash(token))

    async def log_out(self, actor: Actor) -> None:
        """Ends the actor's session. Does nothing for an actor with an API key."""
        async with self._db.write() as session:
            ended = await session.scalar(
                sa.update(Session)
                .where(col(Session.id) == actor.session_id, col(Session.ended_at).is_(None))
                .values(ended_at=clock.now(), end_reason="logout")
                .returning(col(Session.id))
            )
            if ended is not None:
                session.add(event(Action.LOGOUT, by=actor))

    async def list_of(self, user_id: uuid.UUID) -> list[Session]:
        """Returns the live sessions of a user, newest first, at most MAX_LISTED."""
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
        """Ends a session of the actor. Raises NotFound, also for a session that has ended."""
        key = parse_id(session_id)
        async with self._db.write() as session:
            if await _end_where(session, actor, col(Session.id) == key) == 0:
                raise NotFound
            session.add(event(Action.SESSION_REVOKE, by=actor, target=str(key)))

    async def end_others(self, actor: Actor) -> int:
        """Ends all sessions of the actor except the present one. Returns their number."""
        async with self._db.write() as session:
            ended = await _end_where(session, actor, col(Session.id) != actor.session_id)
            if ended:
                session.add(event(Action.SESSION_REVOKE, by=actor, target="others", count=ended))
        return ended

    async def list_ended(self, session_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
        """Returns those of `session_ids` that ended or expired, whose user is disabled, or that do
        not exist."""
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
    """Returns a client's address as the table stores it."""
    return clean_text(address)[:MAX_ADDRESS]


def holder_by(*which: sa.ColumnElement[bool]) -> Statement:
    """Returns a statement for `find_holder` that selects a session by the conditions `which`."""
    return Statement(
        sa.select(col(Session.id), *ACTOR_COLUMNS)
        .join(User, col(User.id) == col(Session.user_id))
        .where(*which, alive_session(sa.bindparam("now", type_=UtcDateTime)))
    )


async def find_holder(
    db: Database, holder: Statement, channel: Channel, **which: object
) -> Actor | None:
    """Returns the user of a live session with the present name and role, by one query.

    Args:
        holder: a statement of `holder_by`.
        which: the parameters of its conditions.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    async with db.statement_runner() as runner:
        rows = await runner.fetch(holder, **which, now=clock.now())
    if not rows:
        return None
    session_id, *user = rows[0]
    return make_actor(user, channel, session_id=session_id)


async def find_user_actor(db: Database, user_id: uuid.UUID, channel: Channel) -> Actor | None:
    """Returns the user with the present name and role, for what was asked for before and is done
    without a session. None for a disabled account.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    query = sa.select(*ACTOR_COLUMNS).where(
        col(User.id) == user_id, col(User.disabled_at).is_(None)
    )
    async with db.read() as session:
        row = (await session.execute(query)).one_or_none()
    return None if row is None else make_actor(row, channel)


def make_actor(
    columns: Sequence[Any],
    channel: Channel,
    *,
    session_id: uuid.UUID | None = None,
    key_id: uuid.UUID | None = None,
) -> Actor:
    """Returns the actor of a row of ACTOR_COLUMNS."""
    user_id, username, full_name, role, rate_limit, instructions = columns
    return Actor(
        *(user_id, username, full_name, Role(role), channel),
        *(session_id, key_id, rate_limit, instructions),
    )


def alive_session(now: Any = None) -> sa.ColumnElement[bool]:
    """Returns the condition that a session, joined with its user, is live and the user is not
    disabled. `now`: a moment or a bind parameter; None: the present."""
    return sa.and_(live_session(now), col(User.disabled_at).is_(None))


def live_session(now: Any = None) -> sa.ColumnElement[bool]:
    """Returns the condition that a session has neither ended nor expired. `now`: as above."""
    moment = clock.now() if now is None else now
    return sa.and_(col(Session.ended_at).is_(None), col(Session.expires_at) > moment)


_BY_TOKEN = holder_by(col(Session.token_hash) == sa.bindparam("token_hash"))


async def _end_where(session: AsyncSession, actor: Actor, which: sa.ColumnElement[bool]) -> int:
    """Ends the actor's live sessions that fulfil `which`. Returns their number."""
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
