"""The model's reasoning in exports: left out, unless it is asked for."""

import csv
import io
import json
from collections.abc import AsyncGenerator, Callable

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import InvalidInput
from genai_app.models import Author, Message, Role
from genai_app.services.jobs import runner as job_runner
from genai_app.settings.settings import Settings
from tests.unit.exporting import Desk, desk, events, lines_of, person, put_talk

THOUGHT = "Zanzibar\n# no heading"
KINDS = [
    *(("dialog", each) for each in ("md", "pdf", "json")),
    ("mine", "json"),
    *(("dialogs", each) for each in ("csv", "xlsx", "pdf", "jsonl")),
]


@pytest.fixture
async def at(
    db: Database, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Desk]:
    monkeypatch.setattr(job_runner, "LOOK_S", 0.03)
    made = desk(db, settings(secret_key="0123456789abcdef0123456789ABCDEF"))
    await made.exports.jobs.open()
    yield made
    await made.exports.jobs.close()


@pytest.fixture
async def rita(db: Database) -> Actor:
    return await person(db, "rita", Role.REVIEWER)


async def test_with_and_without(db: Database, at: Desk, rita: Actor) -> None:
    """In every kind and format, and never as if it were the answer."""
    dialog_id = await put_talk(db, rita, "Where?", "There.")
    async with db.write() as session:
        await session.execute(
            sa.update(Message)
            .where(col(Message.author) == Author.ASSISTANT)
            .values(reasoning=THOUGHT, reasoning_ms=1000)
        )
    for kind, format_ in KINDS:
        chosen: dict[str, object] = {"dialog_id": str(dialog_id)} if kind == "dialog" else {}
        assert "Zanzibar" not in await at.content(rita, kind, format_, **chosen)
        text = await at.content(rita, kind, format_, **chosen, reasoning=True)
        assert "Zanzibar" in text
        assert "There." in text
        if format_ == "jsonl":
            assert [each["reasoning"] for each in lines_of(text)] == ["", THOUGHT]
        elif format_ == "json":
            whole = json.loads(text)
            dialog = whole["dialogs"][0] if kind == "mine" else whole
            assert [each["reasoning"] for each in dialog["messages"]] == ["", THOUGHT]
        elif format_ == "csv":
            rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))
            assert [each["reasoning"] for each in rows] == ["", THOUGHT]
            assert [each["text"] for each in rows] == ["Where?", "There."]
        elif format_ == "md":
            assert "> Zanzibar\n> # no heading\n\nThere.\n" in text
    audited = ["reasoning" in each.details for each in await events(db, "export")]
    assert audited == [False, True] * len(KINDS)


async def test_verified_answers_have_none(at: Desk, rita: Actor) -> None:
    with pytest.raises(InvalidInput):
        await at.exports.start(rita, "verified", "csv", {"reasoning": True})
    for wrong in ("yes", 1, [True]):
        with pytest.raises(InvalidInput):
            await at.exports.start(rita, "mine", "json", {"reasoning": wrong})
