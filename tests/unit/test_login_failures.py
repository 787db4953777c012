"""Wrong passwords of accounts that the directory locks: no account is ever locked from here."""

from datetime import UTC, datetime, timedelta

import pytest

from genai_app import clock
from genai_app.adapters.directory.client import AccountMatch, Lockout
from genai_app.db.database import Database
from genai_app.errors import NotFound, RateLimited
from genai_app.models import User
from genai_app.services.accounts.login_failures import FailureCounter, FailurePolicy

BEGIN = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class Moment:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.at = BEGIN

    def pass_s(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    moved = Moment()
    monkeypatch.setattr(clock, "now", lambda: moved.at)
    return moved


class LockingDirectory:
    """Counts wrong passwords as Active Directory does: they are forgotten together, once the last
    one is as old as the window."""

    def __init__(self, moment: Moment, window_s: int, *, tells: bool) -> None:
        self.count = 0
        self.most = 0
        self._moment, self._window_s, self._tells = moment, window_s, tells
        self._last_at: datetime | None = None

    def wrong(self) -> None:
        self._settle()
        self.count, self._last_at = self.count + 1, self._moment.at
        self.most = max(self.most, self.count)

    def right(self) -> None:
        self.count = 0

    def entry(self) -> AccountMatch:
        self._settle()
        if not self._tells:
            return AccountMatch("id-of-ivanov", "Ivanov")
        return AccountMatch("id-of-ivanov", "Ivanov", self.count, self._last_at)

    def _settle(self) -> None:
        if self._last_at and (self._moment.at - self._last_at).total_seconds() > self._window_s:
            self.count = 0


async def wait_of(
    counter: FailureCounter,
    directory: LockingDirectory,
    policy: FailurePolicy,
    *,
    familiar: bool,
    typed: str = "ivanov",
) -> int:
    """Seconds that a try has to wait; one that is let through (0) is a wrong password."""
    try:
        await counter.take(typed, directory.entry(), policy, familiar=familiar)
    except RateLimited as error:
        return error.retry_after_s or 0
    directory.wrong()
    return 0


@pytest.mark.parametrize("tries", [2, 3, 4, 5, 10])
@pytest.mark.parametrize("tells", [True, False], ids=["tells", "silent"])
async def test_no_patience_locks_an_account(
    tries: int, tells: bool, db: Database, moment: Moment
) -> None:
    """Strangers and the user's own address try as soon as they may, for hours; the user always has
    a try left."""
    directory = LockingDirectory(moment, 1800, tells=tells)
    counter, policy = FailureCounter(db), FailurePolicy.of(Lockout(tries, 1800))
    let = {True: 0, False: 0}
    for step in range(60):
        familiar = step % 4 == 3
        wait_s = await wait_of(counter, directory, policy, familiar=familiar)
        let[familiar] += wait_s == 0
        moment.pass_s(wait_s if wait_s and step % 3 == 0 else 20)
    assert 1 <= directory.most < tries
    assert let[False] >= 2
    assert let[True] >= (1 if tries > 2 else 0)


async def test_two_slips_cost_a_minute(db: Database, moment: Moment) -> None:
    """Threshold 5, as most domains have it: the wait is told to the second, and grows."""
    directory = LockingDirectory(moment, 1800, tells=True)
    counter, policy = FailureCounter(db), FailurePolicy.of(Lockout(5, 1800))
    waits = [await wait_of(counter, directory, policy, familiar=False) for _ in range(3)]
    assert waits == [0, 0, 60]
    moment.pass_s(60)
    attempt = await counter.take("ivanov", directory.entry(), policy, familiar=False)
    await attempt.succeeded()
    directory.right()

    waits = []
    for _ in range(5):
        wait_s = await wait_of(counter, directory, policy, familiar=False)
        waits.append(wait_s)
        moment.pass_s(wait_s if wait_s == 60 else 0)
    assert waits == [0, 0, 60, 0, 1860]  # three of four; the last one is the user's
    assert await wait_of(counter, directory, policy, familiar=True) == 0
    assert await wait_of(counter, directory, policy, familiar=True) == 1860
    assert directory.most == 4


async def test_tries_made_elsewhere_count(db: Database, moment: Moment) -> None:
    """Three wrong ones at the workplace leave strangers none, and the user's address one."""
    directory = LockingDirectory(moment, 1800, tells=True)
    for _ in range(3):
        directory.wrong()
    counter, policy = FailureCounter(db), FailurePolicy.of(Lockout(5, 1800))
    assert await wait_of(counter, directory, policy, familiar=False) == 1860
    assert await wait_of(counter, directory, policy, familiar=True) == 0
    assert await wait_of(counter, directory, policy, familiar=True) == 1860


async def test_names_of_one_entry_and_of_nobody(db: Database, moment: Moment) -> None:
    """Whatever was typed, the entry counts; a name that nobody has waits in the same way."""
    directory = LockingDirectory(moment, 1800, tells=False)
    counter, policy = FailureCounter(db), FailurePolicy.of(Lockout(5, 1800))
    names = ("ivanov", "p.ivanov@corp.example", "IVANOV")
    waits = [
        await wait_of(counter, directory, policy, familiar=False, typed=name) for name in names
    ]
    assert waits == [0, 0, 60]

    async def nobody(name: str) -> int:
        try:
            await counter.take(name, None, policy, familiar=False)
        except RateLimited as error:
            return error.retry_after_s or 0
        return 0

    assert [await nobody(name) for name in ("nobody", "NOBODY", " nobody ")] == [0, 0, 60]
    assert await nobody("somebody else") == 0


async def test_an_administrator_lifts_the_pause(db: Database, alice: User, moment: Moment) -> None:
    """By name, also before the first login here; the directory's own count still holds."""
    directory = LockingDirectory(moment, 1800, tells=True)
    counter, policy = FailureCounter(db), FailurePolicy.of(Lockout(5, 1800))
    for _ in range(3):
        await wait_of(counter, directory, policy, familiar=False)
        moment.pass_s(60)
    assert await wait_of(counter, directory, policy, familiar=False) > 1700
    await counter.unlock(" IVANOV ", by="command line")
    assert await wait_of(counter, directory, policy, familiar=False) == 0
    assert await wait_of(counter, directory, policy, familiar=False) > 1700
    assert directory.most == 4
    await counter.unlock(alice.username, by="command line")
    assert await counter.count_unlocks(alice.username) == 1
    with pytest.raises(NotFound):
        await counter.unlock("nobody-at-all", by="command line")


async def test_undone_tries_and_a_clock_set_back(db: Database, moment: Moment) -> None:
    directory = LockingDirectory(moment, 1800, tells=False)
    counter, policy = FailureCounter(db), FailurePolicy.of(Lockout(5, 1800))
    for _ in range(6):
        attempt = await counter.take("ivanov", directory.entry(), policy, familiar=False)
        await attempt.undo()
    waits = [await wait_of(counter, directory, policy, familiar=False) for _ in range(3)]
    assert waits == [0, 0, 60]
    moment.pass_s(-3600)
    assert await wait_of(counter, directory, policy, familiar=False) == 60
