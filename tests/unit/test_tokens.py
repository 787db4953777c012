"""Tokens: only what we signed, as we sign it, for a session that lives."""

import ast
import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from jose import jwt
from sqlmodel import col

import genai_app
from genai_app import clock
from genai_app.db.database import Database
from genai_app.errors import NotAuthenticated
from genai_app.models import AuditEvent, Channel, Role, Session, User
from genai_app.services.accounts.sessions import Sessions, end_sessions
from genai_app.services.accounts.tokens import (
    AUDIENCE,
    ISSUER,
    REPEAT_S,
    TokenKind,
    TokenPair,
    Tokens,
)
from genai_app.services.accounts.users import Users
from genai_app.services.derived_keys import derive_key

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = derive_key(SECRET, "api tokens")
TTL_S = 3600
PACKAGE = Path(genai_app.__file__).parent


@pytest.fixture
def sessions(db: Database) -> Sessions:
    return Sessions(db, SECRET, TTL_S)


@pytest.fixture
def tokens(db: Database, sessions: Sessions) -> Tokens:
    return Tokens(db, sessions, SECRET, 900)


@pytest.fixture
def reader() -> Tokens:
    """Reads tokens; whatever asks its database fails."""
    nothing: Any = None
    return Tokens(nothing, nothing, SECRET, 900)


def claims(**other: object) -> dict[str, Any]:
    """Those of a good access token, but for `other`; None takes a claim away."""
    now = int(time.time())
    good: dict[str, Any] = {
        **{"iss": ISSUER, "aud": AUDIENCE, "typ": "access", "iat": now, "exp": now + 60},
        **{name: str(uuid.uuid4()) for name in ("sub", "sid", "jti")},
    }
    return {name: value for name, value in (good | other).items() if value is not None}


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(
    told: object, header: dict[str, Any] | None = None, key: bytes = KEY, digest: str = "sha256"
) -> str:
    """A token by hand: libraries refuse to make what attackers make."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    text = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(told).encode())}"
    return f"{text}.{_b64(hmac.new(key, text.encode(), digest).digest())}"


async def _issue(tokens: Tokens, user: User) -> TokenPair:
    return await tokens.issue(user, address="192.0.2.1", user_agent="curl")


async def _sessions(db: Database) -> list[Session]:
    async with db.read() as session:
        return list(await session.scalars(sa.select(Session)))


async def _events(db: Database) -> list[tuple[str, str, str, str]]:
    async with db.read() as session:
        rows = await session.scalars(sa.select(AuditEvent).order_by(col(AuditEvent.id)))
        return [(row.action, row.outcome, row.actor_name, row.details) for row in rows]


def test_a_good_token_is_read(reader: Tokens) -> None:
    told = claims()
    found = reader.read(forge(told), TokenKind.ACCESS)
    assert found is not None
    assert str(found.user_id) == told["sub"]
    assert str(found.session_id) == told["sid"]
    assert reader.read(jwt.encode(told, KEY, "HS256"), TokenKind.ACCESS) == found


@pytest.mark.parametrize(
    "header",
    [
        *({"alg": "none", "typ": "JWT"}, {"alg": "None", "typ": "JWT"}, {"alg": "nOnE"}),
        *({"alg": "", "typ": "JWT"}, {"typ": "JWT"}, {}, {"alg": None, "typ": "JWT"}),
        *({"alg": name, "typ": "JWT"} for name in ("HS384", "HS512", "RS256", "ES256", "dir")),
        *({"alg": "HS256"}, {"alg": "HS256", "typ": "at+jwt"}, {"alg": ["HS256"], "typ": "JWT"}),
        {"alg": "HS256", "typ": "JWT", "kid": "../../dev/null"},
        {"alg": "HS256", "typ": "JWT", "jku": "https://evil.example/jwks.json"},
        {"alg": "HS256", "typ": "JWT", "x5u": "https://evil.example/cert.pem"},
        {"alg": "HS256", "typ": "JWT", "jwk": {"kty": "oct", "k": "AAAA"}},
        {"alg": "HS256", "typ": "JWT", "crit": ["exp"]},
        {"alg": "HS256", "typ": "JWT", "zip": "DEF"},
    ],
    ids=str,
)
def test_no_header_but_our_own(reader: Tokens, header: dict[str, Any]) -> None:
    """Signed with the right key, and still: nothing in a token chooses how it is read."""
    assert reader.read(forge(claims(), header), TokenKind.ACCESS) is None


def test_no_other_algorithm_and_no_other_key(reader: Tokens) -> None:
    """Without a signature, by another hash, by keys that are known or were made for others."""
    text = forge(claims()).rpartition(".")[0]
    assert reader.read(f"{text}.", TokenKind.ACCESS) is None
    assert reader.read(text, TokenKind.ACCESS) is None
    assert reader.read(forge(claims(), digest="sha512"), TokenKind.ACCESS) is None
    public = b"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
    for key in (b"", b"\0" * 32, public, SECRET, derive_key(SECRET, "api keys"), b"other" * 8):
        assert reader.read(forge(claims(), key=key), TokenKind.ACCESS) is None
    nothing: Any = None
    assert Tokens(nothing, nothing, b"x" * 32, 900).read(forge(claims()), TokenKind.ACCESS) is None


@pytest.mark.parametrize("name", ["exp", "iat", "sub", "aud", "iss", "jti", "typ", "sid"])
@pytest.mark.parametrize("kind", TokenKind)
def test_every_claim_is_needed(reader: Tokens, name: str, kind: TokenKind) -> None:
    assert reader.read(forge(claims(typ=kind)), kind) is not None
    assert reader.read(forge(claims(**{"typ": kind, name: None})), kind) is None


DAY_S = 86_400
TODAY = int(time.time()) // DAY_S * DAY_S


@pytest.mark.parametrize(
    "other",
    [
        *({"typ": "refresh"}, {"typ": "Access"}, {"typ": ["access"]}, {"typ": 1}),
        *({"aud": "other"}, {"aud": [AUDIENCE]}, {"aud": {}}, {"aud": 1}, {"aud": ""}),
        *({"iss": "other"}, {"iss": [ISSUER]}, {"iss": {}}, {"iss": ""}),
        *({"exp": TODAY - 60}, {"exp": 0}, {"exp": -1}, {"exp": "9999999999"}, {"exp": True}),
        *({"exp": [9]}, {"exp": {}}, {"exp": float("inf")}, {"exp": float("nan")}, {"exp": 9e9}),
        {"iat": TODAY + 2 * DAY_S, "exp": TODAY + 2 * DAY_S + 60},
        *({"iat": "1"}, {"iat": 1.5}, {"iat": True}),
        *({"iat": []}, {"iat": float("inf")}, {"nbf": TODAY + 2 * DAY_S}),
        *({name: value} for name in ("sub", "sid", "jti") for value in (1, "", "x", [], {}, True)),
    ],
    ids=str,
)
def test_every_claim_has_one_type_and_place(reader: Tokens, other: dict[str, Any]) -> None:
    """With our own signature under it."""
    assert reader.read(forge(claims(**other)), TokenKind.ACCESS) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "...", "a.b.c", "x" * 4097, "é.é.é", "\0", "\ud800", " "),
        *(
            f"{forge(claims())}\n",
            f" {forge(claims())}",
            f"{forge(claims())}=",
            f"x{forge(claims())}",
        ),
        *(forge([]), forge("text"), forge(None), forge(claims(pad="x" * 4096))),
        f"{_b64(b'[' * 2000)}.{_b64(b'{}')}.{'A' * 43}",
    ],
)
def test_what_is_no_token(reader: Tokens, text: str) -> None:
    """Odd and long texts are nobody's, without a query and without an error."""
    assert reader.read(text, TokenKind.ACCESS) is None


def test_a_huge_token_costs_nothing(reader: Tokens) -> None:
    """100 KB, and 10 MB, are refused before any work."""
    huge = "A" * 5_000_000 + "." + "A" * 5_000_000 + "." + "A" * 43
    begun = time.process_time()
    for _ in range(1000):
        assert reader.read(huge, TokenKind.ACCESS) is None
    assert time.process_time() - begun < 0.05


async def test_issue(tokens: Tokens, db: Database, carol: User) -> None:
    pair = await _issue(tokens, carol)
    actor = await tokens.find_actor(pair.access_token)
    assert actor is not None
    assert (actor.user_id, actor.username, actor.role) == (carol.id, "carol", Role.ADMIN)
    assert (actor.channel, actor.key_id) == (Channel.API, None)
    (row,) = await _sessions(db)
    assert (row.id, row.channel, row.address) == (actor.session_id, "api", "192.0.2.1")
    assert pair.expires_in == 900
    assert await tokens.find_actor(pair.refresh_token) is None
    assert ("login", "done", "carol", "") in await _events(db)


async def test_the_actor_is_of_this_moment(tokens: Tokens, users: Users, alice: User) -> None:
    """A new role and a new limit are seen by tokens that are out already."""
    pair = await _issue(tokens, alice)
    await users.set_role("alice", Role.REVIEWER)
    await users.set_limit("alice", "7/minute")
    actor = await tokens.find_actor(pair.access_token)
    assert actor is not None
    assert (actor.role, actor.rate_limit) == (Role.REVIEWER, "7/minute")


async def test_another_users_session_is_not_opened(
    tokens: Tokens, db: Database, alice: User, bob: User
) -> None:
    await _issue(tokens, alice)
    (row,) = await _sessions(db)
    assert await tokens.find_actor(forge(claims(sub=str(bob.id), sid=str(row.id)))) is None
    assert await tokens.find_actor(forge(claims(sub=str(alice.id), sid=str(row.id)))) is not None


@pytest.mark.parametrize("how", ["logout", "disable", "password", "end_all"])
async def test_a_session_that_ends_takes_its_tokens(
    tokens: Tokens, sessions: Sessions, db: Database, users: Users, alice: User, how: str
) -> None:
    """At once, the access token too."""
    pair = await _issue(tokens, alice)
    actor = await tokens.find_actor(pair.access_token)
    assert actor is not None
    if how == "logout":
        await sessions.log_out(actor)
    elif how == "disable":
        await users.disable("alice")
    elif how == "password":
        await users.set_password("alice", "another one 123")
    else:
        async with db.write() as session:
            await end_sessions(session, alice.id, "revoked")
    assert await tokens.find_actor(pair.access_token) is None
    with pytest.raises(NotAuthenticated):
        await tokens.refresh(pair.refresh_token)


async def test_times(tokens: Tokens, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The access token ends after its time, the refresh token with the session."""
    start = clock.now().replace(microsecond=0)
    monkeypatch.setattr(clock, "now", lambda: start)
    pair = await _issue(tokens, alice)

    def after(seconds: float) -> None:
        monkeypatch.setattr(clock, "now", lambda: start + timedelta(seconds=seconds))

    after(899)
    assert await tokens.find_actor(pair.access_token) is not None
    after(900)
    assert await tokens.find_actor(pair.access_token) is None
    after(TTL_S - 100)
    late = await tokens.refresh(pair.refresh_token)
    assert late.expires_in == 100
    after(TTL_S)
    with pytest.raises(NotAuthenticated):
        await tokens.refresh(late.refresh_token)


async def test_refresh_rotates(tokens: Tokens, db: Database, alice: User) -> None:
    pair = await _issue(tokens, alice)
    for _ in range(3):
        new = await tokens.refresh(pair.refresh_token)
        assert {new.refresh_token, new.access_token}.isdisjoint(
            {pair.refresh_token, pair.access_token}
        )
        assert await tokens.find_actor(new.access_token) is not None
        assert await tokens.find_actor(pair.access_token) is not None
        pair = new
    assert len(await _sessions(db)) == 1
    with pytest.raises(NotAuthenticated):
        await tokens.refresh(pair.access_token)


@pytest.mark.parametrize("later_s", [0, REPEAT_S + 1])
async def test_a_replayed_refresh_token_ends_the_session(
    later_s: int, tokens: Tokens, db: Database, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hold it, and one of them is a thief: nobody goes on. So it is when the next token was
    used already, and after ten seconds."""
    first = await _issue(tokens, alice)
    other = await _issue(tokens, alice)
    second = await tokens.refresh(first.refresh_token)
    if later_s:
        later = clock.now() + timedelta(seconds=later_s)
        monkeypatch.setattr(clock, "now", lambda: later)
    else:
        second = await tokens.refresh(second.refresh_token)
    with pytest.raises(NotAuthenticated):
        await tokens.refresh(first.refresh_token)
    for token in (first.access_token, second.access_token):
        assert await tokens.find_actor(token) is None
    with pytest.raises(NotAuthenticated):
        await tokens.refresh(second.refresh_token)
    assert await tokens.find_actor(other.access_token) is not None
    reasons = {row.end_reason for row in await _sessions(db)}
    assert reasons == {None, "refresh_replayed"}
    refused = ("token_refresh", "refused", "alice", "reason=refresh_replayed")
    assert (await _events(db)).count(refused) == 1


async def test_two_refreshes_at_once(
    tokens: Tokens, db: Database, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests of one client meet, at several replicas: all get the same new pair, and it is good.
    The same within ten seconds, for an answer that was lost."""
    pair = await _issue(tokens, alice)
    replica = Tokens(db, Sessions(db, SECRET, TTL_S), SECRET, 900)
    done = await asyncio.gather(
        *(each.refresh(pair.refresh_token) for each in (tokens, replica) * 3)
    )
    assert len({(each.access_token, each.refresh_token) for each in done}) == 1
    assert done[0] != pair
    soon = clock.now() + timedelta(seconds=REPEAT_S - 1)
    monkeypatch.setattr(clock, "now", lambda: soon)
    late = await replica.refresh(pair.refresh_token)
    assert (late.access_token, late.refresh_token) == (done[0].access_token, done[0].refresh_token)
    assert abs(late.expires_in - (900 - REPEAT_S + 1)) <= 1
    assert await tokens.find_actor(late.access_token) is not None
    assert await tokens.refresh(late.refresh_token) != late
    assert [row.end_reason for row in await _sessions(db)] == [None]
    stored = repr(await _sessions(db))
    assert not any(each in stored for each in (late.access_token, late.refresh_token))
    events = [each for each in await _events(db) if each[0] == "token_refresh"]
    assert len(events) == 8
    assert events.count(("token_refresh", "done", "alice", "repeated=yes")) == 6


async def test_disabled_account_gets_none(tokens: Tokens, dan: User) -> None:
    with pytest.raises(NotAuthenticated):
        await _issue(tokens, dan)


async def test_no_token_is_stored(tokens: Tokens, db: Database, alice: User) -> None:
    """Who reads the table has no token, nor the key of one."""
    pair = await _issue(tokens, alice)
    (row,) = await _sessions(db)
    assert pair.access_token not in repr(row)
    assert hashlib.sha256(pair.refresh_token.encode()).digest() != row.token_hash


def test_jose_is_used_in_one_place_and_with_algorithms() -> None:
    """No `jwt.decode` without `algorithms`, no second module that reads tokens."""
    users: set[str] = set()
    calls = 0
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of = node.func.value
                if node.func.attr in ("decode", "verify") and (
                    isinstance(of, ast.Name) and of.id in ("jwt", "jws")
                ):
                    calls += 1
                    given = {each.arg: ast.unparse(each.value) for each in node.keywords}
                    assert given.get("algorithms") == "[ALGORITHM]", path
            if any(name.split(".")[0] in ("jose", "jwt") for name in names):
                users.add(str(path.relative_to(PACKAGE)))
    assert users == {"services/accounts/tokens.py"}
    assert calls == 1
