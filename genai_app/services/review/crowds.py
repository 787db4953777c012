"""What keeps a pseudonym from being joined with a name: days in place of moments, and no list,
filter or department of a few people. Only where names are hidden."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.db.statements import table_of
from genai_app.errors import InvalidInput
from genai_app.models import AuditEvent, Message, Origin, Review, User
from genai_app.services.audit.events import Action
from genai_app.services.review.listing import Filters, ReviewedDialog, conditions
from genai_app.zones import DEFAULT_ZONE, day_start, local_time, utc_day

MIN_PEOPLE = 5
# what an administrator knows of a named person, or can give one
TELLING = ("department", "model", "channel", "since", "until")
_REVIEWS = table_of(Review)


def whole_days(filters: Filters) -> Filters:
    """Returns the filters by whole days in UTC: a narrower span would tell a moment.

    A day that was chosen in the viewer's time zone stands for the day of that date.
    """
    since, until = filters.since, filters.until
    if since is not None:
        since = day_start(local_time(since).date(), DEFAULT_ZONE)
    if until is not None:
        last = local_time(until) - timedelta(microseconds=1)
        until = day_start(last.date() + timedelta(days=1), DEFAULT_ZONE)
    return replace(filters, since=since, until=until)


async def check_crowd(session: AsyncSession, filters: Filters, actor_id: uuid.UUID) -> None:
    """Raises InvalidInput: filters that tell of a person find fewer than MIN_PEOPLE."""
    if not any(getattr(filters, name) for name in TELLING):
        return
    which = conditions(filters, actor_id)
    if filters.department:
        which.append(_REVIEWS.c.user_id.not_in(await list_moved(session)))
    require_crowd(await count_people(session, which))


def require_crowd(people: int) -> None:
    """Raises InvalidInput: it is about too few people."""
    if people < MIN_PEOPLE:
        raise InvalidInput(code="too_few_people", limit=MIN_PEOPLE)


async def count_people(session: AsyncSession, which: Sequence[Any]) -> int:
    """How many people's dialogs `which` finds; MIN_PEOPLE stands for more."""
    people = sa.select(_REVIEWS.c.user_id).where(*which).distinct().limit(MIN_PEOPLE)
    return await session.scalar(sa.select(sa.func.count()).select_from(people.subquery())) or 0


async def list_moved(session: AsyncSession) -> set[uuid.UUID]:
    """Users to whom an administrator gave a department today: it counts from tomorrow on."""
    query = (
        sa.select(col(User.id))
        .join(AuditEvent, col(AuditEvent.target) == col(User.username))
        .where(
            col(User.origin) == Origin.LOCAL,
            col(AuditEvent.action) == Action.SETTING_CHANGE,
            col(AuditEvent.details).startswith("department="),
            col(AuditEvent.at) >= utc_day(clock.now()),
        )
    )
    return set(await session.scalars(query))


async def list_crowded(session: AsyncSession, departments: Collection[str]) -> set[str]:
    """Those of the departments in which at least MIN_PEOPLE have asked."""
    return {
        name
        for name in departments
        if await count_people(session, [_REVIEWS.c.department == name]) >= MIN_PEOPLE
    }


async def blurred(session: AsyncSession, dialogs: Sequence[ReviewedDialog]) -> list[ReviewedDialog]:
    """The dialogs with days for moments, and without departments that tell who it is."""
    crowded = await list_crowded(session, {each.department for each in dialogs} - {""})
    ids = [each.id for each in dialogs]
    moved = await session.scalars(
        sa.select(_REVIEWS.c.dialog_id).where(
            _REVIEWS.c.dialog_id.in_(ids), _REVIEWS.c.user_id.in_(await list_moved(session))
        )
    )
    hidden = set(moved)
    return [
        replace(
            each,
            updated_at=utc_day(each.updated_at),
            department=each.department
            if each.department in crowded and each.id not in hidden
            else "",
        )
        for each in dialogs
    ]


def blur_messages(session: AsyncSession, messages: Sequence[Message]) -> None:
    """Moves each message to the midnight of its day; how long it took stays."""
    session.expunge_all()  # what is changed here is shown, never saved
    for message in messages:
        back = message.created_at - utc_day(message.created_at)
        message.created_at -= back
        if message.first_token_at is not None:
            message.first_token_at -= back
        if message.finished_at is not None:
            message.finished_at -= back
