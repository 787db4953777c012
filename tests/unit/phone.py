"""A bot for Telegram that runs within a test, and the phones of those who write to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import AuditEvent
from genai_app.services.messengers.links import Links
from tests.fakes.telegram_server import TelegramServer
from tests.unit.running_bots import StartBot, StopBot
from tests.unit.talk import Talk

ALICE, STRANGER = 1001, 6666


@dataclass
class Phone:
    """What a test has of the bot and of Alice's Telegram."""

    db: Database
    talk: Talk
    server: TelegramServer
    links: Links
    start: StartBot
    stop: StopBot  # the bot that runs

    async def link(self, actor: Actor, user: int = ALICE, language: str = "ru") -> None:
        code, _ = await self.links.make_code(actor, "telegram")
        self.server.says(f"/start {code}", user, language=language)
        await self.server.wait(lambda: self.server.texts(user))

    async def last(self, user: int = ALICE, count: int = 2, within_s: float = 60.0) -> str:
        """The last message, once an answer has ended in it."""
        ended = "again:"

        def has_ended() -> bool:
            of = self.server.of(user)
            return len(of) >= count and any(
                each["callback_data"].startswith(ended) for each in of[-1].buttons
            )

        await self.server.wait(has_ended, within_s)
        return self.server.texts(user)[-1]


StartPhone = Callable[..., Awaitable[Phone]]


async def events(db: Database, *actions: str) -> list[AuditEvent]:
    async with db.read() as session:
        query = sa.select(AuditEvent).where(col(AuditEvent.action).in_(actions))
        return list(await session.scalars(query.order_by(col(AuditEvent.at))))
