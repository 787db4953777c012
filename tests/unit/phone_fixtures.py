"""Fixtures of tests of the bot for Telegram, a plugin of pytest."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from genai_app.adapters.telegram.bot import TelegramMessenger
from genai_app.db.database import Database
from genai_app.services.messengers import bot as bots
from genai_app.services.messengers.links import Links
from genai_app.settings.settings import Settings
from tests.fakes.telegram_server import TOKEN, TelegramServer
from tests.unit.phone import Phone, StartPhone
from tests.unit.running_bots import SECRET, bot_starter
from tests.unit.talk import MakeTalk


@pytest.fixture
def telegram() -> Generator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest_asyncio.fixture
async def start_phone(
    db: Database,
    make_talk: MakeTalk,
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[StartPhone]:
    """Starts a bot for a server, with settings of the test: `await start_phone(server)`."""
    monkeypatch.setattr(bots, "CLAIM_S", 0.1)
    talk = await make_talk()
    links = Links(db, SECRET, {})
    async with AsyncExitStack() as stack:

        async def start(server: TelegramServer, **more: object) -> Phone:
            options = {"telegram_token": TOKEN, "telegram_api_url": server.url, **more}
            chosen = settings(**options)
            begin = bot_starter(stack, talk, links, lambda: TelegramMessenger(chosen))
            return Phone(db, talk, server, links, begin, await begin("first"))

        yield start


@pytest_asyncio.fixture
async def phone(telegram: TelegramServer, start_phone: StartPhone) -> Phone:
    """A bot that runs, before anybody linked it."""
    return await start_phone(telegram)
