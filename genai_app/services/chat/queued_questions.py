"""Questions that wait in a dialog until its running answer ends. queue_sender.py sends them."""

import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_dialog, get_queued_question, parse_id
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput
from genai_app.models import Dialog, Generation, Message, QueuedQuestion
from genai_app.services.chat.chat import Chat, check_prompt, file_ids
from genai_app.services.chat.placement import (
    Options,
    attachments_of_json,
    attachments_to_json,
    body_hash,
    runs_in,
)
from genai_app.services.chat.queue_sender import may_be_sent, note_change
from genai_app.services.chat.reasoning import Sampling, sampling_to_json
from genai_app.services.chat.turns import EDITING, Turn

MOST_QUEUED = 5  # in one dialog
_STEP = timedelta(microseconds=1)


class QueuedQuestions:
    """Queues a user's questions, and lists and changes those that wait.

    Args:
        wake: makes the sender look at once.
    """

    def __init__(self, db: Database, chat: Chat, wake: Callable[[], None]) -> None:
        self._db = db
        self._chat = chat
        self._wake = wake

    async def ask(
        self,
        actor: Actor,
        text: str,
        *,
        client_id: uuid.UUID,
        dialog_id: object | None,
        options: Options | None = None,
        attachments: Sequence[object] | None = None,
    ) -> Turn | QueuedQuestion:
        """Asks at once, or queues the question where an answer of the dialog is running. Of one
        that waits, `sampling` is kept of its `options`, and the ids of its files.

        Raises the errors of Chat.ask, but for `answer_running`, and Conflict `queue_full`.
        """
        sampling = options.sampling if options is not None else ()
        files = file_ids(attachments or ())
        if dialog_id is not None and await self._must_wait(actor, dialog_id, client_id):
            question = await self._add(actor, text, client_id, dialog_id, sampling, files)
            if question is not None:
                return question
        ask = partial(self._chat.ask, actor, text, client_id=client_id, dialog_id=dialog_id)
        ask = partial(ask, options=options, attachments=files)
        try:
            return await ask()
        except Conflict as error:
            if error.code != "answer_running" or dialog_id is None:
                raise
        question = await self._add(actor, text, client_id, dialog_id, sampling, files)
        if question is not None:
            return question
        return await ask()

    async def list(self, actor: Actor, dialog_id: object) -> Sequence[QueuedQuestion]:
        """Returns the queued questions of the actor's dialog in the order in which they are sent.
        None of a dialog that is not the actor's."""
        query = (
            sa.select(QueuedQuestion)
            .join(Dialog, col(Dialog.id) == col(QueuedQuestion.dialog_id))
            .where(
                col(QueuedQuestion.dialog_id) == parse_id(dialog_id),
                col(Dialog.user_id) == actor.user_id,
                col(Dialog.deleted_at).is_(None),
            )
            .order_by(col(QueuedQuestion.created_at))
        )
        async with self._db.read() as session:
            return list(await session.scalars(query))

    async def begin_edit(self, actor: Actor, question_id: object) -> str:
        """Keeps a question from being sent while its user changes it. Returns its text. Raises
        NotFound: it was sent or deleted."""
        async with self._changing(actor, question_id) as (_, question):
            question.error_code = EDITING
            return question.text

    async def cancel_edit(self, actor: Actor, question_id: object) -> None:
        """Lets a question be sent as it was. Raises NotFound."""
        async with self._changing(actor, question_id) as (_, question):
            if question.error_code == EDITING:
                question.error_code = None
        self._wake()

    async def edit(
        self,
        actor: Actor,
        question_id: object,
        text: str,
        attachments: Sequence[object] | None = None,
    ) -> None:
        """Changes the text, and the files unless they are None, and lets the question be sent.
        Raises NotFound, and InvalidInput or TooLarge as Chat.ask."""
        text = check_prompt(text)
        files = None
        if attachments is not None:
            files = await self._chat.files.ready_ids(actor, file_ids(attachments))
        async with self._changing(actor, question_id) as (_, question):
            question.body_hash = _sent_body(question)
            question.text, question.error_code = text, None
            if files is not None:
                question.attachments = attachments_to_json(files)
        self._wake()

    async def delete(self, actor: Actor, question_id: object) -> None:
        """Deletes a question that was not sent yet. Raises NotFound."""
        async with self._changing(actor, question_id) as (session, question):
            await session.delete(question)
        self._wake()  # the next one may have waited behind it

    async def send_now(self, actor: Actor, question_id: object) -> None:
        """Puts a question before the others of its dialog, and stops the answer they wait for.
        Raises NotFound."""
        async with self._changing(actor, question_id) as (session, question):
            first = await session.scalar(
                sa.select(sa.func.min(col(QueuedQuestion.created_at))).where(
                    col(QueuedQuestion.dialog_id) == question.dialog_id
                )
            )
            question.error_code = None
            if first is not None and first < question.created_at:
                question.created_at = first - _STEP
            running = list(
                await session.scalars(
                    sa.select(col(Generation.message_id)).where(
                        runs_in(question.user_id, question.dialog_id)
                    )
                )
            )
        for answer_id in running:
            await self._chat.stop(actor, answer_id)
        self._wake()

    async def _must_wait(self, actor: Actor, dialog_id: object, client_id: uuid.UUID) -> bool:
        """Returns whether an answer runs in the dialog, a question is about to be sent in it, or
        this one waits there already."""
        dialog_key = parse_id(dialog_id)
        running = sa.exists().where(runs_in(actor.user_id, dialog_key))
        queued = sa.exists().where(
            col(QueuedQuestion.user_id) == actor.user_id,
            col(QueuedQuestion.dialog_id) == dialog_key,
            sa.or_(may_be_sent(), col(QueuedQuestion.id) == client_id),
        )
        async with self._db.read() as session:
            return bool(await session.scalar(sa.select(sa.or_(running, queued))))

    async def _add(
        self,
        actor: Actor,
        text: str,
        question_id: uuid.UUID,
        dialog_id: object,
        sampling: Sampling,
        files: Sequence[uuid.UUID],
    ) -> QueuedQuestion | None:
        """Queues a question. Returns None when it was sent before.

        Raises:
            InvalidInput, TooLarge: as Chat.ask.
            InvalidInput: client_id_reused: another question waits under this id.
            Conflict: queue_full.
        """
        text = check_prompt(text)
        if files and not await self._is_repeated(actor, question_id):
            await self._chat.files.ready_ids(actor, files)
        attachments = attachments_to_json(files)
        async with self._db.write() as session:
            dialog = await get_dialog(session, actor, dialog_id, lock=True)
            # under the lock, with which a question becomes a message: it is here, there, or new
            queued = await session.get(QueuedQuestion, question_id)
            if queued is not None:
                same = (actor.user_id, dialog.id, _body(text, files))
                if same != (queued.user_id, queued.dialog_id, _sent_body(queued)):
                    raise InvalidInput(code="client_id_reused")
                return queued
            if await _is_sent(session, actor, question_id):
                return None
            moments = list(
                await session.scalars(
                    sa.select(col(QueuedQuestion.created_at)).where(
                        col(QueuedQuestion.dialog_id) == dialog.id
                    )
                )
            )
            if len(moments) >= MOST_QUEUED:
                raise Conflict(code="queue_full")
            question = QueuedQuestion(
                id=question_id,
                user_id=actor.user_id,
                dialog_id=dialog.id,
                text=text,
                created_at=_after(moments),
                sampling=sampling_to_json(sampling),
                attachments=attachments,
            )
            session.add(question)
            note_change(session, dialog)
        self._wake()  # the answer may have ended meanwhile
        return question

    async def _is_repeated(self, actor: Actor, question_id: uuid.UUID) -> bool:
        """Returns whether a question was queued or sent before."""
        async with self._db.read() as session:
            queued = await session.get(QueuedQuestion, question_id)
            return queued is not None or await _is_sent(session, actor, question_id)

    @asynccontextmanager
    async def _changing(
        self, actor: Actor, question_id: object
    ) -> AsyncGenerator[tuple[AsyncSession, QueuedQuestion]]:
        """Yields a question to be changed in one transaction. Raises NotFound."""
        async with self._db.write() as session:
            dialog, question = await get_queued_question(session, actor, question_id)
            yield session, question
            note_change(session, dialog)


def _body(text: str, files: Sequence[uuid.UUID]) -> bytes:
    """Returns the digest that Chat.ask makes of such a question."""
    return body_hash(text, None, Options(), None, attachments=files)


def _sent_body(question: QueuedQuestion) -> bytes:
    """Returns the digest of a question as it was sent, whatever it was changed to."""
    return question.body_hash or _body(question.text, attachments_of_json(question.attachments))


async def _is_sent(session: AsyncSession, actor: Actor, client_id: uuid.UUID) -> bool:
    query = sa.exists().where(
        col(Message.user_id) == actor.user_id, col(Message.client_id) == client_id
    )
    return bool(await session.scalar(sa.select(query)))


def _after(moments: Sequence[datetime]) -> datetime:
    """Returns now, or just after the last of `moments` where a clock was set back."""
    now = clock.now()
    return max(now, *(moment + _STEP for moment in moments)) if moments else now
