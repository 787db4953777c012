"""Local login is switched off: nothing that it opened goes on, and the audit says so."""

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import AuditEvent, Channel, Origin, Role, User
from genai_app.services.accounts.api_keys import Keys
from genai_app.services.accounts.local_accounts import end_local_access
from genai_app.services.accounts.sessions import Sessions
from genai_app.services.accounts.tokens import Tokens

SECRET = b"0123456789abcdef0123456789abcdef"
HERE = {"address": "192.0.2.1", "user_agent": "test"}


async def test_logins_tokens_and_keys_end(db: Database, alice: User, bob: User) -> None:
    """Those of local accounts; people of the directory go on, and a second start finds nothing."""
    staff = User(username="alice", origin=Origin.DIRECTORY, external_id="1", role=Role.USER)
    staff_id = staff.id
    async with db.write() as session:
        session.add(staff)
    staff.id = staff_id
    sessions, keys = Sessions(db, SECRET, 3600), Keys(db, SECRET)
    tokens = Tokens(db, sessions, SECRET, 900)
    opened: dict[str, tuple[str, str, str]] = {}
    for name, user in (("alice", alice), ("staff", staff)):
        cookie = await sessions.start(user, **HERE)
        pair = await tokens.issue(user, **HERE)
        actor = Actor(user.id, user.username, "", Role.USER, Channel.API)
        _, key = await keys.create(actor, "script")
        opened[name] = (cookie, pair.access_token, key)

    async def alive(name: str) -> list[bool]:
        cookie, token, key = opened[name]
        found = (
            await sessions.find_actor(cookie),
            await tokens.find_actor(token),
            await keys.find_actor(key),
        )
        return [each is not None for each in found]

    assert await alive("alice") == await alive("staff") == [True] * 3
    assert await end_local_access(db) == 1
    assert await alive("alice") == [False] * 3
    assert await alive("staff") == [True] * 3
    assert await end_local_access(db) == 0
    query = sa.select(AuditEvent).where(col(AuditEvent.details).contains("local_login_off"))
    async with db.read() as session:
        events = list(await session.scalars(query.order_by(col(AuditEvent.action))))
    assert [(each.action, each.target) for each in events] == [
        ("key_revoke", "alice"),
        ("session_revoke", "alice"),
    ]
    assert "count=2" in events[1].details
    assert all(each.at <= clock.now() for each in events)
    await keys.close()
