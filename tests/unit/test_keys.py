"""API keys: shown once, kept as a hash, dead the moment they are revoked or their user is."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import ApiKey, AuditEvent, Channel, Role, User, new_id
from genai_app.services.accounts.api_keys import MAX_KEYS, Keys
from genai_app.services.accounts.users import Users

SECRET = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def keys(db: Database) -> Keys:
    return Keys(db, SECRET)


def acting(user: User) -> Actor:
    return Actor(user.id, user.username, user.full_name, Role(user.role), Channel.API, new_id())


async def test_a_key_finds_its_actor(keys: Keys, users: Users, carol: User) -> None:
    key, text = await keys.create(acting(carol), " nightly build ")
    assert len(text) == 46
    assert text.startswith("gk_")
    assert (key.name, key.hint) == ("nightly build", text[:7])
    await users.set_limit("carol", "5/minute")
    actor = await keys.find_actor(text)
    assert actor is not None
    assert (actor.user_id, actor.role, actor.channel) == (carol.id, Role.ADMIN, Channel.API)
    assert (actor.key_id, actor.session_id, actor.rate_limit) == (key.id, None, "5/minute")
    await keys.close()


async def test_the_text_is_not_stored(keys: Keys, db: Database, alice: User) -> None:
    _, text = await keys.create(acting(alice), "mine")
    async with db.read() as session:
        (row,) = (await session.scalars(sa.select(ApiKey))).all()
        events = (await session.scalars(sa.select(AuditEvent))).all()
    assert text not in repr(row)
    assert text[7:] not in repr(events)
    assert len(row.key_hash) == 32
    assert await Keys(db, b"another secret of enough bytes!!").find_actor(text) is None


@pytest.mark.parametrize(
    "text", ["", "gk_", "gk_" + "x" * 42, "gk_" + "x" * 44, "GK_" + "x" * 43, "gk_" + "я" * 43]
)
async def test_what_is_no_key(keys: Keys, text: str) -> None:
    assert await keys.find_actor(text) is None


async def test_revoked_expired_and_disabled(
    keys: Keys, users: Users, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, each of them."""
    now = clock.now()
    short, brief = await keys.create(acting(alice), "short", now + timedelta(seconds=60))
    long, lasting = await keys.create(acting(alice), "long")
    assert [key.id for key in await keys.list(acting(alice))] == [long.id, short.id]
    assert await keys.list(acting(bob)) == []

    with pytest.raises(NotFound):
        await keys.revoke(acting(bob), long.id)
    assert await keys.find_actor(lasting) is not None
    await users.disable("alice")
    assert await keys.find_actor(lasting) is None
    await users.enable("alice")
    assert await keys.find_actor(lasting) is not None
    await keys.revoke(acting(alice), str(long.id))
    assert await keys.find_actor(lasting) is None
    for unknown in (long.id, new_id(), "x", None):
        with pytest.raises(NotFound):
            await keys.revoke(acting(alice), unknown)

    assert await keys.find_actor(brief) is not None
    await keys.close()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=60))
    assert await keys.find_actor(brief) is None


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "\x1b[31m", "a\u202eb", "\ud800x\0"])
async def test_bad_names(keys: Keys, alice: User, name: str) -> None:
    if name == "\ud800x\0":  # made storable, as any text is
        key, _ = await keys.create(acting(alice), name)
        assert key.name == "\ufffdx\ufffd"
        return
    with pytest.raises(InvalidInput) as caught:
        await keys.create(acting(alice), name)
    assert caught.value.code == "bad_key_name"


async def test_an_expiry_that_has_passed(keys: Keys, alice: User) -> None:
    with pytest.raises(InvalidInput) as caught:
        await keys.create(acting(alice), "late", clock.now())
    assert caught.value.code == "bad_expiry"


async def test_a_user_has_twenty(keys: Keys, alice: User, bob: User) -> None:
    """Made at once or one after the other; a revoked one makes room."""
    made = await asyncio.gather(
        *(keys.create(acting(alice), f"k{n}") for n in range(MAX_KEYS + 3)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, Conflict) for each in made) == 3
    kept = await keys.list(acting(alice))
    assert len(kept) == MAX_KEYS
    await keys.create(acting(bob), "his")
    await keys.revoke(acting(alice), kept[0].id)
    await keys.create(acting(alice), "again")


async def test_the_last_use_is_noted_once_a_minute(
    keys: Keys, db: Database, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, text = await keys.create(acting(alice), "used")

    async def noted() -> object:
        await keys.close()
        async with db.read() as session:
            row = await session.get(ApiKey, key.id)
        assert row is not None
        return row.last_used_at

    assert await noted() is None
    start = clock.now()
    for seconds, expected in ((0, 0), (59, 0), (60, 60), (61, 60)):
        moment = start + timedelta(seconds=seconds)
        monkeypatch.setattr(clock, "now", lambda moment=moment: moment)
        await asyncio.gather(*(keys.find_actor(text) for _ in range(5)))
        assert await noted() == start + timedelta(seconds=expected)
