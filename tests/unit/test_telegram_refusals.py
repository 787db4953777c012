"""Who is refused by the bot for Telegram, what is said then, and what the audit has of it."""

import asyncio
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.i18n import translate
from genai_app.models import (
    User,
)
from tests.unit.phone import ALICE, STRANGER, Phone, events
from tests.unit.running_bots import questions

pytest_plugins = ("tests.unit.talk_fixtures", "tests.unit.phone_fixtures")


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
    await phone.server.wait(lambda: len(phone.server.texts(STRANGER)) == 6)
    assert phone.server.texts(STRANGER)[-1].startswith("Слишком много неверных кодов")
    assert await phone.links.list(as_alice) == []
    refused = await events(phone.db, "messenger_link")
    assert [(each.outcome, each.details) for each in refused] == [
        ("refused", "reason=wrong_code"),
        ("refused", "reason=too_many_tries"),
    ]


async def test_a_group_is_left_without_a_word(phone: Phone, as_alice: Actor) -> None:
    """Whoever writes there: a stranger, somebody with a good code, and who is linked."""
    await phone.link(as_alice)
    code, _ = await phone.links.make_code(as_alice, "telegram")
    said = (("Что ты знаешь?", STRANGER), (f"/start {code}", STRANGER), ("Вопрос", ALICE))
    groups = [-55, -56, -57]
    for group, (text, user) in zip(groups, said, strict=True):
        phone.server.says(text, user, chat={"id": group, "type": "group", "title": "g"})
    await phone.server.wait(lambda: sorted(phone.server.left, reverse=True) == groups)
    assert len(phone.server.messages) == 1  # of the link
    assert len(await phone.links.list(as_alice)) == 1
    assert await questions(phone.db) == []
    refused = await events(phone.db, "messenger_access")
    assert [(each.outcome, each.details) for each in refused] == [
        ("refused", "reason=in_group")
    ] * 3


async def test_a_forwarded_command_is_not_done(phone: Phone, as_alice: Actor) -> None:
    """Somebody else wrote it. A forwarded text is a question of who forwards it."""
    await phone.link(as_alice)
    origin = {"type": "hidden_user", "sender_user_name": "x", "date": 1}
    forwarded: dict[str, Any] = {"forward_origin": origin}
    for text in ("/unlink", "/start@corp_test_bot code", "/nonsense"):
        phone.server.says(text, **forwarded)
    await phone.server.wait(lambda: len(phone.server.of()) == 4)
    assert set(phone.server.texts()[1:]) == {translate("ru", "bot.forwarded")}
    assert len(await phone.links.list(as_alice)) == 1
    refused = await events(phone.db, "messenger_access", "messenger_unlink")
    assert [(each.outcome, each.details) for each in refused] == [("refused", "reason=forwarded")]
    phone.server.says("Что это значит?", **forwarded)
    await phone.last(count=5)
    assert [row.text for row in await questions(phone.db)] == ["Что это значит?"]


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
