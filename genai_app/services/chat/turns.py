"""Questions and their answers in the database: each committed once, with its unit of the limit."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_dialog, get_message
from genai_app.db.database import Database
from genai_app.db.statements import Row, StatementRunner, new_row
from genai_app.errors import InvalidInput, NotFound
from genai_app.models import (
    Author,
    Dialog,
    Message,
    QueuedQuestion,
    Source,
    TitledBy,
    new_id,
)
from genai_app.services.chat.cut_answers import check_can_go_on, run_again
from genai_app.services.chat.first_question import commit_new_dialog
from genai_app.services.chat.placement import (
    Moved,
    Submission,
    TurnPosition,
    attachments_to_json,
    check_position,
    newest_of,
    turn_rows,
)
from genai_app.services.dialogs.history import next_moment
from genai_app.services.dialogs.leaves import show_leaf
from genai_app.services.files.rows import attach
from genai_app.services.files.usage import FileUse, files_used
from genai_app.services.generation.checkpoints import Answers, End, ReadyAnswer
from genai_app.services.limits.rate import Budget, Limits, Unit

TITLE_CHARS = 60
EDITING = "editing"  # `error_code` of a queued question that its user is changing


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and the answer that belongs to it.

    `repeated`: it had been sent before. `source`: the expected one while it runs. `end`: the answer
    has ended. `budget`: what the user has left. `kept`: the text that was there before, of an
    answer that goes on. `files`: what of which files the model was given.
    """

    dialog_id: uuid.UUID
    question_id: uuid.UUID
    answer_id: uuid.UUID
    repeated: bool = False
    source: Source = Source.MODEL
    budget: Budget | None = None
    end: End | None = None
    text: str = ""
    kept: str = ""
    files: Sequence[FileUse] = ()


class CommittedTurns:
    """Commits turns, and finds those that were committed before."""

    def __init__(self, db: Database, answers: Answers, limits: Limits) -> None:
        self._db = db
        self._answers = answers
        self._limits = limits

    async def commit(
        self,
        actor: Actor,
        submission: Submission,
        position: TurnPosition,
        unit: Unit,
        ready_answer: ReadyAnswer | None,
    ) -> tuple[Turn, bool]:
        """Commits question and answer. Returns the turn, and whether it was committed before."""
        if self._is_plain(position, submission, unit):
            dialog, rows = _new_dialog(actor, submission, position, ready_answer)
            lease = None if ready_answer else self._answers.lease(rows[-1])
            budget = await commit_new_dialog(self._db, actor, unit, dialog, rows, lease)
            return _turn(rows[-1], budget, ready_answer), False
        async with self._db.write() as session:
            if submission.client_id is not None:
                turn = await self._find(session, actor, submission)
                if turn is not None:
                    return turn, True
            runner = StatementRunner(connection=await session.connection())
            if unit.trusted:
                budget = await self._limits.settle(runner, actor, unit)
            else:
                budget = await self._limits.settle_by_counting(session, actor, unit)
            if position.dialog_id is None:
                dialog, rows = _new_dialog(actor, submission, position, ready_answer)
                dialog["updated_at"] = await next_moment(session, actor.user_id)
                await runner.insert(Dialog, dialog)
            else:
                dialog_row = await get_dialog(session, actor, position.dialog_id, lock=True)
                if submission.client_id is not None:
                    # a copy of this send may have held the dialog's lock until now
                    turn = await self._find(session, actor, submission)
                    if turn is not None:
                        return turn, True
                await check_position(session, dialog_row, position)
                if submission.is_queued:
                    await _take_queued(session, actor, submission)
                newest = await newest_of(session, actor.user_id)
                rows = turn_rows(
                    actor, submission, position, ready_answer, dialog_row.id, after=newest
                )
                await show_leaf(session, dialog_row, rows[-1]["id"], below=rows[0]["parent_id"])
                dialog_row.updated_at = await next_moment(session, actor.user_id)
            await runner.insert(Message, *rows)
            if position.attached:
                where = rows[-1]["parent_id"], rows[-1]["dialog_id"]
                await attach(session, actor, *where, position.attached)
            if ready_answer is None:
                await self._answers.add_lease(runner, rows[-1])
        return _turn(rows[-1], budget, ready_answer), False

    async def go_on(self, actor: Actor, position: TurnPosition, unit: Unit) -> Turn:
        """Commits that an answer goes on.

        Raises:
            Conflict: it cannot, or another answer of the dialog is running.
            Moved: it was changed since `position` was read.
        """
        assert position.answer is not None  # of a submission with `cut`
        async with self._db.write() as session:
            if unit.trusted:
                runner = StatementRunner(connection=await session.connection())
                budget = await self._limits.settle(runner, actor, unit)
            else:
                budget = await self._limits.settle_by_counting(session, actor, unit)
            dialog = await get_dialog(session, actor, position.dialog_id, lock=True)
            await check_position(session, dialog, position)
            # locked: no reviewer judges the text meanwhile
            answer = await get_message(
                session, actor, position.answer.id, Author.ASSISTANT, lock=True
            )
            await check_can_go_on(session, answer)
            if answer.text != position.answer.text:
                raise Moved
            await show_leaf(session, dialog, answer.id)
            dialog.updated_at = await next_moment(session, actor.user_id)
            answer.files_used = position.files_used
            await run_again(session, self._answers, answer)
        assert answer.parent_id is not None  # it answers a question
        return Turn(
            *(dialog.id, answer.parent_id, answer.id),
            budget=budget,
            kept=answer.text,
            files=files_used(answer.files_used),
        )

    async def find(self, actor: Actor, submission: Submission) -> Turn | None:
        """Returns the turn that was committed for the same `client_id`; None if there is none.

        Raises InvalidInput: it was used for something else.
        """
        async with self._db.read() as session:
            return await self._find(session, actor, submission)

    def _is_plain(self, position: TurnPosition, submission: Submission, unit: Unit) -> bool:
        """Returns whether one statement can commit the turn: a question alone, without files, in a
        new dialog, with a trusted unit. A repeated send fails on the unique key."""
        first = position.dialog_id is None and not (submission.earlier or position.attached)
        return first and unit.trusted and not self._db.is_sqlite

    async def _find(
        self, session: AsyncSession, actor: Actor, submission: Submission
    ) -> Turn | None:
        sent = await session.scalar(
            sa.select(Message).where(
                col(Message.user_id) == actor.user_id,
                col(Message.client_id) == submission.client_id,
            )
        )
        if sent is None:
            return None
        if sent.body_hash != submission.body:
            raise InvalidInput(code="client_id_reused")
        answer: Message | None = sent
        if sent.author == Author.USER:
            answer = await session.scalar(
                sa.select(Message)
                .where(col(Message.parent_id) == sent.id)
                .order_by(col(Message.id))
                .limit(1)
            )
        assert answer is not None  # committed in one transaction with the question
        assert answer.parent_id is not None  # it answers a question
        source = Source(answer.source or Source.MODEL)
        return Turn(
            *(sent.dialog_id, answer.parent_id, answer.id),
            repeated=True,
            source=source,
            files=files_used(answer.files_used),
        )


async def _take_queued(session: AsyncSession, actor: Actor, submission: Submission) -> None:
    """Removes a queued question in the transaction that commits it as a message. Raises NotFound:
    it was sent, deleted or changed meanwhile."""
    taken = await session.scalar(
        sa.delete(QueuedQuestion)
        .where(
            col(QueuedQuestion.id) == submission.client_id,
            col(QueuedQuestion.user_id) == actor.user_id,
            col(QueuedQuestion.text) == submission.text,
            col(QueuedQuestion.attachments).is_not_distinct_from(
                attachments_to_json(submission.attachments)
            ),
            sa.func.coalesce(col(QueuedQuestion.error_code), "") != EDITING,
        )
        .returning(col(QueuedQuestion.id))
    )
    if taken is None:
        raise NotFound


def _new_dialog(
    actor: Actor, submission: Submission, position: TurnPosition, ready_answer: ReadyAnswer | None
) -> tuple[Row, list[Row]]:
    """Returns a dialog and its first messages."""
    moment, dialog_id = clock.now(), new_id()
    rows = turn_rows(actor, submission, position, ready_answer, dialog_id)
    dialog = new_row(
        Dialog,
        id=dialog_id,
        user_id=actor.user_id,
        title=make_title(submission.text),
        titled_by=TitledBy.QUESTION,
        leaf_id=rows[-1]["id"],
        created_at=moment,
        updated_at=moment,
        changed_at=moment,
        deleted_at=None if submission.options.keep else moment,
        key_id=actor.key_id,
    )
    return dialog, rows


def _turn(answer: Row, budget: Budget | None, ready_answer: ReadyAnswer | None) -> Turn:
    turn = Turn(
        *(answer["dialog_id"], answer["parent_id"], answer["id"]),
        budget=budget,
        files=files_used(answer["files_used"]),
    )
    if ready_answer is None:
        return turn
    return replace(
        turn, source=ready_answer.end.source, end=ready_answer.end, text=ready_answer.text
    )


def make_title(text: str) -> str:
    """Returns the first words of a question, on one line, at most TITLE_CHARS characters."""
    line = " ".join(text.lstrip()[: TITLE_CHARS * 4].split())
    if len(line) <= TITLE_CHARS:
        return line
    cut = line[: TITLE_CHARS - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[TITLE_CHARS // 2 :] else cut).rstrip() + "…"
