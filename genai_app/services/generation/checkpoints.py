"""How the text of a running answer and the lease of its run get into the database.

One checkpoint transaction serves all running answers of the process: a hundred answers cost one
commit twice a second, not two hundred.
"""

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.db.statements import Row, Statement, StatementRunner, new_row, table_of
from genai_app.models import Generation, Message, Source, Status
from genai_app.models.database_time import database_now
from genai_app.services.dialogs.history import details_of
from genai_app.services.generation.growth import OWNED, OWNED_RUN, Growth, save_growth

log = structlog.get_logger()

LEASE_S = 10.0
STEP_S = 2.0  # so much faster than time goes, the database's clock cannot go by itself

_MESSAGES, _RUNS = table_of(Message), table_of(Generation)
_END_MESSAGE = (
    sa.update(_MESSAGES)
    .where(
        _MESSAGES.c.id == sa.bindparam("key"),
        _MESSAGES.c.status == Status.RUNNING,
        OWNED_RUN,
    )
    .values(
        {
            name: sa.bindparam(name)
            for name in (
                *("text", "status", "error_code", "error_details", "source", "model"),
                *("prompt_tokens", "completion_tokens", "made_at", "context_hash", "trimmed"),
                *("first_token_at", "finished_at"),
                *("reasoning", "reasoning_ms", "reasoning_tokens"),
            )
        }
    )
    .returning(_MESSAGES.c.id)
)
_END_RUN = (
    sa.update(_RUNS)
    .where(
        _RUNS.c.message_id == sa.bindparam("key"),
        _RUNS.c.owner == sa.bindparam("process"),
        _RUNS.c.ended_at.is_(None),
    )
    .values(ended_at=sa.bindparam("finished_at"))
)


# by the database's clock: processes whose clocks differ agree on which lease has run out
LEASE_END = database_now(LEASE_S)
_ADD_RUN = Statement(
    sa.insert(_RUNS).values(
        {
            each.name: LEASE_END if each.name == "lease_until" else sa.bindparam(each.name)
            for each in _RUNS.columns
        }
    )
)
_HAS_LEASE = sa.func.coalesce(col(Generation.lease_until) > database_now(), sa.false())


def _in_one() -> Statement:
    """Returns one statement of both, for PostgreSQL: four round trips less. Messages before
    generations, as in `checkpoint`: the other order can deadlock, and only what depends on the
    first is sure to come second."""
    ended = _END_MESSAGE.cte("ended")
    count = sa.select(sa.func.count()).select_from(ended).scalar_subquery()
    return Statement(sa.select(ended.c.id).add_cte(_END_RUN.where(count >= 0).cte("closed")))


_END = _in_one()
_ENDS = (Statement(_END_MESSAGE), Statement(_END_RUN))


@dataclass(frozen=True, slots=True)
class End:
    """The end of an answer. `details`: the values that the sentence for its `error_code` names."""

    status: Status
    error_code: str | None
    source: Source
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    made_at: datetime | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    reasoning_tokens: int | None = None


# to the readers of an answer that goes on in another process
RESTARTING = End(Status.INTERRUPTED, "server_restarting", Source.MODEL, None, None, None)


@dataclass(frozen=True, slots=True)
class Increment:
    """New text of an answer, and the state it is in once the text is read; on the last one, its
    end. `position`: in the queue before the model servers, 0 when it does not wait there.

    `reasoning`: new text of the model's thoughts. `reasoning_ms`: how long it has thought so far;
    None if it has not. `anew`: earlier text was reasoning, or the other way round: both come again
    from their beginning, and replace what was read before.
    """

    text: str
    status: Status
    end: End | None = None
    position: int = 0
    reasoning: str = ""
    reasoning_ms: int | None = None
    anew: bool = False


@dataclass(frozen=True, slots=True)
class ReadyAnswer:
    """A cached or verified answer. `verified_id`: of one by a reviewer."""

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
    reasoning: str = ""
    reasoning_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """The last state of an answer. `context`: see Message.context_hash. `trimmed`: how many of
    the oldest messages the model was not sent."""

    text: str
    end: End
    first_token_at: datetime | None
    context: bytes | None
    trimmed: int = 0
    reasoning: str = ""
    reasoning_ms: int | None = None


class Answers:
    """Reads and writes running answers.

    Args:
        owner: names this process in the leases.
    """

    def __init__(self, db: Database, owner: str) -> None:
        self._db = db
        self._owner = owner
        self._last_look: tuple[datetime, float] | None = None
        self._no_reaping_until = 0.0

    def lease(self, answer: Row) -> Row:
        """Returns the generation to commit together with an empty answer, without `lease_until`:
        that is LEASE_END in the statement."""
        row = new_row(
            Generation,
            message_id=answer["id"],
            dialog_id=answer["dialog_id"],
            user_id=answer["user_id"],
            owner=self._owner,
            started_at=clock.now(),
        )
        del row["lease_until"]
        return row

    async def add_lease(self, runner: StatementRunner, answer: Row) -> None:
        """Adds the generation of an empty answer in the transaction that adds the answer."""
        await runner.fetch(_ADD_RUN, **self.lease(answer))

    async def read(self, message_id: uuid.UUID) -> SavedAnswer | None:
        query = (
            sa.select(Message, col(Generation.owner), _HAS_LEASE)
            .outerjoin(Generation, col(Generation.message_id) == col(Message.id))
            .where(col(Message.id) == message_id)
        )
        async with self._db.read() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None:
            return None
        message, owner, has_lease = row
        running = message.status == Status.RUNNING
        return SavedAnswer(
            message.text,
            (owner or "") if running else "",
            abandoned=running and not has_lease,
            end=None if running else end_of(message),
            reasoning=message.reasoning,
            reasoning_ms=message.reasoning_ms,
        )

    async def checkpoint(
        self, running: Collection[uuid.UUID], grown: Sequence[Growth]
    ) -> set[uuid.UUID]:
        """Saves the text that has grown and renews the leases of all running answers.

        Returns the runs that must end: somebody asked for it, or the lease was lost to a reaper.
        """
        mine = (col(Generation.message_id).in_(running), col(Generation.owner) == self._owner)
        async with self._db.write() as session:
            await save_growth(session, grown, self._owner)
            await session.execute(
                sa.update(Generation)
                .where(*mine, col(Generation.ended_at).is_(None))
                .values(lease_until=LEASE_END)
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
        """Writes the last state, unless a reaper has given the answer up before: then only the
        text, which it did not have. Returns the state that the answer has now."""
        end = ending.end
        values = {
            "key": message_id,
            "process": self._owner,
            "text": ending.text,
            "status": end.status,
            "error_code": end.error_code,
            "error_details": json.dumps(end.details, ensure_ascii=False) if end.details else None,
            "trimmed": ending.trimmed,
            "source": end.source,
            "model": end.model,
            "prompt_tokens": end.prompt_tokens,
            "completion_tokens": end.completion_tokens,
            "made_at": end.made_at,
            "context_hash": ending.context,
            "first_token_at": ending.first_token_at,
            "finished_at": clock.now(),
            "reasoning": ending.reasoning,
            "reasoning_ms": ending.reasoning_ms,
            "reasoning_tokens": end.reasoning_tokens,
        }
        if self._db.is_sqlite:
            async with self._db.write() as session:
                runner = StatementRunner(connection=await session.connection())
                written, _ = [await runner.fetch(each, **values) for each in _ENDS]
        else:
            async with self._db.statement_runner() as runner:
                written = await runner.fetch(_END, **values)
        return end.status if written else await self._end_late(message_id, ending)

    async def _end_late(self, message_id: uuid.UUID, ending: Ending) -> Status:
        async with self._db.write() as session:
            await session.execute(
                sa.update(Message)
                .where(
                    col(Message.id) == message_id,
                    col(Message.status) == Status.INTERRUPTED,
                    col(Message.error_code) == "process_lost",
                    OWNED,
                )
                .values(
                    text=ending.text,
                    status=Status.INTERRUPTED,  # set anew: the index of words follows the status
                    reasoning=ending.reasoning,
                    reasoning_ms=ending.reasoning_ms,
                ),
                {"process": self._owner},
            )
            status = await session.scalar(
                sa.select(col(Message.status)).where(col(Message.id) == message_id)
            )
        if status == Status.RUNNING:  # another process goes on with it
            return Status.INTERRUPTED
        return Status(status) if status else ending.end.status

    async def ask_to_stop(self, message_id: uuid.UUID) -> None:
        """Marks a run of another process to be stopped; its owner's next checkpoint sees it."""
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
        """Marks runs whose owner is gone as interrupted, and returns them.

        Args:
            spare: runs that this process is producing, however old their leases look.
            only: look at this one alone.
            whatever_lease: at a start when no other process can be there.
        """
        lost = sa.select(col(Generation.message_id)).where(col(Generation.ended_at).is_(None))
        if not whatever_lease:
            lost = lost.where(col(Generation.lease_until) < database_now())
        if only is not None:
            lost = lost.where(col(Generation.message_id) == only)
        async with self._db.read() as session:
            if not whatever_lease and await self._clock_stepped(session):
                return []
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
        if ids:
            log.warning("generation.interrupted", messages=[str(each) for each in ids])
        return ids

    async def _clock_stepped(self, session: AsyncSession) -> bool:
        """Returns whether the database's clock stepped forward within the last LEASE_S: it was set,
        or a standby took over. All leases look old then, and who lives renews them first."""
        before = clock.steady_s()
        moment = await session.scalar(sa.select(database_now()))
        assert moment is not None
        after = clock.steady_s()
        if self._last_look is not None:
            moment_then, before_then = self._last_look
            if (moment - moment_then).total_seconds() - (after - before_then) > STEP_S:
                log.warning("database.clock_stepped")
                self._no_reaping_until = after + LEASE_S
        self._last_look = (moment, before)
        return after < self._no_reaping_until


def end_of(message: Message) -> End:
    """Returns the end of an answer that is not running."""
    return End(
        Status(message.status),
        message.error_code,
        Source(message.source or Source.MODEL),
        message.model,
        message.prompt_tokens,
        message.completion_tokens,
        message.made_at,
        details_of(message),
        message.reasoning_tokens,
    )
