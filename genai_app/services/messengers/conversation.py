"""Questions of a chat, by the road of every channel (services/chat)."""

import asyncio

from genai_app.db.database import Database
from genai_app.errors import AppError, Conflict, NotFound, StorageUnavailable
from genai_app.models import MessengerAnswer, MessengerChat
from genai_app.services.chat.chat import Chat
from genai_app.services.chat.turns import Turn
from genai_app.services.messengers.chats import Chats
from genai_app.services.messengers.commands import QUESTION
from genai_app.services.messengers.files import BotFiles
from genai_app.services.messengers.inbox import mark_done
from genai_app.services.messengers.replies import Replies
from genai_app.services.messengers.requests import ChatRequest, last_answer
from genai_app.services.messengers.sentences import refusal_text

BUSY_PAUSE_S, BUSY_TRIES = 1.0, 120  # the dialog may be answering a question of the page


class Conversation:
    """Asks the model for the users of one messenger."""

    def __init__(
        self,
        db: Database,
        chat: Chat,
        chats: Chats,
        replies: Replies,
        files: BotFiles,
        messenger: str,
    ) -> None:
        self._db, self._chat, self._replies = db, chat, replies
        self._chats, self._files, self._messenger = chats, files, messenger

    async def answer(self, request: ChatRequest) -> MessengerAnswer | None:
        """Asks the model. Returns what is to be shown; None where it was refused, with a reason.

        Raises StorageUnavailable: nothing was done, or all of it by a repeated call.
        """
        try:
            if request.wanted.what == QUESTION:
                turn = await self._ask(request)
            else:
                turn = await self._ask_again(request)
        except StorageUnavailable:
            raise
        except AppError as error:
            text = refusal_text(error, request.locale, request.mark)
            await self._replies.say(request.update.chat_id, text)
            return None
        return await self._keep(request, turn)

    async def _ask(self, request: ChatRequest) -> Turn:
        """Asks a question: in the dialog of the chat, or in a new one where that was deleted."""
        dialog_id, waiting = request.state.dialog_id, request.state.attachments
        files = await self._files.take(request.actor, waiting, request.update.files)
        for tries_left in reversed(range(BUSY_TRIES)):
            try:
                return await self._chat.ask(
                    request.actor,
                    request.wanted.argument,
                    client_id=request.key,
                    dialog_id=dialog_id,
                    attachments=files,
                )
            except NotFound as error:
                if error.code == "file_not_found":  # one that waited was deleted
                    await self._chats.set_attachments(request.update.chat_id, request.actor, ())
                    raise
                if dialog_id is None:
                    raise
                dialog_id = None
            except Conflict as error:
                if error.code != "answer_running" or not tries_left:
                    raise
                await asyncio.sleep(BUSY_PAUSE_S)
        raise Conflict(code="answer_running")

    async def _ask_again(self, request: ChatRequest) -> Turn:
        """Asks for another answer, once by the update's id."""
        if request.update.button_id:
            await self._replies.acknowledge(request.update.button_id)
        answer_id = request.wanted.argument or await last_answer(self._db, request)
        return await self._chat.regenerate(request.actor, answer_id, client_id=request.key)

    async def _keep(self, request: ChatRequest, turn: Turn) -> MessengerAnswer:
        """Commits that the answer is to be shown, and that the update is done."""
        chat_id = request.update.chat_id
        async with self._db.write() as session:
            row = await session.get(MessengerAnswer, turn.answer_id)
            if row is None:
                row = MessengerAnswer(
                    message_id=turn.answer_id,
                    messenger=self._messenger,
                    chat_id=chat_id,
                    user_id=request.actor.user_id,
                )
                session.add(row)
            state = await session.get(MessengerChat, (self._messenger, chat_id))
            state = state or MessengerChat(messenger=self._messenger, chat_id=chat_id)
            state.user_id, state.dialog_id = request.actor.user_id, turn.dialog_id
            if request.wanted.what == QUESTION:
                state.attachments = None  # the question has them
            session.add(state)
            await mark_done(session, request.keys)
        return row
