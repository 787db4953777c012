"""The bot for Telegram, over real HTTP: the whole road from an update to what its user reads."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.adapters.telegram.bot import TelegramMessenger
from genai_app.db.database import Database
from genai_app.models import (
    AuditEvent,
    Author,
    Channel,
    Feedback,
    Message,
    MessengerAnswer,
    MessengerUpdate,
    User,
)
from genai_app.services.messengers import bot as bots
from genai_app.services.messengers.conversation import Conversation
from genai_app.services.messengers.links import Links
from genai_app.services.messengers.replies import Replies
from genai_app.settings.settings import Settings
from tests.fakes.app_process import eventually
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.telegram_server import TOKEN, TelegramServer
from tests.unit.running_bots import SECRET, StartBot, StopBot, bot_starter, messages_of, questions
from tests.unit.talk import MakeTalk, Talk

pytest_plugins = ("tests.unit.talk_fixtures",)

ALICE, STRANGER = 1001, 6666
SENDS = ("sendmessage", "editmessagetext")


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

    async def last(self, user: int = ALICE, count: int = 2, within_s: float = 20.0) -> str:
        """The last message, once an answer has ended in it."""
        ended = "again:"

        def has_ended() -> bool:
            of = self.server.of(user)
            return len(of) >= count and any(
                each["callback_data"].startswith(ended) for each in of[-1].buttons
            )

        await self.server.wait(has_ended, within_s)
        return self.server.texts(user)[-1]


@pytest.fixture
def telegram() -> Generator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest_asyncio.fixture
async def phone(
    db: Database,
    make_talk: MakeTalk,
    telegram: TelegramServer,
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[Phone]:
    """A bot that runs, before anybody linked it."""
    monkeypatch.setattr(bots, "CLAIM_S", 0.1)
    chosen = settings(telegram_token=TOKEN, telegram_api_url=telegram.url)
    talk = await make_talk()
    links = Links(db, SECRET, {})
    async with AsyncExitStack() as stack:
        start = bot_starter(stack, talk, links, lambda: TelegramMessenger(chosen))
        yield Phone(db, talk, telegram, links, start, await start("first"))


async def events(db: Database, *actions: str) -> list[AuditEvent]:
    async with db.read() as session:
        query = sa.select(AuditEvent).where(col(AuditEvent.action).in_(actions))
        return list(await session.scalars(query.order_by(col(AuditEvent.at))))


async def test_link_ask_and_continue(phone: Phone, as_alice: Actor, fake: ModelServer) -> None:
    """The story: a code links, a question is answered with its source, the next one continues the
    dialog, and both are there for the page."""
    await phone.link(as_alice)
    assert "/help" in phone.server.texts()[0]
    phone.server.says("Сколько будет **два** и два?")
    assert (await phone.last()).startswith("Hello, this is the scripted model.")
    assert "—" in phone.server.texts()[-1].splitlines()[-1]
    phone.server.says("А три?")
    await phone.last(count=3)
    first, second = await questions(phone.db)
    assert (first.channel, first.user_id) == (Channel.TELEGRAM, as_alice.user_id)
    assert first.dialog_id == second.dialog_id
    assert second.parent_id is not None
    actions = [(e.action, e.actor_name) for e in await events(phone.db, "messenger_link")]
    assert actions == [("messenger_link", "alice")]
    assert phone.server.too_fast == []


async def test_a_stranger_is_told_nothing(phone: Phone, as_alice: Actor) -> None:
    """One sentence, an event, no question; also for a wrong, a used and a forwarded code."""
    code, _ = await phone.links.make_code(as_alice, "telegram")
    phone.server.says("Что ты знаешь?", STRANGER)
    await phone.server.wait(lambda: phone.server.texts(STRANGER))
    forwarded: dict[str, Any] = {
        "forward_origin": {
            "type": "hidden_user",
            "sender_user_name": "x",
            "date": 1,
        }
    }
    phone.server.says(f"/start {code}", STRANGER, **forwarded)
    await phone.server.wait(lambda: len(phone.server.texts(STRANGER)) == 2)
    await phone.link(as_alice)
    first = (await phone.links.list(as_alice))[0]
    phone.server.says(f"/start {code}", STRANGER)
    await phone.server.wait(lambda: len(phone.server.texts(STRANGER)) == 3)
    for text in phone.server.texts(STRANGER)[:2]:
        assert text == "Этот бот отвечает только тем, кто связал его со своей учётной записью."
    assert await questions(phone.db) == []
    refused = await events(phone.db, "messenger_access", "messenger_link")
    assert [e.details for e in refused if e.outcome == "refused"] == [
        "reason=stranger",
        "reason=wrong_code",
    ]
    assert [row.id for row in await phone.links.list(as_alice)] == [first.id]


async def test_a_code_is_not_guessed(phone: Phone, as_alice: Actor) -> None:
    """After five tries a chat has no more for ten minutes, not even with the right code."""
    code, _ = await phone.links.make_code(as_alice, "telegram")
    for number in range(5):
        phone.server.says(f"/start wrong{number}", STRANGER)
    phone.server.says(f"/start {code}", STRANGER)
    await phone.server.wait(lambda: len(phone.server.texts(STRANGER)) == 6, 30)
    assert phone.server.texts(STRANGER)[-1].startswith("Слишком много неверных кодов")
    assert await phone.links.list(as_alice) == []


async def test_a_group_is_left_without_a_word(phone: Phone) -> None:
    chat = {"id": -55, "type": "group", "title": "g"}
    phone.server.says("/start x", chat=chat)
    await phone.server.wait(lambda: phone.server.left == [-55])
    assert phone.server.messages == []


async def test_streams_by_edits_and_stops(phone: Phone, as_alice: Actor, fake: ModelServer) -> None:
    """The text grows in one message, at most one edit in 1.5 s; the button stops it."""
    await phone.link(as_alice)
    fake.script(Say(tuple(f"w{n} " for n in range(400)), delay_s=0.02), End())
    phone.server.says("Расскажи")
    message = await phone.server.wait(lambda: phone.server.of()[1:])
    await phone.server.wait(lambda: len(message[0].history) > 3)
    phone.server.presses(phone.server.of()[-1], "stop")
    text = await phone.last()
    assert "Ответ остановлен." in text
    assert text.startswith("w0 w1 ")
    assert len(phone.server.of()) == 2
    assert phone.server.too_fast == []


async def test_a_long_answer_comes_whole(phone: Phone, as_alice: Actor, fake: ModelServer) -> None:
    """10,000 characters with code and characters that are escaped, in several messages."""
    await phone.link(as_alice)
    code = "```python\n" + "".join(f"x{n} = a<b & c>d\n" for n in range(500)) + "```\n"
    words = " ".join(f"слово{n}" for n in range(400))
    fake.script(Say((words, "\n\n", code, "\nконец")), End())
    phone.server.says("Длинно")
    await phone.last(within_s=60)
    texts = phone.server.texts()[1:]
    assert len(texts) > 3
    joined = "\n".join(texts)
    missing = [n for n in range(500) if f"x{n} = a<b & c>d" not in joined]
    assert missing == []
    assert all(f"слово{n}" in joined for n in range(400))
    assert "конец" in texts[-1]
    assert all("<pre>" in each.html or "слово" in each.html for each in phone.server.of()[1:])


async def test_broken_formatting_falls_back(
    phone: Phone, as_alice: Actor, fake: ModelServer
) -> None:
    await phone.link(as_alice)
    fake.script(Say(("**bold** and <b>", " more"), delay_s=0.3), End())
    broken = "Bad Request: can't parse entities: unsupported start tag"
    for _ in range(2):
        phone.server.fails("editMessageText", 400, broken)
    phone.server.says("x")
    assert "bold" in await phone.last()


async def test_waits_out_what_telegram_asks(
    phone: Phone, as_alice: Actor, fake: ModelServer
) -> None:
    """429 with a wait, 502, a deleted message: the last text arrives whole."""
    await phone.link(as_alice)
    words = tuple(f"w{n} " for n in range(60))
    fake.script(Say(words[:30], delay_s=0.05), Hold("more"), Say(words[30:]), End())
    phone.server.fails("editMessageText", 429, "Too Many Requests: retry after 2", 2)
    phone.server.fails("editMessageText", 502, "Bad Gateway")
    phone.server.says("x")
    message = (await phone.server.wait(lambda: phone.server.of()[1:]))[0]
    await phone.server.wait(lambda: len(message.history) > 1)
    message.deleted = True
    fake.release("more")
    assert (await phone.last()).startswith("".join(words).strip())


async def test_a_reply_that_had_to_wait_is_formatted(phone: Phone, as_alice: Actor) -> None:
    """Only what Telegram cannot parse is sent as it is written."""
    await phone.link(as_alice)
    phone.server.fails("sendMessage", 429, "Too Many Requests: retry after 1", 1)
    phone.server.says("/help")
    await phone.server.wait(lambda: len(phone.server.of()) == 2)
    phone.server.fails("sendMessage", 400, "Bad Request: can't parse entities")
    phone.server.says("/history")
    await phone.server.wait(lambda: len(phone.server.of()) == 3)
    sent = [params.get("parse_mode") for name, params in phone.server.calls if name in SENDS]
    assert sent == ["HTML", "HTML", "HTML", "HTML", None]


async def test_blocked_is_unlinked(phone: Phone, as_alice: Actor, fake: ModelServer) -> None:
    """The answer is in the history all the same."""
    await phone.link(as_alice)
    fake.script(Say(tuple(f"w{n} " for n in range(60)), delay_s=0.05), End())
    phone.server.says("x")
    await phone.server.wait(lambda: phone.server.of()[1:])
    phone.server.blocked.add(ALICE)

    async def is_unlinked() -> bool:
        return not await phone.links.list(as_alice)

    for _ in range(100):
        if await is_unlinked():
            break
        await asyncio.sleep(0.1)
    assert await is_unlinked()
    (event,) = await events(phone.db, "messenger_unlink")
    assert event.details == "reason=blocked"
    (asked,) = await questions(phone.db)
    async with phone.db.read() as session:
        query = sa.select(Message).where(col(Message.parent_id) == asked.id)
        answer = await session.scalar(query)
    assert answer is not None


async def test_the_same_updates_twice(phone: Phone, as_alice: Actor, fake: ModelServer) -> None:
    """Fifty updates that Telegram sends again are answered once each, in order."""
    await phone.link(as_alice)
    people = [2000 + n for n in range(10)]
    for n, user in enumerate(people):
        async with phone.db.write() as session:
            row = User(username=f"user{n}")
            session.add(row)
        await phone.link(replace(as_alice, user_id=row.id, username=row.username), user)
    before = len(phone.server.updates)
    with phone.server._lock:
        batch = [(f"q{n} of {user}", user) for n in range(5) for user in people]
        for text, user in batch:
            phone.server.says(text, user)
        again = list(phone.server.updates[before:])
    await phone.server.wait(lambda: not phone.server.updates)
    phone.server.updates.extend(again)
    phone.server._loop.call_soon_threadsafe(phone.server._changed.set)
    for user in people:
        await phone.last(user, 6, 90)
    asked = [row.text for row in await questions(phone.db)]
    assert sorted(asked) == sorted(text for text, _ in batch)
    for user in people:
        mine = [text for text in asked if text.endswith(str(user))]
        assert mine == [f"q{n} of {user}" for n in range(5)]
        assert len(phone.server.of(user)) == 6
    assert phone.server.too_fast == []


async def test_another_process_goes_on(phone: Phone, as_alice: Actor, fake: ModelServer) -> None:
    """The poller is gone in mid-answer, with a question waiting: the next shows the answer in the
    same message, and asks the question once."""
    await phone.link(as_alice)
    fake.script_once(Say(("first ", "words ")), Hold("more"), Say(("and the end",)), End())
    phone.server.says("one")
    message = (await phone.server.wait(lambda: phone.server.of()[1:]))[0]
    await phone.server.wait(lambda: message.text.startswith("first words"))
    phone.server.says("two")
    await phone.server.wait(lambda: not phone.server.updates)
    await phone.stop()
    fake.release("more")
    await phone.start("second")
    await phone.server.wait(lambda: len(phone.server.of()) == 3, 30)
    await phone.last(count=3)
    first, second = phone.server.of()[1:]
    assert first.id == message.id
    assert first.text.startswith("first words and the end")
    assert second.text.startswith("Hello")
    assert [row.text for row in await questions(phone.db)] == ["one", "two"]

    async def all_shown() -> bool:
        async with phone.db.read() as session:
            return await session.scalar(sa.select(col(MessengerAnswer.message_id))) is None

    await eventually(all_shown)  # after the last text
    async with phone.db.read() as session:
        bodies = await session.scalars(sa.select(col(MessengerUpdate.body)))
        assert set(bodies) == {""}


@pytest.mark.parametrize("press", [False, True])
async def test_again_is_done_once(
    phone: Phone, as_alice: Actor, monkeypatch: pytest.MonkeyPatch, press: bool
) -> None:
    """The process is gone once the other answer is committed: the next one shows that answer."""
    await phone.link(as_alice)
    phone.server.says("one")
    await phone.last()
    reached = dies_in(monkeypatch, Conversation, "_keep")
    if press:
        phone.server.presses(phone.server.of()[-1], "again")
    else:
        phone.server.says("/again")
    await reached.wait()
    await phone.stop()
    monkeypatch.undo()
    await phone.start("second")
    assert (await phone.last(count=3)).startswith("Hello")
    (asked,) = await questions(phone.db)
    answers = await messages_of(phone.db, Author.ASSISTANT)
    assert [row.parent_id for row in answers] == [asked.id] * 2
    assert len(phone.server.of()) == 3


async def test_a_link_is_made_once(
    phone: Phone, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is gone before it says so: the next one says that the link is there."""
    reached = dies_in(monkeypatch, Replies, "say")
    code, _ = await phone.links.make_code(as_alice, "telegram")
    phone.server.says(f"/start {code}")
    await reached.wait()
    await phone.stop()
    monkeypatch.undo()
    await phone.start("second")
    await phone.server.wait(phone.server.texts)
    assert "бот связан с вашей учётной записью" in phone.server.texts()[0]
    assert len(await phone.links.list(as_alice)) == 1
    links = await events(phone.db, "messenger_link")
    assert [(each.outcome, each.details) for each in links] == [("done", "")]


def dies_in(monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> asyncio.Event:
    """Lets the bot go no further than into a method. Returns what is set when it is there."""
    reached = asyncio.Event()

    async def hang(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(kind, name, hang)
    return reached


async def test_commands(phone: Phone, as_alice: Actor) -> None:
    """Each of them in the language that was chosen; what is no text is answered by a sentence."""
    await phone.link(as_alice, language="en")
    server = phone.server
    assert server.texts()[0].startswith("Done")

    async def reply(text: str, **more: Any) -> str:
        count = len(server.of())
        server.says(text, language="en", **more)
        await server.wait(lambda: len(server.of()) > count)
        return server.texts()[-1]

    assert "/history" in await reply("/help")
    assert await reply("/history") == "No dialogs yet. Write a question."
    assert "only text" in await reply(
        "", voice={"file_id": "1", "file_unique_id": "1", "duration": 1}
    )
    assert (await reply("/stop")).endswith("Begin a new dialog: /new")
    server.says("First question", language="en")
    await phone.last(count=6)
    assert await reply("/new") == "A new dialog begins. Write a question."
    server.says("Second question", language="en")
    await phone.last(count=8)
    first, second = await questions(phone.db)
    assert first.dialog_id != second.dialog_id
    assert "First question" in await reply("/history")
    server.presses(server.of()[-1], "2")
    await server.wait(lambda: "“First question”" in server.texts()[-1])
    server.says("/again", language="en")
    await phone.last(count=11)
    async with phone.db.read() as session:
        answers = sa.select(sa.func.count()).where(col(Message.parent_id) == first.id)
        assert await session.scalar(answers) == 2
    server.presses(server.of()[-1], "up")
    await server.wait(lambda: "Thank you, your rating is saved" in server.acknowledged)
    async with phone.db.read() as session:
        assert await session.scalar(sa.select(col(Feedback.rating))) == "up"
    assert await reply("/lang ru") == "Теперь бот пишет по-русски."
    assert (await reply("/unlink")).startswith("Бот отвязан")
    assert await phone.links.list(as_alice) == []
    assert await reply("hello") == "This bot answers only those who linked it to their account."


async def test_a_closed_account_is_told_once(phone: Phone, as_alice: Actor) -> None:
    await phone.link(as_alice)
    async with phone.db.write() as session:
        closed = sa.update(User).where(col(User.id) == as_alice.user_id)
        await session.execute(closed.values(disabled_at=sa.func.now(), disabled_reason="x"))
    for _ in range(3):
        phone.server.says("вопрос")
    await phone.server.wait(lambda: len(phone.server.of()) == 2)
    await phone.server.wait(lambda: not phone.server.updates)
    await asyncio.sleep(2)
    assert len(phone.server.of()) == 2
    assert phone.server.texts()[-1].startswith("Ваша учётная запись закрыта")
    assert await questions(phone.db) == []
