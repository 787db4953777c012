"""Keeps reviewers from finding the name behind a pseudonym: they see days instead of times, and no
filter or department with fewer than MIN_PEOPLE users. Applies only while names are hidden."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.db.statements import table_of
from genai_app.errors import InvalidInput
from genai_app.models import Attachment, AuditEvent, Message, Origin, Review, User
from genai_app.services.audit.events import Action
from genai_app.services.files.usage import files_used, uses_to_json
from genai_app.services.review.listing import Filters, ReviewedDialog, conditions
from genai_app.zones import DEFAULT_ZONE, day_start, local_time, utc_day

MIN_PEOPLE = 5
MAX_ENDING = 10  # characters
# attributes that an administrator knows of a user, or can change
IDENTIFYING_FILTERS = ("department", "model", "channel", "since", "until")
_REVIEWS = table_of(Review)


def whole_days(filters: Filters) -> Filters:
    """Returns the filters with `since` and `until` widened to whole days in UTC. A shorter period
    would reveal the time of a dialog. A day in the viewer's time zone becomes the UTC day of the
    same date.
    """
    since, until = filters.since, filters.until
    if since is not None:
        since = day_start(local_time(since).date(), DEFAULT_ZONE)
    if until is not None:
        last = local_time(until) - timedelta(microseconds=1)
        until = day_start(last.date() + timedelta(days=1), DEFAULT_ZONE)
    return replace(filters, since=since, until=until)


async def check_crowd(session: AsyncSession, filters: Filters, actor_id: uuid.UUID) -> None:
    """Raises InvalidInput when identifying filters select fewer than MIN_PEOPLE users."""
    if not any(getattr(filters, name) for name in IDENTIFYING_FILTERS):
        return
    which = conditions(filters, actor_id)
    if filters.department:
        which.append(_REVIEWS.c.user_id.not_in(await list_moved(session)))
    require_crowd(await count_people(session, which))


def require_crowd(people: int) -> None:
    """Raises InvalidInput for fewer than MIN_PEOPLE."""
    if people < MIN_PEOPLE:
        raise InvalidInput(code="too_few_people", limit=MIN_PEOPLE)


async def count_people(session: AsyncSession, which: Sequence[Any]) -> int:
    """Counts the users whose reviews fit the conditions `which`. Stops at MIN_PEOPLE."""
    people = sa.select(_REVIEWS.c.user_id).where(*which).distinct().limit(MIN_PEOPLE)
    return await session.scalar(sa.select(sa.func.count()).select_from(people.subquery())) or 0


async def list_moved(session: AsyncSession) -> set[uuid.UUID]:
    """Returns the users whose department an administrator set today. Their new department is used
    from tomorrow on; otherwise moving a user would show which dialogs are theirs."""
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
    """Returns the departments in which at least MIN_PEOPLE users have dialogs."""
    return {
        name
        for name in departments
        if await count_people(session, [_REVIEWS.c.department == name]) >= MIN_PEOPLE
    }


async def blurred(session: AsyncSession, dialogs: Sequence[ReviewedDialog]) -> list[ReviewedDialog]:
    """Returns the dialogs with days instead of times, and with "" for departments that would
    identify the user."""
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
    """Moves the times of each message to the midnight of its day. Durations stay the same."""
    session.expunge_all()  # the changed times must not be saved
    for message in messages:
        time_of_day = message.created_at - utc_day(message.created_at)
        message.created_at -= time_of_day
        if message.first_token_at is not None:
            message.first_token_at -= time_of_day
        if message.finished_at is not None:
            message.finished_at -= time_of_day


def hide_file_names(
    messages: Sequence[Message], files: Mapping[uuid.UUID, Sequence[Attachment]]
) -> None:
    """Leaves of each file's name its ending alone: names of files often hold the user's. The rows
    must not be saved."""
    for each in (row for rows in files.values() for row in rows):
        each.name = hidden_file_name(each.name)
    for message in messages:
        uses = [
            msgspec.structs.replace(use, name=hidden_file_name(use.name))
            for use in files_used(message.files_used)
        ]
        message.files_used = uses_to_json(uses)


def hidden_file_name(name: str) -> str:
    """Returns the name of a file whose user is hidden: `*.pdf` for that of any PDF file."""
    _, dot, ending = name.rpartition(".")
    is_ending = bool(dot) and 0 < len(ending) <= MAX_ENDING and ending.isalnum()
    return f"*.{ending.lower()}" if is_ending else "*"
