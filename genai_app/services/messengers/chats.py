"""The state of each chat with a bot: the dialog that goes on there, its language, wrong codes."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.i18n import DEFAULT_LOCALE, LOCALES
from genai_app.models import MessengerChat
from genai_app.services.chat.placement import attachments_of_json, attachments_to_json
from genai_app.services.messengers.links import CODE_TTL

MAX_WRONG_CODES = 5
STRANGERS_KEPT = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class BotChat:
    """The state of a chat. `locale`: of the messenger, or chosen by /lang. `attachments`: ids of
    files that wait for their question."""

    dialog_id: uuid.UUID | None = None
    locale: str = ""
    attachments: tuple[uuid.UUID, ...] = ()


class Chats:
    """Reads and changes the state of the chats of one messenger."""

    def __init__(self, db: Database, messenger: str) -> None:
        self._db = db
        self._messenger = messenger

    async def get(self, chat_id: str, actor: Actor) -> BotChat:
        """Returns the state of a chat as far as it is the actor's."""
        async with self._db.read() as session:
            row = await session.get(MessengerChat, (self._messenger, chat_id))
        if row is None or row.user_id != actor.user_id:
            return BotChat()
        return BotChat(row.dialog_id, row.locale, attachments_of_json(row.attachments))

    async def set_dialog(self, chat_id: str, actor: Actor, dialog_id: uuid.UUID | None) -> None:
        """Sets the dialog that the next question continues; None: a new one. Files that waited for
        a question are dropped."""

        def change(row: MessengerChat) -> None:
            row.dialog_id, row.attachments = dialog_id, None

        await self._change(chat_id, actor, change)

    async def set_attachments(
        self, chat_id: str, actor: Actor, attachments: Sequence[uuid.UUID]
    ) -> None:
        """Sets the files that wait for their question."""

        def change(row: MessengerChat) -> None:
            row.attachments = attachments_to_json(attachments)

        await self._change(chat_id, actor, change)

    async def set_locale(self, chat_id: str, actor: Actor, locale: str) -> None:
        """Sets the language of the bot's own sentences."""

        def change(row: MessengerChat) -> None:
            row.locale = locale

        await self._change(chat_id, actor, change)

    async def begin_try(self, session: AsyncSession, chat_id: str) -> bool:
        """Counts a try of a code from a chat. Returns False, and counts none, after too many."""
        row = await session.get(MessengerChat, (self._messenger, chat_id), with_for_update=True)
        row = row or MessengerChat(messenger=self._messenger, chat_id=chat_id)
        now = clock.now()
        if row.wrong_codes_at is None or row.wrong_codes_at < now - CODE_TTL:
            row.wrong_codes, row.wrong_codes_at = 0, now
        if row.wrong_codes >= MAX_WRONG_CODES:
            return False
        row.wrong_codes += 1
        session.add(row)
        return True

    async def enter(self, session: AsyncSession, chat_id: str, actor: Actor, locale: str) -> None:
        """Gives a chat to a user who just linked it, with a new dialog."""
        row = await session.get(MessengerChat, (self._messenger, chat_id))
        row = row or MessengerChat(messenger=self._messenger, chat_id=chat_id)
        row.user_id, row.dialog_id, row.wrong_codes = actor.user_id, None, 0
        row.locale, row.attachments = locale, None
        session.add(row)

    async def sweep(self) -> None:
        """Forgets the tries of strangers."""
        async with self._db.write() as session:
            await session.execute(
                sa.delete(MessengerChat).where(
                    col(MessengerChat.messenger) == self._messenger,
                    col(MessengerChat.user_id).is_(None),
                    col(MessengerChat.wrong_codes_at) < clock.now() - STRANGERS_KEPT,
                )
            )

    async def _change(
        self, chat_id: str, actor: Actor, change: Callable[[MessengerChat], None]
    ) -> None:
        key = (self._messenger, chat_id)
        async with self._db.write() as session:
            row = await session.get(MessengerChat, key, with_for_update=True)
            row = row or MessengerChat(messenger=self._messenger, chat_id=chat_id)
            if row.user_id != actor.user_id:
                row.user_id, row.dialog_id, row.locale = actor.user_id, None, ""
                row.attachments = None
            change(row)
            session.add(row)


def locale_of(state: BotChat, language: str) -> str:
    """Returns the language of the bot's sentences: chosen, or that of the messenger."""
    if state.locale in LOCALES:
        return state.locale
    if not language:
        return DEFAULT_LOCALE
    return "ru" if language == "ru" else "en"
