"""Erasing a user: every store that holds something of theirs, read from the schema itself."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel, col

from genai_app import clock
from genai_app.access import Actor
from genai_app.adapters.llm.dialects import ChatTurn
from genai_app.adapters.redis.client import Entries
from genai_app.db.database import Database
from genai_app.errors import Conflict, NotFound
from genai_app.models import (
    ApiKey,
    Attachment,
    Author,
    Channel,
    Dialog,
    Feedback,
    Folder,
    Generation,
    Message,
    MessageAttachment,
    MessageVerdict,
    MessengerAnswer,
    MessengerChat,
    MessengerCode,
    MessengerLink,
    MessengerUpdate,
    Origin,
    QueuedQuestion,
    Review,
    ReviewNote,
    Role,
    Session,
    UsagePerson,
    User,
    VerifiedAnswer,
)
from genai_app.services.files.store import FileStore
from genai_app.services.retention import erasure
from genai_app.services.retention.erasure import Erasure, nameless
from genai_app.services.retention.retention import Holds
from genai_app.services.reuse.cache import AnswerCache, CachedAnswer, Key
from genai_app.settings.settings import Settings
from tests.fakes.services import RedisServer
from tests.unit.exporting import BEGAN, Desk, desk, events, person, put_talk
from tests.unit.importing import import_desk

SECRET = "0123456789abcdef0123456789ABCDEF"
CANARY = "canary-of-alice"
# the audit keeps who did what; the account's row keeps its id
KEPT = {"audit_events", "users"}


@pytest.fixture
async def at(db: Database, settings: Callable[..., Settings]) -> AsyncGenerator[Desk]:
    made = desk(db, settings(secret_key=SECRET))
    await made.exports.jobs.open()
    yield made
    await made.exports.jobs.close()


def memory() -> AnswerCache:
    return AnswerCache(None, scope="user", ttl_s=60)


def answer(text: str) -> CachedAnswer:
    return CachedAnswer(text, "m", 1, 1, BEGAN)


async def keep(cache: AnswerCache, actor: Actor) -> Key:
    key = cache.key(actor.user_id, [ChatTurn(Author.USER, "q")], model="m", parameters=())
    await cache.keep(key, answer(CANARY))
    return key


@pytest.fixture
async def alice(at: Desk) -> Actor:
    """Somebody of whom every store holds something."""
    made = await person(at.db, "alice", Role.REVIEWER, CANARY)
    bob = await person(at.db, "bob")
    hers = await put_talk(at.db, made, CANARY, CANARY, title=CANARY)
    his = await put_talk(at.db, bob, "q", "a")
    await put_talk(at.db, made, CANARY, "x")
    await at.made(made, "dialog", "md", dialog_id=str(hers))
    imports = import_desk(at.db, at.settings)  # nobody reads the file
    imports.imports.jobs.files.create_directory()
    await imports.start(made, CANARY.encode(), f"{CANARY}.json")
    async with at.db.write() as session:
        ids = {
            row.dialog_id: row.id
            for row in await session.execute(
                sa.select(col(Message.dialog_id), col(Message.id)).where(
                    col(Message.author) == "assistant"
                )
            )
        }
        session.add(
            Session(
                user_id=made.user_id,
                token_hash=b"x" * 32,
                expires_at=clock.now() + timedelta(days=1),
                address=CANARY,
            )
        )
        session.add(ApiKey(user_id=made.user_id, name=CANARY, key_hash=b"y" * 32, hint="gk_"))
        session.add(
            Feedback(
                message_id=ids[hers],
                dialog_id=hers,
                user_id=made.user_id,
                rating="up",
                comment=CANARY,
            )
        )
        who = {"reviewer_id": made.user_id, "reviewer_name": "alice"}
        session.add(MessageVerdict(message_id=ids[his], dialog_id=his, verdict="wrong", **who))
        session.add(
            ReviewNote(dialog_id=his, author_id=made.user_id, author_name="alice", text="n")
        )
        session.add(
            VerifiedAnswer(
                question_hash=b"z" * 32,
                question="q",
                answer="a",
                owner_id=made.user_id,
                owner_name="alice",
                review_by=BEGAN,
            )
        )
        session.add(UsagePerson(hour=BEGAN, user_id=made.user_id, department="IT", answers=2))
        session.add(
            Generation(
                message_id=ids[hers],
                dialog_id=hers,
                user_id=made.user_id,
                owner="x",
                lease_until=BEGAN,
            )
        )
        session.add(Folder(user_id=made.user_id, name=CANARY))
        there = {"user_id": made.user_id, "messenger": "telegram"}
        session.add(MessengerLink(external_id="7", title=CANARY, **there))
        session.add(MessengerCode(code_hash=b"c" * 32, expires_at=clock.now(), **there))
        session.add(MessengerChat(chat_id="7", dialog_id=hers, **there))
        session.add(MessengerUpdate(external_id="1", chat_id="7", body=CANARY, **there))
        session.add(MessengerAnswer(message_id=ids[hers], chat_id="7", **there))
        attached = Attachment(user_id=made.user_id, name=CANARY, size=6, sha256=b"s" * 32)
        session.add(attached)
        await session.flush()
        session.add(MessageAttachment(message_id=ids[hers], attachment_id=attached.id))
        session.add(
            QueuedQuestion(id=uuid.uuid4(), user_id=made.user_id, dialog_id=hers, text=CANARY)
        )
        await session.execute(
            sa.update(Review)
            .where(col(Review.dialog_id) == his)
            .values(assignee_id=made.user_id, assignee_name="alice")
        )
        await session.execute(
            sa.update(User)
            .where(col(User.id) == made.user_id)
            .values(
                full_name=CANARY,
                mail=CANARY,
                directory_dn=CANARY,
                external_id=CANARY,
                password_hash=CANARY,
                instructions=CANARY,
            )
        )
    content = FileStore(at.settings).content((made.user_id, attached.id))
    await asyncio.to_thread(content.parent.mkdir, parents=True)
    await asyncio.to_thread(content.write_text, CANARY)
    return made


async def mentions(db: Database, actor: Actor) -> set[str]:
    """Tables in which any column holds her id, her name or her words."""
    found: set[str] = set()
    wanted = ("alice", CANARY, str(actor.user_id), actor.user_id.hex)
    async with db.read() as session:
        for table in SQLModel.metadata.tables.values():
            for row in await session.execute(sa.select(table)):
                text = " ".join(map(str, row))
                if any(each in text for each in wanted):
                    found.add(table.name)
    return found


async def test_nothing_of_the_person_is_left(at: Desk, alice: Actor) -> None:
    """Every table of the schema is looked at: a new one that keeps something fails here."""
    cache = memory()
    key = await keep(cache, alice)
    other = await keep(cache, replace(alice, user_id=uuid.uuid4()))
    before = await mentions(at.db, alice)
    assert len(before) >= 15
    receipt = await Erasure(at.db, at.settings, cache, by="command line").erase("ALICE")
    left = await mentions(at.db, alice) - KEPT
    assert left == {"message_verdicts", "review_notes", "reviews", "verified_answers"}  # her id
    async with at.db.read() as session:
        names = [
            await session.scalar(sa.select(column))
            for column in (
                col(MessageVerdict.reviewer_name),
                col(ReviewNote.author_name),
                col(VerifiedAnswer.owner_name),
                col(Review.assignee_name),
            )
        ]
        user = await session.get(User, alice.user_id)
        people = list(await session.scalars(sa.select(UsagePerson)))
    assert names == [nameless(alice.user_id)] * 4
    assert user is not None
    assert user.username == nameless(alice.user_id)
    assert user.disabled_at is not None
    assert user.disabled_reason == "erased"
    assert not any(
        (user.full_name, user.mail, user.department, user.directory_dn, user.external_id)
    )
    assert (user.password_hash, user.instructions) == (None, "")
    assert [(row.answers, row.user_id != alice.user_id) for row in people] == [(2, True)]
    assert list(at.directory.iterdir()) == []
    assert list(import_desk(at.db, at.settings).directory.iterdir()) == []
    assert await cache.find(key) is None
    assert await cache.find(other) is not None

    told = json.loads(receipt.to_json())
    assert told["tables"] == {
        "exports": 1,
        "jobs": 1,
        "attachments": 1,
        "dialogs": 2,
        "messages": 4,
        "generations": 1,
        "queued_questions": 1,
        "message_search": 4,
        "reviews": 2,
        "feedback": 1,
        "message_verdicts": 0,
        "review_notes": 0,
        "sessions": 1,
        "api_keys": 1,
        "folders": 1,
        "messenger_links": 1,
        "messenger_codes": 1,
        "messenger_chats": 1,
        "messenger_updates": 1,
        "messenger_answers": 0,
        "usage_people": 1,
        "verified_answers.owner_name": 1,
        "review_notes.author_name": 1,
        "message_verdicts.reviewer_name": 1,
        "reviews.assignee_name": 1,
        "users": 1,
    }
    assert (told["redis"], told["files"]) == (
        {"answers": 1},
        {"exports": 1, "imports": 1, "attachments": 1, "attachment_bytes": len(CANARY)},
    )
    assert list(FileStore(at.settings).list_files()) == []
    assert told["kept"]
    (done,) = await events(at.db, "erase")
    assert (done.actor_name, done.target) == ("command line", nameless(alice.user_id))
    assert "dialogs=2 messages=4" in done.details
    assert "alice" not in done.details + done.target


async def test_a_second_run_finds_nothing(at: Desk, alice: Actor) -> None:
    """Also of the account as it is named now, or by its id."""
    eraser = Erasure(at.db, at.settings, memory())
    await eraser.erase("alice")
    for name in (nameless(alice.user_id), str(alice.user_id)):
        again = await eraser.erase(name)
        assert again.already
        assert set(again.tables.values()) == {0, 1}
        assert again.tables.pop("users") == 1
        assert set(again.tables.values()) == {0}
    with pytest.raises(NotFound):
        await eraser.erase("alice")
    with pytest.raises(NotFound):
        await eraser.erase(str(uuid.uuid4()))


@pytest.mark.parametrize(
    "step",
    [
        "_erase_exports",
        "_erase_imports",
        "_erase_dialogs",
        "_erase_logins_and_usage",
        "_erase_names",
        "_erase_account",
    ],
)
async def test_a_run_that_was_cut_off_is_completed(
    at: Desk, alice: Actor, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it stops: until the last step the account has its name, so it is found again."""

    async def cut(*_: object) -> None:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(Erasure, step, cut)
        with pytest.raises(RuntimeError):
            await Erasure(at.db, at.settings, memory()).erase("alice")
    assert await at.exports.list(alice) == [] or step == "_erase_exports"
    async with at.db.read() as session:
        user = await session.get(User, alice.user_id)
    assert user is not None
    assert user.disabled_at is not None  # nobody comes in from the first moment on
    await Erasure(at.db, at.settings, memory()).erase("alice")
    left = await mentions(at.db, alice) - KEPT
    assert left == {"message_verdicts", "review_notes", "reviews", "verified_answers"}
    assert list(at.directory.iterdir()) == []


async def test_many_dialogs(at: Desk, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "BATCH", 3)
    for _ in range(7):
        await put_talk(at.db, alice, "q", "a")
    receipt = await Erasure(at.db, at.settings, memory()).erase("alice")
    assert (receipt.tables["dialogs"], receipt.tables["messages"]) == (9, 18)


@pytest.mark.parametrize("what", ["user", "dialog"])
async def test_refused_under_hold(at: Desk, alice: Actor, what: str) -> None:
    holds = Holds(at.db, by="x")
    async with at.db.read() as session:
        dialog = await session.scalar(
            sa.select(col(Dialog.id)).where(col(Dialog.user_id) == alice.user_id)
        )
    if what == "user":
        await holds.set_user("alice", Origin.LOCAL, on=True)
    else:
        await holds.set_dialog(str(dialog), on=True)
    before = await mentions(at.db, alice)
    with pytest.raises(Conflict, match="under_hold"):
        await Erasure(at.db, at.settings, memory()).erase("alice")
    assert await mentions(at.db, alice) == before
    assert await events(at.db, "erase") == []


@pytest.mark.parametrize("what", ["user", "dialog"])
async def test_a_hold_that_comes_meanwhile_ends_it(
    at: Desk, alice: Actor, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one dialog goes after the hold."""
    holds = Holds(at.db, by="x")
    async with at.db.read() as session:
        dialogs = list(
            await session.scalars(
                sa.select(col(Dialog.id)).where(col(Dialog.user_id) == alice.user_id)
            )
        )

    async def hold(*_: object) -> None:
        if what == "user":
            await holds.set_user("alice", Origin.LOCAL, on=True)
        else:
            await holds.set_dialog(str(dialogs[-1]), on=True)

    monkeypatch.setattr(Erasure, "_erase_imports", hold)
    with pytest.raises(Conflict, match="under_hold"):
        await Erasure(at.db, at.settings, memory()).erase("alice")
    async with at.db.read() as session:
        left = await session.scalars(
            sa.select(col(Dialog.id)).where(col(Dialog.user_id) == alice.user_id)
        )
        assert set(left) == set(dialogs)
    assert await events(at.db, "erase") == []


async def test_cached_answers_in_redis(redis_server: RedisServer) -> None:
    """Only hers; a company's shared answers say nothing of who asked."""
    entries = Entries(redis_server.url)
    try:
        cache = AnswerCache(entries, scope="user", ttl_s=60)
        alice = Actor(uuid.uuid4(), "alice", "", Role.USER, Channel.WEB)
        bob = replace(alice, user_id=uuid.uuid4())
        hers, his = await keep(cache, alice), await keep(cache, bob)
        assert await cache.forget_user(alice.user_id) == 1
        assert await cache.find(hers) is None
        assert await cache.find(his) is not None
        assert await cache.forget_user(alice.user_id) == 0
    finally:
        await entries.aclose()
