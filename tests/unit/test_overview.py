"""Counted figures are those of the messages, to the last answer."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.errors import Forbidden
from genai_app.models import (
    Author,
    Channel,
    Dialog,
    Message,
    Role,
    Source,
    Status,
    UsageHour,
    UsageMark,
    User,
    new_id,
)
from genai_app.services.statistics.figures import Overview, percentile
from genai_app.services.statistics.overview import Overviews
from genai_app.services.statistics.periods import Period
from genai_app.services.statistics.usage import (
    FINAL_AFTER,
    HOUR,
    UsageCounter,
    bucket,
    hour_of,
    of_bucket,
)

SEED = 20261125

# an imported answer is no answer to a question here
ASKED_BY = [channel for channel in Channel if channel is not Channel.IMPORT]


def actor_of(user: User) -> Actor:
    return Actor(user.id, user.username, user.full_name, Role(user.role), Channel.WEB)


@pytest.fixture
def counter(db: Database) -> UsageCounter:
    return UsageCounter(db)


@pytest.fixture
def overviews(db: Database, counter: UsageCounter) -> Overviews:
    return Overviews(db, counter)


async def put_answers(db: Database, users: list[User], count: int, days: float) -> list[Message]:
    """Answers of the last `days`, of every kind, some of them of this very hour."""
    dice = random.Random(SEED)
    made: list[Message] = []
    for n in range(count):
        user = dice.choice(users)
        asked = clock.now() - timedelta(days=days * dice.random() ** 2)
        source = dice.choice([Source.MODEL, Source.MODEL, Source.CACHE])
        status = dice.choice([Status.COMPLETE] * 6 + [Status.FAILED, Status.INTERRUPTED])
        took = timedelta(milliseconds=dice.randint(300, 20_000))
        made.append(
            Message(
                id=new_id(),
                dialog_id=new_id(),
                user_id=user.id,
                author=Author.ASSISTANT,
                channel=dice.choice(ASKED_BY),
                text=f"answer {n}",
                status=status,
                source=source,
                model=dice.choice(["saiga", "other", None]),
                prompt_tokens=dice.choice([None, 10, 500]),
                completion_tokens=dice.choice([None, 20, 700]),
                created_at=asked,
                first_token_at=asked + took / 4,
                finished_at=None if status is Status.INTERRUPTED else asked + took,
            )
        )
    async with db.write() as session:
        await put(session, made)
    return made


async def put(session: AsyncSession, made: list[Message]) -> None:
    dialogs = {m.dialog_id: m.user_id for m in made}
    session.add_all(Dialog(id=key, user_id=user_id) for key, user_id in dialogs.items())
    await session.flush()
    await session.execute(sa.insert(Message), [m.model_dump() for m in made])


def full_count(made: list[Message], begin: datetime, chosen: Callable[[Message], bool]) -> Any:
    """The same figures, by looking at every answer."""
    mine = [m for m in made if m.created_at >= begin and chosen(m)]
    model = [m for m in mine if m.source == Source.MODEL]
    return (
        len(mine),
        sum(m.status in (Status.FAILED, Status.INTERRUPTED) for m in mine),
        sum(m.prompt_tokens or 0 for m in model),
        sum(m.completion_tokens or 0 for m in model),
        Counter(m.source for m in mine),
        sum(
            max(0, round((m.finished_at - m.created_at).total_seconds() * 1000))
            for m in model
            if m.finished_at
        ),
    )


def figures(found: Overview) -> Any:
    return (
        found.answers,
        found.failed,
        found.prompt_tokens,
        found.completion_tokens,
        Counter(found.by_source),
        found.model_ms,
    )


@pytest.mark.parametrize("period", list(Period))
async def test_counted_is_what_is_there(
    db: Database,
    overviews: Overviews,
    counter: UsageCounter,
    alice: User,
    bob: User,
    carol: User,
    period: Period,
) -> None:
    """Before any hour was counted, with all of them, and again after the messages are gone."""
    async with db.write() as session:
        await session.execute(
            sa.update(User).where(table_of(User).c.id == bob.id).values(department="Связь")
        )
    made = await put_answers(db, [alice, bob], 300, 9)
    admin = actor_of(carol)
    before = await Overviews(db, counter).get(admin, period)
    everything = full_count(made, before.begin, lambda _: True)
    assert figures(before) == everything
    while await counter.count_some():
        pass
    counted = await overviews.get(admin, period)
    assert figures(counted) == everything
    assert counted.points == before.points
    assert (
        counted.users
        == before.users
        == len({m.user_id for m in made if m.created_at >= before.begin})
    )
    assert sum(point.answers for point in counted.points) == counted.answers
    assert sum(count for _, count in counted.departments) == counted.answers
    of_bob = await overviews.get(admin, period, department="Связь")
    assert figures(of_bob) == full_count(made, counted.begin, lambda m: m.user_id == bob.id)
    assert of_bob.users == 1
    of_saiga = await overviews.get(admin, period, department="", model="saiga")
    assert figures(of_saiga) == full_count(
        made, counted.begin, lambda m: m.user_id == alice.id and m.model == "saiga"
    )
    assert await overviews.list_models() == ["", "other", "saiga"]
    assert await overviews.list_departments() == ["", "Связь"]
    assert before.first == counted.first
    assert counted.total.p50 is not None
    exact = sorted(
        (m.finished_at - m.created_at).total_seconds() * 1000
        for m in made
        if m.finished_at and m.source == Source.MODEL and m.created_at >= counted.begin
    )
    assert counted.total.p50 == pytest.approx(exact[(len(exact) - 1) // 2], rel=0.06)


async def test_hours_are_counted_once_by_many_processes(
    db: Database, counter: UsageCounter, alice: User
) -> None:
    await put_answers(db, [alice], 60, 1)
    await asyncio.gather(*(UsageCounter(db).count_some() for _ in range(4)))
    async with db.read() as session:
        marks = list(await session.scalars(sa.select(UsageMark.hour)))  # pyright: ignore
        answers = await session.scalar(sa.select(sa.func.sum(UsageHour.answers)))  # pyright: ignore
        over = await session.scalar(
            sa.select(sa.func.count())
            .select_from(Message)
            .where(
                table_of(Message).c.source.is_not(None),
                table_of(Message).c.created_at < hour_of(clock.now() - FINAL_AFTER),
            )
        )
    assert len(marks) == len(set(marks))
    assert answers == over
    assert await counter.first_open() == max(marks) + HOUR


async def test_an_hour_is_stored_again_when_its_last_answer_has_ended(
    db: Database, counter: UsageCounter, alice: User
) -> None:
    """An answer may go on at any time, so also while its hour is stored."""
    made = await put_hour(db, alice, 3)
    await set_status(db, made[0], Status.RUNNING)
    for status, answers in ((Status.RUNNING, 2), (Status.COMPLETE, 3)):
        await set_status(db, made[0], status)
        await counter.count_some()
        await counter.count_again()
        assert await stored_answers(db) == answers


async def test_figures_outlive_messages_of_an_hour_that_is_counted_again(
    db: Database, counter: UsageCounter, alice: User
) -> None:
    """Where messages were removed since, the rest is no count of the hour."""
    made = await put_hour(db, alice, 3)
    await counter.count_some()
    async with db.write() as session:
        await session.execute(sa.delete(Message).where(table_of(Message).c.id == made[0].id))
        await session.execute(sa.update(UsageMark).values(counted_at=table_of(UsageMark).c.hour))
    await counter.count_again()
    assert await stored_answers(db) == 3
    async with db.read() as session:
        mark = await session.get_one(UsageMark, hour_of(made[0].created_at))
    assert mark.counted_at > mark.hour  # and nobody counts it again every minute


async def put_hour(db: Database, user: User, count: int) -> list[Message]:
    """Answers of an hour that is over for long."""
    made = await put_answers(db, [user], count, 0)
    moment = hour_of(clock.now()) - 4 * HOUR
    async with db.write() as session:
        await session.execute(sa.update(Message).values(created_at=moment))
    for message in made:
        message.created_at = moment
    return made


async def set_status(db: Database, message: Message, status: Status) -> None:
    async with db.write() as session:
        await session.execute(
            sa.update(Message).where(table_of(Message).c.id == message.id).values(status=status)
        )


async def stored_answers(db: Database) -> int | None:
    async with db.read() as session:
        return await session.scalar(sa.select(sa.func.sum(table_of(UsageHour).c.answers)))


async def test_what_a_client_sent_as_history_is_no_answer(
    db: Database, overviews: Overviews, alice: User, carol: User
) -> None:
    made = Message(
        dialog_id=uuid.uuid4(), user_id=alice.id, author=Author.ASSISTANT, text="its own"
    )
    async with db.write() as session:
        await put(session, [made])
    assert (await overviews.get(actor_of(carol), Period.DAY)).answers == 0


async def test_users_see_no_figures(overviews: Overviews, alice: User) -> None:
    with pytest.raises(Forbidden):
        await overviews.get(actor_of(alice), Period.DAY)


def test_the_scale_of_times() -> None:
    """Each place's middle is within 5 % of every time in it."""
    for ms in (1, 2, 7, 40, 999, 1000, 12_345, 600_000):
        assert of_bucket(bucket(ms)) == pytest.approx(ms, rel=0.051)
    assert of_bucket(bucket(0)) == 0.5
    assert percentile([], 0.5) is None
    assert percentile([(3, 99), (9, 1)], 0.95) == of_bucket(3)
    assert percentile([(3, 90), (9, 10)], 0.95) == of_bucket(9)


def test_an_hour_begins_at_its_minute_zero() -> None:
    moment = datetime(2026, 11, 25, 18, 59, 59, 999_999, tzinfo=UTC)
    assert hour_of(moment) == datetime(2026, 11, 25, 18, tzinfo=UTC)
