"""The bot for Telegram while Telegram, its users or the bot's own process fail."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col
from structlog.testing import capture_logs

from genai_app.access import Actor
from genai_app.errors import StorageUnavailable
from genai_app.models import (
    Author,
    Message,
    MessengerAnswer,
    MessengerUpdate,
    User,
)
from genai_app.services.chat.chat import Chat
from genai_app.services.messengers import bot as bots
from genai_app.services.messengers.conversation import Conversation
from genai_app.services.messengers.replies import Replies
from tests.fakes.app_process import eventually
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.services import free_port
from tests.fakes.telegram_server import TOKEN, TelegramServer
from tests.unit.phone import ALICE, Phone, StartPhone, events
from tests.unit.running_bots import messages_of, questions

pytest_plugins = ("tests.unit.talk_fixtures", "tests.unit.phone_fixtures")

SENDS = ("sendmessage", "editmessagetext")


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

    await eventually(is_unlinked)
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
    await phone.server.wait(lambda: len(phone.server.of()) == 3)
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


async def test_another_program_reads_the_updates(
    phone: Phone, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409, whichever of the two Telegram refuses. Tried again until the other one is gone."""
    monkeypatch.setattr(bots, "OTHER_POLLER_S", 0.3)
    await phone.link(as_alice)
    await phone.server.wait(lambda: phone.server.offsets[-1] > 1)
    before = phone.server.conflicts
    url = f"{phone.server.url}/bot{TOKEN}/getUpdates"
    with capture_logs() as lines:
        async with httpx.AsyncClient(trust_env=False) as other:
            for _ in range(2):
                reply = await other.post(url, data={"timeout": "1", "offset": "0"})
                assert reply.status_code in (httpx.codes.OK, httpx.codes.CONFLICT)
        await phone.server.wait(lambda: phone.server.conflicts > before)
        phone.server.says("Вопрос")
        await phone.last()
    assert "messenger.other_poller" in [line["event"] for line in lines]
    assert [row.text for row in await questions(phone.db)] == ["Вопрос"]


async def test_a_proxy_that_is_away(
    start_phone: StartPhone, as_alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot waits for it, and for nothing else: Telegram itself is out of reach."""
    monkeypatch.setattr(bots, "MAX_AWAY_S", 0.5)
    server = TelegramServer(port=free_port())
    proxy = server.url.replace("//", "//user:canary-of-the-proxy@")
    with capture_logs() as lines:
        phone = await start_phone(
            *(server,),
            telegram_api_url="http://telegram.invalid",
            telegram_external=True,
            telegram_proxy=proxy,
        )

        async def has_tried() -> bool:
            return any(line["event"] == "messenger.away" for line in lines)

        await eventually(has_tried)
        with server:
            await phone.link(as_alice)
            phone.server.says("Вопрос")
            assert (await phone.last()).startswith("Hello")
            await phone.stop()
    assert "canary-of-the-proxy" not in str(lines)


@pytest.mark.parametrize("where", ["user", "answer"])
async def test_the_database_is_away_while_an_answer_is_shown(
    phone: Phone,
    as_alice: Actor,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    """The answer comes whole when it is back, without a word about it and without a new start."""
    monkeypatch.setattr(bots, "STORAGE_S", 0.1)
    await phone.link(as_alice)
    left = [2]
    find_user, follow = bots.find_user_actor, Chat.follow

    def fail() -> None:
        if left[0]:
            left[0] -= 1
            raise StorageUnavailable

    async def find_or_fail(*arguments: Any) -> Any:
        fail()
        return await find_user(*arguments)

    async def follow_or_fail(*arguments: Any, **options: Any) -> AsyncGenerator[Any]:
        fail()
        async for increment in follow(*arguments, **options):
            yield increment

    if where == "user":
        monkeypatch.setattr(bots, "find_user_actor", find_or_fail)
    else:
        monkeypatch.setattr(Chat, "follow", follow_or_fail)
    phone.server.says("Вопрос")
    assert (await phone.last()).startswith("Hello")
    assert left == [0]
    assert len(phone.server.of()) == 2
