"""How often a login may be tried: bounds guessing without giving anybody a way to lock others out.

Where a directory locks accounts by itself after some wrong passwords, login_failures.py keeps below
their number.

Three windows are taken before a password is checked and given back when it was right: of the
account from this address; of the account from all addresses where its user never was; of the
address. Somebody who logged in from this address before meets the first one alone: a stranger who
fails on purpose locks the account for strangers, not for its user.
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
KNOWN_FOR_DAYS = 30
REDIS_AGAIN_S = 5.0  # so that a silent Redis costs one login its deadline, not each
TURN_S = 10.0  # how long a try waits for others of the same account from the same address
PER_REPLICA = 2  # without Redis every replica counts alone: half the amount in each


@dataclass(frozen=True, slots=True)
class _Window:
    item: RateLimitItem
    key: str

    @property
    def full_key(self) -> str:
        return self.item.key_for(self.key)


class Try:
    """One try that was let through. Its password was right: `succeeded`; else it stays counted."""

    def __init__(self, limits: "LoginLimits", storage: LimitStorage, taken: list[_Window]) -> None:
        self._limits = limits
        self._storage = storage
        self._taken = taken

    async def undo(self) -> None:
        """Nobody could say whether the password was right: count this try nowhere."""
        await self._give_back(forgetting=False)

    async def succeeded(self) -> None:
        """Forget the failures of this account at this address; count this try nowhere.

        Of the other windows one unit comes back, not all: whoever has an account of their own
        could else guess at others without an end.
        """
        await self._give_back(forgetting=True)

    async def _give_back(self, *, forgetting: bool) -> None:
        try:
            for window in self._taken:
                pair = forgetting and window.key.startswith("pair")
                await (forget if pair else give_back)(self._storage, window.full_key)
        except (StorageError, RedisError) as error:
            self._limits.note_lost(error)


class LoginLimits:
    """Counts tries, in `storage` or, while that is away, more strictly in this process."""

    def __init__(self, db: Database, storage: LimitStorage | None = None) -> None:
        self._db = db
        self._storage: LimitStorage = storage or limit_storage(None)
        self._spare = limit_storage(None)
        self._lost_until: float | None = None
        self.failures = FailureCounter(db)  # of accounts that the directory locks
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, username: str, address: str) -> AsyncGenerator[None]:
        """One after the other: of many right passwords at once none is refused for the others.

        Raises:
            RateLimited: too_many_logins; those before take too long.
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
        """Count a try before its password is looked at; many at once cannot pass together.

        Args:
            username: the account's own, or as typed where no account has it: counted alike.

        Raises:
            RateLimited: too_many_logins, with the seconds until one more is let through.
            StorageUnavailable: nobody can tell whether the user is known here.
        """
        known = await self.is_known(username, address)
        name = f"{_folded(username)}\0{await self.failures.count_unlocks(username)}"
        if not _folded(username):
            name = ""
        if self._lost_until is None or time.monotonic() >= self._lost_until:
            try:
                taken = await self._take(self._storage, self._windows(name, address, known))
            except (StorageError, RedisError) as error:
                self.note_lost(error)
            else:
                if self._lost_until is not None:
                    self._lost_until = None
                    log.info("login_limits.shared_again")
                return Try(self, self._storage, taken)
        strict = self._windows(name, address, known, PER_REPLICA)
        return Try(self, self._spare, await self._take(self._spare, strict))

    async def check_address(self, username: str, address: str) -> None:
        """Raises RateLimited where an address has used up its tries: what follows costs a directory
        some work."""
        if await self.is_known(username, address):
            return
        lost = self._lost_until is not None and time.monotonic() < self._lost_until
        storage = self._spare if lost else self._storage
        window = self._windows("", address, known=False, divisor=PER_REPLICA if lost else 1)[-1]
        limiter = MovingWindowRateLimiter(storage)
        try:
            if await limiter.test(window.item, window.key):
                return
            raise await _refusal(limiter, window)
        except (StorageError, RedisError) as error:
            self.note_lost(error)

    def note_lost(self, error: Exception) -> None:
        """Count in this process for a while. Said once for each time that Redis goes."""
        if self._lost_until is None:
            log.warning("login_limits.storage_lost", error=str(error)[:200])
        self._lost_until = time.monotonic() + REDIS_AGAIN_S

    async def close(self) -> None:
        """Close the connections of the storage."""
        await close_storage(self._storage)

    async def _take(self, storage: LimitStorage, windows: list[_Window]) -> list[_Window]:
        limiter = MovingWindowRateLimiter(storage)
        for index, window in enumerate(windows):
            if await limiter.hit(window.item, window.key):
                continue
            refusal = await _refusal(limiter, window)
            for taken in windows[:index]:  # a try that was not made counts nowhere
                await give_back(storage, taken.full_key)
            raise refusal
        return windows

    def _windows(self, name: str, address: str, known: bool, divisor: int = 1) -> list[_Window]:
        def window(amount: int, *names: str) -> _Window:
            digest = hashlib.sha256("\0".join(names[1:]).encode("utf-8", "replace")).hexdigest()
            item = RateLimitItemPerMinute(max(1, amount // divisor), WINDOW_MIN, "login")
            return _Window(item, f"{names[0]}:{digest[:32]}")

        network = network_of(address)
        windows = [window(PER_PAIR, "pair", name, network)]
        if not known:
            if name:  # a name that cannot be one is nobody's account
                windows.append(window(PER_ACCOUNT, "account", name))
            windows.append(window(PER_ADDRESS, "address", network))
        return windows

    async def is_known(self, username: str, address: str) -> bool:
        """Whether the account's user logged in from this address not long ago."""
        query = sa.select(
            sa.exists()
            .where(col(User.id) == col(Session.user_id))
            .where(
                col(User.username) == _folded(username),
                col(Session.address) == stored_address(address),
                col(Session.created_at) > clock.now() - timedelta(days=KNOWN_FOR_DAYS),
            )
        )
        async with self._db.read() as session:
            return bool(await session.scalar(query))


async def _refusal(limiter: MovingWindowRateLimiter, window: _Window) -> RateLimited:
    """What is raised where a window is full: it names the time until its oldest try leaves it."""
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
    """Of IPv6 the /64 that one subscriber has whole; other addresses as they are."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
