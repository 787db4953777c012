"""The bot for Mattermost, over real HTTP and a real websocket: the whole road from a post to what
its user reads. What does not depend on the messenger is in test_telegram.py."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from pydantic import SecretStr
from sqlmodel import col

from genai_app.access import Actor
from genai_app.adapters.mattermost.client import MattermostMessenger
from genai_app.db.database import Database
from genai_app.models import AuditEvent, Author, Channel, Feedback, Message, Status
from genai_app.services.messengers import bot as bots
from genai_app.services.messengers.links import Links
from genai_app.settings.settings import Settings
from tests.fakes.app_process import eventually
from tests.fakes.mattermost_server import TOKEN, FakeMattermost
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.unit.running_bots import SECRET, StartBot, StopBot, bot_starter, messages_of, questions
from tests.unit.talk import MakeTalk, Talk

pytest_plugins = ("tests.unit.talk_fixtures",)

AGAIN = ":arrows_counterclockwise:"


@dataclass
class Desk:
    """What a test has of the bot and of Alice's Mattermost."""

    db: Database
    talk: Talk
    server: FakeMattermost
    links: Links
    start: StartBot
    stop: StopBot  # the bot that runs
    alice: str

    async def link(self, actor: Actor) -> None:
        code, _ = await self.links.make_code(actor, "mattermost")
        self.server.say(self.alice, f"start {code}")
        await self.texts(1)

    async def texts(self, count: int, ends: str = "") -> list[str]:
        """Returns what the bot wrote to Alice, once it is so much, with `ends` in the last."""

        async def are_there() -> bool:
            texts = [post["message"] for post in self.server.shown_to(self.alice)]
            return len(texts) >= count and ends in texts[-1]

        await eventually(are_there, within_s=60)
        return [post["message"] for post in self.server.shown_to(self.alice)]

    async def click(self, emoji: str) -> None:
        """Clicks on an emoji below the bot's last post, once it is there."""
        post = self.server.shown_to(self.alice)[-1]

        async def is_offered() -> bool:
            return any(each["emoji_name"] == emoji for each in post["metadata"]["reactions"])

        await eventually(is_offered)
        self.server.react(self.alice, post["id"], emoji)


@pytest.fixture
def mattermost() -> Generator[FakeMattermost]:
    with FakeMattermost() as server:
        yield server


@pytest_asyncio.fixture
async def desk(
    db: Database,
    make_talk: MakeTalk,
    mattermost: FakeMattermost,
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[Desk]:
    """A bot that listens, before anybody linked it."""
    monkeypatch.setattr(bots, "CLAIM_S", 0.1)
    chosen = settings(mattermost_url=mattermost.url, mattermost_token=SecretStr(TOKEN))
    talk = await make_talk()
    links = Links(db, SECRET, {})
    async with AsyncExitStack() as stack:
        start_bot = bot_starter(stack, talk, links, lambda: MattermostMessenger(chosen))

        async def listens() -> bool:
            return mattermost.listeners == 1

        async def start(owner: str) -> StopBot:
            """Returns once the bot listens: a new one does not answer what is older."""
            stop = await start_bot(owner)
            await eventually(listens)
            return stop

        alice = mattermost.add_person("alice")
        yield Desk(db, talk, mattermost, links, start, await start("first"), alice)


async def test_link_ask_rate_and_continue(desk: Desk, as_alice: Actor, fake: ModelServer) -> None:
    """The story. Commands are words: a slash is Mattermost's own."""
    await desk.link(as_alice)
    (greeting,) = await desk.texts(1)
    assert "help" in greeting
    assert "/help" not in greeting
    desk.server.say(desk.alice, "Сколько будет два и два?")
    texts = await desk.texts(2, AGAIN)
    assert texts[1].startswith("Hello, this is the scripted model.")
    await desk.click("+1")
    await desk.click("arrows_counterclockwise")
    texts = await desk.texts(3, AGAIN)
    desk.server.say(desk.alice, "А три?")
    await desk.texts(4, AGAIN)
    first, second = await questions(desk.db)
    assert (first.channel, first.user_id) == (Channel.MATTERMOST, as_alice.user_id)
    assert first.dialog_id == second.dialog_id
    async with desk.db.read() as session:
        rating = await session.scalar(sa.select(col(Feedback.rating)))
        answers = await session.scalar(
            sa.select(sa.func.count()).where(col(Message.parent_id) == first.id)
        )
    assert (rating, answers) == ("up", 2)


async def test_words_are_commands(desk: Desk, as_alice: Actor, fake: ModelServer) -> None:
    await desk.link(as_alice)
    desk.server.say(desk.alice, "help")
    (_, text) = await desk.texts(2)
    assert "\nnew — " in text
    assert "/new" not in text
    desk.server.say(desk.alice, "new rules for holidays?")
    await desk.texts(3, AGAIN)
    desk.server.say(desk.alice, "history")
    texts = await desk.texts(4)
    assert "1. new rules for holidays?" in texts[-1]
    await desk.click("one")
    assert "new rules for holidays?" in (await desk.texts(5))[-1]
    desk.server.say(desk.alice, "unlink")
    await desk.texts(6)
    desk.server.say(desk.alice, "Ещё вопрос")
    assert (await desk.texts(7))[-1].startswith("Этот бот отвечает только тем")
    assert [row.text for row in await questions(desk.db)] == ["new rules for holidays?"]


async def test_stop_by_a_click(desk: Desk, as_alice: Actor, fake: ModelServer) -> None:
    await desk.link(as_alice)
    fake.script(Say(tuple(f"w{n} " for n in range(400)), delay_s=0.02), End())
    desk.server.say(desk.alice, "Расскажи")
    await desk.texts(2, "w0 w1")
    await desk.click("octagonal_sign")
    texts = await desk.texts(2, AGAIN)
    assert "Ответ остановлен." in texts[-1]
    assert len(texts) == 2


async def test_a_stranger_and_a_group(desk: Desk, as_alice: Actor) -> None:
    """A code that is written in a group links nobody."""
    code, _ = await desk.links.make_code(as_alice, "mattermost")
    group = desk.server.add_group()
    desk.server.say(desk.alice, f"start {code}", channel=group)
    desk.server.say(desk.alice, "Кто вы?")
    (text,) = await desk.texts(1)
    assert text == "Этот бот отвечает только тем, кто связал его со своей учётной записью."
    assert await desk.links.list(as_alice) == []

    async def is_left() -> bool:
        return any(call.path.startswith(f"/channels/{group}/members") for call in desk.server.calls)

    await eventually(is_left)
    async with desk.db.read() as session:
        query = sa.select(col(AuditEvent.details)).order_by(col(AuditEvent.at))
        assert set(await session.scalars(query)) >= {"reason=in_group", "reason=stranger"}


async def test_another_process_goes_on(desk: Desk, as_alice: Actor, fake: ModelServer) -> None:
    """The bot is gone in mid-answer, and questions come while nobody listens: the next one shows
    the answer in the same post, and asks each question once."""
    await desk.link(as_alice)
    fake.script_once(Say(("first ", "words ")), Hold("more"), Say(("and the end",)), End())
    desk.server.say(desk.alice, "one")
    await desk.texts(2, "first words")
    await desk.stop()
    for text in ("two", "three"):
        desk.server.say(desk.alice, text)
    fake.release("more")
    await desk.start("second")
    texts = await desk.texts(4, AGAIN)
    assert texts[1].startswith("first words and the end")
    assert [row.text for row in await questions(desk.db)] == ["one", "two", "three"]
    assert len(texts) == 4


async def test_a_long_answer_comes_whole(desk: Desk, as_alice: Actor, fake: ModelServer) -> None:
    await desk.link(as_alice)
    code = "```python\n" + "".join(f"x{n} = {n} * 2\n" for n in range(3000)) + "```\n"
    fake.script(Say((code, "\nконец")), End())
    desk.server.say(desk.alice, "Длинно")
    texts = (await desk.texts(4, AGAIN))[1:]
    assert all(each.count("```") % 2 == 0 for each in texts)
    lines = "\n".join(texts).splitlines()
    assert [n for n in range(3000) if f"x{n} = {n} * 2" not in lines] == []
    refused: list[Any] = [call for call in desk.server.calls if call.status == 400]
    assert refused == []


async def test_waits_out_what_the_server_asks(
    desk: Desk, as_alice: Actor, fake: ModelServer
) -> None:
    """429, 502 and a deleted post: the last text arrives whole."""
    await desk.link(as_alice)
    words = tuple(f"w{n} " for n in range(60))
    fake.script(Say(words[:30], delay_s=0.05), Hold("more"), Say(words[30:]), End())
    desk.server.say(desk.alice, "x")
    await desk.texts(2, "w0")
    desk.server.fail_next(429, 2, Retry_After="1")
    desk.server.fail_next(502)
    desk.server.delete(desk.server.shown_to(desk.alice)[-1]["id"])
    fake.release("more")
    texts = await desk.texts(3, AGAIN)
    assert texts[-1].startswith("".join(words).strip())
    (answer,) = [row for row in await messages_of(desk.db, Author.ASSISTANT) if row.text]
    assert answer.status == Status.COMPLETE


async def test_files_of_a_post(desk: Desk, as_alice: Actor, fake: ModelServer) -> None:
    """The words of a post are the question about its files."""
    await desk.talk.files.jobs.open()
    await desk.link(as_alice)
    desk.server.send(desk.alice, "Сколько дней?", ("a.txt", b"28 days"), ("b.txt", b"Kazan"))
    await desk.texts(2, "fake-model")
    system = fake.answers[-1].messages[0]["content"]
    assert "28 days" in system
    assert "Kazan" in system
    await desk.talk.files.jobs.close()
