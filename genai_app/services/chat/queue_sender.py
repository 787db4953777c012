"""Sends queued questions when the answers that they wait for have ended.

The transaction that commits such a question as a message also removes it from its table (turns.py).
So it is sent once, whichever process sends it, and a process that dies meanwhile loses nothing.
"""

import asyncio
from collections.abc import Callable, Sequence

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import AppError, NotFound, StorageUnavailable
from genai_app.models import Channel, Dialog, Generation, QueuedQuestion
from genai_app.services.accounts.sessions import find_user_actor
from genai_app.services.chat.chat import Chat
from genai_app.services.chat.placement import (
    Options,
    attachments_of_json,
    is_running,
    runs_in,
)
from genai_app.services.chat.reasoning import sampling_of_json
from genai_app.services.generation.wakeup import Wakeup
from genai_app.services.limits.rate import Limits

log = structlog.stdlib.get_logger(__name__)

LOOK_S = 5.0
MOST_SENT = 200  # in one look
# reasons that pass by themselves: the question is sent when they are over
PASSING = ("limit_reached", "too_many_answers", "model_unavailable", "model_busy")


class QueueSender:
    """Sends the first question of each dialog in which no answer is running.

    Args:
        model_refusal: returns the error with which every model server would refuse a call now;
            None when one may take it.
        is_stopping: returns True when this process shall begin no more answers.
        on_change: called after this process has sent or held a question.
    """

    def __init__(
        self,
        db: Database,
        chat: Chat,
        limits: Limits,
        *,
        model_refusal: Callable[[], AppError | None] = lambda: None,
        is_stopping: Callable[[], bool] = lambda: False,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._db = db
        self._chat = chat
        self._limits = limits
        self._model_refusal = model_refusal
        self._is_stopping = is_stopping
        self._on_change = on_change
        self._wakeup = Wakeup()
        chat.answer_ended = self.wake

    def wake(self) -> None:
        """Looks at once: an answer has ended, or a question was queued or changed."""
        self._wakeup.now()

    async def run(self) -> None:
        """Sends questions until cancelled. Also looks every LOOK_S for those that a process that
        died has left."""
        while True:
            try:
                if not self._is_stopping():
                    await self.send_due()
            except StorageUnavailable as error:
                log.warning("storage.unavailable", while_doing="queued", detail=error.detail)
            except Exception:
                log.exception("queue_sender.bug")
            await self._wakeup.pause(LOOK_S)

    async def send_due(self) -> None:
        """Sends the first question of each dialog in which no answer is running."""
        results = await asyncio.gather(
            *(self._send(each) for each in await self._list_due()), return_exceptions=True
        )
        for error in results:
            if isinstance(error, Exception) and not isinstance(error, StorageUnavailable):
                log.error("queue_sender.bug", exc_info=error)
        if True in results:
            self._on_change()
            self.wake()  # an answer from the cache has ended already

    async def _list_due(self) -> Sequence[QueuedQuestion]:
        earlier = aliased(QueuedQuestion)
        query = (
            sa.select(QueuedQuestion)
            .join(Dialog, col(Dialog.id) == col(QueuedQuestion.dialog_id))
            .where(
                col(Dialog.deleted_at).is_(None),
                may_be_sent(),
                ~sa.exists().where(
                    col(earlier.dialog_id) == col(QueuedQuestion.dialog_id),
                    col(earlier.created_at) < col(QueuedQuestion.created_at),
                ),
                ~sa.exists().where(
                    runs_in(col(QueuedQuestion.user_id), col(QueuedQuestion.dialog_id))
                ),
            )
            # those that were refused before must not keep others back
            .order_by(col(QueuedQuestion.error_code).is_not(None), col(QueuedQuestion.created_at))
            .limit(MOST_SENT)
        )
        async with self._db.read() as session:
            return list(await session.scalars(query))

    async def _send(self, question: QueuedQuestion) -> bool:
        """Sends a question, or keeps it with the reason. Returns whether it was sent."""
        actor = await find_user_actor(self._db, question.user_id, Channel.WEB)
        if actor is None:
            await self._hold(question, "account_disabled")
            return False
        if (refusal := self._model_refusal()) is not None:
            await self._hold(question, refusal.code)
            return False
        if question.error_code is not None and not await self._has_room(actor):
            return False
        try:
            turn = await self._chat.ask(
                actor,
                question.text,
                client_id=question.id,
                dialog_id=question.dialog_id,
                options=Options(sampling=sampling_of_json(question.sampling)),
                is_queued=True,
                sent_body=question.body_hash,
                attachments=attachments_of_json(question.attachments),
            )
        except NotFound as error:
            if error.code != NotFound.default_code:
                await self._hold(question, error.code)  # a file of it was deleted
            return False  # deleted, changed or sent meanwhile
        except StorageUnavailable:
            raise
        except AppError as error:
            if error.code != "answer_running":
                code = "limit_reached" if error.code == "rate_limited" else error.code
                await self._hold(question, code)
            return False
        if turn.repeated and question.body_hash is not None:
            # sent as it was before the change, which is its user's to throw away
            await self._hold(question, "client_id_reused")
            return False
        if turn.repeated:  # it had come by another way, too
            async with self._db.write() as session:
                await session.execute(
                    sa.delete(QueuedQuestion).where(col(QueuedQuestion.id) == question.id)
                )
        return True

    async def _has_room(self, actor: Actor) -> bool:
        """Returns whether the user's limits may let a question through, without taking a unit."""
        if (await self._limits.look(actor)).remaining <= 0:
            return False
        async with self._db.read() as session:
            running = await session.scalar(
                sa.select(sa.func.count())
                .select_from(Generation)
                .where(is_running(), col(Generation.user_id) == actor.user_id)
            )
        return (running or 0) < self._limits.at_once.max_parallel(actor)

    async def _hold(self, question: QueuedQuestion, code: str) -> None:
        """Notes why a question was not sent, unless its user has changed it meanwhile."""
        if question.error_code == code:
            return
        async with self._db.write() as session:
            dialog = await session.get(Dialog, question.dialog_id, with_for_update=True)
            held = await session.scalar(
                sa.update(QueuedQuestion)
                .where(
                    col(QueuedQuestion.id) == question.id,
                    col(QueuedQuestion.text) == question.text,
                    may_be_sent(),
                )
                .values(error_code=code)
                .returning(col(QueuedQuestion.id))
            )
            if dialog is not None and held is not None:
                note_change(session, dialog)
        log.info("queue_sender.held", question=str(question.id), code=code)
        self._on_change()


def may_be_sent() -> sa.ColumnElement[bool]:
    """Returns the condition that a question waits for nothing that its user has to do."""
    return sa.or_(
        col(QueuedQuestion.error_code).is_(None), col(QueuedQuestion.error_code).in_(PASSING)
    )


def note_change(session: AsyncSession, dialog: Dialog) -> None:
    """Makes the open pages of the dialog read it again."""
    dialog.changed_at = clock.now()
    session.add(dialog)
