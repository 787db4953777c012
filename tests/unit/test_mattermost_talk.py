"""The whole road in Mattermost: the same core as Telegram, with words for commands."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
import pytest_asyncio
import sqlalchemy as sa
from pydantic import SecretStr
from sqlmodel import col

from genai_app.access import Actor
from genai_app.adapters.mattermost.client import MattermostMessenger
from genai_app.db.database import Database
from genai_app.models import Author, Channel, Message
from genai_app.services.messengers import bot as bots
from genai_app.services.messengers.bot import Bot
from genai_app.services.messengers.links import Links
from genai_app.settings.settings import Settings
from tests.fakes.app_process import poll
from tests.fakes.mattermost_server import TOKEN, FakeMattermost
from tests.unit.talk import MakeTalk

pytest_plugins = ("tests.unit.talk_fixtures",)

SECRET = b"a secret of thirty-two bytes long"


@pytest_asyncio.fixture
async def linked(
    db: Database, make_talk: MakeTalk, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[tuple[FakeMattermost, str]]:
    """A server with a bot, and the person whom Alice linked."""
    monkeypatch.setattr(bots, "CLAIM_S", 0.1)
    with FakeMattermost() as server:
        talk, links = await make_talk(), Links(db, SECRET, {})
        chosen = Settings(mattermost_url=server.url, mattermost_token=SecretStr(TOKEN))
        bot = Bot(
            *(db, talk.chat, talk.history, links, MattermostMessenger(chosen)),
            owner="first",
            url="http://genai.corp",
        )
        task = asyncio.create_task(bot.run())
        person = server.add_person("alice.p")
        await shown(lambda: server.listeners)
        code, _ = await links.make_code(as_alice, "mattermost")
        server.say(person, f"start {code}")
        await shown(lambda: server.shown_to(person))
        yield server, person
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bot.close()


async def shown(condition: Callable[[], object]) -> None:
    assert await asyncio.to_thread(poll, lambda: bool(condition()), 20.0)


async def test_ask_and_use_words(
    linked: tuple[FakeMattermost, str], as_alice: Actor, db: Database
) -> None:
    """A question is answered in one post that grows; `new` and `help` are commands, a sentence
    that begins so is a question."""
    server, person = linked
    texts = lambda: [post["message"] for post in server.shown_to(person)]  # noqa: E731
    assert texts()[0].startswith("Готово")
    server.say(person, "new rules for holidays?")
    await shown(lambda: len(texts()) == 2 and "scripted model" in texts()[1])
    await shown(lambda: ":arrows_counterclockwise:" in texts()[1])
    server.say(person, "help")
    await shown(lambda: len(texts()) == 3 and "history" in texts()[2])
    async with db.read() as session:
        query = sa.select(Message).where(col(Message.author) == Author.USER)
        (question,) = await session.scalars(query)
    assert (question.text, question.user_id) == ("new rules for holidays?", as_alice.user_id)
    assert question.channel == Channel.MATTERMOST
