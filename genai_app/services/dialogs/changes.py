"""Which dialogs have changed, for the open pages of their users.

The database is asked once a second by each process, for all users who have a page open here; so a
page learns of a change by whatever process or channel it came. `look_soon` shortens the wait after
a change in this process.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import Dialog

log = structlog.stdlib.get_logger(__name__)

LOOK_S = 1.0
SHORTEST_S = 0.1  # between two looks, however often `look_soon` is called
# Changes bear the time of the process that made them, and commit in any order: what is newer than
# this is compared one by one, so no change is missed while clocks differ by less.
WINDOW = timedelta(seconds=60)
USERS_PER_QUERY = 1000

Changes = dict[uuid.UUID, datetime]


class Watcher:
    """The changes since one page looked last: `changed_at` by the dialog's id."""

    def __init__(self) -> None:
        self._changes: Changes = {}
        self._arrived = asyncio.Event()

    def add(self, changes: Changes) -> None:
        self._changes |= changes
        self._arrived.set()

    async def wait(self, within_s: float) -> Changes:
        """Returns the changes, as soon as there are any; none when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._arrived.wait()
        self._arrived.clear()
        changes, self._changes = self._changes, {}
        return changes


class DialogChanges:
    """Looks for changed dialogs and wakes the pages of their users."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._watchers: dict[uuid.UUID, set[Watcher]] = {}
        self._new: set[Watcher] = set()  # get everything of the window once
        self._seen: Changes = {}
        self._soon = asyncio.Event()

    @asynccontextmanager
    async def watch(self, user_id: uuid.UUID) -> AsyncGenerator[Watcher]:
        """Yields the watcher of an open page of this user. Its first wait also returns the changes
        of the last WINDOW, so none between reading a page and watching it is missed."""
        watcher = Watcher()
        self._watchers.setdefault(user_id, set()).add(watcher)
        self._new.add(watcher)
        try:
            yield watcher
        finally:
            self._new.discard(watcher)
            self._watchers[user_id].discard(watcher)
            if not self._watchers[user_id]:
                del self._watchers[user_id]

    def look_soon(self) -> None:
        """Shortens the wait for the next look: this process has changed a dialog."""
        self._soon.set()

    async def run(self) -> None:
        """Runs for the life of the process."""
        while True:
            await asyncio.sleep(SHORTEST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S - SHORTEST_S):
                    await self._soon.wait()
            self._soon.clear()
            if not self._watchers:
                continue
            try:
                await self._look()
            except StorageUnavailable:
                continue  # the pages learn it when it is back
            except Exception:
                log.exception("dialog_changes.bug")

    async def _look(self) -> None:
        users, new = list(self._watchers), self._new
        self._new = set()
        by_user: dict[uuid.UUID, Changes] = {}
        for start in range(0, len(users), USERS_PER_QUERY):
            for dialog_id, user_id, moment in await self._changed(
                users[start : start + USERS_PER_QUERY]
            ):
                by_user.setdefault(user_id, {})[dialog_id] = moment
        for user_id, changes in by_user.items():
            news = {key: at for key, at in changes.items() if self._seen.get(key) != at}
            for watcher in self._watchers.get(user_id, ()):
                if fresh := changes if watcher in new else news:
                    watcher.add(fresh)
        self._seen = {key: at for changes in by_user.values() for key, at in changes.items()}

    async def _changed(self, users: list[uuid.UUID]) -> list[tuple[uuid.UUID, uuid.UUID, datetime]]:
        query = sa.select(col(Dialog.id), col(Dialog.user_id), col(Dialog.changed_at)).where(
            col(Dialog.user_id).in_(users), col(Dialog.changed_at) >= clock.now() - WINDOW
        )
        async with self._db.read() as session:
            rows = await session.execute(query)
            return [(row[0], row[1], at) for row in rows if (at := row[2]) is not None]
