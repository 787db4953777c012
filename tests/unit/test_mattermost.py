"""The bot of Mattermost, against a server over real HTTP and a real websocket."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from typing import Any

import pytest
from pydantic import SecretStr

from genai_app.adapters.mattermost.client import MattermostMessenger
from genai_app.adapters.mattermost.formatting import formatted_text, literal_text
from genai_app.adapters.messenger import (
    Button,
    ChatClosed,
    ChatUpdate,
    MessageGone,
    MessengerAway,
    TokenRefused,
    TooManyCalls,
    UpdateKind,
)
from genai_app.settings.settings import Settings
from tests.fakes.app_process import poll
from tests.fakes.mattermost_server import TOKEN, FakeMattermost

STOP, AGAIN = Button("stop:1", "Остановить"), Button("again:1", "Ещё раз")
UP, PICK = Button("up:1", "👍"), Button("open:1", "Отпуск")


@pytest.fixture
def server() -> Generator[FakeMattermost]:
    with FakeMattermost() as server:
        yield server


@pytest.fixture
async def bot(server: FakeMattermost) -> AsyncGenerator[MattermostMessenger]:
    bot = new_bot(server)
    yield bot
    await bot.close()


def new_bot(server: FakeMattermost, token: str = TOKEN) -> MattermostMessenger:
    return MattermostMessenger(
        Settings(mattermost_url=server.url, mattermost_token=SecretStr(token))
    )


async def listening(bot: MattermostMessenger) -> str:
    """Returns the position of a bot that has just begun."""
    return (await bot.receive("")).position


async def received(bot: MattermostMessenger, position: str, count: int) -> list[ChatUpdate]:
    """Returns `count` updates, over as many batches as they need."""
    found: list[ChatUpdate] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            batch = await bot.receive(position)
            found += batch.updates
            position = batch.position
    return found


async def test_a_new_bot_answers_nothing_old(
    server: FakeMattermost, bot: MattermostMessenger
) -> None:
    ivan = server.add_person("ivanov")
    server.say(ivan, "long ago")
    batch = await bot.receive("")
    assert batch.updates == []
    server.say(ivan, "now")
    assert [each.text for each in await received(bot, batch.position, 1)] == ["now"]


async def test_what_people_do(server: FakeMattermost, bot: MattermostMessenger) -> None:
    position = await listening(bot)
    ivan, guest = server.add_person("ivanov"), server.add_person("webhook", is_bot=True)
    post = server.say(ivan, "Когда отпуск?")
    server.change(post, "Когда отпуск в мае?")
    server.say(ivan, "", file_ids=["f1"])
    server.say(ivan, "hello all", channel=server.add_group())
    server.say(guest, "beep")
    server.say(ivan, "ivanov joined", type="system_join_channel")
    server.say(ivan, "последнее")
    updates = await received(bot, position, 6)
    assert [each.kind for each in updates] == [
        UpdateKind.TEXT,
        UpdateKind.EDITED,
        UpdateKind.FILE,
        UpdateKind.GROUP,
        UpdateKind.TEXT,
        UpdateKind.TEXT,
    ]
    first = updates[0]
    assert (first.id, first.text, first.sender_id) == (post, "Когда отпуск?", ivan)
    assert (first.chat_id, first.sender_name, first.language) == (
        *(server.chat_of(ivan), "@ivanov", "ru"),
    )
    assert [each.forwarded for each in updates] == [False, False, False, False, True, False]
    assert len({each.id for each in updates}) == 6


async def test_a_whole_answer(server: FakeMattermost, bot: MattermostMessenger) -> None:
    """Sent, edited; its buttons are the bot's own reactions."""
    ivan = server.add_person("ivanov")
    key = await bot.send(server.chat_of(ivan), "Думаю…", [STOP])
    (post,) = server.shown_to(ivan)
    assert post["id"] == key
    assert post["message"] == "Думаю…\n\n:octagonal_sign: Остановить"
    assert emoji_of(post) == ["octagonal_sign"]
    await bot.edit(server.chat_of(ivan), key, "**Готово.**", [UP, AGAIN])
    (post,) = server.shown_to(ivan)
    assert post["message"] == "**Готово.**\n\n:arrows_counterclockwise: Ещё раз"
    assert sorted(emoji_of(post)) == ["+1", "arrows_counterclockwise"]
    await bot.edit(server.chat_of(ivan), key, "**Готово.**")
    assert emoji_of(server.shown_to(ivan)[0]) == []


def emoji_of(post: dict[str, Any]) -> list[str]:
    return [each["emoji_name"] for each in post["metadata"]["reactions"]]


async def test_a_click_on_an_emoji(server: FakeMattermost, bot: MattermostMessenger) -> None:
    """Also below a post of an earlier process; an emoji without a meaning is none."""
    position = await listening(bot)
    ivan = server.add_person("ivanov")
    chat = server.chat_of(ivan)
    key = await bot.send(chat, "Ответ", [UP, AGAIN, PICK])
    other = new_bot(server)
    await other.edit(chat, key, "Ответ целиком", [AGAIN, PICK])
    await other.close()
    assert sorted(emoji_of(server.shown_to(ivan)[0])) == ["arrows_counterclockwise", "one"]
    own = server.say(ivan, "мой вопрос")
    server.react(ivan, key, "heart")
    server.react(ivan, own, "one")
    server.react(ivan, key, "arrows_counterclockwise")
    server.react(ivan, key, "one")
    updates = await received(bot, position, 3)
    assert [(each.kind, each.text) for each in updates] == [
        (UpdateKind.TEXT, "мой вопрос"),
        (UpdateKind.BUTTON, "again:1"),
        (UpdateKind.BUTTON, "open:1"),
    ]
    assert {each.sender_id for each in updates} == {ivan}


@pytest.mark.parametrize("trouble", ["restart", "cut", "gap", "refused"])
async def test_nothing_is_lost(
    server: FakeMattermost, bot: MattermostMessenger, trouble: str
) -> None:
    """What was written while the bot was away comes when it is back, with its clicks; what comes
    twice has the same id."""
    ivan, anna = server.add_person("ivanov"), server.add_person("anna")
    key = await bot.send(server.chat_of(ivan), "Ответ", [AGAIN])
    position = await listening(bot)
    server.say(ivan, "one")
    batch = await bot.receive(position)
    position = batch.position
    if trouble == "restart":
        await bot.close()
        bot = new_bot(server)
    elif trouble == "cut":
        server.drop_listeners()
    elif trouble == "gap":
        server.lose_event()
    else:
        server.fail_next(502, paths="/users/")  # while the sender of an event is asked for
    for text in ("two", "three"):
        server.say(anna, text)
    server.react(ivan, key, "arrows_counterclockwise")
    found: dict[str, str] = {each.id: each.text for each in batch.updates}
    async with asyncio.timeout(60):
        while len(found) < 4:
            try:
                batch = await bot.receive(position)
            except MessengerAway:
                continue
            position = batch.position
            found |= {each.id: each.text for each in batch.updates}
    assert [each for each in found.values() if each != "again:1"] == ["one", "two", "three"]
    assert "again:1" in found.values()
    await bot.close()


async def test_a_bot_that_no_longer_listens(
    server: FakeMattermost, bot: MattermostMessenger
) -> None:
    """A process that lost its lease gets no events; it reads later what it missed."""
    ivan = server.add_person("ivanov")
    position = await listening(bot)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await bot.receive(position)
    assert await asyncio.to_thread(poll, lambda: server.listeners == 0)
    server.say(ivan, "missed")
    assert [each.text for each in await received(bot, position, 1)] == ["missed"]


async def test_refusals(server: FakeMattermost, bot: MattermostMessenger) -> None:
    ivan = server.add_person("ivanov")
    chat = server.chat_of(ivan)
    key = await bot.send(chat, "Ответ")
    server.fail_next(429, Retry_After="7")
    with pytest.raises(TooManyCalls) as caught:
        await bot.edit(chat, key, "Ответ!")
    assert caught.value.retry_after_s == 7
    server.fail_next(502)
    with pytest.raises(MessengerAway):
        await bot.send(chat, "Ответ")
    server.delete(key)
    with pytest.raises(MessageGone):
        await bot.edit(chat, key, "Ответ!")
    server.close_chat(ivan)
    with pytest.raises(ChatClosed):
        await bot.send(chat, "Ответ")
    await bot.leave(chat)


async def test_a_wrong_token(server: FakeMattermost) -> None:
    bot = new_bot(server, "wrong")
    with pytest.raises(TokenRefused) as caught:
        await bot.receive("")
    assert "wrong" not in str(caught.value)
    await bot.close()


async def test_a_server_that_is_away(server: FakeMattermost, bot: MattermostMessenger) -> None:
    server.deaf = True
    with pytest.raises(MessengerAway):
        await bot.receive("")
    server.deaf = False
    await listening(bot)
    assert server.listeners == 1


async def test_buttons_cost_no_answer(server: FakeMattermost, bot: MattermostMessenger) -> None:
    ivan = server.add_person("ivanov")
    server.fail_next(429, 5, paths="/reactions")
    await bot.send(server.chat_of(ivan), "Ответ", [UP, AGAIN])
    assert [each["message"] for each in server.shown_to(ivan)] == [
        "Ответ\n\n:arrows_counterclockwise: Ещё раз"
    ]


async def test_the_length_of_a_post(bot: MattermostMessenger, server: FakeMattermost) -> None:
    """The server says it; the line about the buttons has room."""
    await bot.account()
    text = "я" * bot.limits.max_chars
    assert bot.length(text) == bot.limits.max_chars
    ivan = server.add_person("ivanov")
    await bot.send(server.chat_of(ivan), text, [AGAIN, PICK])
    assert len(server.shown_to(ivan)) == 1


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("![отчёт](https://evil.example/?q=1)", "[отчёт](https://evil.example/?q=1)"),
        ("`![a](b)` ![c](d)", "`![a](b)` [c](d)"),
        ("```\n![a](b)\n```\n![c](d)", "```\n![a](b)\n```\n[c](d)"),
        ("~~~\n![a](b)", "~~~\n![a](b)"),
        ("``a`b`` !![c][d]", "``a`b`` ![c][d]"),
        ("Стой! [Ссылка](https://x.example)", "Стой! [Ссылка](https://x.example)"),
    ],
)
def test_images_are_not_fetched(markdown: str, shown: str) -> None:
    assert formatted_text(markdown) == shown


def test_a_text_as_it_is_written() -> None:
    assert literal_text("2 * 3 * 4 [x](y)") == r"2 \* 3 \* 4 \[x\]\(y\)"
