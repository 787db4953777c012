"""Access and refresh tokens of the HTTP API: signed JWTs that name a session of the database.

A token holds the id of its session and its own expiry. Whether the session is live, and the user's
present role, are read from the database at each request. So a logout, a disabled account and a new
password end the tokens immediately, without a list of revoked tokens.
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
from sqlalchemy.ext.asyncio import AsyncSession
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
REPEAT_S = 10  # a refresh token may be sent again within these seconds
CLOCK_SKEW_S = 60  # tolerated for replicas that have not measured their clock yet

# python-jose verifies the claims that are present; their presence must be required
_REQUIRED = {f"require_{claim}": True for claim in ("exp", "iat", "sub", "aud", "iss", "jti")}
# python-jose would use the host's clock; `_checked` compares with the database's
_OPTIONS = _REQUIRED | {f"verify_{claim}": False for claim in ("exp", "nbf", "iat")}
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}")

_BY_CLAIMS = holder_by(
    col(Session.id) == sa.bindparam("session_id"), col(Session.user_id) == sa.bindparam("user_id")
)


class TokenKind(StrEnum):
    """The claim `typ`. A token of one kind is never accepted as the other."""

    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens for a client. `expires_in`: seconds until the access token expires."""

    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Claims:
    """The ids in a token whose signature, expiry and claims were verified."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    token_id: uuid.UUID


class Tokens:
    """Issues, refreshes and reads tokens.

    Args:
        secret: the signing key is derived from it; a change of the secret ends all tokens.
        access_ttl_s: lifetime of an access token; a refresh token expires with its session.
    """

    def __init__(self, db: Database, sessions: Sessions, secret: bytes, access_ttl_s: int) -> None:
        self._db = db
        self._sessions = sessions
        self._access_ttl_s = access_ttl_s
        # bound to its algorithm: a token's header cannot choose another one
        self._key: Any = jwk.construct(derive_key(secret, "api tokens"), ALGORITHM)
        self._id_key = derive_key(secret, "api token ids")

    async def issue(self, user: User, *, address: str, user_agent: str) -> TokenPair:
        """Starts a session through the API and returns its first tokens.

        Raises:
            NotAuthenticated: the account was disabled meanwhile.
        """
        row = await self._sessions.start_api(user, address=address, user_agent=user_agent)
        return self._pair(row, row.created_at)

    async def find_actor(self, token: str) -> Actor | None:
        """Returns the user of the access token with the present name and role; None for an invalid
        token or one of an ended session.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        claims = self.read(token, TokenKind.ACCESS)
        if claims is None:
            return None
        ids = {"session_id": claims.session_id, "user_id": claims.user_id}
        return await find_holder(self._db, _BY_CLAIMS, Channel.API, **ids)

    async def refresh(self, token: str) -> TokenPair:
        """Exchanges a refresh token, which can be used once, for a new pair.

        The same token within REPEAT_S seconds returns the same new pair, unless that pair was
        refreshed already: a client may send two requests at the same time, or lose a response. Any
        other second use ends the session, because the token may have been stolen.

        Raises:
            NotAuthenticated: not a refresh token, a second use, or the session has ended.
        """
        claims = self.read(token, TokenKind.REFRESH)
        if claims is None:
            raise NotAuthenticated
        async with self._db.write() as session:
            row, user = await _lock_session(session, claims)
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

    def read(self, token: str, kind: TokenKind) -> Claims | None:
        """Returns the verified claims of a token that this product signed; None for any other text.
        Makes no query."""
        if len(token) > MAX_TOKEN or not _SHAPE.fullmatch(token):
            return None
        try:
            # no kid, jku, x5u, jwk or crit: a token must not choose its key
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
        # not JOSEError: a claim has another type than python-jose expects
        except (JOSEError, TypeError, ValueError, OverflowError):
            return None

    def _next_id(self, token_id: uuid.UUID, moment: datetime) -> uuid.UUID:
        """Returns the id of the refresh token that follows `token_id`: a UUIDv7 of `moment` with a
        keyed digest. Every replica computes the same id, so it need not be stored."""
        millis = int(moment.timestamp() * 1000)
        text = token_id.bytes + millis.to_bytes(6)
        digest = int.from_bytes(hmac.digest(self._id_key, text, hashlib.sha256)[:10])
        high = millis << 16 | 0x7000 | (digest >> 64) & 0xFFF
        low = digest & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return uuid.UUID(int=high << 64 | low)

    def _is_repeated(self, used: uuid.UUID, current: uuid.UUID | None, now: datetime) -> bool:
        """Returns whether `current` was issued for the token `used` within the last REPEAT_S
        seconds."""
        if current is None or current.version != 7:  # the first id of a session is random
            return False
        made_at = _made_at(current)
        return abs(now - made_at) <= timedelta(seconds=REPEAT_S) and hmac.compare_digest(
            self._next_id(used, made_at).bytes, current.bytes
        )

    def _pair(self, row: Session, made_at: datetime) -> TokenPair:
        """Returns the tokens for the row's refresh id, which was made at `made_at`. Equal arguments
        give equal tokens."""
        ends = min(made_at + timedelta(seconds=self._access_ttl_s), row.expires_at)
        assert row.refresh_id is not None
        access_id = hmac.digest(self._id_key, row.refresh_id.bytes, hashlib.sha256)[:16]
        left_s = (ends - clock.now()).total_seconds()
        return TokenPair(
            access_token=self._sign(
                row, TokenKind.ACCESS, uuid.UUID(bytes=access_id), made_at, ends
            ),
            refresh_token=self._sign(
                row, TokenKind.REFRESH, row.refresh_id, made_at, row.expires_at
            ),
            expires_in=max(0, round(left_s)),
        )

    def _sign(
        self, row: Session, kind: TokenKind, token_id: uuid.UUID, made_at: datetime, ends: datetime
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


async def _lock_session(session: AsyncSession, claims: Claims) -> tuple[Session, User]:
    """Locks the live session of a token and returns it with its user. Raises NotAuthenticated."""
    query = (
        sa.select(Session, User)
        .join(User, col(User.id) == col(Session.user_id))
        .where(
            col(Session.id) == claims.session_id,
            col(Session.user_id) == claims.user_id,
            alive_session(),
        )
        .with_for_update(of=Session)
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotAuthenticated
    locked, user = row
    return locked, user


def _made_at(token_id: uuid.UUID) -> datetime:
    """Returns the time in a UUIDv7."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=token_id.int >> 80)


def _checked(claims: dict[str, Any], kind: TokenKind) -> Claims | None:
    """Returns the ids if the times fit the database's clock and every claim has the type and value
    that this product writes; else None."""
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
