"""Wrong passwords of accounts that the directory locks by itself, counted by the entry that was
found, whatever was typed. So nobody can have an account locked from here, and two slips of the
finger cost a minute.

Where the directory locks after N wrong passwords, an account gets at most N - 1 through us, those
included that the directory tells of (`badPwdCount`, `pwdFailureTime`), wherever they were made.
Strangers' addresses get less than an address where the user logged in before, so that a stranger
does not use up what is left for its user. The first tries cost no wait, each further one a longer
wait; after the last one the directory has to forget them first.

A name that no account has is counted in the same way: a wait tells nobody which names there are.
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

STEPS_S = (60, 240, 900)  # waits after the tries that cost none
FREE_STRANGER, FREE_KNOWN = 2, 3
NEVER_FORGOTTEN = timedelta(days=1)  # where only a right password makes wrong ones forgotten
MARGIN = timedelta(seconds=60)  # our clock and the directory's
UNLOCKED_FOR = timedelta(minutes=15)
KEPT = timedelta(days=3)
SWEPT_EVERY_S = 3600.0
_COLUMNS = table_of(LoginFailures).c


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """When the directory locks, and how many tries of it may be used from where."""

    tries: int
    memory: timedelta

    @classmethod
    def of(cls, lockout: Lockout) -> "FailurePolicy":
        seconds = timedelta(seconds=lockout.window_s)
        return cls(lockout.tries, (seconds or NEVER_FORGOTTEN) + MARGIN)

    def limit(self, *, known: bool) -> int:
        """Wrong passwords in a row, of all, after which the directory must forget them first."""
        reserve = 0 if known else max(1, (self.tries - 1) // 3)
        return max(1, self.tries - 1 - reserve)

    def free(self, *, known: bool) -> int:
        """Wrong passwords that cost no wait."""
        return max(FREE_KNOWN if known else FREE_STRANGER, self.limit(known=known) - len(STEPS_S))


class CountedTry:
    """One try that was let through. It stays counted unless one of these is called."""

    def __init__(self, counter: "FailureCounter", account: bytes, *, known: bool) -> None:
        self._counter = counter
        self._account = account
        self._known = known

    async def undo(self) -> None:
        """Nothing shows that the password was wrong: counts this try nowhere."""
        names = ("known" if self._known else "strangers", "chain")
        await self._counter.change(
            self._account,
            {name: sa.case((_COLUMNS[name] > 0, _COLUMNS[name] - 1), else_=0) for name in names},
        )

    async def succeeded(self) -> None:
        """The password was right: the directory has forgotten the wrong ones. Strangers' tries stay
        counted for strangers, or each login of the user would give them more."""
        cleared: dict[str, object] = {"known" if self._known else "strangers": 0, "chain": 0}
        if not self._known:
            cleared |= {"next_at": None}
        await self._counter.change(self._account, cleared)


class FailureCounter:
    """Counts in the database: over all replicas, restarts and the command line."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._swept_at: datetime | None = None

    async def take(
        self, name: str, found: AccountMatch | None, policy: FailurePolicy, *, known: bool
    ) -> CountedTry:
        """Counts a try before its password is presented; many at once cannot pass together.

        Args:
            name: the account's own, else as typed.
            found: the entry of that name; None: nobody's.
            known: its user logged in from this address before.

        Raises:
            RateLimited: too_many_logins, with the seconds until the next try.
        """
        await self._sweep()
        account = account_digest(name, found)
        try:
            await self._take(account, found, policy, known=known)
        except IntegrityError:  # two first tries at once
            await self._take(account, found, policy, known=known)
        return CountedTry(self, account, known=known)

    async def _take(
        self, account: bytes, found: AccountMatch | None, policy: FailurePolicy, *, known: bool
    ) -> None:
        now = clock.now()
        async with self._db.write() as session:
            row = await session.get(LoginFailures, account, with_for_update=True)
            if row is None:
                login = _folded(found.username) if found else ""
                row = LoginFailures(account=account, login=login)
                session.add(row)
            _forget(row, policy, now)
            unlocked = row.unlocked_until is not None and now < row.unlocked_until
            wait_s = _wait_s(row, found, policy, now, known=known or unlocked, unlocked=unlocked)
            if wait_s > 0:
                metrics.limit_hit("login")
                raise RateLimited(code="too_many_logins", retry_after_s=wait_s)
            if known:
                row.known, row.known_at = row.known + 1, now
            else:
                row.strangers, row.strangers_at = row.strangers + 1, now
            row.chain, row.chain_at = row.chain + 1, now
            wait_s = _wait_s(row, found, policy, now, known=False)
            row.next_at = now + timedelta(seconds=wait_s) if wait_s else None

    async def change(self, account: bytes, values: dict[str, object]) -> None:
        """Sets columns of an account's row."""
        async with self._db.write() as session:
            await session.execute(
                sa.update(LoginFailures).where(col(LoginFailures.account) == account).values(values)
            )

    async def next_at(self, user: User) -> datetime | None:
        """When somebody at a new address may try again as `user`; None: now."""
        query = sa.select(sa.func.max(col(LoginFailures.next_at))).where(_of_name(user.username))
        async with self._db.read() as session:
            moment: datetime | None = await session.scalar(query)
        if moment is None or moment <= clock.now():
            return None
        return moment

    async def count_unlocks(self, name: str) -> int:
        """How often the pause of this name was lifted."""
        query = sa.select(sa.func.coalesce(sa.func.sum(col(LoginFailures.unlocks)), 0))
        async with self._db.read() as session:
            return int(await session.scalar(query.where(_of_name(name))) or 0)

    async def unlock(self, name: str, *, by: Actor | str) -> None:
        """Lifts the pause of every account of that name. For 15 minutes every address gets what an
        address of the user's own has; what the directory itself has counted stays.

        Raises:
            InvalidInput: bad_username.
            NotFound: user_not_found; nobody has that name, and nobody tried it.
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
        """Deletes rows that nothing follows from any more, now and then."""
        now = clock.now()
        if self._swept_at is not None and (now - self._swept_at).total_seconds() < SWEPT_EVERY_S:
            return
        self._swept_at = now
        async with self._db.write() as session:
            await session.execute(
                sa.delete(LoginFailures).where(col(LoginFailures.chain_at) < now - KEPT)
            )


def account_digest(name: str, found: AccountMatch | None) -> bytes:
    """The key of an account's row: by the entry's id, else by the name."""
    text = f"entry\0{found.id}" if found else f"name\0{_folded(name)}"
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
    """Sets to 0 what is older than the directory remembers."""
    for name in ("known", "strangers", "chain"):
        at: datetime | None = getattr(row, f"{name}_at")
        if at is not None and now - at > policy.memory:
            setattr(row, name, 0)


def _wait_s(
    row: LoginFailures,
    found: AccountMatch | None,
    policy: FailurePolicy,
    now: datetime,
    *,
    known: bool,
    unlocked: bool = False,
) -> int:
    """Seconds until the next try; 0: it may be made now. `unlocked`: an administrator lifted the
    pause, so what the directory says that it counts is believed, be it less than we counted."""
    count, at = (row.known, row.known_at) if known else (row.strangers, row.strangers_at)
    until: list[datetime] = []
    at = min(at, now) if at else None  # a clock that was set back makes nobody wait longer
    free = policy.free(known=known)
    if at is not None and count >= free:
        until.append(at + timedelta(seconds=STEPS_S[min(count - free, len(STEPS_S) - 1)]))
    believed = unlocked and found is not None and found.wrong_tries is not None
    total = 0 if believed else row.chain
    last_at = min(row.chain_at or now, now) if total else None
    seen_at = found.last_wrong_at if found else None
    if found and found.wrong_tries and seen_at and now - seen_at <= policy.memory:
        total = max(total, found.wrong_tries)
        last_at = max(last_at or seen_at, seen_at)
    if total >= policy.limit(known=known) and last_at is not None:
        until.append(last_at + policy.memory)
    return max(0, *(ceil((moment - now).total_seconds()) for moment in until)) if until else 0
