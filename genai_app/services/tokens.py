"""Tokens of the HTTP API: signed names of a server-side session, good as long as it is.

A token says which session it belongs to and for how long it may be shown; whether that session
still lives, and who its user is now, is asked of the database each time. So a logout, a disabled
account and a new password end the API and the web at once, and no list of revoked tokens is kept.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
import structlog
from jose import jwk, jwt
from jose.exceptions import JOSEError
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db import Database
from genai_app.errors import NotAuthenticated
from genai_app.models import Channel, Session, User
from genai_app.services.audit import Action, Outcome, event
from genai_app.services.sessions import (
    Sessions,
    alive_session,
    derive_key,
    find_holder,
    holder_by,
)

log = structlog.stdlib.get_logger(__name__)

ALGORITHM = "HS256"
HEADER = {"alg": ALGORITHM, "typ": "JWT"}
ISSUER = "genai"
AUDIENCE = "genai-api"
MAX_TOKEN = 4096
CLOCK_SKEW_S = 5  # between replicas: one issues what another is shown at once

# python-jose verifies a claim that is there; that it is there must be asked for
_OPTIONS = {f"require_{claim}": True for claim in ("exp", "iat", "sub", "aud", "iss", "jti")}
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}")

_BY_CLAIMS = holder_by(
    col(Session.id) == sa.bindparam("session_id"), col(Session.user_id) == sa.bindparam("user_id")
)


class Kind(StrEnum):
    """The claim `typ`: one kind is never taken for the other."""

    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client gets. `expires_in`: seconds that the access token has."""

    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Claims:
    """A token whose signature, time and claims were all checked."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    token_id: uuid.UUID


class Tokens:
    """Issues, rotates and reads tokens.

    Args:
        secret: the key of the signatures is derived from it; another one ends all tokens.
        access_ttl_s: how long an access token may be shown; a refresh token lives as its session.
    """

    def __init__(self, db: Database, sessions: Sessions, secret: bytes, access_ttl_s: int) -> None:
        self._db = db
        self._sessions = sessions
        self._access_ttl_s = access_ttl_s
        # a key bound to its algorithm: whatever a header says, it computes this HMAC alone
        self._key: Any = jwk.construct(derive_key(secret, "api tokens"), ALGORITHM)

    async def issue(self, user: User, *, address: str, user_agent: str) -> TokenPair:
        """A new login of `user` through the API.

        Raises:
            NotAuthenticated: the account was disabled meanwhile.
        """
        row = await self._sessions.start_api(user, address=address, user_agent=user_agent)
        return self._pair(row)

    async def find_actor(self, token: str) -> Actor | None:
        """Who holds the access token, with the name and role of this moment; None for nobody.

        Raises:
            StorageUnavailable: nobody can tell.
        """
        claims = self.read(token, Kind.ACCESS)
        if claims is None:
            return None
        which = {"session_id": claims.session_id, "user_id": claims.user_id}
        return await find_holder(self._db, _BY_CLAIMS, Channel.API, **which)

    async def refresh(self, token: str) -> TokenPair:
        """A new pair for a refresh token, which is good this once.

        One that was used before is in two hands, and which of them is the thief's cannot be told:
        the session ends.

        Raises:
            NotAuthenticated: not a refresh token, or its session has ended.
        """
        claims = self.read(token, Kind.REFRESH)
        if claims is None:
            raise NotAuthenticated
        async with self._db.write() as session:
            found = (
                await session.execute(
                    sa.select(Session, User)
                    .join(User, col(User.id) == col(Session.user_id))
                    .where(
                        col(Session.id) == claims.session_id,
                        col(Session.user_id) == claims.user_id,
                        alive_session(),
                    )
                    .with_for_update(of=Session)
                )
            ).one_or_none()
            if found is None:
                raise NotAuthenticated
            row, user = found
            fresh = row.refresh_id == claims.token_id
            if fresh:
                row.refresh_id = uuid.uuid4()
                session.add(event(Action.TOKEN_REFRESH, by=user, channel=Channel.API))
            else:
                row.ended_at, row.end_reason = clock.now(), "refresh_replayed"
                session.add(
                    event(
                        Action.TOKEN_REFRESH,
                        Outcome.REFUSED,
                        by=user,
                        channel=Channel.API,
                        reason="refresh_replayed",
                    )
                )
        if not fresh:  # after the commit
            log.warning("token.refresh_replayed", user=user.username, session_id=str(row.id))
            raise NotAuthenticated
        return self._pair(row)

    def read(self, token: str, kind: Kind) -> Claims | None:
        """What a token of ours says; None for any other text, without a query."""
        if len(token) > MAX_TOKEN or not _SHAPE.fullmatch(token):
            return None
        try:
            # no kid, jku, x5u, jwk or crit: nothing in a token chooses its key
            if jwt.get_unverified_header(token) != HEADER:
                return None
            told: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options=_OPTIONS,
            )
            return _checked(told, kind)
        # the last three: claims of another type than python-jose expects
        except (JOSEError, TypeError, ValueError, OverflowError):
            return None

    def _pair(self, row: Session) -> TokenPair:
        now = clock.now()
        ends = min(now + timedelta(seconds=self._access_ttl_s), row.expires_at)
        assert row.refresh_id is not None
        return TokenPair(
            access_token=self._sign(row, Kind.ACCESS, uuid.uuid4(), ends),
            refresh_token=self._sign(row, Kind.REFRESH, row.refresh_id, row.expires_at),
            expires_in=max(0, int((ends - now).total_seconds())),
        )

    def _sign(self, row: Session, kind: Kind, token_id: uuid.UUID, ends: datetime) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(row.user_id),
            "sid": str(row.id),
            "jti": str(token_id),
            "typ": kind,
            "iat": int(clock.now().timestamp()),
            "exp": int(ends.timestamp()),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)


def _checked(told: dict[str, Any], kind: Kind) -> Claims | None:
    """By our own clock, and each claim of the one type that we write."""
    now = clock.now().timestamp()
    issued, ends = told["iat"], told["exp"]
    if type(issued) is not int or type(ends) is not int:
        return None
    if not issued <= now + CLOCK_SKEW_S or not now < ends:
        return None
    if told.get("typ") != kind or told["aud"] != AUDIENCE or told["iss"] != ISSUER:
        return None
    names = (told["sub"], told.get("sid"), told["jti"])
    if not all(isinstance(name, str) for name in names):
        return None
    user_id, session_id, token_id = (uuid.UUID(name) for name in names)
    return Claims(user_id, session_id, token_id)
