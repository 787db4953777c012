"""The audit cannot be changed unseen: one byte, one row, the end."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.errors import InvalidInput
from genai_app.models import AuditEvent, new_id
from genai_app.services.audit.chain import AuditChain, Break, row_hash, sentence_of
from genai_app.services.audit.events import Action, Outcome, event

SECRET = b"k" * 32
TABLE = table_of(AuditEvent)
COUNT = 12


@pytest.fixture
def chain(db: Database, tmp_path: Path) -> AuditChain:
    return AuditChain(db, tmp_path / "data" / "audit.anchor", SECRET)


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    return tmp_path / "data" / "audit.anchor"


def read(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def put(db: Database, count: int = COUNT) -> None:
    async with db.write() as session:
        for n in range(count):
            session.add(
                event(Action.LOGIN, Outcome.DONE, by=f"ё-{n}", target="x", subject=new_id(), n=n)
            )


async def tamper(db: Database, *statements: str) -> None:
    """As somebody who owns the database: past the trigger that keeps the rows."""
    off = (
        ("DROP TRIGGER audit_sealed_update", "DROP TRIGGER audit_sealed_delete")
        if db.is_sqlite
        else ("ALTER TABLE audit_events DISABLE TRIGGER USER",)
    )
    async with db.write() as session:
        for statement in (*off, *statements):
            await session.execute(sa.text(statement))


async def test_every_row_is_sealed_and_holds(db: Database, chain: AuditChain) -> None:
    await put(db)
    assert await chain.seal() == COUNT
    await put(db, 1)
    assert await chain.seal() == 1
    assert await chain.seal() == 0
    found = await chain.verify()
    assert (found.count, found.head, found.anchored, found.broken) == (13, 13, 13, None)
    assert "13" in sentence_of(found, "en")


async def test_an_empty_audit_holds(chain: AuditChain) -> None:
    assert (await chain.verify()).broken is None
    await chain.seal()
    assert (await chain.verify()).broken is None


async def test_many_sealers_at_once(db: Database, chain: AuditChain) -> None:
    """Each row gets one number, and none is left out."""
    await put(db, 60)
    sealed = await asyncio.gather(*(chain.seal() for _ in range(5)))
    assert sum(sealed) == 60
    assert (await chain.verify()).count == 60


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor_name", "somebody"),
        ("outcome", "refused"),
        ("target", "y"),
        ("details", "n=6"),
        ("reason", "."),
        ("address", " "),
        ("action", "logout"),
        ("channel", "web"),
        ("request_id", "1"),
        ("subject_id", None),
        ("actor_id", UUID(int=7)),
        ("hash", b"\0" * 32),
        ("at", timedelta(microseconds=1)),
    ],
    ids=lambda each: str(each)[:12],
)
async def test_one_changed_byte_is_found(
    db: Database, chain: AuditChain, column: str, value: Any
) -> None:
    """Whatever the column; the first broken link is named."""
    await put(db)
    await chain.seal()
    await tamper(db)
    async with db.write() as session:
        if isinstance(value, timedelta):
            query = sa.select(TABLE.c.at).where(TABLE.c.seq == 6)
            value = (await session.scalars(query)).one() + value
        await session.execute(sa.update(TABLE).where(TABLE.c.seq == 6).values({column: value}))
    found = await chain.verify()
    assert (found.broken, found.seq, found.count) == (Break.CHANGED, 6, 5)
    assert "6" in sentence_of(found, "ru")


@pytest.mark.parametrize("seq", [1, 6])
async def test_a_removed_row_is_found(db: Database, chain: AuditChain, seq: int) -> None:
    await put(db)
    await chain.seal()
    await tamper(db, f"DELETE FROM audit_events WHERE seq = {seq}")
    found = await chain.verify()
    assert (found.broken, found.seq, found.count) == (Break.MISSING, seq + 1, seq - 1)


async def test_a_cut_tail_is_found_by_the_signed_end(
    db: Database, chain: AuditChain, anchor: Path
) -> None:
    """Also after new events came, and a running product never signs over it."""
    await put(db)
    await chain.seal()
    await tamper(db, f"DELETE FROM audit_events WHERE seq > {COUNT - 3}")
    found = await chain.verify()
    assert (found.broken, found.count, found.anchored) == (Break.TAIL, COUNT - 3, COUNT)
    before = read(anchor)
    await put(db, 1)
    await chain.seal()
    assert read(anchor) == before
    assert (await chain.verify()).broken is Break.TAIL
    await put(db, 5)
    await chain.seal()
    assert (await chain.verify()).broken is Break.REWRITTEN


async def test_a_chain_made_anew_is_found(db: Database, chain: AuditChain) -> None:
    """Somebody who knows how it is hashed changes a row and all seals behind it."""
    await put(db)
    await chain.seal()
    await tamper(db, "UPDATE audit_events SET target = 'nobody' WHERE seq = 6")
    async with db.write() as session:
        rows = (await session.execute(sa.select(TABLE).order_by(TABLE.c.seq))).all()
        before = rows[4].hash
        for row in rows[5:]:
            before = row_hash(before, row.seq, row)
            await session.execute(sa.update(TABLE).where(TABLE.c.id == row.id).values(hash=before))
    found = await chain.verify()
    assert (found.broken, found.seq) == (Break.REWRITTEN, COUNT)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: {**told, "seq": told["seq"] - 1},
        lambda told: {**told, "signature": "0" * 64},
        lambda told: {"seq": 1},
        lambda told: [],
    ],
)
async def test_a_forged_end_is_not_believed(
    db: Database, chain: AuditChain, anchor: Path, change: Callable[[Any], Any]
) -> None:
    await put(db)
    await chain.seal()
    write(anchor, json.dumps(change(json.loads(read(anchor)))))
    forged = read(anchor)
    await put(db, 1)
    await chain.seal()
    assert read(anchor) == forged
    assert (await chain.verify()).broken is Break.ANCHOR


async def test_another_key_signs_nothing(db: Database, chain: AuditChain, anchor: Path) -> None:
    await put(db)
    await chain.seal()
    assert (await AuditChain(db, anchor, b"o" * 32).verify()).broken is Break.ANCHOR


async def test_a_restored_backup_is_accepted_with_a_reason(db: Database, chain: AuditChain) -> None:
    await put(db)
    await chain.seal()
    await tamper(db, f"DELETE FROM audit_events WHERE seq > {COUNT - 3}")
    with pytest.raises(InvalidInput):
        await chain.accept("command line", " because  ")
    assert (await chain.verify()).broken is Break.TAIL
    await chain.accept("command line", "the backup of Monday was restored")
    found = await chain.verify()
    assert (found.broken, found.count) == (None, COUNT - 2)
    async with db.read() as session:
        last = (await session.execute(sa.select(TABLE).order_by(TABLE.c.seq.desc()))).first()
    assert last is not None
    assert (last.action, last.reason) == ("audit_accept", "the backup of Monday was restored")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET target = 'nobody' WHERE seq = 3",
        "UPDATE audit_events SET seq = NULL WHERE seq = 12",
        "DELETE FROM audit_events WHERE seq = 12",
    ],
)
async def test_the_database_keeps_sealed_rows(
    db: Database, chain: AuditChain, statement: str
) -> None:
    """The product's own account cannot change what is sealed, by whatever mistake of ours."""
    await put(db)
    await chain.seal()
    with pytest.raises(DBAPIError, match="stay as they are"):
        async with db.write() as session:
            await session.execute(sa.text(statement))
    assert (await chain.verify()).broken is None


async def test_progress_is_told(
    db: Database, chain: AuditChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genai_app.services.audit.chain.BATCH", 5)
    await put(db)
    assert await chain.seal() == COUNT
    told: list[tuple[int, int]] = []
    await chain.verify(lambda count, head: told.append((count, head)))
    assert told == [(5, COUNT), (10, COUNT)]
