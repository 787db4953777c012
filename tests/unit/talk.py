"""Asking and reading in tests of the chat services: over a real database and the scripted model."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import (
    Author,
    Channel,
    Dialog,
    Generation,
    Message,
    Role,
    Source,
    Status,
    User,
    new_id,
)
from genai_app.services.chat.chat import Chat
from genai_app.services.chat.turns import Turn
from genai_app.services.dialogs.history import History
from genai_app.services.files.files import Files
from genai_app.services.generation.checkpoints import Increment
from genai_app.services.generation.generations import Generations
from genai_app.services.generation.slots import ModelSlots
from genai_app.services.limits.rate import Limits
from genai_app.services.reuse.barred import Verdicts
from genai_app.services.reuse.verified import Verified
from tests.fakes.model_records import RequestRecord
from tests.fakes.model_server import ModelServer


@dataclass(frozen=True)
class Talk:
    """What one process of the product has for asking and answering."""

    db: Database
    generations: Generations
    chat: Chat
    history: History
    limits: Limits
    verified: Verified
    verdicts: Verdicts
    slots: ModelSlots
    files: Files

    async def ask(self, actor: Actor, text: str = "Hello?", dialog_id: object = None) -> Turn:
        """A question that was not sent before."""
        return await self.chat.ask(actor, text, client_id=uuid.uuid4(), dialog_id=dialog_id)

    async def answer(self, actor: Actor, text: str = "Hello?", dialog_id: object = None) -> Turn:
        """Ask, and wait for the end of the answer."""
        turn = await self.ask(actor, text, dialog_id)
        await read(self.generations.follow(turn.answer_id))
        return turn


MakeTalk = Callable[..., Awaitable[Talk]]
Two = Callable[..., Awaitable[tuple[Talk, Talk]]]


async def read(increments: AsyncIterable[Increment]) -> tuple[str, Status]:
    """The text of all increments, and the last status."""
    text, status = "", Status.RUNNING
    async for increment in increments:
        text, status = text + increment.text, increment.status
    return text, status


async def read_until(increments: AsyncIterable[Increment], words: str) -> str:
    """The text of the increments up to the one that brings `words`."""
    text = ""
    async for increment in increments:
        text += increment.text
        if words in text:
            return text
    raise AssertionError(f"{words!r} never came, but {text!r}")


async def read_in_parts(
    talk: Talk, actor: Actor, answer_id: object, seed: int, *, most: int, pauses: Sequence[float]
) -> str:
    """All of an answer, by a reader that breaks off after `most` increments or fewer, again and
    again, with another of the `pauses` each time."""
    random_ = random.Random(seed)
    text, status = "", Status.RUNNING
    while status is Status.RUNNING:
        pause_s = random_.choice(pauses)
        left = random_.randint(1, most)
        follower = talk.chat.follow(actor, answer_id, from_length=len(text), pause_s=pause_s)
        async with aclosing(follower) as increments:
            async for increment in increments:
                text, status = text + increment.text, increment.status
                left -= 1
                if not left:
                    break
    assert status is Status.COMPLETE
    return text


async def called(fake: ModelServer, count: int = 1) -> RequestRecord:
    """The last of `count` calls of the model, as soon as it is there."""
    assert await asyncio.to_thread(fake.wait_answers, count)
    assert len(fake.answers) == count
    return fake.answers[-1]


async def aborted(record: RequestRecord, within_s: float = 1.0) -> bool:
    """Whether the product closed its call of the model in that time."""
    return await asyncio.to_thread(record.wait_aborted, within_s)


async def saved(db: Database, message_id: uuid.UUID) -> Message:
    async with db.read() as session:
        return await session.get_one(Message, message_id)


async def run_of(db: Database, message_id: uuid.UUID) -> Generation:
    async with db.read() as session:
        return await session.get_one(Generation, message_id)


async def leaf_of(db: Database, dialog_id: uuid.UUID) -> uuid.UUID | None:
    async with db.read() as session:
        return (await session.get_one(Dialog, dialog_id)).leaf_id


async def everything(db: Database) -> list[dict[str, Any]]:
    """All dialogs, messages and runs as they stand."""
    async with db.read() as session:
        rows: list[Dialog | Message | Generation] = [
            *await session.scalars(sa.select(Dialog).order_by(col(Dialog.id))),
            *await session.scalars(sa.select(Message).order_by(col(Message.id))),
            *await session.scalars(sa.select(Generation).order_by(col(Generation.message_id))),
        ]
    return [row.model_dump() for row in rows]


async def enter(db: Database, username: str, role: Role = Role.USER) -> Actor:
    """A new user; without a password, whose hash would cost its time."""
    user = User(username=username, full_name=username.title(), role=role)
    async with db.write() as session:
        session.add(user)
    return Actor(user.id, username, user.full_name, role, Channel.WEB, new_id())


async def put_dialog(db: Database, actor: Actor, texts: Sequence[str]) -> list[uuid.UUID]:
    """A dialog of questions and answers in turn. Returns its id, then those of its messages."""
    dialog = Dialog(user_id=actor.user_id, title="a long one")
    messages: list[Message] = []
    for depth, text in enumerate(texts):
        messages.append(
            Message(
                id=new_id(),
                dialog_id=dialog.id,
                user_id=actor.user_id,
                parent_id=messages[-1].id if messages else None,
                depth=depth,
                author=Author.ASSISTANT if depth % 2 else Author.USER,
                source=Source.MODEL if depth % 2 else None,
                text=text,
            )
        )
    dialog.leaf_id = messages[-1].id if messages else None
    ids = [dialog.id, *(message.id for message in messages)]
    async with db.write() as session:
        session.add(dialog)
        await session.flush()
        if messages:
            await session.execute(sa.insert(Message), [m.model_dump() for m in messages])
    return ids


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Move the clock of the services."""
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(seconds=seconds))


async def age_leases(db: Database, seconds: float) -> None:
    """Let that time pass for the leases of all answers: the database's clock decides on them."""
    async with db.write() as session:
        for run in await session.scalars(sa.select(Generation)):
            run.lease_until -= timedelta(seconds=seconds)
            session.add(run)


@contextmanager
def heard(event: str) -> Generator[asyncio.Event]:
    """An event that is set when the product logs `event`."""
    seen = asyncio.Event()

    def listen(_logger: object, _method: str, entry: structlog.typing.EventDict) -> str:
        if entry["event"] == event:
            seen.set()
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[listen])
    try:
        yield seen
    finally:
        structlog.configure(processors=before)
