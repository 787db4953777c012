"""How the text of a running answer and the lease of its run get into the database.

One checkpoint transaction serves all running answers of the process: a hundred answers cost one
commit twice a second, not two hundred.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.db import Database, Link, Row, Statement, new_row, table_of
from genai_app.models import Generation, Message, Source, Status

LEASE_S = 10.0

_MESSAGES, _RUNS = table_of(Message), table_of(Generation)
_END_MESSAGE = (
    sa.update(_MESSAGES)
    .where(_MESSAGES.c.id == sa.bindparam("key"), _MESSAGES.c.status == Status.RUNNING)
    .values(
        {
            name: sa.bindparam(name)
            for name in (
                *("text", "status", "error_code", "source", "model", "prompt_tokens"),
                *("completion_tokens", "made_at", "context_hash", "first_token_at", "finished_at"),
            )
        }
    )
    .returning(_MESSAGES.c.id)
)
_END_RUN = (
    sa.update(_RUNS)
    .where(_RUNS.c.message_id == sa.bindparam("key"), _RUNS.c.ended_at.is_(None))
    .values(ended_at=sa.bindparam("finished_at"))
)


def _in_one() -> Statement:
    """Both, for PostgreSQL: four round trips less. Messages before generations, as in `checkpoint`:
    the other order can deadlock, and only what depends on the first is sure to come second."""
    ended = _END_MESSAGE.cte("ended")
    count = sa.select(sa.func.count()).select_from(ended).scalar_subquery()
    return Statement(sa.select(ended.c.id).add_cte(_END_RUN.where(count >= 0).cte("closed")))


_END = _in_one()
_ENDS = (Statement(_END_MESSAGE), Statement(_END_RUN))


@dataclass(frozen=True, slots=True)
class End:
    """What is known of an answer once it has ended."""

    status: Status
    error_code: str | None
    source: Source
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer that was there before its question. `verified_id`: of one by a reviewer."""

    text: str
    end: End
    verified_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """An answer as the database has it. `owner`: the process that makes it. `abandoned`: it runs,
    but its owner's lease ran out."""

    text: str
    owner: str
    abandoned: bool
    end: End | None


@dataclass(frozen=True, slots=True)
class Growth:
    """The text of a running answer at a checkpoint."""

    message_id: uuid.UUID
    text: str
    first_token_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ending:
    """The last state of an answer. `context`: see Message.context_hash."""

    text: str
    end: End
    first_token_at: datetime | None
    context: bytes | None


class Answers:
    """Reads and writes running answers.

    Args:
        owner: names this process in the leases.
    """

    def __init__(self, db: Database, owner: str) -> None:
        self._db = db
        self._owner = owner

    def lease(self, answer: Row) -> Row:
        """The generation to commit together with an empty answer."""
        return new_row(
            Generation,
            message_id=answer["id"],
            dialog_id=answer["dialog_id"],
            user_id=answer["user_id"],
            owner=self._owner,
            started_at=clock.now(),
            lease_until=_lease_end(),
        )

    async def read(self, message_id: uuid.UUID) -> SavedAnswer | None:
        query = (
            sa.select(Message, col(Generation.lease_until), col(Generation.owner))
            .outerjoin(Generation, col(Generation.message_id) == col(Message.id))
            .where(col(Message.id) == message_id)
        )
        async with self._db.read() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None:
            return None
        message, lease_until, owner = row
        if message.status == Status.RUNNING:
            abandoned = (lease_until or clock.now()) <= clock.now()
            return SavedAnswer(message.text, owner or "", abandoned=abandoned, end=None)
        return SavedAnswer(message.text, "", abandoned=False, end=end_of(message))

    async def checkpoint(
        self, running: Collection[uuid.UUID], grown: Sequence[Growth]
    ) -> set[uuid.UUID]:
        """Save what has grown and renew the leases of all that run.

        Returns the runs that must end: somebody asked for it, or the lease was lost to a reaper.
        """
        mine = (col(Generation.message_id).in_(running), col(Generation.owner) == self._owner)
        async with self._db.write() as session:
            if grown:
                connection = await session.connection()
                await connection.execute(
                    sa.update(Message)
                    .where(
                        col(Message.id) == sa.bindparam("key"),
                        col(Message.status) == Status.RUNNING,
                    )
                    .values(text=sa.bindparam("grown"), first_token_at=sa.bindparam("first")),
                    [
                        {"key": each.message_id, "grown": each.text, "first": each.first_token_at}
                        for each in grown
                    ],
                )
            await session.execute(
                sa.update(Generation)
                .where(*mine, col(Generation.ended_at).is_(None))
                .values(lease_until=_lease_end())
            )
            ending = await session.scalars(
                sa.select(col(Generation.message_id)).where(
                    *mine,
                    sa.or_(
                        col(Generation.stop_requested_at).is_not(None),
                        col(Generation.ended_at).is_not(None),
                    ),
                )
            )
            return set(ending)

    async def end(self, message_id: uuid.UUID, ending: Ending) -> Status:
        """Write the last state, unless a reaper has given the answer up before: then only the text,
        which it did not have. Returns the state that the answer has now."""
        end = ending.end
        values = {
            "key": message_id,
            "text": ending.text,
            "status": end.status,
            "error_code": end.error_code,
            "source": end.source,
            "model": end.model,
            "prompt_tokens": end.prompt_tokens,
            "completion_tokens": end.completion_tokens,
            "made_at": end.made_at,
            "context_hash": ending.context,
            "first_token_at": ending.first_token_at,
            "finished_at": clock.now(),
        }
        if self._db.is_sqlite:
            async with self._db.write() as session:
                link = Link(connection=await session.connection())
                written, _ = [await link.fetch(each, **values) for each in _ENDS]
        else:
            async with self._db.look() as link:
                written = await link.fetch(_END, **values)
        return end.status if written else await self._end_late(message_id, ending)

    async def _end_late(self, message_id: uuid.UUID, ending: Ending) -> Status:
        async with self._db.write() as session:
            await session.execute(
                sa.update(Message)
                .where(
                    col(Message.id) == message_id,
                    col(Message.status) == Status.INTERRUPTED,
                    col(Message.error_code) == "process_lost",
                )
                .values(text=ending.text)
            )
            status = await session.scalar(
                sa.select(col(Message.status)).where(col(Message.id) == message_id)
            )
        return Status(status) if status else ending.end.status

    async def ask_to_stop(self, message_id: uuid.UUID) -> None:
        """Leave word for the run's owner, another process; its next checkpoint sees it."""
        async with self._db.write() as session:
            await session.execute(
                sa.update(Generation)
                .where(col(Generation.message_id) == message_id, col(Generation.ended_at).is_(None))
                .values(stop_requested_at=clock.now())
            )

    async def interrupt(
        self,
        *,
        spare: Collection[uuid.UUID],
        only: uuid.UUID | None = None,
        whatever_lease: bool = False,
    ) -> list[uuid.UUID]:
        """Mark runs whose owner is gone as interrupted, and return them.

        Args:
            spare: runs that this process is producing, however old their leases look.
            only: look at this one alone.
            whatever_lease: at a start when no other process can be there.
        """
        lost = sa.select(col(Generation.message_id)).where(col(Generation.ended_at).is_(None))
        if not whatever_lease:
            lost = lost.where(col(Generation.lease_until) < clock.now())
        if only is not None:
            lost = lost.where(col(Generation.message_id) == only)
        async with self._db.read() as session:
            if not set(await session.scalars(lost)) - set(spare):
                return []
        moment = clock.now()
        async with self._db.write() as session:
            # asked again under the row locks: the owner may have renewed its lease in between
            rows = await session.scalars(lost.with_for_update(skip_locked=True))
            ids = [message_id for message_id in rows if message_id not in spare]
            await session.execute(
                sa.update(Generation)
                .where(col(Generation.message_id).in_(ids))
                .values(ended_at=moment)
            )
            await session.execute(
                sa.update(Message)
                .where(col(Message.id).in_(ids), col(Message.status) == Status.RUNNING)
                .values(status=Status.INTERRUPTED, error_code="process_lost", finished_at=moment)
            )
        return ids


def end_of(message: Message) -> End:
    """The end of an answer that is not running."""
    return End(
        Status(message.status),
        message.error_code,
        Source(message.source or Source.MODEL),
        message.model,
        message.prompt_tokens,
        message.completion_tokens,
        message.made_at,
    )


def _lease_end() -> datetime:
    return clock.now() + timedelta(seconds=LEASE_S)
