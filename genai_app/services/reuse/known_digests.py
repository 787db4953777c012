"""A copy of a small table in this process, so that a question need not ask the database."""

from typing import Any

import sqlalchemy as sa

from genai_app.db.database import Database


class Known:
    """A set of digests, as old as its last `refresh` at most.

    Args:
        mark: one row that is another one after every change of the table.
        digests: all digests of the table.
        into: the set to keep; whoever holds it sees each change.
    """

    def __init__(
        self,
        db: Database,
        *,
        mark: sa.Select[*tuple[Any, ...]],
        digests: sa.Select[bytes],
        into: set[bytes] | None = None,
    ) -> None:
        self.digests: set[bytes] = set() if into is None else into
        self._db = db
        self._mark_query = mark
        self._query = digests
        self._mark: tuple[Any, ...] | None = None
        self._own_changes = 0

    def add(self, digest: bytes) -> None:
        """Adds a digest that this process has committed, without waiting for a refresh."""
        self._own_changes += 1
        self.digests.add(digest)

    def discard(self, digest: bytes) -> None:
        """Removes a digest, as `add` adds one."""
        self._own_changes += 1
        self.digests.discard(digest)

    async def refresh(self) -> None:
        """Reads what other processes have changed. Raises StorageUnavailable."""
        own_changes = self._own_changes
        async with self._db.read() as session:
            mark = tuple((await session.execute(self._mark_query)).one())
            if mark == self._mark:
                return
            digests = set(await session.scalars(self._query))
        if own_changes != self._own_changes:
            return  # read before a change of this process; the next refresh sees it
        self._mark = mark
        self.digests.clear()
        self.digests.update(digests)
