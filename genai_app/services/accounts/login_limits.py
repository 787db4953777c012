"""Limits the login attempts, to stop the guessing of passwords without letting anybody lock others
out. For directories that lock accounts by themselves see login_failures.py.

Each attempt takes a unit of three windows before the password is checked: of the account at this
address; of the account at all unfamiliar addresses; of the address. A right password returns them.
A user at a familiar address, one of an earlier login, is limited by the first window only: somebody
who fails on purpose locks the account for unfamiliar addresses, not for its user.
"""

import asyncio
import hashlib
import ipaddress
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from weakref import WeakValueDictionary

import sqlalchemy as sa
import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from redis.exceptions import RedisError
from sqlmodel import col

from genai_app import clock, metrics
from genai_app.adapters.redis.client import (
    LimitStorage,
    close_storage,
    forget,
    give_back,
    limit_storage,
)
from genai_app.db.database import Database
from genai_app.errors import InvalidInput, RateLimited
from genai_app.models import Session, User
from genai_app.services.accounts.login_failures import FailureCounter
from genai_app.services.accounts.sessions import stored_address
from genai_app.services.accounts.users import fold_username

log = structlog.stdlib.get_logger(__name__)

WINDOW_MIN = 10
PER_PAIR = 5
PER_ACCOUNT = 10
PER_ADDRESS = 30
FAMILIAR_DAYS = 30  # since the last login from an address
REDIS_RETRY_S = 5.0  # pause after a failure: not every login waits for the timeout of Redis
TURN_S = 10.0  # longest wait for other attempts of the same account from the same address
PER_REPLICA = 2  # divides the limits without Redis, because each replica counts for itself


@dataclass(frozen=True, slots=True)
class _Window:
    item: RateLimitItem
    key: str

    @property
    def full_key(self) -> str:
        return self.item.key_for(self.key)


class Try:
    """An attempt that was allowed. It stays counted unless one of the methods is called."""

    def __init__(self, limits: "LoginLimits", storage: LimitStorage, taken: list[_Window]) -> None:
        self._limits = limits
        self._storage = storage
        self._taken = taken

    async def undo(self) -> None:
        """Removes this attempt from the counts, when the password could not be checked."""
        await self._give_back(clear_pair=False)

    async def succeeded(self) -> None:
        """Removes this attempt from the counts and clears the failures of this account at this
        address.

        The other windows get one unit back, not all: else a user could clear the count of an
        address by logging in, and go on guessing the passwords of others.
        """
        await self._give_back(clear_pair=True)

    async def _give_back(self, *, clear_pair: bool) -> None:
        try:
            for window in self._taken:
                clear = clear_pair and window.key.startswith("pair")
                await (forget if clear else give_back)(self._storage, window.full_key)
        except (StorageError, RedisError) as error:
            self._limits.redis_failed(error)


class LoginLimits:
    """Counts login attempts in `storage`, or in this process with lower limits while Redis is not
    available."""

    def __init__(self, db: Database, storage: LimitStorage | None = None) -> None:
        self._db = db
        self._storage: LimitStorage = storage or limit_storage(None)
        self._own_storage = limit_storage(None)
        self._retry_redis_at: float | None = None  # None while Redis answers
        self.failures = FailureCounter(db)  # for a directory that locks accounts
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, username: str, address: str) -> AsyncGenerator[None]:
        """Lets attempts of an account from an address run one after another, so that concurrent
        right passwords do not use up the limit.

        Raises:
            RateLimited: too_many_logins: the attempts before took more than TURN_S seconds.
        """
        lock = self._turns.setdefault(f"{_folded(username)}\n{network_of(address)}", asyncio.Lock())
        try:
            async with asyncio.timeout(TURN_S):
                await lock.acquire()
        except TimeoutError:
            raise RateLimited(code="too_many_logins", retry_after_s=1) from None
        try:
            yield
        finally:
            lock.release()

    async def take(self, username: str, address: str) -> Try:
        """Counts an attempt before its password is checked. Concurrent attempts are counted one by
        one.

        Args:
            username: the account's name, or the typed one when no account has it.

        Raises:
            RateLimited: too_many_logins, with the seconds until the next attempt is allowed.
            StorageUnavailable: the database does not answer.
        """
        familiar = await self.is_familiar(username, address)
        name = f"{_folded(username)}\0{await self.failures.count_unlocks(username)}"
        if not _folded(username):
            name = ""
        if self._retry_redis_at is None or time.monotonic() >= self._retry_redis_at:
            try:
                taken = await self._take(self._storage, self._windows(name, address, familiar))
            except (StorageError, RedisError) as error:
                self.redis_failed(error)
            else:
                if self._retry_redis_at is not None:
                    self._retry_redis_at = None
                    log.info("login_limits.shared_again")
                return Try(self, self._storage, taken)
        strict = self._windows(name, address, familiar, PER_REPLICA)
        return Try(self, self._own_storage, await self._take(self._own_storage, strict))

    async def check_address(self, username: str, address: str) -> None:
        """Raises RateLimited if the attempts of an address are used up, before the directory is
        asked."""
        if await self.is_familiar(username, address):
            return
        without_redis = self._retry_redis_at is not None and time.monotonic() < self._retry_redis_at
        storage = self._own_storage if without_redis else self._storage
        divisor = PER_REPLICA if without_redis else 1
        window = self._windows("", address, familiar=False, divisor=divisor)[-1]
        limiter = MovingWindowRateLimiter(storage)
        try:
            if await limiter.test(window.item, window.key):
                return
            raise await _refusal(limiter, window)
        except (StorageError, RedisError) as error:
            self.redis_failed(error)

    def redis_failed(self, error: Exception) -> None:
        """Counts in this process for REDIS_RETRY_S seconds. Logs the start of the outage."""
        if self._retry_redis_at is None:
            log.warning("login_limits.storage_lost", error=str(error)[:200])
        self._retry_redis_at = time.monotonic() + REDIS_RETRY_S

    async def close(self) -> None:
        """Closes the connections of the storage."""
        await close_storage(self._storage)

    async def _take(self, storage: LimitStorage, windows: list[_Window]) -> list[_Window]:
        limiter = MovingWindowRateLimiter(storage)
        for index, window in enumerate(windows):
            if await limiter.hit(window.item, window.key):
                continue
            refusal = await _refusal(limiter, window)
            for taken in windows[:index]:  # the attempt is refused, so it must not count
                await give_back(storage, taken.full_key)
            raise refusal
        return windows

    def _windows(self, name: str, address: str, familiar: bool, divisor: int = 1) -> list[_Window]:
        """Returns the windows of an attempt; `divisor` divides their limits."""

        def window(amount: int, *names: str) -> _Window:
            digest = hashlib.sha256("\0".join(names[1:]).encode("utf-8", "replace")).hexdigest()
            item = RateLimitItemPerMinute(max(1, amount // divisor), WINDOW_MIN, "login")
            return _Window(item, f"{names[0]}:{digest[:32]}")

        network = network_of(address)
        windows = [window(PER_PAIR, "pair", name, network)]
        if not familiar:
            if name:  # "" for an impossible name, which no account has
                windows.append(window(PER_ACCOUNT, "account", name))
            windows.append(window(PER_ADDRESS, "address", network))
        return windows

    async def is_familiar(self, username: str, address: str) -> bool:
        """Returns whether the user logged in from this address in the last FAMILIAR_DAYS days."""
        query = sa.select(
            sa.exists()
            .where(col(User.id) == col(Session.user_id))
            .where(
                col(User.username) == _folded(username),
                col(Session.address) == stored_address(address),
                col(Session.created_at) > clock.now() - timedelta(days=FAMILIAR_DAYS),
            )
        )
        async with self._db.read() as session:
            return bool(await session.scalar(query))


async def _refusal(limiter: MovingWindowRateLimiter, window: _Window) -> RateLimited:
    """Returns the error for a full window, with the seconds until its oldest attempt leaves it."""
    stats = await limiter.get_window_stats(window.item, window.key)
    metrics.limit_hit("login")
    wait_s = max(1, ceil(stats.reset_time - clock.now().timestamp()))
    return RateLimited(code="too_many_logins", retry_after_s=wait_s)


def _folded(username: str) -> str:
    try:
        return fold_username(username)
    except InvalidInput:
        return ""


def network_of(address: str) -> str:
    """Returns the /64 network of an IPv6 address, which belongs to one subscriber, and any other
    address unchanged."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
