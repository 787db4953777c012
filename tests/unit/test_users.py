"""Accounts: names that cannot be confused, passwords that are no gift, and what disabling ends."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import Origin, Role, User, new_id
from genai_app.services.accounts.first_admin import ensure_first_admin
from genai_app.services.accounts.login import Auth
from genai_app.services.accounts.sessions import Sessions
from genai_app.services.accounts.users import MAX_USERNAME, Users, fold_username
from tests.cast import PASSWORDS

SECRET = b"k" * 32


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("alice", "alice"),
        ("  Alice ", "alice"),
        ("IVANOV", "ivanov"),
        ("Иванов", "иванов"),
        ("\uff21\uff2c\uff29\uff23\uff25", "alice"),
        ("Straße", "strasse"),
        ("e\u0301mile", "émile"),
        ("*)(uid=*", "*)(uid=*"),
        ("x" * 64, "x" * 64),
    ],
)
def test_fold_username(typed: str, stored: str) -> None:
    """One account however the name is typed."""
    assert fold_username(typed) == stored


@pytest.mark.parametrize(
    "typed",
    [
        *("", "   ", "\u3000", "x" * 65, "x" * 100_000, "\ufdfa" * 10),
        *("\0", "a\0b", "a\nb", "a\x1b[31mb", "a\u2028b", "a\ud800b"),
        *("a\u200bb", "a\u202eb", "a\u00adb"),
    ],
)
def test_bad_username(typed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        fold_username(typed)
    assert caught.value.code == "bad_username"


@given(st.text(max_size=80))
def test_folding_twice_changes_nothing(typed: str) -> None:
    try:
        folded = fold_username(typed)
    except InvalidInput:
        return
    assert fold_username(folded) == folded
    assert 0 < len(folded) <= MAX_USERNAME


async def test_add_and_find(users: Users) -> None:
    made = await users.add(" Alice", PASSWORDS["alice"], Role.REVIEWER, " Алиса\0 ")
    found = await users.find("ALICE ")
    assert found is not None
    assert found.id == made.id
    assert (found.username, found.full_name) == ("alice", "Алиса\ufffd")
    assert (found.role, found.origin) == (Role.REVIEWER, Origin.LOCAL)
    assert found.password_hash is not None
    assert found.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORDS["alice"] not in found.password_hash
    assert (await users.get(made.id)).username == "alice"


async def test_what_is_not_there(users: Users) -> None:
    assert await users.find("nobody") is None
    with pytest.raises(NotFound):
        await users.get(new_id())
    for call in (
        users.set_password("nobody", PASSWORDS["bob"]),
        users.set_role("nobody", Role.ADMIN),
        users.disable("nobody"),
        users.enable("nobody"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_name_is_taken_in_any_spelling(users: Users, alice: User) -> None:
    with pytest.raises(Conflict) as caught:
        await users.add("ALICE", PASSWORDS["bob"])
    assert caught.value.code == "username_taken"


async def test_one_name_from_two_at_once(users: Users) -> None:
    results = await asyncio.gather(
        *(users.add("alice", PASSWORDS["alice"]) for _ in range(4)), return_exceptions=True
    )
    refused = [one for one in results if isinstance(one, Exception)]
    assert [type(one) for one in refused] == [Conflict] * 3


@pytest.mark.parametrize(
    "password", ["", "1234567", " " * 9, "я" * 513, "long enough\0", "long enough\ud800"]
)
async def test_weak_password(users: Users, alice: User, password: str) -> None:
    for call in (users.add("bob", password), users.set_password("alice", password)):
        with pytest.raises(InvalidInput) as caught:
            await call
        assert caught.value.code == "weak_password"
    assert await users.find("bob") is None


async def test_new_password_ends_sessions(db: Database, users: Users, alice: User) -> None:

    sessions, auth = Sessions(db, SECRET, 3600), Auth(db)
    token = await sessions.start(alice, address="", user_agent="")
    await users.set_password("Alice", PASSWORDS["bob"])

    assert await sessions.find_actor(token) is None
    assert (await auth.log_in("alice", PASSWORDS["bob"])).id == alice.id


async def test_role_is_seen_by_a_running_session(db: Database, users: Users, alice: User) -> None:
    sessions = Sessions(db, SECRET, 3600)
    token = await sessions.start(alice, address="", user_agent="")
    await users.set_role("alice", Role.ADMIN)

    actor = await sessions.find_actor(token)
    assert actor is not None
    assert actor.role is Role.ADMIN


async def test_disable_ends_sessions_and_enable_does_not_revive_them(
    db: Database, users: Users, alice: User, bob: User
) -> None:
    """The session of a disabled account is over at once, and for good."""
    sessions = Sessions(db, SECRET, 3600)
    hers = await sessions.start(alice, address="", user_agent="")
    his = await sessions.start(bob, address="", user_agent="")

    await users.disable("alice")
    assert await sessions.find_actor(hers) is None
    assert await sessions.find_actor(his) is not None
    first = (await users.get(alice.id)).disabled_at
    await users.disable("alice")
    assert (await users.get(alice.id)).disabled_at == first

    await users.enable("alice")
    assert (await users.get(alice.id)).disabled_at is None
    assert await sessions.find_actor(hers) is None


async def test_list_all(users: Users, carol: User, alice: User) -> None:
    assert [user.username for user in await users.list_all()] == ["alice", "carol"]


async def test_first_admin(db: Database, users: Users) -> None:
    auth = Auth(db)
    made_up = await ensure_first_admin(users, "Admin", None)
    assert made_up is not None
    assert len(made_up) == 24
    assert (await auth.log_in("admin", made_up)).role == Role.ADMIN

    assert await ensure_first_admin(users, "admin", "another password") is None
    assert (await auth.log_in("admin", made_up)).role == Role.ADMIN


async def test_first_admin_with_a_given_password(db: Database, users: Users) -> None:
    assert await ensure_first_admin(users, "root", PASSWORDS["carol"]) is None
    assert (await Auth(db).log_in("root", PASSWORDS["carol"])).role == Role.ADMIN


async def test_first_admin_of_two_starts(db: Database, users: Users) -> None:
    results = await asyncio.gather(*(ensure_first_admin(users, "admin", None) for _ in range(4)))
    (shown,) = [one for one in results if one is not None]
    await Auth(db).log_in("admin", shown)


@pytest.mark.parametrize("password", ["", "short"])
async def test_first_admin_with_a_bad_password_is_not_made(users: Users, password: str) -> None:
    with pytest.raises(InvalidInput):
        await ensure_first_admin(users, "admin", password)
    assert await users.find("admin") is None
