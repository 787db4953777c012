"""The bot of one messenger. Of all processes the one with the lease reads the updates, answers them
in order per chat, and shows the answers; when it is gone, the next goes on where it was."""

import asyncio
import uuid
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app.adapters.messenger import (
    ChatClosed,
    ChatUpdate,
    Messenger,
    MessengerError,
    OtherPoller,
    TokenRefused,
    TooManyCalls,
)
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable, Unavailable
from genai_app.i18n import LOCALES
from genai_app.models import Channel, MessengerAnswer
from genai_app.services.accounts.sessions import find_user_actor
from genai_app.services.audit.events import Audit
from genai_app.services.chat.chat import Chat
from genai_app.services.dialogs.history import History
from genai_app.services.jobs.lease import LeaseLost
from genai_app.services.messengers import figures
from genai_app.services.messengers.actions import Actions
from genai_app.services.messengers.admission import Entrance
from genai_app.services.messengers.albums import whole_album
from genai_app.services.messengers.chats import Chats, locale_of
from genai_app.services.messengers.commands import FORWARDED, Wanted, wanted
from genai_app.services.messengers.conversation import Conversation
from genai_app.services.messengers.files import BotFiles
from genai_app.services.messengers.inbox import Inbox, Waiting
from genai_app.services.messengers.lease import PollerLease
from genai_app.services.messengers.links import Links
from genai_app.services.messengers.pace import Pace
from genai_app.services.messengers.replies import Replies
from genai_app.services.messengers.requests import ChatRequest
from genai_app.services.messengers.sentences import command_menu
from genai_app.services.messengers.showing import AnswerView, forget_answer

log = structlog.stdlib.get_logger(__name__)

CLAIM_S = 2.0  # between two tries to take the lease: within 15 s after the other's death
AWAY_S, MAX_AWAY_S = 1.0, 30.0
OTHER_POLLER_S = 10.0
STORAGE_S = 1.0
SWEEP_S = 3600.0


class ChatDesk:
    """Answers the updates of each chat in order, and shows the answers.

    An answer that is being shown holds up only what would begin another one in the same chat:
    `/help` is answered at once, and a stop comes before everything.
    """

    def __init__(
        self,
        db: Database,
        chat: Chat,
        history: History,
        links: Links,
        messenger: Messenger,
        files: BotFiles,
        *,
        url: str,
    ) -> None:
        self._db, self._chat, self._links, self._messenger = db, chat, links, messenger
        self._pace = Pace(messenger.limits)
        replies = Replies(messenger, self._pace)
        self._chats = Chats(db, messenger.name)
        self._inbox = Inbox(db, messenger.name)
        self._entrance = Entrance(db, messenger, links, self._chats, replies, Audit(db))
        self._conversation = Conversation(*(db, chat, self._chats, replies, files), messenger.name)
        self._actions = Actions(
            *(db, chat, history, links, self._chats, replies, files),
            messenger=messenger.name,
            url=url,
        )
        self._queues: dict[str, deque[Waiting]] = {}
        self._views: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def resume(self) -> None:
        """Goes on with the answers and updates that another process, or an earlier one, left."""
        query = sa.select(MessengerAnswer).where(
            col(MessengerAnswer.messenger) == self._messenger.name
        )
        async with self._db.read() as session:
            rows = (await session.scalars(query.order_by(col(MessengerAnswer.message_id)))).all()
        for row in rows:
            self._show(row, "")
        for waiting in await self._inbox.list_waiting():
            self.put(waiting)

    def put(self, waiting: Waiting) -> None:
        """Queues an update of its chat."""
        key, update = waiting
        if self._wanted(update).what == "stop":
            self._run(self._handle([key], update), f"update {key}")
            return
        queue = self._queues.get(update.chat_id)
        if queue is not None:
            queue.append(waiting)
            return
        self._queues[update.chat_id] = deque([waiting])
        self._run(self._work(update.chat_id), f"chat {update.chat_id}")

    async def close(self) -> None:
        """Stops. What is not done stays in the database."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._queues.clear()
        self._views.clear()

    async def sweep(self) -> None:
        """Removes what is needed no more."""
        await self._inbox.sweep()
        await self._chats.sweep()

    async def _work(self, chat_id: str) -> None:
        queue = self._queues[chat_id]
        while queue:
            keys, update = await whole_album(queue)
            await self._handle(keys, update)
            for _ in keys:
                queue.popleft()
        del self._queues[chat_id]

    async def _handle(self, keys: Sequence[uuid.UUID], update: ChatUpdate) -> None:
        """Handles an update, or those of an album together. The database is waited for; a bug costs
        this update alone."""
        while True:
            try:
                await self._answer(keys, update)
                await self._inbox.finish(keys)
            except StorageUnavailable:
                await asyncio.sleep(STORAGE_S)
                continue
            except ChatClosed:
                with suppress(StorageUnavailable):
                    await self._links.unlink_account(
                        self._messenger.name, update.sender_id, "blocked"
                    )
                    await self._inbox.finish(keys)
            except Exception:
                log.exception("messenger.bug", messenger=self._messenger.name)
                with suppress(StorageUnavailable):
                    await self._inbox.finish(keys)
            return

    async def _answer(self, keys: Sequence[uuid.UUID], update: ChatUpdate) -> None:
        actor = await self._entrance.admit(keys[0], update)
        if actor is None:
            return
        state = await self._chats.get(update.chat_id, actor)
        request = ChatRequest(
            *(keys, update, self._wanted(update), actor, state), self._messenger.mark
        )
        if request.wanted.what == FORWARDED:
            await self._entrance.note_forwarded(update)
        if not request.wanted.calls_model:
            await self._actions.do(request)
            return
        if view := self._views.get(update.chat_id):
            await asyncio.wait([view])
            # the answer before may have begun the dialog that this question continues
            request = ChatRequest(
                *(keys, update, request.wanted, actor),
                await self._chats.get(update.chat_id, actor),
                self._messenger.mark,
            )
        row = await self._conversation.answer(request)
        if row is not None:
            self._show(row, update.language)

    def _show(self, row: MessengerAnswer, language: str) -> None:
        before = self._views.get(row.chat_id)
        task = self._run(self._view(row, language, before), f"shows {row.message_id}")
        self._views[row.chat_id] = task

        def forget(done: asyncio.Task[None]) -> None:
            if self._views.get(row.chat_id) is done:
                del self._views[row.chat_id]

        task.add_done_callback(forget)

    async def _view(
        self, row: MessengerAnswer, language: str, before: asyncio.Task[None] | None
    ) -> None:
        """Shows an answer, after the one before it in the same chat. The database is waited for."""
        if before is not None:
            await asyncio.wait([before])
        while True:
            try:
                actor = await find_user_actor(self._db, row.user_id, Channel(self._messenger.name))
                if actor is not None:
                    state = await self._chats.get(row.chat_id, actor)
                    locale = locale_of(state, language)
                    view = AnswerView(
                        *(self._db, self._chat, self._messenger, self._pace, row, actor, locale)
                    )
                    await view.show()
            except StorageUnavailable:
                await asyncio.sleep(STORAGE_S)
                continue
            except ChatClosed:
                with suppress(StorageUnavailable):  # the next message finds the chat closed again
                    await self._links.unlink_user(self._messenger.name, row.user_id, "blocked")
            except Exception:
                log.exception("messenger.bug", messenger=self._messenger.name)
            with suppress(StorageUnavailable):
                await forget_answer(self._db, row.message_id)
            return

    def _wanted(self, update: ChatUpdate) -> Wanted:
        return wanted(update, mark=self._messenger.mark)

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class Bot:
    """Reads the updates of a messenger while this process has the lease.

    Args:
        owner: the name of this process.
        url: the address of the product, for links to its pages.
    """

    def __init__(
        self,
        db: Database,
        chat: Chat,
        history: History,
        links: Links,
        messenger: Messenger,
        files: BotFiles,
        *,
        owner: str,
        url: str,
    ) -> None:
        self._db, self._messenger = db, messenger
        self._lease = PollerLease(db, messenger.name, owner)
        self._inbox = Inbox(db, messenger.name)
        self._desk = ChatDesk(db, chat, history, links, messenger, files, url=url)
        self._introduced = False

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                if await self._lease.claim():
                    await self._lead()
            except StorageUnavailable:
                pass
            except Exception:
                log.exception("messenger.bug", messenger=self._messenger.name)
            await asyncio.sleep(CLAIM_S)

    async def close(self) -> None:
        await self._messenger.close()

    async def link_url(self, code: str) -> str:
        """Returns the address that opens the bot with a code. Raises Unavailable."""
        try:
            return self._messenger.link_url(await self._messenger.account(), code)
        except MessengerError as error:
            raise Unavailable(str(error), code="messenger_unavailable", retry_after_s=60) from None

    async def _lead(self) -> None:
        """Reads and answers as long as the lease is held."""
        log.info("messenger.poller", messenger=self._messenger.name)
        figures.note_polling(self._messenger.name, polls=True)
        tasks = [
            asyncio.create_task(self._lease.keep(), name=f"lease of {self._messenger.name}"),
            asyncio.create_task(self._poll(), name=f"updates of {self._messenger.name}"),
            asyncio.create_task(self._keep_clean(), name=f"sweep of {self._messenger.name}"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except LeaseLost:
            pass
        finally:
            figures.note_polling(self._messenger.name, polls=False)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._desk.close()
            await asyncio.shield(self._lease.release())
        log.warning("messenger.poller_lost", messenger=self._messenger.name)

    async def _poll(self) -> None:
        """Takes updates until the lease is lost. What cannot be kept is asked for again."""
        await self._desk.resume()
        position, pause_s = self._lease.position, AWAY_S
        while True:
            try:
                await self._introduce()
                batch = await self._messenger.receive(position)
                for waiting in await self._inbox.take(self._lease, batch):
                    self._desk.put(waiting)
                figures.count_updates(self._messenger.name, len(batch.updates))
                position, pause_s = batch.position, AWAY_S
                continue
            except TooManyCalls as error:
                wait_s = error.retry_after_s
            except StorageUnavailable:
                wait_s = STORAGE_S
            except OtherPoller:
                wait_s = OTHER_POLLER_S
                log.warning("messenger.other_poller", messenger=self._messenger.name)
            except MessengerError as error:
                wait_s, pause_s = pause_s, min(pause_s * 2, MAX_AWAY_S)
                if isinstance(error, TokenRefused):
                    wait_s = MAX_AWAY_S
                detail = f"{type(error).__name__}: {error}"
                log.warning("messenger.away", messenger=self._messenger.name, detail=detail)
            figures.count_failure(self._messenger.name)
            await asyncio.sleep(wait_s)

    async def _introduce(self) -> None:
        with suppress(MessengerError):  # the menu alone is missing then
            if self._introduced:
                return
            await self._messenger.introduce({each: command_menu(each) for each in LOCALES})
            self._introduced = True

    async def _keep_clean(self) -> None:
        while True:
            with suppress(StorageUnavailable):
                await self._desk.sweep()
            await asyncio.sleep(SWEEP_S)
