"""Exports as jobs: whose they are, what they hold, and what becomes of them."""

import asyncio
import csv
import io
import json
import uuid
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta

import pypdf
import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import AppError, Conflict, Forbidden, InvalidInput, NotFound
from genai_app.models import (
    Dialog,
    Export,
    Folder,
    JobState,
    Message,
    MessageVerdict,
    Role,
    Source,
    User,
    VerifiedAnswer,
)
from genai_app.services.exports import exports
from genai_app.services.exports import pdf_file as export_pdf
from genai_app.services.exports import writer as export_run
from genai_app.services.exports.choice import ExportChoice, Format, choose, day_begins
from genai_app.services.jobs import lease as job_lease
from genai_app.services.jobs import runner as job_runner
from genai_app.services.review.pseudonyms import pseudonym
from genai_app.settings.settings import Settings
from tests.fakes.app_process import eventually
from tests.unit.exporting import (
    BEGAN,
    Desk,
    demoted,
    desk,
    events,
    lines_of,
    person,
    put_talk,
)


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The background loops go round at once."""
    monkeypatch.setattr(job_runner, "LOOK_S", 0.03)
    monkeypatch.setattr(job_lease, "RENEW_S", 0.03)


@pytest.fixture
async def at(db: Database, settings: Callable[..., Settings], brisk: None) -> AsyncGenerator[Desk]:
    made = desk(db, settings(secret_key="0123456789abcdef0123456789ABCDEF"))
    await made.exports.jobs.open()
    yield made
    await made.exports.jobs.close()


@pytest.fixture
async def alice(db: Database) -> Actor:
    return await person(db, "alice", department="Legal")


@pytest.fixture
async def bob(db: Database) -> Actor:
    return await person(db, "bob", department="Sales")


@pytest.fixture
async def rita(db: Database) -> Actor:
    return await person(db, "rita", Role.REVIEWER)


@pytest.mark.parametrize("format_", ["md", "pdf", "json"])
async def test_a_dialog_of_ones_own(at: Desk, alice: Actor, format_: str) -> None:
    dialog = await put_talk(at.db, alice, "Сколько дней?", "**28** дней", title="Отпуск / 2026")
    await put_talk(at.db, alice, "другое", "canary-other")
    row = await at.made(alice, "dialog", format_, dialog_id=str(dialog))
    assert (row.state, row.error_code, row.done, row.total) == ("done", "", 2, 2)
    file = await at.exports.open_file(alice, row.id)
    assert file.title == "Отпуск / 2026"
    assert file.size == file.path.stat().st_size == row.size > 0
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert at.directory.stat().st_mode & 0o777 == 0o700
    if format_ == "pdf":
        text = pypdf.PdfReader(file.path).pages[0].extract_text()
        assert "28 дней" in text
    else:
        text = file.path.read_text()
        assert "**28** дней" in text
    assert "Сколько дней?" in text
    assert "canary-other" not in text


async def test_what_is_read_is_the_branch_and_data_is_all(at: Desk, alice: Actor) -> None:
    dialog = await put_talk(at.db, alice, "вопрос", "первый", "дальше", "второй")
    async with at.db.write() as session:
        rows = await session.scalars(
            sa.select(Message).where(col(Message.dialog_id) == dialog).order_by(col(Message.id))
        )
        question, _, *_ = rows.all()
        other = Message(
            dialog_id=dialog,
            user_id=alice.user_id,
            parent_id=question.id,
            depth=1,
            author="assistant",
            text="иначе",
        )
        session.add(other)
        await session.execute(
            sa.update(Dialog).where(col(Dialog.id) == dialog).values(leaf_id=other.id)
        )
    read = await at.made(alice, "dialog", "md", dialog_id=str(dialog))
    text = await at.text_of(alice, read)
    assert "иначе" in text
    assert "второй" not in text
    assert read.total == 2
    data = await at.made(alice, "dialog", "json", dialog_id=str(dialog))
    told = json.loads(await at.text_of(alice, data))
    assert {each["text"] for each in told["messages"]} == {
        *("вопрос", "первый", "дальше", "второй", "иначе")
    }
    assert told["id"] == str(dialog)


async def test_all_of_ones_own(at: Desk, alice: Actor, bob: Actor) -> None:
    for n in range(230):  # more than two pages of dialogs
        await put_talk(at.db, alice, f"q{n}", f"a{n}", title=f"t{n}")
    await put_talk(at.db, bob, "canary-bob", "canary-bob")
    gone = await put_talk(at.db, alice, "canary-gone", "x")
    async with at.db.write() as session:
        await session.execute(
            sa.update(Dialog).where(col(Dialog.id) == gone).values(deleted_at=clock.now())
        )
    row = await at.made(alice, "mine", "json")
    assert (row.done, row.total) == (460, 460)
    text = await at.text_of(alice, row)
    told = json.loads(text)
    assert told["user"] == "alice"
    assert [each["title"] for each in told["dialogs"]] == [f"t{n}" for n in range(230)]
    assert "canary" not in text
    assert "verdict" not in text


@pytest.mark.parametrize("kind", ["mine", "dialog"])
async def test_the_places_in_ones_own_list(at: Desk, alice: Actor, bob: Actor, kind: str) -> None:
    """Folder, pin and archive; not the name of a folder that is gone, or somebody else's."""
    folder, others = (
        Folder(user_id=alice.user_id, name="Кадры"),
        Folder(user_id=bob.user_id, name="canary-bob"),
    )
    moment = clock.now()
    places = (
        {"folder_id": folder.id, "pinned_at": moment},
        {"archived_at": moment},
        {"folder_id": uuid.uuid4()},
        {"folder_id": others.id},
    )
    dialogs = [await put_talk(at.db, alice, "q", "a") for _ in places]
    async with at.db.write() as session:
        session.add_all([folder, others])
        for dialog, values in zip(dialogs, places, strict=True):
            await session.execute(
                sa.update(Dialog).where(col(Dialog.id) == dialog).values(**values)
            )
    if kind == "mine":
        exported = json.loads(await at.text_of(alice, await at.made(alice, "mine", "json")))
        records = exported["dialogs"]
    else:
        rows = [await at.made(alice, "dialog", "json", dialog_id=str(each)) for each in dialogs]
        records = [json.loads(await at.text_of(alice, row)) for row in rows]
    at_text = moment.isoformat()
    names = ("folder", "pinned_at", "archived_at")
    assert [tuple(each[name] for name in names) for each in records] == [
        ("Кадры", at_text, None),
        (None, None, at_text),
        (None, None, None),
        (None, None, None),
    ]


async def test_what_reviewers_say_is_not_for_the_user(at: Desk, alice: Actor, rita: Actor) -> None:
    dialog = await put_talk(at.db, alice, "q", "a")
    async with at.db.write() as session:
        answer = await session.scalar(
            sa.select(col(Message.id)).where(col(Message.author) == "assistant")
        )
        assert answer is not None
        session.add(
            MessageVerdict(
                message_id=answer,
                dialog_id=dialog,
                verdict="unsafe",
                reviewer_id=rita.user_id,
                reviewer_name="rita",
            )
        )
    own = await at.made(alice, "dialog", "json", dialog_id=str(dialog))
    assert "unsafe" not in await at.text_of(alice, own)
    review = await at.made(rita, "dialogs", "jsonl")
    told = lines_of(await at.text_of(rita, review))
    assert [each["verdict"] for each in told] == ["", "unsafe"]


@pytest.fixture
async def talks(db: Database, alice: Actor, bob: Actor) -> None:
    await put_talk(db, alice, "q-alice-0", "a", days=0)
    await put_talk(db, alice, "q-alice-1", "a", days=1, model="m-2", source=Source.CACHE)
    await put_talk(db, bob, "q-bob-2", "a", days=2)


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({}, {"q-alice-0", "q-alice-1", "q-bob-2"}),
        ({"user": " ALICE "}, {"q-alice-0", "q-alice-1"}),
        ({"department": "Sales"}, {"q-bob-2"}),
        ({"model": "m-2"}, {"q-alice-1"}),
        ({"source": "cache"}, {"q-alice-1"}),
        ({"since": "2026-11-03"}, {"q-alice-1", "q-bob-2"}),
        ({"until": "2026-11-03"}, {"q-alice-0", "q-alice-1"}),
        ({"since": "2026-11-03", "until": "2026-11-03", "user": "alice"}, {"q-alice-1"}),
        ({"state": "closed"}, set()),
        ({"department": "' OR 1=1 --"}, set()),
    ],
)
async def test_filters(
    at: Desk, rita: Actor, talks: None, chosen: dict[str, object], found: set[str]
) -> None:
    row = await at.made(rita, "dialogs", "jsonl", **chosen)
    told = lines_of(await at.text_of(rita, row))
    assert {each["text"] for each in told if each["role"] == "user"} == found
    assert (row.done, row.total) == (2 * len(found),) * 2


@pytest.mark.parametrize("format_", ["csv", "xlsx", "pdf", "jsonl"])
async def test_every_format_of_everybody(at: Desk, rita: Actor, talks: None, format_: str) -> None:
    row = await at.made(rita, "dialogs", format_)
    assert (row.state, row.done) == ("done", 6)
    assert row.size > 300
    file = await at.exports.open_file(rita, row.id)
    if format_ == "csv":
        text = file.path.read_bytes().decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text), delimiter=";"))
        assert [(each["user"], each["department"]) for each in rows[-2:]] == [("bob", "Sales")] * 2
    if format_ == "pdf":
        pages = [page.extract_text() for page in pypdf.PdfReader(file.path).pages]
        assert len(pages) == 3
        assert "Bob · Sales" in pages[2]


async def test_deleted_dialogs_are_there_for_review(at: Desk, rita: Actor, alice: Actor) -> None:
    dialog = await put_talk(at.db, alice, "q", "a")
    async with at.db.write() as session:
        await session.execute(
            sa.update(Dialog).where(col(Dialog.id) == dialog).values(deleted_at=BEGAN)
        )
    told = lines_of(await at.text_of(rita, await at.made(rita, "dialogs", "jsonl")))
    assert told[0]["deleted_at"] == BEGAN.isoformat()


@pytest.mark.parametrize("format_", ["jsonl", "csv", "xlsx"])
async def test_verified_pairs(at: Desk, rita: Actor, format_: str) -> None:
    async with at.db.write() as session:
        for n in range(3):
            session.add(
                VerifiedAnswer(
                    question_hash=bytes([n]) * 32,
                    question=f"вопрос {n}",
                    answer="ответ",
                    owner_id=rita.user_id,
                    owner_name="rita",
                    review_by=BEGAN,
                    retired_at=BEGAN if n == 2 else None,
                )
            )
    row = await at.made(rita, "verified", format_)
    assert (row.state, row.done, row.total) == ("done", 2, 2)
    if format_ == "jsonl":
        told = lines_of(await at.text_of(rita, row))
        assert [each["question"] for each in told] == ["вопрос 0", "вопрос 1"]
        assert told[0]["owner"] == "rita"


async def test_nothing_to_export(at: Desk, rita: Actor, alice: Actor) -> None:
    for kind, formats in (("dialogs", ("csv", "xlsx", "pdf", "jsonl")), ("verified", ("jsonl",))):
        for format_ in formats:
            row = await at.made(rita, kind, format_)
            assert (row.state, row.total) == ("done", 0), format_
    assert (
        json.loads(await at.text_of(alice, await at.made(alice, "mine", "json")))["dialogs"] == []
    )


async def test_pseudonyms(
    db: Database, settings: Callable[..., Settings], brisk: None, rita: Actor, bob: Actor
) -> None:
    """A stable name in place of the real one, and no way to ask for one by name."""
    made = settings(secret_key="0123456789abcdef0123456789ABCDEF", review_mode="pseudonymous")
    at = desk(db, made)
    await put_talk(db, bob, "q", "a")
    await put_talk(db, bob, "q", "a")
    await at.exports.jobs.open()
    try:
        for format_ in ("jsonl", "csv"):
            text = await at.text_of(rita, await at.made(rita, "dialogs", format_))
            assert "bob" not in text.lower()
            assert text.count(pseudonym(made.secret, bob.user_id)) == 4
        row = await at.made(rita, "dialogs", "pdf")
        file = await at.exports.open_file(rita, row.id)
        pages = "".join(page.extract_text() for page in pypdf.PdfReader(file.path).pages)
        assert "bob" not in pages.lower()
        assert pseudonym(made.secret, bob.user_id) in pages
        with pytest.raises(Forbidden, match="names_hidden"):
            await at.exports.start(rita, "dialogs", "csv", {"user": "bob"})
    finally:
        await at.exports.jobs.close()


async def test_review_off(
    db: Database, settings: Callable[..., Settings], rita: Actor, alice: Actor, at: Desk
) -> None:
    """Not even a file that was made before is given out."""
    before = await at.made(rita, "dialogs", "csv")
    off = desk(db, settings(secret_key="0123456789abcdef0123456789ABCDEF", review_mode="off"))
    with pytest.raises(Forbidden, match="review_off"):
        await off.exports.start(rita, "dialogs", "csv")
    with pytest.raises(NotFound):
        await off.exports.open_file(rita, before.id)
    await off.exports.start(rita, "verified", "jsonl")
    await off.exports.start(alice, "mine", "json")


@pytest.mark.parametrize("kind", ["dialogs", "verified"])
async def test_a_user_exports_nothing_of_others(at: Desk, alice: Actor, kind: str) -> None:
    """Refused, and audited once a minute."""
    for _ in range(3):
        with pytest.raises(Forbidden):
            await at.exports.start(alice, kind, "csv")
    (refused,) = await events(at.db, "access")
    assert (refused.outcome, refused.actor_name, refused.target) == (
        *("refused", "alice"),
        f"export {kind}",
    )
    assert await at.exports.list(alice) == []


async def test_what_is_somebody_elses_is_not_found(
    at: Desk, alice: Actor, bob: Actor, rita: Actor
) -> None:
    """Another user, a reviewer, a guess and no id at all: the same answer."""
    dialog = await put_talk(at.db, alice, "q", "a")
    row = await at.made(alice, "dialog", "md", dialog_id=str(dialog))
    for actor in (bob, rita):
        for key in (row.id, str(row.id), uuid.uuid4(), "../x", "", None):
            for call in (at.exports.get, at.exports.open_file, at.exports.remove):
                with pytest.raises(NotFound) as caught:
                    await call(actor, key)
                assert caught.value.code == "not_found"
        assert await at.exports.list(actor) == []
        with pytest.raises(NotFound):
            await at.exports.start(actor, "dialog", "md", {"dialog_id": str(dialog)})
    assert (await at.exports.get(alice, row.id)).state == "done"


async def test_a_role_that_is_gone_gets_no_file(at: Desk, rita: Actor, talks: None) -> None:
    row = await at.made(rita, "dialogs", "csv")
    with pytest.raises(NotFound):
        await at.exports.open_file(demoted(rita), row.id)


async def test_the_audit(at: Desk, rita: Actor, alice: Actor, talks: None) -> None:
    """Who, what, whose; the order before anything is made, the download before a byte."""
    await at.exports.jobs.close()  # so that nothing can be read
    row = await at.exports.start(rita, "dialogs", "csv", {"user": "alice", "since": "2026-11-01"})
    (begun,) = await events(at.db, "export")
    assert (begun.actor_name, begun.target, begun.subject_id) == ("rita", "alice", alice.user_id)
    assert begun.details == "kind=dialogs format=csv since=2026-11-01"
    await at.exports.jobs.open()
    await at.ends(rita, row.id)
    for _ in range(2):
        await at.exports.open_file(rita, row.id)
    told = await events(at.db, "export_download")
    assert [(each.target, each.subject_id) for each in told] == [("alice", alice.user_id)] * 2
    everybody = await at.exports.start(rita, "dialogs", "csv")
    assert everybody.owner_id == rita.user_id
    assert [(e.target, e.subject_id) for e in await events(at.db, "export")][1:] == [
        ("everybody", None)
    ]
    own = await at.made(alice, "mine", "json")
    assert own.state == "done"
    last = (await events(at.db, "export"))[-1]
    assert (last.actor_name, last.target, last.subject_id) == ("alice", "mine", None)
    assert "q-alice" not in "".join(e.details + e.target for e in await events(at.db, "export"))


@pytest.mark.parametrize(
    ("kind", "format_", "chosen"),
    [
        ("dialogs", "json", {}),
        ("dialogs", "exe", {}),
        ("mine", "csv", {}),
        ("everything", "csv", {}),
        (None, None, {}),
        ("dialogs", "csv", {"since": "yesterday"}),
        ("dialogs", "csv", {"until": "2026-02-30"}),
        ("dialogs", "csv", {"state": "done"}),
        ("dialogs", "csv", {"source": "me"}),
        ("dialogs", "csv", {"title": "x"}),
        ("dialogs", "csv", {"user_ids": ["x"]}),
        ("dialogs", "csv", {"model": 5}),
        ("dialogs", "csv", {"model": "x" * 1000}),
        ("verified", "jsonl", {"user": "alice"}),
    ],
)
async def test_what_is_no_export(kind: object, format_: object, chosen: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="bad_export"):
        choose(kind, format_, chosen)


async def test_unknown_names(at: Desk, rita: Actor) -> None:
    with pytest.raises(NotFound, match="user_not_found"):
        await at.exports.start(rita, "dialogs", "csv", {"user": "nobody"})
    with pytest.raises(InvalidInput, match="bad_username"):
        await at.exports.start(rita, "dialogs", "csv", {"user": "\u202e"})


def test_days_and_kept_choices() -> None:
    begins, ends = day_begins("2026-11-25"), day_begins("2026-11-25", after=True)
    assert begins is not None
    assert ends is not None
    assert ends - begins == timedelta(days=1)
    assert begins.astimezone().hour == 0
    assert ExportChoice.of_json('{"user": "a", "of_a_later_version": 1}') == ExportChoice(user="a")


async def test_at_most_two_at_once_and_progress(
    at: Desk, rita: Actor, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, inside = asyncio.Event(), 0
    most = 0
    real = export_run.ExportRun.write

    async def slow(
        self: object, job: object, path: object, told: Callable[[int, int], None]
    ) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        told(3, 10)
        await gate.wait()
        inside -= 1
        return await real(self, job, path, told)  # type: ignore[arg-type]

    monkeypatch.setattr(export_run.ExportRun, "write", slow)
    rows = [await at.exports.start(rita, "dialogs", "csv") for _ in range(4)]
    expected = [("running", 3, 10)] * 2

    async def two_run() -> bool:
        found = await at.exports.list(rita)
        return [(each.state, each.done, each.total) for each in found][2:] == expected

    await eventually(two_run)
    assert [r.state for r in await at.exports.list(rita)][:2] == ["queued"] * 2
    gate.set()
    for row in rows:
        assert (await at.ends(rita, row.id)).state == "done"
    assert most == 2
    assert [r.id for r in await at.exports.list(rita)] == [r.id for r in reversed(rows)]


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Every job writes the first rows of its file and goes on when this is set."""
    gate = asyncio.Event()
    real = export_run.Rows.messages

    async def lines(self: object) -> AsyncGenerator[object]:
        async for batch in real(self):  # type: ignore[arg-type]
            yield batch
            await gate.wait()

    monkeypatch.setattr(export_run.Rows, "messages", lines)
    return gate


async def _runs(at: Desk, actor: Actor, row: Export) -> None:
    async def begun() -> bool:
        return (await at.exports.get(actor, row.id)).done > 0

    await eventually(begun)


async def _is_clean(at: Desk) -> None:
    async def empty() -> bool:
        return not list(at.directory.iterdir())

    await eventually(empty)


@pytest.mark.parametrize("format_", ["csv", "xlsx", "pdf"])
async def test_cancel(
    at: Desk, rita: Actor, talks: None, stuck: asyncio.Event, format_: str
) -> None:
    """It ends at once and leaves nothing; the next one goes on."""
    row = await at.exports.start(rita, "dialogs", format_)
    await _runs(at, rita, row)
    await at.exports.cancel(rita, row.id)
    await _is_clean(at)
    assert (await at.exports.get(rita, row.id)).state == "cancelled"
    with pytest.raises(NotFound):
        await at.exports.open_file(rita, row.id)
    stuck.set()
    assert (await at.made(rita, "dialogs", format_)).state == "done"
    await at.exports.remove(rita, row.id)
    with pytest.raises(NotFound):
        await at.exports.get(rita, row.id)


async def test_cancelled_by_another_process(
    at: Desk, rita: Actor, talks: None, stuck: asyncio.Event
) -> None:
    """The process that makes it sees it at the next renewal."""
    row = await at.exports.start(rita, "dialogs", "csv")
    await _runs(at, rita, row)
    await desk(at.db, at.settings).exports.cancel(rita, row.id)
    await _is_clean(at)
    assert (await at.exports.get(rita, row.id)).state == "cancelled"


async def test_a_queued_one_is_cancelled(at: Desk, rita: Actor, talks: None) -> None:
    await at.exports.jobs.close()
    row = await at.exports.start(rita, "dialogs", "csv")
    await at.exports.cancel(rita, row.id)
    await at.exports.jobs.open()
    other = await at.made(rita, "dialogs", "csv")
    assert other.state == "done"
    assert (await at.exports.get(rita, row.id)).state == "cancelled"


async def test_to_cancel_one_that_has_become_ready_changes_nothing(at: Desk, alice: Actor) -> None:
    row = await at.made(alice, "mine", "json")
    assert not await at.exports.cancel(alice, row.id)
    assert (await at.exports.get(alice, row.id)).state == "done"
    assert len(list(at.directory.iterdir())) == 1


async def test_remove_takes_the_file(at: Desk, alice: Actor) -> None:
    row = await at.made(alice, "mine", "json")
    assert len(list(at.directory.iterdir())) == 1
    await at.exports.remove(alice, row.id)
    assert list(at.directory.iterdir()) == []
    assert await at.exports.list(alice) == []


async def test_a_stop_gives_the_job_back(
    at: Desk, rita: Actor, talks: None, stuck: asyncio.Event
) -> None:
    """An orderly end is no fault of the job: the next process makes it, and nothing is left."""
    row = await at.exports.start(rita, "dialogs", "csv")
    await _runs(at, rita, row)
    await at.exports.jobs.close()
    kept = await at.exports.get(rita, row.id)
    assert (kept.state, kept.done, kept.tries) == ("queued", 0, 0)
    assert list(at.directory.iterdir()) == []
    stuck.set()
    next_one = desk(at.db, at.settings)
    await next_one.exports.jobs.open()
    try:
        assert (await next_one.ends(rita, row.id)).state == "done"
    finally:
        await next_one.exports.jobs.close()


async def test_a_lost_lease_is_taken_up_again(
    at: Desk, rita: Actor, talks: None, stuck: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process makes it anew; the first one, should it still be there, gives it up."""
    row = await at.exports.start(rita, "dialogs", "csv")
    await _runs(at, rita, row)
    taken = clock.now() - timedelta(seconds=1)
    async with at.db.write() as session:
        await session.execute(
            sa.update(Export).where(col(Export.id) == row.id).values(lease_until=taken)
        )

    async def begun_again() -> bool:
        return (await at.exports.get(rita, row.id)).tries == 2

    await eventually(begun_again)
    stuck.set()
    ended = await at.ends(rita, row.id)
    assert (ended.state, ended.done) == ("done", 6)
    assert [each.name for each in at.directory.iterdir()] == [ended.file_name]


async def test_a_job_that_kills_its_process_is_given_up(at: Desk, rita: Actor, talks: None) -> None:
    """N6: after three tries it says so."""
    await at.exports.jobs.close()
    row = await at.exports.start(rita, "dialogs", "csv")
    async with at.db.write() as session:
        await session.execute(
            sa.update(Export)
            .where(col(Export.id) == row.id)
            .values(state=JobState.RUNNING, lease_until=BEGAN, tries=3)
        )
    await at.exports.jobs.open()
    ended = await at.ends(rita, row.id)
    assert (ended.state, ended.error_code) == ("failed", "export_lost")


async def test_too_long_for_a_pdf(
    at: Desk, rita: Actor, talks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(export_run.MOST, Format.PDF, 5)
    row = await at.made(rita, "dialogs", "pdf")
    assert (row.state, row.error_code) == ("failed", "export_too_long")
    assert row.expires_at is not None
    assert list(at.directory.iterdir()) == []


async def test_too_slow_for_a_pdf(
    at: Desk, rita: Actor, talks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_pdf, "DEADLINE_S", 0.0)
    row = await at.made(rita, "dialogs", "pdf")
    assert (row.state, row.error_code) == ("failed", "export_too_slow")
    assert list(at.directory.iterdir()) == []


async def test_a_full_disk_is_told(
    at: Desk, rita: Actor, talks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_run.CsvFile, "add", full)
    row = await at.made(rita, "dialogs", "csv")
    assert (row.state, row.error_code) == ("failed", "export_failed")
    assert list(at.directory.iterdir()) == []


async def test_files_expire_and_leftovers_go(at: Desk, alice: Actor, rita: Actor) -> None:
    """After `export_days` neither the row nor the file is there; nor what a dead process
    left."""
    kept, old = await at.made(alice, "mine", "json"), await at.made(alice, "mine", "json")
    assert kept.expires_at is not None
    days = (kept.expires_at - clock.now()).total_seconds() / 86400
    assert round(days) == at.settings.export_days
    async with at.db.write() as session:
        await session.execute(
            sa.update(Export).where(col(Export.id) == old.id).values(expires_at=clock.now())
        )
    with pytest.raises(NotFound):
        await at.exports.open_file(alice, old.id)
    assert [row.id for row in await at.exports.list(alice)] == [kept.id]
    (at.directory / "dead.part").write_text("x")
    assert await at.exports.jobs.files.sweep() == 2
    assert [each.name for each in at.directory.iterdir()] == [kept.file_name]
    async with at.db.read() as session:
        assert await session.get(Export, old.id) is None


async def test_a_file_of_another_host(at: Desk, alice: Actor) -> None:
    row = await at.made(alice, "mine", "json")
    (at.directory / row.file_name).unlink()
    with pytest.raises(NotFound, match="export_elsewhere"):
        await at.exports.open_file(alice, row.id)


async def test_one_user_fills_neither_queue_nor_disk(
    at: Desk, alice: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "MAX_KEPT", 3)
    for _ in range(5):
        await at.made(alice, "mine", "json")
    assert len(await at.exports.list(alice)) == 3
    await at.exports.jobs.files.sweep()
    assert len(list(at.directory.iterdir())) == 3
    await at.exports.jobs.close()

    async def order() -> AppError | None:
        try:
            await at.exports.start(bob, "mine", "json")
        except AppError as error:
            return error
        return None

    refused = [each for each in await asyncio.gather(*(order() for _ in range(9))) if each]
    assert len(refused) == 9 - exports.MAX_WAITING
    assert all(isinstance(each, Conflict) for each in refused)


async def test_an_account_that_is_gone_takes_its_exports(at: Desk, alice: Actor) -> None:
    row = await at.made(alice, "mine", "json")
    async with at.db.write() as session:
        await session.execute(sa.delete(User).where(col(User.id) == alice.user_id))
    assert await at.exports.jobs.files.sweep() == 1
    with pytest.raises(NotFound):
        await at.exports.get(alice, row.id)
