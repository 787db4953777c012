"""Retention and legal hold: what goes, what stays, and what is told of it."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.errors import Conflict, NotFound
from genai_app.models import (
    Dialog,
    Feedback,
    Generation,
    Message,
    MessageSearch,
    MessageVerdict,
    MessengerAnswer,
    MessengerUpdate,
    Origin,
    QueuedQuestion,
    Review,
    ReviewNote,
    Role,
    UsageHour,
    User,
    VerifiedAnswer,
)
from genai_app.services.retention import retention
from genai_app.services.retention.retention import LOCK, Holds, Retention
from genai_app.settings.settings import Settings
from tests.unit.exporting import BEGAN, events, person, put_talk

MakeSettings = Callable[..., Settings]
HANGING = (Message, MessageSearch, Review, Feedback, MessageVerdict, ReviewNote, Generation)


async def aged(db: Database, actor: Actor, days: float, **dialog: object) -> uuid.UUID:
    """A dialog in which something was said last so many days ago."""
    key = await put_talk(db, actor, "q", "a")
    values = {"updated_at": clock.now() - timedelta(days=days), **dialog}
    async with db.write() as session:
        await session.execute(sa.update(Dialog).where(col(Dialog.id) == key).values(**values))
    return key


async def there(db: Database) -> set[uuid.UUID]:
    async with db.read() as session:
        return set(await session.scalars(sa.select(col(Dialog.id))))


async def count(db: Database, kind: type) -> int:
    async with db.read() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(table_of(kind))) or 0


async def test_a_question_that_waits_keeps_its_dialog(db: Database, settings: MakeSettings) -> None:
    """As long as a message of its moment would: not for ever, and not in a deleted dialog."""
    alice = await person(db, "alice")
    old = [await aged(db, alice, 40) for _ in range(2)]
    deleted = await aged(db, alice, 40, deleted_at=clock.now() - timedelta(days=31))
    async with db.write() as session:
        for dialog, days in ((old[0], 1), (old[1], 35), (deleted, 1)):
            session.add(
                QueuedQuestion(
                    id=uuid.uuid4(),
                    user_id=alice.user_id,
                    dialog_id=dialog,
                    text="q",
                    created_at=clock.now() - timedelta(days=days),
                )
            )
    await Retention(db, settings(retention_days=30, deleted_days=30)).remove()
    assert await there(db) == {old[0]}


async def test_days_by_department_role_and_for_all(db: Database, settings: MakeSettings) -> None:
    """The first rule that fits: department, then role, then all. 0: for ever."""
    alice = await person(db, "alice")
    lawyer = await person(db, "lena", Role.REVIEWER, "Legal")
    rita = await person(db, "rita", Role.REVIEWER)
    archivist = await person(db, "arina", department="Архив")
    kept = {
        await aged(db, alice, 29),
        await aged(db, lawyer, 99),
        await aged(db, rita, 9),
        await aged(db, archivist, 9999),
    }
    over = {await aged(db, alice, 31), await aged(db, lawyer, 101), await aged(db, rita, 11)}
    made = settings(
        retention_days=30,
        retention_rules="reviewer=10; department:Legal=100; department:Архив=0",
    )
    told = await Retention(db, made).remove(dry_run=True)
    assert (told.dialogs, told.messages) == (3, 6)
    assert await there(db) == kept | over
    assert await Retention(db, made).remove() == told
    assert await there(db) == kept
    assert (await Retention(db, made).remove()).dialogs == 0


async def test_by_default_only_what_its_user_deleted(db: Database, settings: MakeSettings) -> None:
    alice = await person(db, "alice")
    now = clock.now()
    old = await aged(db, alice, 9000)
    fresh = await aged(db, alice, 31, deleted_at=now - timedelta(days=29))
    gone = await aged(db, alice, 31, deleted_at=now - timedelta(days=31))
    told = await Retention(db, settings()).remove()
    assert (told.dialogs, told.deleted_dialogs, told.held) == (1, 1, 0)
    assert await there(db) == {old, fresh}
    assert gone not in await there(db)
    await Retention(db, settings(deleted_days=0)).remove()
    assert await there(db) == {old}


async def test_all_that_hangs_on_it_goes_and_the_rest_stays(
    db: Database, settings: MakeSettings
) -> None:
    """Messages, search, review, feedback, verdicts, notes; not verified answers, not figures."""
    alice, rita = await person(db, "alice"), await person(db, "rita", Role.REVIEWER)
    for keep in (True, False):
        key = await aged(db, alice, 1 if keep else 40)
        async with db.write() as session:
            answer = await session.scalar(
                sa.select(col(Message.id)).where(
                    col(Message.dialog_id) == key, col(Message.author) == "assistant"
                )
            )
            assert answer is not None
            session.add(
                Feedback(message_id=answer, dialog_id=key, user_id=alice.user_id, rating="down")
            )
            who = {"reviewer_id": rita.user_id, "reviewer_name": "rita"}
            session.add(MessageVerdict(message_id=answer, dialog_id=key, verdict="wrong", **who))
            session.add(
                ReviewNote(dialog_id=key, author_id=rita.user_id, author_name="rita", text="x")
            )
            session.add(
                Generation(
                    message_id=answer,
                    dialog_id=key,
                    user_id=alice.user_id,
                    owner="x",
                    lease_until=BEGAN,
                    ended_at=BEGAN,
                )
            )
            session.add(
                VerifiedAnswer(
                    question_hash=key.bytes * 2,
                    question="q",
                    answer="a",
                    owner_id=rita.user_id,
                    owner_name="rita",
                    message_id=answer,
                    review_by=BEGAN,
                )
            )
    figures = UsageHour(
        hour=BEGAN,
        department="",
        model="m",
        channel="web",
        source="model",
        status="complete",
        answers=2,
    )
    async with db.write() as session:
        session.add(figures)
    before = {kind: await count(db, kind) for kind in HANGING}
    await Retention(db, settings(retention_days=30)).remove()
    for kind in HANGING:
        assert await count(db, kind) * 2 == before[kind] > 0, kind
    assert await count(db, VerifiedAnswer) == 2
    assert await count(db, UsageHour) == 1
    if db.is_sqlite:
        async with db.read() as session:
            words = sa.text("SELECT count(*) FROM message_words WHERE message_words MATCH 'q'")
            assert await session.scalar(words) == 1


async def test_holds(db: Database, settings: MakeSettings) -> None:
    """What is held is removed by nothing, until it is released; both are audited."""
    alice, bob = await person(db, "alice"), await person(db, "bob")
    hers = {await aged(db, alice, 40), await aged(db, alice, 40, deleted_at=BEGAN)}
    his, other = await aged(db, bob, 40), await aged(db, bob, 40)
    holds = Holds(db, by="command line")
    await holds.set_user("ALICE", Origin.LOCAL, on=True)
    await holds.set_dialog(str(his), on=True)
    keeper = Retention(db, settings(retention_days=30, deleted_days=0))
    assert (await keeper.remove(dry_run=True)).held == 3
    told = await keeper.remove()
    assert (told.dialogs, told.held) == (1, 3)
    assert await there(db) == hers | {his}
    assert other not in await there(db)
    await holds.set_user("alice", Origin.LOCAL, on=False)
    await holds.set_dialog(str(his), on=False)
    assert (await keeper.remove()).dialogs == 3
    found = await events(db, "hold")
    assert [(each.target, each.details.split()[1]) for each in found] == [
        ("alice", "hold=on"),
        (str(his), "hold=on"),
        ("alice", "hold=off"),
        (str(his), "hold=off"),
    ]
    assert {each.actor_name for each in found} == {"command line"}


async def test_a_hold_keeps_its_first_moment(db: Database) -> None:
    alice = await person(db, "alice")
    holds = Holds(db, by="x")
    moments: list[datetime | None] = []
    for _ in range(2):
        await holds.set_user("alice", Origin.LOCAL, on=True)
        async with db.read() as session:
            moments.append(
                await session.scalar(
                    sa.select(col(User.held_at)).where(col(User.id) == alice.user_id)
                )
            )
    assert moments[0] is not None
    assert moments[0] == moments[1]


async def test_what_is_not_there_is_not_held(db: Database) -> None:
    holds = Holds(db, by="x")
    with pytest.raises(NotFound, match="user_not_found"):
        await holds.set_user("nobody", Origin.LOCAL, on=True)
    for key in ("no id", str(uuid.uuid4())):
        with pytest.raises(NotFound):
            await holds.set_dialog(key, on=True)
    assert await events(db, "hold") == []


async def test_what_is_being_answered_stays(db: Database, settings: MakeSettings) -> None:
    alice = await person(db, "alice")
    key = await aged(db, alice, 40)
    async with db.write() as session:
        answer = await session.scalar(
            sa.select(col(Message.id)).where(col(Message.author) == "assistant")
        )
        row = Generation(message_id=answer, dialog_id=key, owner="x", lease_until=BEGAN)  # type: ignore[arg-type]
        session.add(row)
    await Retention(db, settings(retention_days=30)).remove()
    assert await there(db) == {key}


async def test_many_in_batches(
    db: Database, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    alice = await person(db, "alice")
    for _ in range(10):
        await aged(db, alice, 40)
    told = await Retention(db, settings(retention_days=30)).remove()
    assert (told.dialogs, told.messages) == (10, 20)


async def test_what_no_bot_answered_goes(db: Database, settings: MakeSettings) -> None:
    """Also where the messenger was turned off, so that no bot removes it; not under a hold. What
    is fresh stays: a bot may be on its way."""
    alice, held = await person(db, "alice"), await person(db, "held")
    await Holds(db, "carol").set_user("held", Origin.LOCAL, on=True)
    answered = await put_talk(db, alice, "q", "a")
    waiting: dict[str, tuple[Actor | None, float]] = {
        "old": (alice, 49),
        "strange": (None, 49),
        "held": (held, 49),
        "fresh": (alice, 47),
    }
    async with db.write() as session:
        for name, (actor, hours) in waiting.items():
            session.add(
                MessengerUpdate(
                    messenger="telegram",
                    external_id=name,
                    chat_id="1",
                    user_id=actor and actor.user_id,
                    body="{}",
                    taken_at=clock.now() - timedelta(hours=hours),
                )
            )
        messages = sa.select(col(Message.id)).where(col(Message.dialog_id) == answered)
        for key, hours in zip(await session.scalars(messages), (47, 49), strict=True):
            session.add(
                MessengerAnswer(
                    message_id=key,
                    messenger="telegram",
                    chat_id="1",
                    user_id=alice.user_id,
                    created_at=clock.now() - timedelta(hours=hours),
                )
            )
    keeper = Retention(db, settings())
    await keeper.remove(dry_run=True)
    assert await count(db, MessengerUpdate) == 4
    await keeper.remove()
    async with db.read() as session:
        left = set(await session.scalars(sa.select(col(MessengerUpdate.external_id))))
    assert left == {"held", "fresh"}
    assert await count(db, MessengerAnswer) == 1
    assert answered in await there(db)


async def test_the_audit_has_the_counts(db: Database, settings: MakeSettings) -> None:
    alice = await person(db, "alice")
    await aged(db, alice, 40)
    keeper = Retention(db, settings(retention_days=30))
    await keeper.remove(dry_run=True, by="command line")
    await keeper.remove()
    tried, done = await events(db, "retention")
    counts = "dialogs=1 messages=2 deleted_dialogs=0 held=0 files=0"
    assert (tried.actor_name, tried.details) == ("command line", f"dry_run=True {counts}")
    assert (done.actor_name, done.details) == ("the system", f"dry_run=False {counts}")


async def test_one_process_at_a_time(db: Database, settings: MakeSettings) -> None:
    """Of several replicas one does it, and the others leave it alone."""
    if db.is_sqlite:  # one process serves it, and a second batch finds nothing
        keeper = Retention(db, settings())
        assert (await keeper.remove()).dialogs == 0
        return
    async with db.write() as session:
        await session.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        with pytest.raises(Conflict, match="retention_running"):
            await Retention(db, settings()).remove()
    await Retention(db, settings()).remove()


@pytest.mark.parametrize(("hour", "hours"), [(2, 1), (3, 24), (4, 23)])
async def test_at_three_at_night(hour: int, hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    here = datetime(2026, 11, 25, tzinfo=UTC).astimezone().replace(hour=hour, minute=0)
    monkeypatch.setattr(clock, "now", lambda: here)
    assert retention._until_night() == hours * 3600
