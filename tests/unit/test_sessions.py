"""Logins: what a token opens, and everything that ends it."""

import secrets
import uuid
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import NotAuthenticated, NotFound
from genai_app.models import AuditEvent, Channel, Role, Session, User, new_id
from genai_app.services.accounts.sessions import Sessions, end_sessions
from genai_app.services.accounts.users import Users

SECRET = b"0123456789abcdef0123456789abcdef"
TTL_S = 3600


@pytest.fixture
def sessions(db: Database) -> Sessions:
    return Sessions(db, SECRET, TTL_S)


async def _start(sessions: Sessions, user: User) -> str:
    return await sessions.start(user, address="192.0.2.1", user_agent="Firefox")


def _login(actor: Actor) -> uuid.UUID:
    assert actor.session_id is not None
    return actor.session_id


async def _actor(sessions: Sessions, token: str) -> Actor:
    actor = await sessions.find_actor(token)
    assert actor is not None
    return actor


async def _end_all(db: Database, user: User, reason: str) -> None:
    async with db.write() as session:
        await end_sessions(session, user.id, reason)


async def test_token_finds_its_actor(sessions: Sessions, carol: User) -> None:
    token = await _start(sessions, carol)
    web = await _actor(sessions, token)
    assert (web.user_id, web.username, web.full_name) == (carol.id, "carol", "Carol Jones")
    assert (web.role, web.channel) == (Role.ADMIN, Channel.WEB)

    api = await sessions.find_actor(token, Channel.API)
    assert api is not None
    assert (api.channel, api.session_id) == (Channel.API, web.session_id)


async def test_token_is_not_stored(sessions: Sessions, db: Database, alice: User) -> None:
    """Who reads the table cannot come in."""
    tokens = {await _start(sessions, alice) for _ in range(3)}
    assert {len(token) for token in tokens} == {43}
    async with db.read() as session:
        rows = (await session.scalars(sa.select(Session))).all()
    assert len(rows) == 3
    for row in rows:
        assert len(row.token_hash) == 32
        assert not any(token in repr(row) or token.encode() in row.token_hash for token in tokens)
        assert (row.address, row.user_agent) == ("192.0.2.1", "Firefox")


async def test_other_secret_finds_nobody(sessions: Sessions, db: Database, alice: User) -> None:
    token = await _start(sessions, alice)
    assert await Sessions(db, b"another secret of enough bytes!!", TTL_S).find_actor(token) is None


@pytest.mark.parametrize(
    "token",
    [
        *(None, "", "x", "x" * 42, "x" * 44, "x" * 201, "x" * 100_000, "я" * 43, " " * 43),
        *("x" * 42 + "\0", "x" * 42 + "\n", "x" * 43 + "\n", "x" * 42 + "=", "\ud800" * 43),
    ],
)
async def test_malformed_token_asks_nothing(token: str | None) -> None:
    """What cannot be a token costs no query."""
    no_database: Any = None
    assert await Sessions(no_database, SECRET, TTL_S).find_actor(token) is None


async def test_random_token_finds_nobody(sessions: Sessions, alice: User) -> None:
    await _start(sessions, alice)
    assert await sessions.find_actor(secrets.token_urlsafe(32)) is None


async def test_replay_after_logout(sessions: Sessions, db: Database, alice: User) -> None:
    """An ended login is over at once; the user's other login is not."""
    token, other = await _start(sessions, alice), await _start(sessions, alice)
    actor = await _actor(sessions, token)
    await sessions.log_out(actor)

    assert await sessions.find_actor(token) is None
    assert await sessions.find_actor(other) is not None

    await _end_all(db, alice, "again")
    async with db.read() as session:
        row = await session.get(Session, _login(actor))
    assert row is not None
    assert row.end_reason == "logout"


async def test_end_all(sessions: Sessions, db: Database, alice: User, bob: User) -> None:
    """All devices of one user, nobody else's."""
    hers = [await _start(sessions, alice) for _ in range(2)]
    his = await _start(sessions, bob)
    await _end_all(db, alice, "revoked")
    assert [await sessions.find_actor(token) for token in hers] == [None, None]
    assert await sessions.find_actor(his) is not None


async def test_expiry(sessions: Sessions, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    start = clock.now()
    monkeypatch.setattr(clock, "now", lambda: start)
    token = await _start(sessions, alice)
    actor = await _actor(sessions, token)

    monkeypatch.setattr(clock, "now", lambda: start + timedelta(seconds=TTL_S, microseconds=-1))
    assert await sessions.find_actor(token) is not None
    assert await sessions.list_ended([_login(actor)]) == set()

    monkeypatch.setattr(clock, "now", lambda: start + timedelta(seconds=TTL_S))
    assert await sessions.find_actor(token) is None
    assert await sessions.list_ended([_login(actor)]) == {_login(actor)}


async def test_disabled_account_starts_no_session(sessions: Sessions, dan: User) -> None:
    with pytest.raises(NotAuthenticated):
        await _start(sessions, dan)


async def test_disabled_between_password_and_session(
    sessions: Sessions, users: Users, alice: User
) -> None:
    """The account as log_in saw it was active; what counts is the table."""
    await users.disable("alice")
    assert alice.disabled_at is None
    with pytest.raises(NotAuthenticated):
        await _start(sessions, alice)


async def test_list_ended(sessions: Sessions, users: Users, alice: User, bob: User) -> None:
    """Other tabs learn within one sweep, by one query for all of them."""
    ended = await _actor(sessions, await _start(sessions, alice))
    alive = await _actor(sessions, await _start(sessions, alice))
    disabled = await _actor(sessions, await _start(sessions, bob))
    unknown = new_id()
    await sessions.log_out(ended)
    await users.disable("bob")

    asked = [_login(ended), _login(alive), _login(disabled), unknown]
    found = await sessions.list_ended(asked)
    assert found == {_login(ended), _login(disabled), unknown}
    assert await sessions.list_ended([]) == set()


async def test_list_ended_of_thousands(sessions: Sessions, alice: User) -> None:
    actor = await _actor(sessions, await _start(sessions, alice))
    gone = {new_id() for _ in range(5000)}
    assert await sessions.list_ended({_login(actor), *gone}) == gone


async def test_odd_client_text(sessions: Sessions, db: Database, alice: User) -> None:
    token = await sessions.start(alice, address="\0" * 1000, user_agent="\ud800й" * 10_000)
    assert await sessions.find_actor(token) is not None
    async with db.read() as session:
        row = (await session.scalars(sa.select(Session))).one()
    assert len(row.address) <= 100
    assert len(row.user_agent) <= 400


async def _ids(sessions: Sessions, actor: Actor) -> list[object]:
    return [row.id for row in await sessions.list_of(actor.user_id)]


async def test_own_logins_are_listed_newest_first(
    sessions: Sessions, alice: User, bob: User
) -> None:
    """Nobody else's, and none that has ended."""
    first, second, gone = [await _actor(sessions, await _start(sessions, alice)) for _ in range(3)]
    await _start(sessions, bob)
    await sessions.log_out(gone)
    assert await _ids(sessions, first) == [second.session_id, first.session_id]


async def test_a_login_is_ended_from_another(sessions: Sessions, db: Database, alice: User) -> None:
    here = await _actor(sessions, await _start(sessions, alice))
    token = await _start(sessions, alice)
    there = await _actor(sessions, token)
    await sessions.end_own(here, str(there.session_id))
    assert await sessions.find_actor(token) is None
    assert await _ids(sessions, here) == [here.session_id]
    async with db.read() as session:
        events = list(await session.scalars(sa.select(AuditEvent)))
    (revoked,) = [each for each in events if each.action == "session_revoke"]
    assert (revoked.actor_name, revoked.target) == ("alice", str(there.session_id))
    with pytest.raises(NotFound):
        await sessions.end_own(here, there.session_id)


@pytest.mark.parametrize("which", ["a stranger's", "nobody's", "no id"])
async def test_what_is_not_ones_own_is_not_found(
    which: str, sessions: Sessions, alice: User, bob: User
) -> None:
    token = await _start(sessions, alice)
    hers = await _actor(sessions, token)
    his = await _actor(sessions, await _start(sessions, bob))
    key = {"a stranger's": hers.session_id, "nobody's": new_id(), "no id": "../x"}[which]
    with pytest.raises(NotFound):
        await sessions.end_own(his, key)
    assert await sessions.find_actor(token) == hers


async def test_all_other_logins_are_ended(
    sessions: Sessions, db: Database, alice: User, bob: User
) -> None:
    here = await _actor(sessions, await _start(sessions, alice))
    others = [await _start(sessions, alice) for _ in range(2)]
    his = await _start(sessions, bob)
    assert await sessions.end_others(here) == 2
    assert [await sessions.find_actor(token) for token in others] == [None, None]
    assert await sessions.find_actor(his) is not None
    assert await _ids(sessions, here) == [here.session_id]
    assert await sessions.end_others(here) == 0
    async with db.read() as session:
        events = list(await session.scalars(sa.select(AuditEvent)))
    (revoked,) = [each for each in events if each.action == "session_revoke"]
    assert (revoked.target, revoked.details) == ("others", "count=2")
