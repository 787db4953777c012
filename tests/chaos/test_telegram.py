"""Processes with the bot for Telegram are killed and started while people ask: nothing is lost,
nothing answered twice. With fifty people: `python -m bench.messengers`."""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import Message, MessengerAnswer, MessengerLink, MessengerUpdate, User
from tests.cast import PASSWORDS
from tests.conftest import StartApp
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import AppProcess, poll
from tests.fakes.model_server import ModelServer
from tests.fakes.services import RedisServer
from tests.fakes.telegram_server import TOKEN, TelegramServer
from tests.fakes.wrong_clock import wrong_clock

pytestmark = pytest.mark.fault

PEOPLE, QUESTIONS = 20, 2
TAKEOVER_S = 15.0
AHEAD_S = 300


async def link(app: AppProcess, telegram: TelegramServer, name: str, phone: int) -> None:
    """A login, a code by the API, and the link that it leads to."""
    async with client_of(app, await new_token(app, name, PASSWORDS[name])) as client:
        reply = await client.post("/me/messenger", json={"messenger": "telegram"})
        made = reply.json()
        assert reply.status_code == httpx.codes.OK, made
        assert made["url"] == f"https://t.me/corp_test_bot?start={made['code']}"
        telegram.says(f"/start {made['code']}", phone)
        await telegram.wait(lambda: telegram.texts(phone))
        (row,) = (await client.get("/me/messenger")).json()["items"]
        assert row["title"] == f"@user{phone}"


async def linked_phones(app: AppProcess) -> list[int]:
    """Phones of people who were linked earlier."""
    phones = [3000 + number for number in range(PEOPLE)]
    db = Database(app.database_url)
    async with db.write() as session:
        for phone in phones:
            user = User(username=f"phone-{uuid.uuid4().hex[:8]}")
            session.add(user)
            await session.flush()
            account = str(phone)
            session.add(MessengerLink(user_id=user.id, messenger="telegram", external_id=account))
    await db.close()
    return phones


async def answers(app: AppProcess) -> list[tuple[str, str]]:
    """Each question of the bot with its answer, once the bot has nothing left to do."""
    db = Database(app.database_url)
    asked, answer = aliased(Message), aliased(Message)
    query = sa.select(col(asked.text), col(answer.text)).join(
        answer, col(answer.parent_id) == col(asked.id)
    )
    async with db.read() as session:
        rows = await session.execute(
            query.where(col(asked.channel) == "telegram").order_by(col(asked.id))
        )
        pairs = [(row[0], row[1]) for row in rows]
        assert list(await session.scalars(sa.select(MessengerAnswer))) == []
        waiting = sa.select(MessengerUpdate).where(col(MessengerUpdate.done_at).is_(None))
        assert list(await session.scalars(waiting)) == []
    await db.close()
    return pairs


def ended(telegram: TelegramServer, phone: int) -> list[str]:
    """What somebody reads of answers that have ended."""
    return [
        message.text
        for message in telegram.of(phone)
        if any(each["callback_data"].startswith("again:") for each in message.buttons)
    ]


def all_ended(telegram: TelegramServer, phones: list[int], count: int) -> Callable[[], bool]:
    return lambda: all(len(ended(telegram, phone)) >= count for phone in phones)


async def test_the_poller_is_killed_while_people_ask(
    start_app: StartApp, model: ModelServer, redis_server: RedisServer
) -> None:
    """Two processes; the one that reads is killed twice in mid-answer and started again. Everybody
    gets every answer whole and once, in order, at Telegram's pace; the token is in no log."""
    with TelegramServer() as telegram:
        options = {"telegram_token": TOKEN, "telegram_api_url": telegram.url}
        first = start_app("postgresql", redis_url=redis_server.url, **options)
        phones = await linked_phones(first)
        shared = {key: first.settings[key] for key in ("database_url", "secret_key")}
        second = start_app("postgresql", redis_url=redis_server.url, **shared, **options)
        asked: defaultdict[int, list[str]] = defaultdict(list)
        for number in range(QUESTIONS):
            for phone in phones:
                asked[phone].append(f"q{number} of {phone} fake:tokens=60,delay=0.05")
                telegram.says(asked[phone][-1], phone)
        await telegram.wait(lambda: any("w3 " in each.text for each in telegram.messages))
        first.kill()
        await asyncio.to_thread(first.restart)
        await telegram.wait(all_ended(telegram, phones[:1], 1), 60)
        second.kill()
        await asyncio.to_thread(second.restart)
        await telegram.wait(all_ended(telegram, phones, QUESTIONS), 120)
        await telegram.wait(lambda: not telegram.updates)
        await asyncio.sleep(2)
        found = await answers(first)
        for phone in phones:
            mine = [(text, answer) for text, answer in found if f" of {phone} " in text]
            assert [text for text, _ in mine] == asked[phone]
            shown = ended(telegram, phone)
            assert len(shown) == QUESTIONS
            for text, (_, answer) in zip(shown, mine, strict=True):
                assert text.startswith(answer.strip())
        assert telegram.too_fast == []
        for app in (first, second):
            assert TOKEN not in app.log_text()
            assert TOKEN.partition(":")[2] not in app.log_text()


async def test_a_bot_of_its_own(
    start_app: StartApp, model: ModelServer, redis_server: RedisServer, tmp_path: Path
) -> None:
    """`genai bot` beside `genai serve`, on hosts whose clocks are ten minutes apart: it takes over
    from a process that was killed, links by codes of the other one, and ends in order."""
    with TelegramServer() as telegram:
        options: dict[str, Any] = {
            "telegram_token": TOKEN,
            "telegram_api_url": telegram.url,
            "redis_url": redis_server.url,
        }
        served = start_app("postgresql", within=wrong_clock(AHEAD_S), **options)
        await link(served, telegram, "alice", 1001)
        shared = {key: served.settings[key] for key in ("database_url", "secret_key")}
        bot = AppProcess(
            tmp_path / "bot",
            llm_url=model.url,
            command=("bot", "telegram"),
            within=wrong_clock(-AHEAD_S),
            **shared,
            **options,
        )
        bot.start()
        try:
            assert await asyncio.to_thread(poll, lambda: "clock.off" in bot.log_text(), 60)
            served.kill()
            killed_at = time.monotonic()
            telegram.says("/help")
            await telegram.wait(lambda: len(telegram.of()) == 2, TAKEOVER_S)
            assert time.monotonic() - killed_at < TAKEOVER_S
            assert "messenger.poller" in bot.log_text()
            telegram.says("Вопрос fake:tokens=5")
            await telegram.wait(lambda: ended(telegram, 1001))
            assert ended(telegram, 1001)[0].startswith("w0 w1 w2 w3 w4")
            await asyncio.to_thread(served.restart)
            await link(served, telegram, "bob", 1002)
            assert await asyncio.to_thread(bot.stop) == 0
            telegram.says("Ещё вопрос fake:tokens=5", 1002)
            await telegram.wait(lambda: ended(telegram, 1002))
        finally:
            bot.kill()
        assert [text for text, _ in await answers(served)] == [
            "Вопрос fake:tokens=5",
            "Ещё вопрос fake:tokens=5",
        ]
