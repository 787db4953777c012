"""The bot for Telegram, over real HTTP: the whole road from an update to what its user reads."""

from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.models import (
    Channel,
    Feedback,
    Message,
)
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say
from tests.unit.phone import Phone, events
from tests.unit.running_bots import questions

pytest_plugins = ("tests.unit.talk_fixtures", "tests.unit.phone_fixtures")


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
    assert "reads text, files and pictures" in await reply(
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
