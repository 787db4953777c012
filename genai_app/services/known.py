"""What this process knows of a small table, so that a question need not ask the database."""

from typing import Any

import sqlalchemy as sa

from genai_app.db import Database


class Known:
    """A set of digests, as old as its last `refresh` at most.

    Args:
        mark: one row that is another one after every change of the table.
        digests: all that are to be known.
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
        self._deeds = 0

    def add(self, digest: bytes) -> None:
        """It was committed here: known at once."""
        self._deeds += 1
        self.digests.add(digest)

    def discard(self, digest: bytes) -> None:
        self._deeds += 1
        self.digests.discard(digest)

    async def refresh(self) -> None:
        """Learn what other processes have changed. Raises StorageUnavailable."""
        deeds = self._deeds
        async with self._db.read() as session:
            mark = tuple((await session.execute(self._mark_query)).one())
            if mark == self._mark:
                return
            found = set(await session.scalars(self._query))
        if deeds != self._deeds:
            return  # read before a deed of this process; the next one sees it
        self._mark = mark
        self.digests.clear()
        self.digests.update(found)
