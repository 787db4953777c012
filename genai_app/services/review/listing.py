"""The list of all users' dialogs: filters, and pages by the key of the last row. The queries read
columns instead of objects and count nothing, so that a million messages do not slow them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from genai_app.db.statements import table_of
from genai_app.errors import InvalidInput
from genai_app.models import (
    Channel,
    Dialog,
    Rating,
    Review,
    ReviewState,
    Source,
    Status,
    User,
    Verdict,
)
from genai_app.services.cursors import ListCursors
from genai_app.services.review.names import DialogPerson, Names
from genai_app.text import clean_text

MAX_FILTER_CHARS = 300

_REVIEWS, _DIALOGS, _USERS = table_of(Review), table_of(Dialog), table_of(User)

# the most frequent value of each column: partial indexes cover the rows with other values
_USUAL = {
    "state": "new",
    "source": "model",
    "status": "complete",
    "channel": "web",
    "rating": "",
    "verdict": "",
}
CHOICES: dict[str, tuple[str, ...]] = {
    "source": tuple(Source),
    "channel": tuple(Channel),
    "rating": tuple(Rating),
    "state": tuple(ReviewState),
    "verdict": tuple(Verdict),
    "status": tuple(each for each in Status if each is not Status.RUNNING),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Filters of the list. "" and None select everything.

    `query`: words in a message. `user`: a name, a part of it or an id; a pseudonym while names are
    hidden. `since` and `until`: the period of the last question, without `until` itself.
    """

    query: str = ""
    user: str = ""
    department: str = ""
    model: str = ""
    source: str = ""
    channel: str = ""
    rating: str = ""
    state: str = ""
    verdict: str = ""
    status: str = ""
    mine: bool = False
    since: datetime | None = None
    until: datetime | None = None


def checked(filters: Filters) -> Filters:
    """Returns the filters with cleaned and shortened texts.

    Raises:
        InvalidInput: a filter of CHOICES has another value.
    """
    values: dict[str, Any] = {each.name: getattr(filters, each.name) for each in fields(filters)}
    for name, value in values.items():
        if isinstance(value, str):
            longest = None if name == "query" else MAX_FILTER_CHARS  # stemming.py cuts a query
            values[name] = clean_text(value).strip()[:longest]
    for name, choices in CHOICES.items():
        if values[name] and values[name] not in choices:
            raise InvalidInput(param=name)
    return Filters(**values)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The text around a search hit. `hits`: start and end of each matching word in `text`."""

    message_id: uuid.UUID
    author: str
    text: str
    hits: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class ReviewedDialog:
    """A dialog as reviewers see it. Channel, model, source and status are those of the last
    answer."""

    id: uuid.UUID
    title: str
    person: DialogPerson
    department: str
    channel: str
    model: str
    source: str
    status: str
    rating: str
    verdict: str
    state: str
    assignee_id: uuid.UUID | None
    assignee_name: str
    updated_at: datetime
    deleted: bool
    excerpt: Excerpt | None = None


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """A page of dialogs: by the last question, newest first; in a search by the newest hit."""

    items: Sequence[ReviewedDialog]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ReviewQuery:
    """The query for one page of the list. `after`: the position in the cursor: the time of the last
    question and the dialog's id; in a search the number of a hit."""

    filters: Filters
    names: Names
    actor_id: uuid.UUID
    cursors: ListCursors
    after: tuple[Any, ...] | None
    limit: int

    @classmethod
    def of(
        cls,
        filters: Filters,
        names: Names,
        actor_id: uuid.UUID,
        cursors: ListCursors,
        cursor: str | None,
        limit: int,
    ) -> "ReviewQuery":
        """Raises BadCursor."""
        after: tuple[Any, ...] | None = None
        if cursor is not None:
            after = (
                cursors.read(cursor, int)
                if filters.query
                else cursors.read(cursor, datetime, uuid.UUID)
            )
        return cls(filters, names, actor_id, cursors, after, limit)


_COLUMNS = tuple(each for each in _REVIEWS.columns if each.name != "changed_at")


def conditions(filters: Filters, actor_id: uuid.UUID) -> list[sa.ColumnElement[bool]]:
    """Returns the conditions on `reviews` for all filters but `query` and `user`."""
    columns = _REVIEWS.c
    clauses: list[sa.ColumnElement[bool]] = []
    for name, usual in _USUAL.items():
        value = getattr(filters, name)
        if value:
            clauses.append(columns[name] == value)
        if value and value != usual:
            # the index's own condition as literal text: the planner does not match a parameter
            clauses.append(sa.text(f"reviews.{name} <> '{usual}'"))  # type: ignore[arg-type]
    if filters.department:
        clauses.append(columns.department == filters.department)
    if filters.model:
        clauses.append(columns.model.icontains(filters.model, autoescape=True))
    if filters.mine:
        clauses.append(columns.assignee_id == actor_id)
    if filters.since is not None:
        clauses.append(columns.updated_at >= filters.since)
    if filters.until is not None:
        clauses.append(columns.updated_at < filters.until)
    return clauses


async def list_page(session: AsyncSession, query: ReviewQuery) -> ReviewPage:
    """Returns a page of dialogs by the time of the last question, newest first."""
    filters, names, limit = query.filters, query.names, query.limit
    order = (_REVIEWS.c.updated_at, _REVIEWS.c.dialog_id)
    which = conditions(filters, query.actor_id)
    if filters.user:
        which.append(_REVIEWS.c.user_id.in_(await names.find(session, filters.user)))
    if query.after is not None:
        which.append(sa.tuple_(*order) < sa.tuple_(*query.after))
    # limits the page in a subquery, so that the planner does not begin with the joins
    page = (
        sa.select(*_COLUMNS)
        .where(*which)
        .order_by(*(each.desc() for each in order))
        .limit(limit + 1)
        .subquery("page")
    )
    rows = (
        await session.execute(
            _with_names(page).order_by(page.c.updated_at.desc(), page.c.dialog_id.desc())
        )
    ).all()
    items = [dialog_of(row, names) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    more = None if last is None else query.cursors.make(last.updated_at, last.dialog_id)
    return ReviewPage(items, more)


async def dialogs_of(
    session: AsyncSession, ids: Sequence[uuid.UUID], names: Names
) -> dict[uuid.UUID, ReviewedDialog]:
    """Returns the dialogs with these ids, as {id: dialog}."""
    page = sa.select(*_COLUMNS).where(_REVIEWS.c.dialog_id.in_(ids)).subquery("page")
    dialogs = [dialog_of(row, names) for row in await session.execute(_with_names(page))]
    return {each.id: each for each in dialogs}


def _with_names(page: sa.Subquery) -> sa.Select[*tuple[Any, ...]]:
    """Joins a page of reviews with the titles of the dialogs and the names of the users."""
    return (
        sa.select(
            page,
            _DIALOGS.c.title,
            _DIALOGS.c.deleted_at,
            _USERS.c.username,
            _USERS.c.full_name,
        )
        .join(_DIALOGS, _DIALOGS.c.id == page.c.dialog_id)
        .join(_USERS, _USERS.c.id == page.c.user_id)
    )


def dialog_of(row: sa.Row[*tuple[Any, ...]], names: Names) -> ReviewedDialog:
    return ReviewedDialog(
        id=row.dialog_id,
        title=row.title,
        person=names.shown(row.user_id, row.username, row.full_name),
        department=row.department,
        channel=row.channel,
        model=row.model,
        source=row.source,
        status=row.status,
        rating=row.rating,
        verdict=row.verdict,
        state=row.state,
        assignee_id=row.assignee_id,
        assignee_name=row.assignee_name,
        updated_at=row.updated_at,
        deleted=row.deleted_at is not None,
    )
