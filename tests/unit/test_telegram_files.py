"""Files and pictures that are sent to the bot for Telegram."""

from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.models import Attachment, MessageAttachment
from genai_app.services.jobs import runner as job_runner
from genai_app.services.messengers import albums
from tests.fakes.model_server import ModelServer
from tests.fakes.model_sight import text_of
from tests.unit.phone import Phone
from tests.unit.running_bots import questions
from tests.unit.test_question_files import LEAVE, picture

pytest_plugins = ("tests.unit.talk_fixtures", "tests.unit.phone_fixtures")


@pytest_asyncio.fixture
async def reader(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Phone]:
    """Alice's phone, linked, at a process that reads files."""
    monkeypatch.setattr(job_runner, "LOOK_S", 0.05)
    monkeypatch.setattr(albums, "PAUSE_S", 0.3)
    await phone.talk.files.jobs.open()
    yield phone
    await phone.talk.files.jobs.close()


async def attached(phone: Phone) -> list[Sequence[str]]:
    """The names of the files of each question that has some."""
    rows: list[Sequence[str]] = []
    for question in await questions(phone.db):
        async with phone.db.read() as session:
            names = await session.scalars(
                sa.select(col(Attachment.name))
                .join(MessageAttachment, col(MessageAttachment.attachment_id) == col(Attachment.id))
                .where(col(MessageAttachment.message_id) == question.id)
                .order_by(col(MessageAttachment.position))
            )
            rows.append(list(names))
    return [each for each in rows if each]


async def test_a_file_with_its_question(reader: Phone, as_alice: Actor, fake: ModelServer) -> None:
    await reader.link(as_alice)
    reader.server.sends(LEAVE.encode(), "договор.txt", caption="Сколько дней?")
    await reader.last()
    assert await attached(reader) == [["договор.txt"]]
    assert LEAVE.strip() in text_of(fake.answers[-1].messages[0]["content"])


async def test_the_question_comes_later(reader: Phone, as_alice: Actor, fake: ModelServer) -> None:
    """Files without words wait for the next question, and only for that one."""
    await reader.link(as_alice)
    reader.server.sends(LEAVE.encode(), "a.txt")
    await reader.server.wait(lambda: "Получено: a.txt" in reader.server.texts()[-1])
    reader.server.sends(b"other", "b.txt")
    await reader.server.wait(lambda: "Получено: b.txt" in reader.server.texts()[-1])
    reader.server.says("Сколько дней?")
    await reader.last(count=4)
    reader.server.says("А ещё?")
    await reader.last(count=5)
    assert await attached(reader) == [["a.txt", "b.txt"]]


async def test_an_album_is_one_question(reader: Phone, as_alice: Actor, fake: ModelServer) -> None:
    fake.sees = True
    await reader.link(as_alice)
    caption = "Что тут? fake:text=pictures"
    for colour, words in (("red", caption), ("blue", ""), ("green", "")):
        reader.server.sends(picture(colour), caption=words, media_group_id="77")
    assert (await reader.last()).startswith("320x200 red; 320x200 blue; 320x200 green")
    assert len(await questions(reader.db)) == 1


@pytest.mark.parametrize(
    ("send", "words"),
    [
        (lambda server: server.sends(b"x" * 2_000_000, "big.txt", caption="?"), "больше 1 МБ"),
        (lambda server: server.sends(b"x" * 21_000_000, "big.txt", caption="?"), "больше 1 МБ"),
        (lambda server: server.sends(b"MZ\x90\0" * 500, "setup.exe", caption="?"), "setup.exe"),
        (lambda server: server.sends(picture(), caption="?"), "не видит картинок"),
    ],
)
async def test_what_is_not_taken(
    reader: Phone,
    as_alice: Actor,
    fake: ModelServer,
    send: Callable[..., object],
    words: str,
) -> None:
    """Each is answered by a sentence, and the bot goes on."""
    await reader.link(as_alice)
    send(reader.server)
    await reader.server.wait(lambda: len(reader.server.texts()) == 2)
    if words != "setup.exe":  # its sentence is the reader's
        assert words in reader.server.texts()[-1]
    reader.server.says("Привет")
    await reader.last(count=3)
    assert len(await questions(reader.db)) == 1


async def test_another_process_has_the_files(
    phone: Phone, as_alice: Actor, fake: ModelServer
) -> None:
    """What waits for its question is in the database."""
    await phone.talk.files.jobs.open()
    await phone.link(as_alice)
    phone.server.sends(LEAVE.encode(), "a.txt")
    await phone.server.wait(lambda: "Получено" in phone.server.texts()[-1])
    await phone.stop()
    await phone.start("second")
    phone.server.says("Сколько дней?")
    await phone.last(count=3)
    assert await attached(phone) == [["a.txt"]]
    await phone.talk.files.jobs.close()
