"""The names of the files of questions in exports: in every format, and hidden with their user."""

import csv
import io
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import Attachment, Author, Message, MessageAttachment, Role
from genai_app.services.jobs import runner as job_runner
from genai_app.settings.settings import Settings
from tests.unit.exporting import Desk, desk, lines_of, person, put_talk

NAMES = ["=Договор, 2; Иванов.pdf", "смета.xlsx"]
HIDDEN = ["*.pdf", "*.xlsx"]
OpenDesk = Callable[[str], AbstractAsyncContextManager[Desk]]


@pytest.fixture
async def rita(db: Database) -> Actor:
    """A reviewer, with a dialog whose question has two files."""
    rita = await person(db, "rita", Role.REVIEWER)
    await put_talk(db, rita, "What is due?", "Nothing.")
    files = [Attachment(user_id=rita.user_id, name=name, sha256=b"0" * 32) for name in NAMES]
    async with db.write() as session:
        asked = sa.select(col(Message.id)).where(col(Message.author) == Author.USER)
        question_id = (await session.scalars(asked)).one()
        session.add_all(files)
        await session.flush()
        session.add_all(
            MessageAttachment(message_id=question_id, attachment_id=each.id, position=position)
            for position, each in enumerate(files)
        )
    return rita


@pytest.fixture
def open_desk(
    db: Database, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> OpenDesk:
    monkeypatch.setattr(job_runner, "LOOK_S", 0.03)

    @asynccontextmanager
    async def opened(mode: str) -> AsyncGenerator[Desk]:
        made = desk(db, settings(secret_key="0123456789abcdef0123456789ABCDEF", review_mode=mode))
        await made.exports.jobs.open()
        yield made
        await made.exports.jobs.close()

    return opened


@pytest.mark.parametrize(("mode", "names"), [("named", NAMES), ("pseudonymous", HIDDEN)])
async def test_names_of_files(
    mode: str, names: list[str], rita: Actor, open_desk: OpenDesk
) -> None:
    """A row of a table and an object have a list; an answer has an empty one."""
    async with open_desk(mode) as at:
        texts = {
            each: await at.content(rita, "dialogs", each)
            for each in ("csv", "xlsx", "jsonl", "pdf")
        }
    assert [each["files"] for each in lines_of(texts["jsonl"])] == [names, []]
    rows = csv.DictReader(io.StringIO(texts["csv"], newline=""), delimiter=";")
    sign = "'" if mode == "named" else ""  # the cell would be a formula
    assert [each["files"] for each in rows] == [sign + "\n".join(names), ""]
    assert repr("\n".join(names)) in texts["xlsx"]
    for name in NAMES:
        assert (name in texts["pdf"]) == (name in names)
    assert ("Иванов" in "".join(texts.values())) == (mode == "named")
