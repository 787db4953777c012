"""Answers that reviewers write. Each answers its question, asked alone, until its review-by date;
then the model does again, until somebody looks at it. See docs/verified.md."""

import hashlib
import re
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, parse_id
from genai_app.db.database import Database
from genai_app.db.statements import Statement
from genai_app.errors import Conflict, Forbidden, InvalidInput, NotFound
from genai_app.models import (
    MAX_PROMPT_CHARS,
    AuditEvent,
    Message,
    Role,
    UtcDateTime,
    VerifiedAnswer,
)
from genai_app.services.audit.events import Action, Audit, event
from genai_app.services.cursors import Cursors
from genai_app.services.reuse.known_digests import Known
from genai_app.text import clean_text

PAGE = 50
DUE_DAYS = 14  # so long before its date an answer is due for review
MAX_DAYS = 3650
WRITE_TRIES = 3

_SPACE = re.compile(r"\s+")
# a sign that a name may begin or end with (C#, .NET, C++) stays
_BEFORE = " \"'«»„“”‘’‹›¿¡-–—"
_AFTER = " \"'«»„“”‘’‹›.,!?;:…-–—"


def question_hash(text: str) -> bytes:
    """Returns a digest of a question, however it is spelled: SHA-256 of the text in NFKC, case
    folded, with е for ё, white space collapsed, invisible characters gone, and without the quotes
    and dashes around it and the punctuation at its end."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    folded = _SPACE.sub(" ", folded.replace("ё", "е"))
    if not folded.isascii():
        folded = "".join(each for each in folded if unicodedata.category(each) != "Cf")
    core = folded.lstrip(_BEFORE).rstrip(_AFTER)
    return hashlib.sha256((core or folded.strip()).encode()).digest()


class Which(StrEnum):
    """The choice of answers that a list shows."""

    LIVE = "live"  # what answers, or would if its date had not passed
    DUE = "due"  # of these, what is to be reviewed by now or soon
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class VerifiedMatch:
    """A verified answer that a question gets."""

    id: uuid.UUID
    answer: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class VerifiedPage:
    """Answers, the first to be reviewed first; of the retired ones too."""

    items: Sequence[VerifiedAnswer]
    next_cursor: str | None


_FIND = Statement(
    sa.select(
        col(VerifiedAnswer.id), col(VerifiedAnswer.answer), col(VerifiedAnswer.updated_at)
    ).where(
        col(VerifiedAnswer.question_hash) == sa.bindparam("digest"),
        col(VerifiedAnswer.retired_at).is_(None),
        col(VerifiedAnswer.review_by) > sa.bindparam("now", type_=UtcDateTime),
    )
)


class Verified:
    """Writes, lists and finds verified answers.

    Args:
        days: how long one is good, unless its writer says otherwise.
    """

    def __init__(self, db: Database, cursors: Cursors, *, days: int) -> None:
        self._db = db
        self._cursors = cursors
        self._audit = Audit(db)
        self._days = days
        self._hits: dict[uuid.UUID, tuple[int, datetime]] = {}
        self._questions = Known(
            db,
            mark=sa.select(sa.func.count(), sa.func.max(VerifiedAnswer.updated_at)).select_from(
                VerifiedAnswer
            ),
            digests=sa.select(col(VerifiedAnswer.question_hash)).where(
                col(VerifiedAnswer.retired_at).is_(None)
            ),
        )

    async def find(self, question: str) -> VerifiedMatch | None:
        """Returns the answer to a question that is asked alone. Asks the database, by index, only
        where this process knows that there is one."""
        if not self._questions.digests:
            return None
        digest = question_hash(question)
        if digest not in self._questions.digests:
            return None
        async with self._db.statement_runner() as runner:
            rows = await runner.fetch(_FIND, digest=digest, now=clock.now())
        return VerifiedMatch(*rows[0]) if rows else None

    def note_hit(self, key: uuid.UUID) -> None:
        """Counts a use of a verified answer, in memory first: all who ask the same would wait for
        one row."""
        self._hits[key] = (self._hits.get(key, (0,))[0] + 1, clock.now())

    async def save_hits(self) -> None:
        """Saves the counted hits. Raises StorageUnavailable, and keeps them for the next time."""
        if not self._hits:
            return
        noted, self._hits = self._hits, {}
        rows = [
            {"key": key, "more": count, "moment": moment}
            for key, (count, moment) in sorted(noted.items())  # two processes in one order
        ]
        try:
            async with self._db.write() as session:
                connection = await session.connection()
                await connection.execute(
                    sa.update(VerifiedAnswer)
                    .where(col(VerifiedAnswer.id) == sa.bindparam("key"))
                    .values(
                        hits=col(VerifiedAnswer.hits) + sa.bindparam("more"),
                        last_hit_at=sa.bindparam("moment", type_=UtcDateTime),
                    ),
                    rows,
                )
        except BaseException:
            for key, (count, moment) in noted.items():
                since, latest = self._hits.get(key, (0, moment))
                self._hits[key] = (since + count, max(moment, latest))
            raise

    async def refresh(self) -> None:
        """Reads what other processes have written and retired. Raises StorageUnavailable."""
        await self._questions.refresh()

    async def write(
        self,
        actor: Actor,
        question: str,
        answer: str,
        *,
        review_by: datetime | None = None,
        message_id: object | None = None,
    ) -> VerifiedAnswer:
        """Writes the answer to `question` that is used from now on; retires the one before.

        Args:
            review_by: until when it is good.
            message_id: the answer that was no good.

        Raises:
            Forbidden: no reviewer. NotFound: no such message.
            InvalidInput: an empty or too long text, a date that is past or too far.
        """
        _check(actor)
        row = VerifiedAnswer(
            question_hash=question_hash(question),
            question=_checked(question),
            answer=_checked(answer),
            owner_id=actor.user_id,
            owner_name=actor.full_name or actor.username,
            review_by=self._date(review_by),
        )
        if message_id is not None:
            row.message_id = parse_id(message_id)
        for tries_left in reversed(range(WRITE_TRIES)):
            try:
                async with self._db.write() as session:
                    if row.message_id and await session.get(Message, row.message_id) is None:
                        raise NotFound
                    return await self._replace(session, actor, row.model_copy())
            except IntegrityError:  # another one has just answered the same question
                if not tries_left:
                    raise Conflict from None
            finally:
                self._questions.add(row.question_hash)
        raise Conflict

    async def change(
        self,
        actor: Actor,
        verified_id: object,
        *,
        answer: str | None = None,
        review_by: datetime | None = None,
    ) -> VerifiedAnswer:
        """Extends an answer, or replaces its text by a new row: a user who got the old text still
        sees who wrote it.

        Raises Forbidden, NotFound, InvalidInput, and Conflict for a retired one.
        """
        _check(actor)
        until = self._date(review_by)
        async with self._db.write() as session:
            row = await _get(session, verified_id, lock=True)
            if row.retired_at is not None:
                raise Conflict(code="verified_retired")
            if answer is not None and (text := _checked(answer)) != row.answer:
                fresh = VerifiedAnswer(
                    question_hash=row.question_hash,
                    question=row.question,
                    answer=text,
                    owner_id=actor.user_id,
                    owner_name=actor.full_name or actor.username,
                    message_id=row.message_id,
                    review_by=until,
                )
                return await self._replace(session, actor, fresh)
            row.owner_id, row.owner_name = actor.user_id, actor.full_name or actor.username
            row.review_by, row.updated_at = until, clock.now()
            session.add(row)
            session.add(_written(actor, row))
        return row

    async def retire(self, actor: Actor, verified_id: object) -> None:
        """Retires an answer: questions get it no more. Retiring a retired one changes nothing.

        Raises Forbidden, NotFound.
        """
        _check(actor)
        async with self._db.write() as session:
            row = await _get(session, verified_id, lock=True)
            if row.retired_at is not None:
                return
            row.retired_at = row.updated_at = clock.now()
            session.add(row)
            session.add(event(Action.VERIFIED_RETIRE, by=actor, target=str(row.id)))
        self._questions.discard(row.question_hash)

    async def get(self, actor: Actor, verified_id: object) -> VerifiedAnswer:
        """Returns a verified answer. Raises Forbidden, NotFound."""
        _check(actor)
        async with self._db.read() as session:
            return await _get(session, verified_id)

    async def list_page(
        self,
        actor: Actor,
        *,
        which: Which = Which.LIVE,
        limit: int = PAGE,
        cursor: str | None = None,
    ) -> VerifiedPage:
        """Returns a page, the first to be reviewed first, and audits the look at it.

        Raises Forbidden, BadCursor.
        """
        _check(actor)
        cursors = self._cursors.of("verified", actor, which=which)
        after = None if cursor is None else cursors.read(cursor, datetime, uuid.UUID)
        seen = event(Action.ADMIN_VIEW, by=actor, target="verified", filters=which)
        await self._audit.record(seen)
        order = (col(VerifiedAnswer.review_by), col(VerifiedAnswer.id))
        retired = col(VerifiedAnswer.retired_at)
        query = sa.select(VerifiedAnswer).order_by(*order).limit(limit + 1)
        query = query.where(retired.is_not(None) if which is Which.RETIRED else retired.is_(None))
        if which is Which.DUE:
            query = query.where(col(VerifiedAnswer.review_by) <= due_until())
        if after is not None:
            query = query.where(sa.tuple_(*order) > sa.tuple_(*after))
        async with self._db.read() as session:
            rows = list(await session.scalars(query))
        items = rows[:limit]
        more = cursors.make(items[-1].review_by, items[-1].id) if len(rows) > limit else None
        return VerifiedPage(items, more)

    async def _replace(
        self, session: AsyncSession, actor: Actor, row: VerifiedAnswer
    ) -> VerifiedAnswer:
        """Retires the answer that the question has now and adds `row`, in one transaction."""
        await session.execute(
            sa.update(VerifiedAnswer)
            .where(
                col(VerifiedAnswer.question_hash) == row.question_hash,
                col(VerifiedAnswer.retired_at).is_(None),
            )
            .values(retired_at=row.created_at, updated_at=row.created_at)
        )
        session.add(row)
        session.add(_written(actor, row))
        await session.flush()
        return row

    def _date(self, review_by: datetime | None) -> datetime:
        moment = clock.now()
        if review_by is None:
            return moment + timedelta(days=self._days)
        if review_by.tzinfo is None or not moment < review_by <= moment + timedelta(days=MAX_DAYS):
            raise InvalidInput(code="bad_review_by")
        return review_by


def due_until() -> datetime:
    """Returns the latest date with which an answer is due for review."""
    return clock.now() + timedelta(days=DUE_DAYS)


def _check(actor: Actor) -> None:
    if not actor.has(Role.REVIEWER):
        raise Forbidden


def _checked(text: str) -> str:
    text = clean_text(text)
    if not text.strip() or len(text) > MAX_PROMPT_CHARS:
        raise InvalidInput(code="bad_verified")
    return text


def _written(actor: Actor, row: VerifiedAnswer) -> AuditEvent:
    until = row.review_by.date().isoformat()
    return event(Action.VERIFIED_WRITE, by=actor, target=str(row.id), review_by=until)


async def _get(session: AsyncSession, key: object, *, lock: bool = False) -> VerifiedAnswer:
    query = sa.select(VerifiedAnswer).where(col(VerifiedAnswer.id) == parse_id(key))
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound
    return row
