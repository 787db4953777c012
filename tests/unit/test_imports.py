"""Imports as jobs: what becomes of the dialogs, whose they are, and that nothing comes twice."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import Conflict, NotFound, StorageUnavailable
from genai_app.models import BackgroundJob, Dialog, JobState, Message, Review, Role
from genai_app.models.columns import id_at, new_id
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.history import History
from genai_app.services.dialogs.search import Search
from genai_app.services.imports import jobs as import_jobs
from genai_app.services.jobs import lease as job_lease
from genai_app.services.jobs import runner as job_runner
from genai_app.services.limits.message_count import count_messages
from genai_app.services.statistics.usage import UsageCounter, hour_of
from genai_app.settings.notations import kept_days, parse_limit
from genai_app.settings.settings import Settings
from tests.fakes.app_process import eventually
from tests.unit.exporting import events, person
from tests.unit.importing import (
    AT,
    ImportDesk,
    as_json,
    as_zip,
    chatgpt,
    import_desk,
    node,
    open_webui,
    plain,
    said,
    wrote,
)

SECRET = "0123456789abcdef0123456789ABCDEF"
THEN = datetime.fromtimestamp(AT, UTC)


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The background loops go round at once."""
    monkeypatch.setattr(job_runner, "LOOK_S", 0.03)
    monkeypatch.setattr(job_lease, "RENEW_S", 0.03)
    monkeypatch.setattr(import_jobs, "RETRY_S", 0.03)


@pytest.fixture
async def at(
    db: Database, settings: Callable[..., Settings], brisk: None
) -> AsyncGenerator[ImportDesk]:
    made = import_desk(db, settings(secret_key=SECRET))
    await made.imports.jobs.open()
    yield made
    await made.imports.jobs.close()


@pytest.fixture
async def alice(db: Database) -> Actor:
    return await person(db, "alice", department="Legal")


@pytest.fixture
async def bob(db: Database) -> Actor:
    return await person(db, "bob")


BRANCHED = chatgpt(
    node("q", None, said("user", "Сколько дней отпуска?", AT)),
    node("a", "q", said("assistant", "Не знаю", AT + 5)),
    node("b", "q", said("assistant", "28", AT + 9)),
    node("c", "b", said("user", "Точно?", AT + 20)),
    current="c",
    key="branched",
    is_archived=True,
)


async def test_a_dialog_comes_as_it_was(at: ImportDesk, alice: Actor) -> None:
    """Branches, moments and the order of ids are those of then; the page shows the branch that was
    shown there."""
    row, counts = await at.bring(alice, as_zip(conversations_json=as_json(BRANCHED)))
    assert (row.state, row.error_code, row.done) == ("done", "", row.total)
    assert (counts.imported, counts.messages, counts.seen) == (1, 4, 1)
    (dialog,) = await at.dialogs(alice)
    assert (dialog.title, dialog.created_at) == ("Отпуск", THEN)
    assert dialog.updated_at == THEN + timedelta(seconds=20)
    assert dialog.archived_at is not None
    question, first, second, again = await at.messages(dialog)
    assert [each.text for each in (question, first, second, again)] == [
        *("Сколько дней отпуска?", "Не знаю", "28", "Точно?")
    ]
    assert (first.parent_id, second.parent_id, again.parent_id) == (
        *(question.id, question.id),
        second.id,
    )
    assert [each.depth for each in (question, first, second, again)] == [0, 1, 1, 2]
    assert (first.source, first.channel, first.model) == (None, "import", "gpt-4o")
    assert first.created_at == THEN + timedelta(seconds=5)
    assert dialog.leaf_id == again.id
    assert list(at.directory.iterdir()) == []
    branch = await History(at.db, Cursors(b"x" * 32)).get_branch(alice, dialog.id)
    assert [each.text for each in branch.messages] == ["Сколько дней отпуска?", "28", "Точно?"]
    assert branch.siblings == {second.id: (first.id, second.id)}
    (event,) = await events(at.db, "import")
    assert (event.actor_name, event.target) == ("alice", "mine")


async def test_notes_stand_for_what_does_not_come(at: ImportDesk, alice: Actor) -> None:
    files = [{"type": "file", "name": "Смета.xlsx"}, {"type": "image", "url": "data:x"}]
    dialog = open_webui(
        wrote("q", None, "user", "Сколько?", files=files),
        wrote("a", "q", "assistant", '<details type="reasoning">\nсчитаю\n</details>\nСто'),
    )
    _, counts = await at.bring(alice, as_json(dialog))
    assert counts.imported == 1
    question, answer = await at.messages((await at.dialogs(alice))[0])
    assert question.text == "Сколько?\n\n[Файл: Смета.xlsx]\n\n[Изображение]"
    assert (answer.text, answer.reasoning) == ("Сто", "считаю")


async def test_nothing_comes_twice(at: ImportDesk, alice: Actor, bob: Actor) -> None:
    """Not within a file, not from another file, and each user has a copy of one's own."""
    _, counts = await at.bring(alice, as_json(plain(1), plain(2), plain(1), {"x": 1}))
    assert (counts.imported, counts.repeated, counts.unread, counts.seen) == (2, 1, 1, 4)
    _, counts = await at.bring(alice, as_zip(conversations_json=as_json(plain(2), plain(3))))
    assert (counts.imported, counts.repeated) == (1, 1)
    _, counts = await at.bring(bob, as_json(plain(1)))
    assert counts.imported == 1
    assert len(await at.dialogs(alice)) == 3
    first = (await at.dialogs(alice))[0]
    async with at.db.write() as session:
        await session.execute(
            sa.update(Dialog).where(col(Dialog.id) == first.id).values(deleted_at=clock.now())
        )
    _, counts = await at.bring(alice, as_json(plain(1), plain(2)))
    assert (counts.imported, counts.repeated, counts.deleted) == (0, 1, 1)


async def test_they_cost_nothing_and_are_found(at: ImportDesk, alice: Actor) -> None:
    """No unit, no figure, not the newest; the search and reviewers find them."""
    now = clock.now().timestamp()
    fresh = chatgpt(
        node("q", None, said("user", "Где канарейка?", now - 5)),
        node("a", "q", said("assistant", "В клетке", now - 4)),
        key="fresh",
    )
    newest = new_id()
    _, counts = await at.bring(alice, as_json(fresh))
    assert counts.imported == 1
    (dialog,) = await at.dialogs(alice)
    assert all(each.id < newest for each in await at.messages(dialog))
    async with at.db.read() as session:
        assert await count_messages(session, alice, parse_limit("9 per hour")) == 0
        review = await session.get_one(Review, dialog.id)
    assert (review.channel, review.source, review.model) == ("import", "", "gpt-4o")
    usage = UsageCounter(at.db)
    assert await usage.first_open() is None
    hour = await usage.count(hour_of(clock.now() - timedelta(seconds=4)))
    assert (hour.sums, hour.people) == ({}, {})
    page = await Search(at.db, Cursors(b"x" * 32)).find(alice, "канарейки")
    assert [each.dialog.id for each in page.items] == [dialog.id]


async def test_moments_of_no_use(at: ImportDesk, alice: Actor) -> None:
    """The future would push away the next questions; the order is that of the file."""
    dialog = chatgpt(
        node("q", None, said("user", "q", 1e12)),
        node("a", "q", said("assistant", "a", None)),
        node("b", "q", said("assistant", "b", -5e9)),
        create_time=None,
        update_time="x",
    )
    _, counts = await at.bring(alice, as_json(dialog))
    assert counts.imported == 1
    (row,) = await at.dialogs(alice)
    messages = await at.messages(row)
    assert [each.text for each in messages] == ["q", "a", "b"]
    assert max(each.created_at for each in messages) <= clock.now()
    assert messages[-1].id < new_id()


def test_ids_of_the_past() -> None:
    """They sort by their moments, and behind what they must follow."""
    early, late = id_at(THEN), id_at(THEN + timedelta(microseconds=1))
    assert early < late < new_id()
    assert early < id_at(THEN, after=early)
    assert id_at(THEN, after=late) > late
    assert {each.version for each in (early, late)} == {7}


async def test_what_retention_would_remove_does_not_come(
    db: Database, settings: Callable[..., Settings], brisk: None, alice: Actor
) -> None:
    at = import_desk(db, settings(secret_key=SECRET, retention_days=30))
    await at.imports.jobs.open()
    try:
        recent = chatgpt(
            node("q", None, said("user", "q", clock.now().timestamp() - 86400)), key="recent"
        )
        _, counts = await at.bring(alice, as_json(plain(1), recent))
        assert (counts.imported, counts.expired, counts.seen) == (1, 1, 2)
    finally:
        await at.imports.jobs.close()


def test_the_first_rule_of_retention_that_fits() -> None:
    rules = {"reviewer": 365, "department:Legal": 0}
    assert kept_days(rules, 30, "Legal", Role.REVIEWER) == 0
    assert kept_days(rules, 30, "", Role.REVIEWER) == 365
    assert kept_days(rules, 30, "Sales", Role.USER) == 30


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "import_unknown"),
        (b"not json", "import_unknown"),
        (b'[{"a": 1}]', "import_unknown"),
        (b"PK\x03\x04broken", "import_damaged"),
        (as_json(plain(1))[:-30], "import_damaged"),
    ],
)
async def test_files_of_which_nothing_comes(
    at: ImportDesk, alice: Actor, content: bytes, code: str
) -> None:
    row, counts = await at.bring(alice, content)
    assert (row.state, row.error_code, counts.imported) == ("failed", code, 0)
    assert list(at.directory.iterdir()) == []


async def test_the_rest_of_a_broken_file_is_told(at: ImportDesk, alice: Actor) -> None:
    row, counts = await at.bring(alice, as_json(plain(1), plain(2))[:-30])
    assert (row.state, counts.imported, counts.stopped) == ("done", 1, "damaged")


async def test_one_at_a_time(at: ImportDesk, alice: Actor, bob: Actor) -> None:
    await at.imports.jobs.close()
    row = await at.start(alice, as_json(plain(1)))
    assert (await at.imports.get(alice, row.id)).state == "queued"
    with pytest.raises(Conflict, match="import_running"):
        await at.start(alice, b"[]")
    async with at.imports.upload(bob):
        with pytest.raises(Conflict, match="import_running"):
            await at.start(bob, b"[]")
    assert len(list(at.directory.iterdir())) == 1
    assert (at.directory / row.file_name).stat().st_mode & 0o777 == 0o600
    assert at.directory.stat().st_mode & 0o777 == 0o700
    await at.imports.cancel(alice, row.id)
    assert list(at.directory.iterdir()) == []


async def test_what_is_somebody_elses_is_not_found(
    at: ImportDesk, alice: Actor, bob: Actor
) -> None:
    row, _ = await at.bring(alice, as_json(plain(1)))
    for key in (row.id, str(row.id), uuid.uuid4(), "../x", "", None):
        for call in (at.imports.get, at.imports.cancel, at.imports.remove):
            with pytest.raises(NotFound):
                await call(bob, key)
    assert await at.imports.list(bob) == []
    await at.imports.remove(alice, row.id)
    assert await at.imports.list(alice) == []
    assert len(await at.dialogs(alice)) == 1


MANY = [plain(number) for number in range(230)]


@pytest.fixture
def slow_batches(monkeypatch: pytest.MonkeyPatch) -> asyncio.Semaphore:
    """Lets so many batches through as it is released for."""
    turns = asyncio.Semaphore(0)
    write = import_jobs.ImportWriter._write

    async def wait_and_write(self: import_jobs.ImportWriter) -> object:
        await turns.acquire()
        return await write(self)

    monkeypatch.setattr(import_jobs.ImportWriter, "_write", wait_and_write)
    return turns


async def come(at: ImportDesk, actor: Actor, count: int) -> None:
    async def there() -> bool:
        return len(await at.dialogs(actor)) == count

    await eventually(there)


async def test_the_next_process_goes_on(
    at: ImportDesk, alice: Actor, slow_batches: asyncio.Semaphore
) -> None:
    """An orderly end and a lost lease: every dialog comes once, and is counted once."""
    row = await at.start(alice, as_json(*MANY))
    slow_batches.release()
    await come(at, alice, 50)
    await at.imports.jobs.close()
    kept = await at.imports.get(alice, row.id)
    assert (kept.state, kept.tries) == ("queued", 0)
    await at.imports.jobs.open()
    slow_batches.release()
    await come(at, alice, 100)
    async with at.db.write() as session:  # as if another process had found it expired
        await session.execute(
            sa.update(BackgroundJob).values(
                state=JobState.QUEUED, lease_until=clock.now() - timedelta(seconds=9)
            )
        )
    for _ in range(9):
        slow_batches.release()
    ended, counts = await at.ends(alice, row)
    assert ended.state == "done"
    assert (counts.imported, counts.repeated, counts.seen) == (230, 0, 230)
    assert len(await at.dialogs(alice)) == 230


async def test_a_cancel_keeps_what_has_come(
    at: ImportDesk, alice: Actor, slow_batches: asyncio.Semaphore
) -> None:
    row = await at.start(alice, as_json(*MANY))
    slow_batches.release()
    await come(at, alice, 50)
    assert await at.imports.cancel(alice, row.id)
    ended, counts = await at.ends(alice, row)
    assert (ended.state, counts.imported) == ("cancelled", 50)
    assert not await at.imports.cancel(alice, row.id)
    assert list(at.directory.iterdir()) == []
    await at.imports.jobs.close()
    assert len(await at.dialogs(alice)) == 50


async def test_a_database_that_is_away_is_waited_for(
    at: ImportDesk, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, refused = import_jobs.ImportWriter._write, 0

    async def write_at_third(self: import_jobs.ImportWriter) -> object:
        nonlocal refused
        refused += 1
        if refused < 3:
            raise StorageUnavailable
        return await write(self)

    monkeypatch.setattr(import_jobs.ImportWriter, "_write", write_at_third)
    row, counts = await at.bring(alice, as_json(plain(1)))
    assert (row.state, counts.imported, refused) == ("done", 1, 3)


async def test_a_file_that_is_nowhere(at: ImportDesk, alice: Actor) -> None:
    """Of a host that is gone: after a day it is told."""
    await at.imports.jobs.close()
    row = await at.start(alice, as_json(plain(1)))
    at.imports.jobs.files.remove(row.file_name)
    await at.imports.jobs.open()
    work = at.imports.jobs._work
    await work.sweep()
    assert (await at.imports.get(alice, row.id)).state == "queued"
    async with at.db.write() as session:
        await session.execute(
            sa.update(BackgroundJob).values(created_at=clock.now() - timedelta(days=2))
        )
    await work.sweep()
    ended = await at.imports.get(alice, row.id)
    assert (ended.state, ended.error_code) == ("failed", "import_lost")


async def test_lost_uploads_are_swept(
    at: ImportDesk, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that still grows is left alone."""
    await at.imports.jobs.close()
    row = await at.start(alice, as_json(plain(1)))
    files = at.imports.jobs.files
    part = files.new_part()
    assert await files.sweep() == 0
    monkeypatch.setattr("genai_app.services.imports.files.UNNAMED_S", -1)
    assert await files.sweep() == 1
    assert not part.exists()
    assert [each.name for each in at.directory.iterdir()] == [row.file_name]


async def test_all_messages_have_rows_of_their_own(at: ImportDesk, alice: Actor) -> None:
    """More messages than one statement inserts; each stands behind its parent."""
    texts = [f"m{number}" for number in range(1201)]
    _, counts = await at.bring(alice, as_json(plain(1, *texts)))
    assert (counts.imported, counts.messages) == (1, 1201)
    async with at.db.read() as session:
        rows = (await session.scalars(sa.select(Message).order_by(col(Message.id)))).all()
    assert [each.text for each in rows] == texts
    assert [each.depth for each in rows] == list(range(1201))
