"""Login with a local account: every refusal is the same one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.errors import NotAuthenticated, StorageUnavailable
from genai_app.models import User
from genai_app.services.accounts import passwords
from genai_app.services.accounts.login import Auth
from genai_app.services.accounts.users import Users
from tests.cast import PASSWORDS

ODD_NAMES = [
    *("", " ", "*", "*)(uid=*", "admin)(|(objectClass=*", "\\2a", "' OR 1=1 --"),
    *("\0", "alice\0", "a\ud800", "alice\u200b", "\u202ealice", "x" * 65, "x" * 1_000_000),
]
ODD_PASSWORDS = ["\u00ad", "\0", PASSWORDS["alice"] + "\0", "\ud800", "אa", "x" * 5000, "я" * 600]


@pytest.fixture
def auth(db: Database) -> Auth:
    return Auth(db)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes against which passwords were verified, in order."""
    seen: list[str] = []
    verify: Callable[..., bool] = passwords._context.verify  # pyright: ignore[reportPrivateUsage]

    def count(password: str, stored: str) -> bool:
        seen.append(stored)
        return verify(password, stored)

    monkeypatch.setattr(passwords._context, "verify", count)  # pyright: ignore[reportPrivateUsage]
    return seen


async def _refusal(auth: Auth, username: Any, password: Any) -> NotAuthenticated:
    with pytest.raises(NotAuthenticated) as caught:
        await auth.log_in(username, password)
    return caught.value


async def test_log_in(auth: Auth, alice: User) -> None:
    for name in ("alice", "ALICE", " Alice "):
        assert (await auth.log_in(name, PASSWORDS["alice"])).id == alice.id


@pytest.mark.parametrize("password", ["", None, " ", "\t", " \u3000\n"])
async def test_blank_password(
    auth: Auth, alice: User, verified: list[str], password: str | None
) -> None:
    """Refused before anything is asked."""
    assert (await _refusal(auth, "alice", password)).code == "wrong_credentials"
    assert verified == []


@pytest.mark.parametrize("username", [*ODD_NAMES, None])
async def test_odd_username(auth: Auth, alice: User, username: str | None) -> None:
    """A pattern is a name that nobody has, NUL is no error."""
    error = await _refusal(auth, username, PASSWORDS["alice"])
    assert error.code == "wrong_credentials"


@pytest.mark.parametrize("password", ODD_PASSWORDS)
async def test_odd_password(auth: Auth, alice: User, password: str) -> None:
    """What cannot be hashed is a wrong password."""
    assert (await _refusal(auth, "alice", password)).code == "wrong_credentials"


async def test_all_refusals_are_equal(
    auth: Auth, alice: User, dan: User, verified: list[str]
) -> None:
    """Neither words nor work tell a wrong password, no account and a shut one apart."""
    attempts = [
        ("alice", "wrong password"),
        ("nobody", "wrong password"),
        ("*", "wrong password"),
        ("alice", "\0"),
        ("dan", PASSWORDS["dan"]),
        ("dan", "wrong password"),
    ]
    told: set[tuple[object, ...]] = set()
    for username, password in attempts:
        error = await _refusal(auth, username, password)
        told.add((error.status, error.code, str(sorted(error.params)), error.retryable))
    told.add((401, (await _refusal(auth, "alice", "")).code, "[]", False))
    assert told == {(401, "wrong_credentials", "[]", False)}
    assert len(verified) == len(attempts)
    assert not any(passwords.needs_update(stored) for stored in verified)


async def test_old_hash_is_made_anew(auth: Auth, db: Database, users: Users, alice: User) -> None:
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("short")
    async with db.write() as session:
        await session.execute(
            sa.update(User).where(col(User.id) == alice.id).values(password_hash=cheap)
        )

    await _refusal(auth, "alice", "wrong password")
    assert (await users.get(alice.id)).password_hash == cheap
    await auth.log_in("alice", "short")
    stored = (await users.get(alice.id)).password_hash
    assert stored is not None
    assert not passwords.needs_update(stored)
    await auth.log_in("alice", "short")


async def test_account_without_a_password(auth: Auth, db: Database, alice: User) -> None:
    async with db.write() as session:
        await session.execute(sa.update(User).values(password_hash=None))
    assert (await _refusal(auth, "alice", PASSWORDS["alice"])).code == "wrong_credentials"


async def test_many_logins_at_once(auth: Auth, alice: User) -> None:
    found = await asyncio.gather(*(auth.log_in("alice", PASSWORDS["alice"]) for _ in range(5)))
    assert {user.id for user in found} == {alice.id}


async def test_no_database_is_not_a_wrong_password(tmp_path: Path) -> None:
    """An outage is told as one (here: a file that cannot be opened)."""
    (tmp_path / "folder.sqlite3").mkdir()
    db = Database(f"sqlite:///{tmp_path / 'folder.sqlite3'}")
    with pytest.raises(StorageUnavailable):
        await Auth(db).log_in("alice", PASSWORDS["alice"])
    await db.close()
