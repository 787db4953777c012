"""The bot's process is killed while people ask: nothing is lost, nothing answered twice."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import Author, Message, MessengerAnswer, MessengerUpdate, Role
from genai_app.services.accounts.users import Users
from tests.conftest import StartApp
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.services import RedisServer
from tests.fakes.telegram_server import TOKEN, TelegramServer

pytestmark = pytest.mark.fault

PEOPLE = 5
PASSWORD = "somebody: who asks by phone 6"


async def link(app: AppProcess, telegram: TelegramServer, name: str, phone: int) -> None:
    """A login, a code by the API, and the link that it leads to."""
    client = client_of(app, await new_token(app, name, PASSWORD))
    async with client:
        reply = await client.post("/me/messenger", json={"messenger": "telegram"})
        made = reply.json()
        assert reply.status_code == httpx.codes.OK, made
        assert made["url"] == f"https://t.me/corp_test_bot?start={made['code']}"
        telegram.says(f"/start {made['code']}", phone)
        await telegram.wait(lambda: telegram.texts(phone))
        (row,) = (await client.get("/me/messenger")).json()["items"]
        assert row["title"] == f"@user{phone}"


async def people_of(app: AppProcess) -> list[str]:
    names = [f"phone-{uuid.uuid4().hex[:8]}" for _ in range(PEOPLE)]
    db = Database(app.database_url)
    for name in names:
        await Users(db).add(name, PASSWORD, Role.USER)
    await db.close()
    return names


async def questions(app: AppProcess) -> list[str]:
    db = Database(app.database_url)
    async with db.read() as session:
        query = sa.select(col(Message.text)).where(
            col(Message.author) == Author.USER, col(Message.channel) == "telegram"
        )
        texts = list(await session.scalars(query))
        assert list(await session.scalars(sa.select(MessengerAnswer))) == []
        waiting = sa.select(MessengerUpdate).where(col(MessengerUpdate.done_at).is_(None))
        assert list(await session.scalars(waiting)) == []
    await db.close()
    return texts


def all_ended(telegram: TelegramServer, phones: list[int], count: int) -> Callable[[], bool]:
    """Whether the last message of everybody is an ended answer, after `count` of them."""

    def ended(phone: int) -> int:
        return sum(
            any(each["callback_data"].startswith("again:") for each in message.buttons)
            for message in telegram.of(phone)
        )

    return lambda: all(ended(phone) >= count for phone in phones)


async def test_the_poller_is_killed_while_people_ask(
    start_app: StartApp, model: ModelServer, redis_server: RedisServer
) -> None:
    """Two processes; the one that reads is killed twice in mid-answer and started again. Everybody
    gets every answer whole and once, in order, at Telegram's pace; the token is in no log."""
    with TelegramServer() as telegram:
        options = {"telegram_token": TOKEN, "telegram_api_url": telegram.url}
        first = start_app("postgresql", redis_url=redis_server.url, **options)
        names, phones = await people_of(first), [3000 + n for n in range(PEOPLE)]
        for name, phone in zip(names, phones, strict=True):
            await link(first, telegram, name, phone)
        shared = {key: first.settings[key] for key in ("database_url", "secret_key")}
        second = start_app("postgresql", redis_url=redis_server.url, **shared, **options)
        asked: list[str] = []
        for number in range(3):
            for phone in phones:
                asked.append(f"q{number} of {phone} fake:tokens=60,delay=0.05")
                telegram.says(asked[-1], phone)
        shown = await telegram.wait(lambda: [m for m in telegram.of(phones[0]) if "w3 " in m.text])
        assert shown
        first.kill()
        await asyncio.to_thread(first.restart)
        await telegram.wait(all_ended(telegram, phones, 1), 60)
        second.kill()
        await asyncio.to_thread(second.restart)
        await telegram.wait(all_ended(telegram, phones, 3), 120)
        await telegram.wait(lambda: not telegram.updates)
        await asyncio.sleep(2)
        assert Counter(await questions(first)) == Counter(asked)
        for phone in phones:
            assert all_ended(telegram, [phone], 3)()
            assert not all_ended(telegram, [phone], 4)()
        assert telegram.too_fast == []
        for app in (first, second):
            assert TOKEN not in app.log_text()
            assert TOKEN.partition(":")[2] not in app.log_text()
