"""The files of a question: those that it names, and those of the questions before it."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.errors import AppError, NotFound
from genai_app.models import Attachment, Author, Message, MessageAttachment
from genai_app.services.chat.placement import Submission, TurnPosition
from genai_app.services.chat.positions import find_position, new_dialog_position
from genai_app.services.dialogs.branches import branch
from genai_app.services.files.files import Files
from genai_app.services.files.rows import attachments_of
from genai_app.services.files.usage import uses_to_json
from genai_app.services.generation.context import MAX_CONTEXT_MESSAGES, estimate_tokens
from genai_app.services.generation.context_fit import estimate
from genai_app.services.generation.file_context import BranchFiles, FileContext, FileParts

HISTORY_SHARE = 4  # a quarter of the budget is the history's, as far as it needs it


class QuestionFiles:
    """Finds the files of a question, and puts them into its prompt."""

    def __init__(self, db: Database, files: Files, context: FileContext) -> None:
        self._db = db
        self._files = files
        self._context = context

    async def named(self, actor: Actor, submission: Submission) -> Sequence[Attachment] | None:
        """Returns the files that a question names; None where it names none and may have some.

        Raises:
            NotFound: file_not_found.
            Conflict, InvalidInput: see Files.ready_attachments.
        """
        if submission.attachments is None:
            return None
        return await self._ready(actor, submission.attachments)

    async def ready_ids(self, actor: Actor, file_ids: Sequence[uuid.UUID]) -> tuple[uuid.UUID, ...]:
        """Returns the ids of files that a question may name. Raises as `named`."""
        return tuple(row.id for row in await self._ready(actor, file_ids))

    async def position(
        self,
        actor: Actor,
        submission: Submission,
        named: Sequence[Attachment] | None,
        budget: int,
    ) -> tuple[TurnPosition, FileParts | None]:
        """Returns the position of a submission with the files in its turns, and what the model is
        given of them; None where there are none.

        Args:
            named: the files that the question names.
            budget: tokens of the prompt without instructions.

        Raises the errors of find_position, and NotFound, InvalidInput of FileContext.parts.
        """
        if submission.begins_dialog:
            position, files = new_dialog_position(submission), BranchFiles(own=named or ())
        else:
            async with self._db.read() as session:
                position = await find_position(session, actor, submission, budget)
                files = await self.of_branch(session, submission, position, named)
        if not files.rows:
            return position, None
        parts = await self.parts(submission, position, files, budget)
        if not submission.begins_dialog:  # the files first, then what fits of the history
            async with self._db.read() as session:
                position = await find_position(session, actor, submission, budget - parts.tokens)
        return self.with_files(position, files, parts), parts

    async def _ready(self, actor: Actor, file_ids: Sequence[uuid.UUID]) -> Sequence[Attachment]:
        if not file_ids:
            return ()
        try:
            return await self._files.ready_attachments(actor, file_ids)
        except NotFound:
            raise missing() from None

    async def of_branch(
        self,
        session: AsyncSession,
        submission: Submission,
        position: TurnPosition,
        named: Sequence[Attachment] | None,
    ) -> BranchFiles:
        """Returns the files of a question and of those before it in its branch."""
        earlier = await _earlier(session, position.parent)
        question = position.question
        if question is not None:  # it is answered anew, or its answer goes on
            return BranchFiles(earlier, (await _files_of(session, question.id)))
        if named is None and submission.fork is not None and submission.fork.beside is not None:
            kept = await _files_of(session, parse_id(submission.fork.beside))
            return BranchFiles(earlier, [row for row in kept if row.deleted_at is None])
        if submission.earlier is not None:  # such a client sends all of them each time
            there = {row.sha256 for _, row in earlier}
            return BranchFiles(earlier, [row for row in named or () if row.sha256 not in there])
        return BranchFiles(earlier, named or ())

    async def parts(
        self, submission: Submission, position: TurnPosition, files: BranchFiles, budget: int
    ) -> FileParts:
        """Returns what the model is given of the files.

        Args:
            budget: tokens of the prompt without instructions.

        Raises NotFound, InvalidInput: see FileContext.parts.
        """
        question = submission.text or (position.question.text if position.question else "")
        room = budget - estimate_tokens(question)
        history = estimate(position.turns) - estimate_tokens(question)
        room -= min(max(history, 0), room // HISTORY_SHARE)
        try:
            return await self._context.parts(files, question, room, submission.options.model)
        except NotFound:
            raise missing() from None

    def with_files(
        self, position: TurnPosition, files: BranchFiles, parts: FileParts
    ) -> TurnPosition:
        """Returns the position with the files in its turns, but for what goes into the system
        message."""
        turns = [*position.turns]
        asked = max(at for at, turn in enumerate(turns) if turn.role == Author.USER)
        left = dict(parts.pictures)
        for at, turn in enumerate(turns):
            pictures = tuple(
                picture
                for message_id in turn.made_of
                if isinstance(message_id, uuid.UUID)
                for picture in left.pop(message_id, ())
            )
            turns[at] = replace(turn, pictures=turn.pictures + pictures)
        # of the question itself, and of those that did not fit
        rest = tuple(picture for each in left.values() for picture in each)
        question = turns[asked]
        text = question.content
        if parts.near:
            text = self._context.frame.near(parts.near, parts.limits, text)
        turns[asked] = replace(question, content=text, pictures=(*question.pictures, *rest))
        is_new = position.question is None
        return replace(
            position,
            turns=turns,
            attached=tuple(row.id for row in files.own) if is_new else (),
            files_used=uses_to_json(parts.uses),
        )


def missing() -> AppError:
    """Returns the error of a file that is not there for this user."""
    return NotFound(code="file_not_found", param="attachments")


async def _files_of(session: AsyncSession, message_id: uuid.UUID) -> Sequence[Attachment]:
    return (await attachments_of(session, [message_id])).get(message_id, [])


async def _earlier(
    session: AsyncSession, parent: Message | None
) -> list[tuple[uuid.UUID, Attachment]]:
    """Returns the files of the questions from `parent` up, oldest first."""
    if parent is None:
        return []
    path = branch(parent.id, MAX_CONTEXT_MESSAGES)
    rows = await session.execute(
        sa.select(col(MessageAttachment.message_id), Attachment)
        .join(path, path.c.id == col(MessageAttachment.message_id))
        .join(Attachment, col(Attachment.id) == col(MessageAttachment.attachment_id))
        .order_by(path.c.n.desc(), col(MessageAttachment.position))
    )
    return [(row[0], row[1]) for row in rows]
