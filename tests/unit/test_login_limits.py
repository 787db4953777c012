"""How often a login may be tried."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from genai_app.adapters.redis.client import limit_storage
from genai_app.db.database import Database
from genai_app.errors import NotAuthenticated, RateLimited
from genai_app.models import AuditEvent, User
from genai_app.services.accounts.login import Auth
from genai_app.services.accounts.login_limits import PER_ACCOUNT, PER_ADDRESS, PER_PAIR, LoginLimits
from genai_app.services.accounts.sessions import Sessions
from genai_app.services.audit.events import client_address
from tests.cast import PASSWORDS
from tests.fakes.services import RedisServer

HOME, AWAY = "192.0.2.1", "198.51.100.7"


@pytest.fixture(params=["memory", "redis"])
async def limits(db: Database, request: pytest.FixtureRequest) -> AsyncGenerator[LoginLimits]:
    url = None
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        url = server.url
    made = LoginLimits(db, limit_storage(url))
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def _no_address_is_left() -> Generator[None]:
    token = client_address.set("")
    yield
    client_address.reset(token)


async def tries(limits: LoginLimits, count: int, name: str, address: str) -> int:
    """How many of so many tries at once were let through."""
    done = await asyncio.gather(
        *(limits.take(name, address) for _ in range(count)), return_exceptions=True
    )
    for each in done:
        if isinstance(each, RateLimited):
            assert each.code == "too_many_logins"
            assert each.retry_after_s is not None
            assert 1 <= each.retry_after_s <= 600
        else:
            assert not isinstance(each, BaseException), each
    return sum(not isinstance(each, BaseException) for each in done)


async def test_fifty_at_once_do_not_pass(limits: LoginLimits) -> None:
    """One account from one address: five, however fast and however spelt."""
    assert await tries(limits, 50, "alice", AWAY) == PER_PAIR
    assert await tries(limits, 1, " ALICE ", AWAY) == 0
    assert await tries(limits, 1, "bob", AWAY) == 1


@pytest.mark.parametrize("name", ["nobody", "\0bad", "x" * 100, ""])
async def test_unknown_names_are_counted_alike(limits: LoginLimits, name: str) -> None:
    """The counter tells nobody which accounts are there."""
    assert await tries(limits, 8, name, AWAY) == PER_PAIR


async def test_one_account_from_many_addresses(limits: LoginLimits) -> None:
    """Ten in all, from wherever."""
    let = [await tries(limits, 2, "alice", f"198.51.100.{n}") for n in range(8)]
    assert sum(let) == PER_ACCOUNT


async def test_many_accounts_from_one_address(limits: LoginLimits) -> None:
    """One password, fifty names."""
    done = await asyncio.gather(*(tries(limits, 1, f"user{n}", AWAY) for n in range(50)))
    assert sum(done) == PER_ADDRESS


async def test_an_ipv6_subscriber_is_one_address(limits: LoginLimits) -> None:
    """Whoever has 2**64 addresses has one window."""
    let = [await tries(limits, 2, "alice", f"2001:db8::{n}") for n in range(1, 7)]
    assert sum(let) == PER_PAIR
    assert await tries(limits, 1, "alice", "2001:db8:0:1::1") == 1


async def test_who_is_known_here_is_not_locked_out(
    limits: LoginLimits, db: Database, alice: User
) -> None:
    """A stranger spends all tries of the account and of the address; its user comes in."""
    await Sessions(db, b"k" * 32, 3600).start(alice, address=HOME, user_agent="")
    for n in range(10):
        await tries(limits, 5, "alice", f"198.51.100.{n}")
    assert await tries(limits, 1, "alice", AWAY) == 0
    assert await tries(limits, 1, "alice", HOME) == 1
    for n in range(40):
        await tries(limits, 1, f"user{n}", HOME)
    assert await tries(limits, 1, "user41", HOME) == 0
    assert await tries(limits, 10, "alice", HOME) == PER_PAIR - 1


async def test_a_right_password_gives_back(limits: LoginLimits) -> None:
    """Who mistypes four times and then not begins anew; an own account buys no guesses."""
    assert await tries(limits, PER_PAIR - 1, "alice", AWAY) == PER_PAIR - 1
    attempt = await limits.take("alice", AWAY)
    await attempt.succeeded()
    assert await tries(limits, 10, "alice", AWAY) == PER_PAIR
    # of the address only the right try came back: 4 + 5 are counted
    done = [await tries(limits, 1, f"user{n}", AWAY) for n in range(30)]
    assert sum(done) == PER_ADDRESS - 9


async def test_a_refused_try_counts_nowhere(limits: LoginLimits) -> None:
    """Whom the account's window refuses does not use up the address."""
    for n in range(2):
        await tries(limits, PER_PAIR, "alice", f"198.51.100.{n}")
    assert await tries(limits, 100, "alice", AWAY) == 0
    done = [await tries(limits, 1, f"user{n}", AWAY) for n in range(40)]
    assert sum(done) == PER_ADDRESS


async def test_without_redis_each_process_counts_strictly(
    db: Database, redis_server: RedisServer
) -> None:
    """Half the amounts, said once; Redis is used again when it is there."""
    limits = LoginLimits(db, limit_storage(redis_server.url))
    assert await tries(limits, 1, "alice", AWAY) == 1
    redis_server.kill()
    with capture_logs() as logs:
        assert await tries(limits, 10, "bob", AWAY) == PER_PAIR // 2
        done = [await tries(limits, 1, f"user{n}", AWAY) for n in range(40)]
    assert sum(done) == PER_ADDRESS // 2 - PER_PAIR // 2
    lost = [each for each in logs if each["event"] == "login_limits.storage_lost"]
    assert len(lost) == 1
    redis_server.start()
    limits._retry_redis_at = 0.0  # pyright: ignore[reportPrivateUsage] - the pause is over
    assert await tries(limits, 10, "bob", AWAY) == PER_PAIR
    await limits.close()


async def test_a_silent_redis_is_asked_once(db: Database, redis_server: RedisServer) -> None:
    """It takes connections and says nothing: one deadline, not one for each login."""
    limits = LoginLimits(db, limit_storage(redis_server.url))
    assert await tries(limits, 1, "alice", AWAY) == 1
    redis_server.freeze()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    attempt = await limits.take("bob", AWAY)
    await attempt.succeeded()
    for n in range(10):
        await limits.take(f"user{n}", AWAY)
    assert loop.time() - begun < 3
    redis_server.thaw()
    await limits.close()


async def test_success_when_redis_went_meanwhile(db: Database, redis_server: RedisServer) -> None:
    """The right password lets in, although nothing can be given back."""
    limits = LoginLimits(db, limit_storage(redis_server.url))
    attempt = await limits.take("alice", AWAY)
    redis_server.kill()
    await attempt.succeeded()
    await limits.close()


async def test_no_password_is_checked_any_more(
    limits: LoginLimits, db: Database, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five wrong ones even the right one is not looked at; one event says so."""
    auth = Auth(db, limits)
    client_address.set(AWAY)
    for _ in range(PER_PAIR):
        with pytest.raises(NotAuthenticated):
            await auth.log_in("alice", "wrong password")

    async def never(*_: Any) -> bool:
        raise AssertionError("a password was checked")

    monkeypatch.setattr("genai_app.services.accounts.passwords.verify_password", never)
    for _ in range(3):
        with pytest.raises(RateLimited):
            await auth.log_in("alice", PASSWORDS["alice"])
    monkeypatch.undo()
    client_address.set(HOME)
    assert (await auth.log_in("alice", PASSWORDS["alice"])).id == alice.id
    async with db.read() as session:
        rows = (await session.scalars(sa.select(AuditEvent))).all()
    told = [row.details for row in rows if row.outcome == "refused"]
    assert told.count("reason=wrong_password") == PER_PAIR
    assert told.count("reason=too_many_logins") == 1
    assert {row.address for row in rows if row.outcome == "refused"} == {AWAY}
