"""Bots of messengers that run within a test."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import sqlalchemy as sa
from sqlmodel import col

from genai_app.adapters.messenger import Messenger
from genai_app.db.database import Database
from genai_app.models import Author, Message
from genai_app.services.files.incoming import IncomingFiles
from genai_app.services.messengers.bot import Bot
from genai_app.services.messengers.files import BotFiles
from genai_app.services.messengers.links import Links
from tests.unit.talk import Talk

SECRET = b"a secret of thirty-two bytes long"

StopBot = Callable[[], Awaitable[None]]
StartBot = Callable[[str], Awaitable[StopBot]]


def bot_starter(
    stack: AsyncExitStack, talk: Talk, links: Links, connect: Callable[[], Messenger]
) -> StartBot:
    """Returns what starts a bot under the name of a process, and returns what stops it."""

    async def start(owner: str) -> StopBot:
        messenger = connect()
        bot = Bot(
            *(talk.db, talk.chat, talk.history, links, messenger),
            BotFiles(IncomingFiles(talk.db, talk.files), messenger, most_mb=1),
            owner=owner,
            url="http://genai.corp",
        )
        task = asyncio.create_task(bot.run())

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await bot.close()

        stack.push_async_callback(stop)
        return stop

    return start


async def messages_of(db: Database, author: Author) -> list[Message]:
    """Returns all messages of an author, oldest first."""
    async with db.read() as session:
        query = sa.select(Message).where(col(Message.author) == author)
        return list(await session.scalars(query.order_by(col(Message.id))))


async def questions(db: Database) -> list[Message]:
    return await messages_of(db, Author.USER)
