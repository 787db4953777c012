"""Shows an answer in a chat while it grows, by edits at the messenger's pace."""

import asyncio
import uuid
from contextlib import aclosing, suppress
from typing import Any

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app.access import Actor
from genai_app.adapters.messenger import (
    ChatClosed,
    Messenger,
    MessengerAway,
    MessengerError,
    TooManyCalls,
)
from genai_app.db.database import Database
from genai_app.errors import AppError, NotFound, StorageUnavailable
from genai_app.models import MessengerAnswer, Status
from genai_app.services.chat.chat import Chat
from genai_app.services.generation.checkpoints import End, Increment
from genai_app.services.messengers import figures
from genai_app.services.messengers.drawing import AnswerMessages
from genai_app.services.messengers.pace import Pace
from genai_app.services.messengers.parts import closed
from genai_app.services.messengers.sentences import (
    ended_buttons,
    footer,
    running_buttons,
    waiting_text,
)

log = structlog.stdlib.get_logger(__name__)

FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 60.0
FIRST_WORDS_S = 1.0
CROWDED_S = 0.5
REFUSED_TRIES = 5


class AnswerView:
    """Shows one answer.

    Args:
        row: the answer, its chat and the messages that show it already.
    """

    def __init__(
        self,
        db: Database,
        chat: Chat,
        messenger: Messenger,
        pace: Pace,
        row: MessengerAnswer,
        actor: Actor,
        locale: str,
    ) -> None:
        self._db, self._chat, self._messenger, self._pace = db, chat, messenger, pace
        self._answer_id, self._chat_id = row.message_id, row.chat_id
        self._actor, self._locale = actor, locale
        self._messages = AnswerMessages(db, messenger, pace, row)
        self._has_words = False  # drawn already
        self._text, self._thinks, self._reasoning_ms, self._position = "", False, None, 0
        self._end: End | None = None
        self._changed, self._ended = asyncio.Event(), asyncio.Event()

    async def show(self) -> None:
        """Shows the answer until its last text arrived.

        Raises:
            ChatClosed: the user blocked the bot, or the chat is gone.
        """
        reading = asyncio.create_task(self._read(), name=f"answer {self._answer_id}")
        try:
            await self._wait_for_words()
            while self._end is None:
                self._changed.clear()
                if await self._draw_growing() and self._end is None:
                    await self._changed.wait()
            await self._draw_last()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _wait_for_words(self) -> None:
        """Waits a moment for the first words: a message without them would hold them up by the
        messenger's pace."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORDS_S):
                while not self._text and self._end is None:
                    self._changed.clear()
                    await self._changed.wait()

    async def _read(self) -> None:
        """Follows the answer into this view. One that is gone ends without a word of it."""
        while self._end is None:
            with suppress(StorageUnavailable):
                try:
                    await self._follow()
                except NotFound:
                    self._end = End(Status.INTERRUPTED, "dialog_not_found", *_NOWHERE)
                except StorageUnavailable:
                    raise  # the answer goes on, and is read again
                except AppError as error:
                    self._end = End(Status.INTERRUPTED, error.code, *_NOWHERE)
            self._changed.set()
            if self._end is None:
                await asyncio.sleep(FIRST_PAUSE_S)
        self._ended.set()

    async def _follow(self) -> None:
        follower = self._chat.follow(
            self._actor,
            self._answer_id,
            from_length=len(self._text),
            pause_s=CROWDED_S,
            positions=True,
        )
        async with aclosing(follower) as increments:
            async for increment in increments:
                self._take(increment)
                self._changed.set()

    def _take(self, increment: Increment) -> None:
        if increment.anew:
            self._text = ""
            self._messages.restart()
        self._text += increment.text
        self._position = increment.position
        self._thinks = self._thinks or bool(increment.reasoning)
        self._reasoning_ms = increment.reasoning_ms or self._reasoning_ms
        if increment.status is not Status.RUNNING and increment.end is not None:
            self._end = increment.end

    async def _draw_growing(self) -> bool:
        """Draws what is there, unless calls are scarce. Returns whether it was drawn; where not,
        the next try waits as long as the messenger wants."""
        wait_s = self._pace.wait_s(self._chat_id)
        if not wait_s and self._has_words and self._pace.is_crowded:
            wait_s = CROWDED_S
        if wait_s:
            with suppress(TimeoutError):  # the end may come meanwhile
                async with asyncio.timeout(wait_s):
                    await self._ended.wait()
        if self._end is not None or (self._has_words and self._pace.is_crowded):
            return False
        try:
            text = self._text.strip() and self._text
            buttons = running_buttons(self._locale, self._answer_id)
            await self._messages.draw(text or self._waiting(), buttons)
            self._has_words = bool(text)
        except TooManyCalls as error:
            figures.count_refusal(self._messenger.name)
            self._pace.hold(self._chat_id, error.retry_after_s)
            return False
        except ChatClosed:
            raise
        except MessengerError:
            self._pace.hold(self._chat_id, FIRST_PAUSE_S)
            return False
        return True

    def _waiting(self) -> str:
        return waiting_text(self._locale, self._position, self._reasoning_ms, thinks=self._thinks)

    async def _draw_last(self) -> None:
        """Draws the whole answer with its footer. Tries until it arrived."""
        assert self._end is not None
        below = footer(self._locale, self._end, self._messenger.mark)
        text = "\n\n".join(filter(None, (closed(self._text), below)))
        buttons = ended_buttons(self._locale, self._answer_id, self._end)
        pause_s, tries_left = FIRST_PAUSE_S, REFUSED_TRIES
        while True:
            try:
                await self._messages.draw(text, buttons)
            except TooManyCalls as error:
                figures.count_refusal(self._messenger.name)
                self._pace.hold(self._chat_id, error.retry_after_s)
            except MessengerAway:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, MAX_PAUSE_S)
            except ChatClosed:
                raise
            except MessengerError as error:
                tries_left -= 1
                if not tries_left:
                    name = self._messenger.name
                    log.error("messenger.refused", messenger=name, detail=str(error))
                    return
                await asyncio.sleep(pause_s)
            else:
                figures.count_answer(self._messenger.name)
                return


_NOWHERE: Any = ("model", None, None, None)


async def forget_answer(db: Database, answer_id: uuid.UUID) -> None:
    """Removes an answer that was shown whole, or cannot be shown any more."""
    async with db.write() as session:
        await session.execute(
            sa.delete(MessengerAnswer).where(col(MessengerAnswer.message_id) == answer_id)
        )
