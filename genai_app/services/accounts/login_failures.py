"""Counts wrong passwords of accounts in a directory that locks accounts by itself, so that nobody
can lock an account through this product. The count belongs to the directory entry, in whatever form
its name was typed.

When the directory locks an account after N wrong passwords, this product lets at most N - 1 of them
through. Wrong passwords that the directory reports (`badPwdCount`, `pwdFailureTime`) count too,
wherever they were made. A familiar address is one from which the user logged in before. Other
addresses, of strangers, get fewer tries, so that some are left for the user. The first tries need
no wait, each further one a longer wait. After the last try the directory must forget them first.

A name without an account is counted in the same way, so that the waits do not show which names
exist.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from genai_app import clock, metrics
from genai_app.access import Actor
from genai_app.adapters.directory.client import AccountMatch, Lockout
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.errors import InvalidInput, NotFound, RateLimited
from genai_app.models import LoginFailures, User
from genai_app.services.accounts.users import fold_username
from genai_app.services.audit.events import Action, event

WAITS_S = (60, 240, 900)  # after the tries without a wait
FREE_STRANGER, FREE_FAMILIAR = 2, 3
NEVER_FORGOTTEN = timedelta(days=1)  # where only a right password clears the wrong ones
MARGIN = timedelta(seconds=60)  # between our clock and the directory's
UNLOCKED_FOR = timedelta(minutes=15)
KEPT = timedelta(days=3)
SWEPT_EVERY_S = 3600.0
_COLUMNS = table_of(LoginFailures).c


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """When the directory locks an account, and how many of its tries this product uses.

    Args:
        tries: the number of wrong passwords after which the directory locks.
        memory: how long the directory remembers a wrong password.
    """

    tries: int
    memory: timedelta

    @classmethod
    def of(cls, lockout: Lockout) -> "FailurePolicy":
        """Returns the policy for the lockout settings of the directory."""
        seconds = timedelta(seconds=lockout.window_s)
        return cls(lockout.tries, (seconds or NEVER_FORGOTTEN) + MARGIN)

    def limit(self, *, familiar: bool) -> int:
        """Returns the number of wrong passwords in a row after which no further try is allowed."""
        reserve = 0 if familiar else max(1, (self.tries - 1) // 3)
        return max(1, self.tries - 1 - reserve)

    def free(self, *, familiar: bool) -> int:
        """Returns the number of wrong passwords without a wait."""
        return max(
            FREE_FAMILIAR if familiar else FREE_STRANGER,
            self.limit(familiar=familiar) - len(WAITS_S),
        )


class CountedTry:
    """A try that was allowed. It stays counted unless one of the methods is called."""

    def __init__(self, counter: "FailureCounter", account: bytes, *, familiar: bool) -> None:
        self._counter = counter
        self._account = account
        self._familiar = familiar

    async def undo(self) -> None:
        """Removes this try from the counts, when nothing shows that the password was wrong."""
        names = ("known" if self._familiar else "strangers", "chain")
        await self._counter.change(
            self._account,
            {name: sa.case((_COLUMNS[name] > 0, _COLUMNS[name] - 1), else_=0) for name in names},
        )

    async def succeeded(self) -> None:
        """Clears the counts after a right password, as the directory does. After a login from a
        familiar address the count of strangers stays, else each login would give them new tries."""
        cleared: dict[str, object] = {"known" if self._familiar else "strangers": 0, "chain": 0}
        if not self._familiar:
            cleared |= {"next_at": None}
        await self._counter.change(self._account, cleared)


class FailureCounter:
    """Keeps the counts in the database, for all replicas and the command line."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._swept_at: datetime | None = None

    async def take(
        self, name: str, entry: AccountMatch | None, policy: FailurePolicy, *, familiar: bool
    ) -> CountedTry:
        """Counts a try before its password is sent. Concurrent tries are counted one by one.

        Args:
            name: the account's own name, or the typed name when no account has it.
            entry: the entry of that name; None: there is none.
            familiar: whether the address is familiar.

        Raises:
            RateLimited: too_many_logins, with the seconds until the next try.
        """
        await self._sweep()
        account = account_digest(name, entry)
        try:
            await self._take(account, entry, policy, familiar=familiar)
        except IntegrityError:  # two first tries at once
            await self._take(account, entry, policy, familiar=familiar)
        return CountedTry(self, account, familiar=familiar)

    async def _take(
        self, account: bytes, entry: AccountMatch | None, policy: FailurePolicy, *, familiar: bool
    ) -> None:
        now = clock.now()
        async with self._db.write() as session:
            row = await session.get(LoginFailures, account, with_for_update=True)
            if row is None:
                login = _folded(entry.username) if entry else ""
                row = LoginFailures(account=account, login=login)
                session.add(row)
            _forget(row, policy, now)
            unlocked = row.unlocked_until is not None and now < row.unlocked_until
            wait_s = _wait_s(
                row, entry, policy, now, familiar=familiar or unlocked, unlocked=unlocked
            )
            if wait_s > 0:
                metrics.limit_hit("login")
                raise RateLimited(code="too_many_logins", retry_after_s=wait_s)
            if familiar:
                row.known, row.known_at = row.known + 1, now
            else:
                row.strangers, row.strangers_at = row.strangers + 1, now
            row.chain, row.chain_at = row.chain + 1, now
            wait_s = _wait_s(row, entry, policy, now, familiar=False)
            row.next_at = now + timedelta(seconds=wait_s) if wait_s else None

    async def change(self, account: bytes, values: dict[str, object]) -> None:
        """Sets columns of an account's row."""
        async with self._db.write() as session:
            await session.execute(
                sa.update(LoginFailures).where(col(LoginFailures.account) == account).values(values)
            )

    async def next_at(self, user: User) -> datetime | None:
        """Returns when the next try from a new address is allowed; None: now."""
        query = sa.select(sa.func.max(col(LoginFailures.next_at))).where(_of_name(user.username))
        async with self._db.read() as session:
            moment: datetime | None = await session.scalar(query)
        if moment is None or moment <= clock.now():
            return None
        return moment

    async def count_unlocks(self, name: str) -> int:
        """Returns how often administrators ended the pause of this name."""
        query = sa.select(sa.func.coalesce(sa.func.sum(col(LoginFailures.unlocks)), 0))
        async with self._db.read() as session:
            return int(await session.scalar(query.where(_of_name(name))) or 0)

    async def unlock(self, name: str, *, by: Actor | str) -> None:
        """Ends the pause of every account of that name. For 15 minutes every address gets the tries
        of a familiar one; the directory's own count stays.

        Raises:
            InvalidInput: bad_username.
            NotFound: user_not_found: no account has that name, and nobody tried it.
        """
        folded = fold_username(name)
        now = clock.now()
        async with self._db.write() as session:
            rows = list(await session.scalars(sa.select(LoginFailures).where(_of_name(folded))))
            if not rows:
                has_account = sa.exists().where(col(User.username) == folded)
                if not await session.scalar(sa.select(has_account)):
                    raise NotFound(code="user_not_found")
                rows = [LoginFailures(account=account_digest(folded, None), login=folded)]
                session.add(rows[0])
            for row in rows:
                row.known = row.strangers = 0
                row.unlocks += 1
                row.next_at, row.chain_at = None, row.chain_at or now
                row.unlocked_until = now + UNLOCKED_FOR
            session.add(event(Action.USER_UNLOCK, by=by, target=folded))

    async def _sweep(self) -> None:
        """Deletes outdated rows, at most once in SWEPT_EVERY_S seconds."""
        now = clock.now()
        if self._swept_at is not None and (now - self._swept_at).total_seconds() < SWEPT_EVERY_S:
            return
        self._swept_at = now
        async with self._db.write() as session:
            await session.execute(
                sa.delete(LoginFailures).where(col(LoginFailures.chain_at) < now - KEPT)
            )


def account_digest(name: str, entry: AccountMatch | None) -> bytes:
    """Returns the 32-byte key of an account's row: a digest of the entry's id, or of the name when
    there is no entry."""
    text = f"entry\0{entry.id}" if entry else f"name\0{_folded(name)}"
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _of_name(name: str) -> sa.ColumnElement[bool]:
    folded = _folded(name)
    return sa.or_(
        sa.and_(col(LoginFailures.login) == folded, col(LoginFailures.login) != ""),
        col(LoginFailures.account) == account_digest(folded, None),
    )


def _folded(name: str) -> str:
    try:
        return fold_username(name)
    except InvalidInput:
        return ""


def _forget(row: LoginFailures, policy: FailurePolicy, now: datetime) -> None:
    """Sets the counts to 0 that the directory has forgotten."""
    for name in ("known", "strangers", "chain"):
        at: datetime | None = getattr(row, f"{name}_at")
        if at is not None and now - at > policy.memory:
            setattr(row, name, 0)


def _wait_s(
    row: LoginFailures,
    entry: AccountMatch | None,
    policy: FailurePolicy,
    now: datetime,
    *,
    familiar: bool,
    unlocked: bool = False,
) -> int:
    """Returns the seconds until the next try is allowed; 0: now.

    Args:
        familiar: whether the address is familiar.
        unlocked: an administrator ended the pause: the directory's count is used, even when it is
            lower than ours.
    """
    count, at = (row.known, row.known_at) if familiar else (row.strangers, row.strangers_at)
    until: list[datetime] = []
    at = min(at, now) if at else None  # no longer wait after the clock was set back
    free = policy.free(familiar=familiar)
    if at is not None and count >= free:
        until.append(at + timedelta(seconds=WAITS_S[min(count - free, len(WAITS_S) - 1)]))
    use_reported = unlocked and entry is not None and entry.wrong_tries is not None
    total = 0 if use_reported else row.chain
    last_at = min(row.chain_at or now, now) if total else None
    reported_at = entry.last_wrong_at if entry else None
    if entry and entry.wrong_tries and reported_at and now - reported_at <= policy.memory:
        total = max(total, entry.wrong_tries)
        last_at = max(last_at or reported_at, reported_at)
    if total >= policy.limit(familiar=familiar) and last_at is not None:
        until.append(last_at + policy.memory)
    return max(0, *(ceil((moment - now).total_seconds()) for moment in until)) if until else 0
