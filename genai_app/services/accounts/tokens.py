"""Tokens of the HTTP API: signed names of a server-side session, good as long as it is.

A token says which session it belongs to and for how long it may be shown; whether that session
still lives, and who its user is now, is asked of the database each time. So a logout, a disabled
account and a new password end the API and the web at once, and no list of revoked tokens is kept.
"""

import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
import structlog
from jose import jwk, jwt
from jose.exceptions import JOSEError
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import NotAuthenticated
from genai_app.models import Channel, Session, User
from genai_app.services.accounts.sessions import Sessions, alive_session, find_holder, holder_by
from genai_app.services.audit.events import Action, Outcome, event
from genai_app.services.derived_keys import derive_key

log = structlog.stdlib.get_logger(__name__)

ALGORITHM = "HS256"
HEADER = {"alg": ALGORITHM, "typ": "JWT"}
ISSUER = "genai"
AUDIENCE = "genai-api"
MAX_TOKEN = 4096
REPEAT_S = 10  # a refresh token that is sent again so soon was sent by its own holder
CLOCK_SKEW_S = 60  # of a replica that has not measured its clock yet

# python-jose verifies a claim that is there; that it is there must be asked for
_REQUIRED = {f"require_{claim}": True for claim in ("exp", "iat", "sub", "aud", "iss", "jti")}
# it would compare with the host's clock; `_checked` does with the database's
_OPTIONS = _REQUIRED | {f"verify_{claim}": False for claim in ("exp", "nbf", "iat")}
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
        self._id_key = derive_key(secret, "api token ids")

    async def issue(self, user: User, *, address: str, user_agent: str) -> TokenPair:
        """A new login of `user` through the API.

        Raises:
            NotAuthenticated: the account was disabled meanwhile.
        """
        row = await self._sessions.start_api(user, address=address, user_agent=user_agent)
        return self._pair(row, row.created_at)

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

        The same token within REPEAT_S gives the same new pair, until that was refreshed itself:
        two requests of one client met, or an answer was lost. Otherwise one that was used before is
        in two hands, and which of them is the thief's cannot be told: the session ends.

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
            now = clock.now()
            repeated = self._is_repeated(claims.token_id, row.refresh_id, now)
            fresh = row.refresh_id == claims.token_id
            if fresh:
                row.refresh_id = self._next_id(claims.token_id, now)
                session.add(event(Action.TOKEN_REFRESH, by=user, channel=Channel.API))
            elif repeated:
                again = event(Action.TOKEN_REFRESH, by=user, channel=Channel.API, repeated="yes")
                session.add(again)
            else:
                row.ended_at, row.end_reason = now, "refresh_replayed"
                session.add(
                    event(
                        Action.TOKEN_REFRESH,
                        Outcome.REFUSED,
                        by=user,
                        channel=Channel.API,
                        reason="refresh_replayed",
                    )
                )
        if not (fresh or repeated):  # after the commit
            log.warning("token.refresh_replayed", user=user.username, session_id=str(row.id))
            raise NotAuthenticated
        assert row.refresh_id is not None
        return self._pair(row, _made_at(row.refresh_id))

    def read(self, token: str, kind: Kind) -> Claims | None:
        """What a token of ours says; None for any other text, without a query."""
        if len(token) > MAX_TOKEN or not _SHAPE.fullmatch(token):
            return None
        try:
            # no kid, jku, x5u, jwk or crit: nothing in a token chooses its key
            if jwt.get_unverified_header(token) != HEADER:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options=_OPTIONS,
            )
            return _checked(claims, kind)
        # the last three: claims of another type than python-jose expects
        except (JOSEError, TypeError, ValueError, OverflowError):
            return None

    def _next_id(self, token_id: uuid.UUID, moment: datetime) -> uuid.UUID:
        """The id of the refresh token after `token_id`, a UUIDv7 of that moment. Every process
        makes the same one, and without the key nobody does: so it need not be kept."""
        millis = int(moment.timestamp() * 1000)
        text = token_id.bytes + millis.to_bytes(6)
        digest = int.from_bytes(hmac.digest(self._id_key, text, hashlib.sha256)[:10])
        high = millis << 16 | 0x7000 | (digest >> 64) & 0xFFF
        low = digest & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return uuid.UUID(int=high << 64 | low)

    def _is_repeated(self, used: uuid.UUID, current: uuid.UUID | None, now: datetime) -> bool:
        """Whether the current refresh token was given for the used one, REPEAT_S ago at most."""
        if current is None or current.version != 7:  # the first of a session is random
            return False
        made_at = _made_at(current)
        return abs(now - made_at) <= timedelta(seconds=REPEAT_S) and hmac.compare_digest(
            self._next_id(used, made_at).bytes, current.bytes
        )

    def _pair(self, row: Session, made_at: datetime) -> TokenPair:
        """The pair of the row's refresh id. `made_at`: when that id was made; the same row and
        moment give the same tokens."""
        ends = min(made_at + timedelta(seconds=self._access_ttl_s), row.expires_at)
        assert row.refresh_id is not None
        access_id = hmac.digest(self._id_key, row.refresh_id.bytes, hashlib.sha256)[:16]
        left_s = (ends - clock.now()).total_seconds()
        return TokenPair(
            access_token=self._sign(row, Kind.ACCESS, uuid.UUID(bytes=access_id), made_at, ends),
            refresh_token=self._sign(row, Kind.REFRESH, row.refresh_id, made_at, row.expires_at),
            expires_in=max(0, round(left_s)),
        )

    def _sign(
        self, row: Session, kind: Kind, token_id: uuid.UUID, made_at: datetime, ends: datetime
    ) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(row.user_id),
            "sid": str(row.id),
            "jti": str(token_id),
            "typ": kind,
            "iat": int(made_at.timestamp()),
            "exp": int(ends.timestamp()),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)


def _made_at(token_id: uuid.UUID) -> datetime:
    """The moment in a UUIDv7."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=token_id.int >> 80)


def _checked(claims: dict[str, Any], kind: Kind) -> Claims | None:
    """By the database's clock, and each claim of the one type that we write."""
    now = clock.now().timestamp()
    issued, ends, begins = claims["iat"], claims["exp"], claims.get("nbf", claims["iat"])
    if not all(type(each) is int for each in (issued, ends, begins)):
        return None
    if not max(issued, begins) <= now + CLOCK_SKEW_S or not now < ends:
        return None
    if claims.get("typ") != kind or claims["aud"] != AUDIENCE or claims["iss"] != ISSUER:
        return None
    names = (claims["sub"], claims.get("sid"), claims["jti"])
    if not all(isinstance(name, str) for name in names):
        return None
    user_id, session_id, token_id = (uuid.UUID(name) for name in names)
    return Claims(user_id, session_id, token_id)
