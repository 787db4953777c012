"""Files: stored once, read in the background, fair between users, gone with their bytes."""

import asyncio
import os
import uuid
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col
from starlette.requests import Request
from starlette.types import Message as HttpMessage

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import (
    BadCursor,
    Conflict,
    FileTooLarge,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    RateLimited,
    Unavailable,
)
from genai_app.models import Attachment, Dialog, JobState, Message, User, new_id
from genai_app.models.database_time import database_now
from genai_app.services.doctor.stored_files import check_stored_files
from genai_app.services.files import uploads as file_uploads
from genai_app.services.files.files import FileUsage
from genai_app.services.files.names import MAX_NAME, shown_name
from genai_app.services.files.rows import attach, attachments_of, shown_state
from genai_app.services.files.store import CONTENT
from genai_app.services.jobs import lease as job_lease
from genai_app.services.jobs import runner as job_runner
from genai_app.settings.settings import Settings
from genai_app.web import uploads as web_uploads
from tests.fakes.app_process import eventually
from tests.unit.exporting import events, person
from tests.unit.filing import SECRET, FileDesk, digest, file_desk

MB = 1024**2


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The background loops go round at once."""
    monkeypatch.setattr(job_runner, "LOOK_S", 0.03)
    monkeypatch.setattr(job_lease, "RENEW_S", 0.03)


@pytest.fixture
async def at(
    db: Database,
    settings: Callable[..., Settings],
    brisk: None,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncGenerator[FileDesk]:
    made = settings(secret_key=SECRET, file_max_mb=1, files_per_user_mb=2, files_free_mb=0)
    async with file_desk(db, made, monkeypatch) as desk:
        yield desk


@pytest.fixture
async def her(db: Database) -> Actor:
    return await person(db, "alice")


@pytest.fixture
async def him(db: Database) -> Actor:
    return await person(db, "bob")


async def ask_with(db: Database, actor: Actor, *rows: Attachment) -> Message:
    """Commits a question with files in a dialog of its own."""
    async with db.write() as session:
        dialog = Dialog(user_id=actor.user_id, title="t")
        session.add(dialog)
        await session.flush()
        message = Message(dialog_id=dialog.id, user_id=actor.user_id, author="user", text="q")
        session.add(message)
        await session.flush()
        await attach(session, actor, message.id, dialog.id, [each.id for each in rows])
    return message


async def test_a_file_is_stored_read_and_shown(at: FileDesk, her: Actor) -> None:
    row = await at.bring(her, "Договор".encode(), "C:\\Документы\\Договор.txt")
    assert (row.name, row.size, row.sha256) == ("Договор.txt", 14, digest("Договор".encode()))
    assert (shown_state(row), row.kind, row.pages, row.tries) == ("ready", "text", 1, 1)
    assert await at.files.contents.text(row) == "Договор"
    content = at.files.contents.path(row)
    assert content.read_bytes() == "Договор".encode()
    assert str(content).endswith(f"files/{her.user_id.hex}/{row.id.hex}/{CONTENT}")
    assert content.stat().st_mode & 0o777 == 0o600
    folders = [content.parent, content.parent.parent, content.parent.parent.parent]
    assert {each.stat().st_mode & 0o777 for each in folders} == {0o700}
    (made,) = await events(at.db, "file_upload")
    assert (made.actor_name, made.target, "size=14" in made.details) == ("alice", str(row.id), True)


async def test_a_file_that_cannot_be_read_says_why(at: FileDesk, her: Actor) -> None:
    row = await at.bring(her, b"refuse")
    assert (shown_state(row), row.error_code) == ("failed", "file_encrypted")
    for call in (at.files.contents.text(row), at.files.ready_attachments(her, [row.id])):
        with pytest.raises(InvalidInput) as caught:
            await call
        assert caught.value.code == "file_encrypted"
    assert [each.name for each in at.on_disk()] == [CONTENT]


async def test_nobody_else_finds_it(at: FileDesk, her: Actor, him: Actor) -> None:
    row = await at.bring(her, b"canary")
    message = await ask_with(at.db, her, row)
    for call in (
        at.files.get(him, row.id),
        at.files.delete(him, row.id),
        at.files.ready_attachments(him, [row.id]),
        at.files.of_dialog(him, message.dialog_id),
        ask_with(at.db, him, row),
    ):
        with pytest.raises(NotFound):
            await call
    assert (await at.files.list(him)).items == []
    assert await at.files.of_messages(him, [message.id]) == {}
    assert (await at.files.usage(him)).files == 0
    assert (await at.row(row)).deleted_at is None


async def test_the_list_goes_on_where_it_ended(at: FileDesk, her: Actor, him: Actor) -> None:
    rows = [(await at.upload(her, f"{n}".encode()))[0] for n in range(3)]
    first = await at.files.list(her, limit=2)
    assert [each.id for each in first.items] == [rows[2].id, rows[1].id]
    second = await at.files.list(her, limit=2, cursor=first.next_cursor)
    assert ([each.id for each in second.items], second.next_cursor) == ([rows[0].id], None)
    with pytest.raises(BadCursor):
        await at.files.list(him, cursor=first.next_cursor)


async def test_equal_contents_are_stored_and_read_once_for_a_user(
    at: FileDesk, her: Actor, him: Actor
) -> None:
    first = await at.bring(her, b"same", "a.txt")
    second = await at.bring(her, b"same", "b.txt")
    third = await at.bring(her, b"same", "c.csv")  # another kind may be read in another way
    his = await at.bring(him, b"same", "a.txt")
    assert at.reader.names == ["a.txt", "c.csv", "a.txt"]
    paths = [at.files.contents.path(each) for each in (first, second, third, his)]
    assert [each.stat().st_nlink for each in paths] == [3, 3, 3, 1]
    assert await at.files.usage(her) == FileUsage(3, 4, 2 * MB)
    await at.files.delete(her, first.id)
    assert await at.files.contents.text(second) == "same"
    assert paths[1].read_bytes() == b"same"
    assert paths[1].stat().st_nlink == 2


async def test_bounds_of_a_file_and_of_a_request(at: FileDesk, her: Actor) -> None:
    whole = await at.upload(her, b"x" * MB)
    assert whole[0].size == MB
    with pytest.raises(FileTooLarge):
        await at.upload(her, b"x" * (MB + 1))
    with pytest.raises(InvalidInput) as empty:
        await at.upload(her, b"x", b"")
    with pytest.raises(InvalidInput) as many:
        await at.upload(her, *[b"%d" % n for n in range(11)])
    assert (empty.value.code, many.value.code) == ("file_empty", "too_many_files")
    assert len(await at.rows()) == 1
    await at.ends(whole[0])
    assert len([each for each in at.on_disk() if each.name == CONTENT]) == 1
    assert [each for each in at.on_disk() if each.parts[0] == "parts"] == []


async def test_two_uploads_at_once_cannot_pass_the_quota(at: FileDesk, her: Actor) -> None:
    """1.2 MB are there; of three times 0.6 MB one alone has room."""
    await at.upload(her, b"a" * (MB * 6 // 10), b"b" * (MB * 6 // 10))
    ended = await asyncio.gather(
        *(at.upload(her, bytes([n]) * (MB * 6 // 10)) for n in range(3)), return_exceptions=True
    )
    refused = [each for each in ended if isinstance(each, Conflict)]
    assert [each.code for each in refused] == ["files_full"] * 2
    assert (await at.files.usage(her)).files == 3
    for row in await at.rows():
        await at.ends(row)
    assert len([each for each in at.on_disk() if each.name == CONTENT]) == 3
    again = await at.upload(her, b"a" * (MB * 6 // 10))  # takes no more room
    assert again[0].state == JobState.DONE
    await at.files.delete(her, again[0].id)


async def test_a_full_user_is_refused_before_a_byte_is_read(at: FileDesk, her: Actor) -> None:
    await at.upload(her, b"a" * MB)
    await at.upload(her, b"b" * MB)
    with pytest.raises(Conflict):
        async with at.files.uploads.receive(her):
            raise AssertionError("not reached")


async def test_uploads_of_one_user_at_once_and_in_a_minute(
    at: FileDesk, her: Actor, him: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_uploads, "MAX_AT_ONCE", 1)
    async with at.files.uploads.receive(her):
        with pytest.raises(RateLimited) as caught:
            await at.upload(her, b"x")
        assert (caught.value.code, caught.value.retry_after_s) == ("too_many_uploads", 5)
        await at.upload(him, b"x")
    await at.upload(her, b"x")
    monkeypatch.setattr(file_uploads, "RATE", type(file_uploads.RATE)(3))
    for _ in range(3):
        await at.upload(her, b"x")
    with pytest.raises(RateLimited):
        await at.upload(her, b"x")


async def test_a_nearly_full_disk_takes_no_file(
    db: Database, settings: Callable[..., Settings], her: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings(secret_key=SECRET, files_free_mb=10_000_000)
    async with file_desk(db, made, monkeypatch, opened=False) as desk:
        with pytest.raises(Unavailable) as caught:
            await desk.upload(her, b"x")
        assert (caught.value.code, desk.on_disk()) == ("files_no_space", [])


async def test_an_account_that_was_disabled_meanwhile_gets_no_file(
    at: FileDesk, her: Actor
) -> None:
    async with at.files.uploads.receive(her) as receiving:
        await receiving.begin("a.txt")
        await receiving.add(b"x")
        async with at.db.write() as session:
            await session.execute(
                sa.update(User).where(col(User.id) == her.user_id).values(disabled_at=clock.now())
            )
        with pytest.raises(NotAuthenticated):
            await receiving.commit()
    assert (await at.rows(), at.on_disk()) == ([], [])


async def test_delete_while_it_is_read(at: FileDesk, her: Actor) -> None:
    at.reader.holds.clear()
    (row,) = await at.upload(her, b"secret")

    async def is_read() -> bool:
        return bool(at.reader.names)

    await eventually(is_read)
    await at.files.delete(her, row.id)

    async def is_gone() -> bool:
        return at.on_disk() == []

    await eventually(is_gone)
    assert await at.rows() == []
    with pytest.raises(NotFound):
        await at.files.get(her, row.id)
    gone = await events(at.db, "file_delete")
    assert [each.target for each in gone] == [str(row.id)]


async def test_a_sent_file_leaves_its_name(at: FileDesk, her: Actor) -> None:
    row = await at.bring(her, b"text", "Отчёт.txt")
    message = await ask_with(at.db, her, row)
    assert (await at.row(row)).dialog_id == message.dialog_id
    assert [each.id for each in await at.files.of_dialog(her, message.dialog_id)] == [row.id]
    await at.files.delete(her, row.id)
    attached = await at.files.of_messages(her, [message.id])
    (left,) = attached[message.id]
    assert (left.name, left.summary, left.deleted_at is None) == ("Отчёт.txt", "{}", False)
    assert at.on_disk() == []
    with pytest.raises(NotFound):
        await at.files.get(her, row.id)
    with pytest.raises(NotFound):
        await at.files.contents.text(left)
    assert (await at.files.usage(her)).bytes == 0


async def test_attachments_keep_their_order_and_come_once(at: FileDesk, her: Actor) -> None:
    a, b = await at.bring(her, b"a"), await at.bring(her, b"b")
    rows = await at.files.ready_attachments(her, [str(b.id), a.id, b.id])
    assert [each.id for each in rows] == [b.id, a.id]
    message = await ask_with(at.db, her, *rows)
    async with at.db.read() as session:
        attached = await attachments_of(session, [message.id])
    assert [each.id for each in attached[message.id]] == [b.id, a.id]
    at.reader.holds.clear()
    (c,) = await at.upload(her, b"c")
    with pytest.raises(Conflict) as caught:
        await at.files.ready_attachments(her, [c.id])
    assert caught.value.code == "file_not_ready"
    with pytest.raises(InvalidInput):
        await at.files.ready_attachments(her, [uuid.uuid4() for _ in range(11)])
    at.reader.holds.set()


async def test_a_storm_of_one_user_lets_others_through(
    at: FileDesk, her: Actor, him: Actor
) -> None:
    """Two are read at a time; hers came first, his is the next."""
    at.reader.holds.clear()
    for _ in range(3):
        await at.upload(her, *[os.urandom(8) for _ in range(10)], name="her.txt")
    await at.upload(him, b"x", name="his.txt")

    async def are_two() -> bool:
        return len(at.reader.names) == 2

    await eventually(are_two)
    await asyncio.sleep(0.2)  # no third begins
    assert at.reader.names == ["her.txt", "her.txt"]
    at.reader.holds.set()

    async def is_read() -> bool:
        return "his.txt" in at.reader.names

    await eventually(is_read)
    assert at.reader.names.index("his.txt") == 2


async def test_a_reading_is_taken_over_and_given_up(at: FileDesk, her: Actor) -> None:
    """Its process was killed; after the third time nobody tries again."""
    await at.files.jobs.close()
    (row,) = await at.upload(her, b"killer")

    async def left_by_a_dead_process(tries: int) -> None:
        async with at.db.write() as session:
            await session.execute(
                sa.update(Attachment)
                .where(col(Attachment.id) == row.id)
                .values(state="running", tries=tries, lease_until=database_now(-1))
            )

    await left_by_a_dead_process(1)
    left = at.files.store.folder((row.user_id, row.id)) / "reading-0123"
    left.mkdir()
    (left / "half").write_bytes(b"half")
    await at.files.jobs.open()
    ended = await at.ends(row)
    assert (shown_state(ended), ended.tries) == ("ready", 2)
    assert not left.exists()
    await left_by_a_dead_process(3)
    at.files.jobs.wake()
    ended = await at.ends(row)
    assert (shown_state(ended), ended.error_code) == ("failed", "file_lost")


async def test_a_sweep_removes_what_a_killed_process_left(at: FileDesk, her: Actor) -> None:
    row = await at.bring(her, b"kept")
    store = at.files.store
    half = store.directory / "parts" / "0123"
    half.write_bytes(b"half an upload")
    orphan = store.content((her.user_id, new_id()))
    orphan.parent.mkdir()
    orphan.write_bytes(b"no row")
    part = store.new_part()  # under way
    part.write(b"more to come")
    assert await at.files.removal.sweep() >= 1
    assert await at.files.removal.remove_orphans() == [
        (her.user_id, uuid.UUID(hex=orphan.parent.name))
    ]
    assert (half.exists(), orphan.parent.exists(), part.path.exists()) == (False, False, True)
    assert await at.files.contents.text(row) == "kept"
    other = (her.user_id, new_id())
    with store.placed(part, other):  # its row comes in a moment
        assert await at.files.removal.remove_orphans() == []
    assert await at.files.removal.remove_orphans() == [other]
    part.close()


async def test_time_ends_files(
    db: Database,
    settings: Callable[..., Settings],
    her: Actor,
    brisk: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unsent one after a day, a sent one with its dialog, each after GENAI_FILE_DAYS."""
    made = settings(secret_key=SECRET, file_days=30, files_free_mb=0)
    async with file_desk(db, made, monkeypatch) as at:
        unsent, sent, old, held = [await at.bring(her, each) for each in (b"1", b"2", b"3", b"4")]
        gone = await ask_with(db, her, sent)
        await ask_with(db, her, old)
        kept = await ask_with(db, her, held)
        await age(db, timedelta(days=2), unsent)
        await age(db, timedelta(days=31), old, held)
        async with db.write() as session:
            await session.execute(sa.delete(Dialog).where(col(Dialog.id) == gone.dialog_id))
            await session.execute(
                sa.update(Dialog)
                .where(col(Dialog.id) == kept.dialog_id)
                .values(held_at=clock.now())
            )
        assert await at.files.removal.count_expired() == 3
        removed = await at.files.removal.remove_expired()
        assert (removed.files, removed.bytes) == (3, 3)
        assert [each.id for each in await at.rows()] == [old.id, held.id]
        assert {each.parts[1] for each in at.on_disk()} == {held.id.hex}
        assert (await at.row(old)).wiped_at is not None
        assert (await at.files.removal.remove_expired()).files == 0


async def age(db: Database, by: timedelta, *rows: Attachment) -> None:
    async with db.write() as session:
        await session.execute(
            sa.update(Attachment)
            .where(col(Attachment.id).in_([each.id for each in rows]))
            .values(created_at=clock.now() - by)
        )


async def test_a_hold_keeps_a_deleted_file(at: FileDesk, her: Actor) -> None:
    row = await at.bring(her, b"evidence")
    message = await ask_with(at.db, her, row)
    await hold(at.db, message, on=True)
    await at.files.delete(her, row.id)
    assert at.files.contents.path(row).read_bytes() == b"evidence"
    with pytest.raises(NotFound):
        await at.files.get(her, row.id)
    assert (await at.files.removal.remove_expired()).files == 0
    await hold(at.db, message, on=False)
    assert (await at.files.removal.remove_expired()).files == 1
    assert at.on_disk() == []


async def hold(db: Database, message: Message, *, on: bool) -> None:
    async with db.write() as session:
        await session.execute(
            sa.update(Dialog)
            .where(col(Dialog.id) == message.dialog_id)
            .values(held_at=clock.now() if on else None)
        )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\a\\b.docx", "b.docx"),
        ("отчёт\u202exslx.exe", "отчёт xslx.exe"),
        ("a\x00b\r\nc\x07.txt", "a\ufffdb c .txt"),
        ("", "file"),
        ("/", "file"),
        (" . ", "."),
        ("a" * 400 + ".pdf", "a" * 295 + "….pdf"),
        ("\ud83d.txt", "\ufffd.txt"),
    ],
)
def test_names_are_for_showing(name: str, shown: str) -> None:
    assert shown_name(name) == shown
    assert len(shown_name(name)) <= MAX_NAME


async def test_the_doctor_misses_bytes_and_finds_those_of_nobody(
    at: FileDesk, her: Actor, settings: Callable[..., Settings], database_url: str
) -> None:
    made = settings(secret_key=SECRET, database_url=database_url, files_free_mb=0)
    row = await at.bring(her, b"x")
    assert [each.outcome for each in await check_stored_files(made)] == ["ok"]
    lost = at.files.contents.path(row)
    orphan = lost.parent.with_name(new_id().hex)
    orphan.mkdir()
    lost.rename(orphan / CONTENT)
    causes = [each.cause for each in await check_stored_files(made)]
    assert causes == ["files_missing", "files_orphaned"]
    full = made.model_copy(update={"files_free_mb": 10_000_000})
    assert "files_no_space" in [each.cause for each in await check_stored_files(full)]


async def test_a_client_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_uploads, "IDLE_S", 0.05)
    chunks = iter([b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf'])

    async def receive() -> HttpMessage:
        for body in chunks:
            return {"type": "http.request", "body": body, "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError("not reached")

    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    scope = {"type": "http", "method": "POST", "path": "/files", "headers": headers}
    pieces: list[web_uploads.Piece] = []
    with pytest.raises(InvalidInput) as caught:
        pieces += [each async for each in web_uploads.form_files(Request(scope, receive))]
    assert caught.value.code == "no_file"
