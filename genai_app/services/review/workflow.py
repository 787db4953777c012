"""What reviewers do with a dialog: new -> taken -> judged -> closed, and again new."""

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_reviewed_answer, get_reviewed_dialog
from genai_app.db.database import Database
from genai_app.errors import Conflict, Forbidden, InvalidInput
from genai_app.models import (
    AuditEvent,
    MessageVerdict,
    Review,
    ReviewNote,
    ReviewState,
    Role,
    Verdict,
)
from genai_app.services.audit.events import Action, Outcome, event
from genai_app.text import clean_text

MAX_NOTE_CHARS = 2000


async def take(db: Database, actor: Actor, dialog_id: object) -> None:
    """Raises Conflict: somebody else has it, and only an administrator takes it over; or closed."""
    async with db.write() as session:
        _, review = await get_reviewed_dialog(session, actor, dialog_id, lock=True)
        if review.state == ReviewState.CLOSED:
            raise Conflict(code="review_closed")
        if not _is_mine(review, actor):
            _assign(session, review, actor)


async def close(db: Database, actor: Actor, dialog_id: object) -> None:
    """Raises Conflict: not judged yet, closed already, or somebody else's."""
    async with db.write() as session:
        _, review = await get_reviewed_dialog(session, actor, dialog_id, lock=True)
        if review.state == ReviewState.CLOSED:
            raise Conflict(code="review_closed")
        if review.state != ReviewState.JUDGED:
            raise Conflict(code="review_not_judged")
        if not _is_mine(review, actor):
            _assign(session, review, actor)
        _move(session, review, actor, ReviewState.CLOSED)


async def reopen(db: Database, actor: Actor, dialog_id: object) -> None:
    """Nobody's and new again; verdicts and notes stay. Raises Conflict: it is not closed."""
    async with db.write() as session:
        _, review = await get_reviewed_dialog(session, actor, dialog_id, lock=True)
        if review.state != ReviewState.CLOSED:
            raise Conflict(code="review_not_closed")
        review.assignee_id, review.assignee_name = None, ""
        _move(session, review, actor, ReviewState.NEW)


async def judge(
    db: Database, actor: Actor, message_id: object, verdict: Verdict
) -> tuple[uuid.UUID, uuid.UUID]:
    """The verdict on an answer; who judges has taken. Returns the ids of the dialog and the answer.

    Raises Conflict: closed, or somebody else's. Forbidden: an answer to the actor's own question.
    """
    async with db.write() as session:
        answer = await get_reviewed_answer(session, actor, message_id)
        dialog, review = await get_reviewed_dialog(session, actor, answer.dialog_id, lock=True)
        if dialog.user_id == actor.user_id:
            raise Forbidden(code="own_answer")
        if review.state == ReviewState.CLOSED:
            raise Conflict(code="review_closed")
        if not _is_mine(review, actor):
            _assign(session, review, actor)
        row = await session.get(MessageVerdict, answer.id) or MessageVerdict(
            message_id=answer.id, dialog_id=dialog.id, verdict="", reviewer_id=actor.user_id,
            reviewer_name="",
        )  # fmt: skip
        row.verdict, row.created_at = verdict, clock.now()
        row.reviewer_id, row.reviewer_name = actor.user_id, _name(actor)
        session.add(row)
        review.verdict = verdict
        session.add(
            _event(
                Action.VERDICT, actor, review, str(answer.id), verdict=verdict, of=str(dialog.id)
            )
        )
        if review.state != ReviewState.JUDGED:
            _move(session, review, actor, ReviewState.JUDGED)
    return dialog.id, answer.id


async def note(db: Database, actor: Actor, dialog_id: object, text: str) -> ReviewNote:
    """Raises InvalidInput for an empty or too long one."""
    text = clean_text(text).strip()
    if not 0 < len(text) <= MAX_NOTE_CHARS:
        raise InvalidInput(code="bad_note")
    async with db.write() as session:
        dialog, review = await get_reviewed_dialog(session, actor, dialog_id)
        row = ReviewNote(
            dialog_id=dialog.id, author_id=actor.user_id, author_name=_name(actor), text=text
        )
        session.add(row)
        session.add(_event(Action.REVIEW_NOTE, actor, review, str(dialog.id)))
    return row


async def list_notes(session: AsyncSession, dialog_id: uuid.UUID, limit: int) -> list[ReviewNote]:
    """The newest, the oldest of them first."""
    newest = await session.scalars(
        sa.select(ReviewNote)
        .where(col(ReviewNote.dialog_id) == dialog_id)
        .order_by(col(ReviewNote.id).desc())
        .limit(limit)
    )
    return list(newest)[::-1]


def refusal(actor: Actor, target: str, code: str) -> AuditEvent:
    return event(Action.ACCESS, Outcome.REFUSED, by=actor, target=target, reason=code)


def _is_mine(review: Review, actor: Actor) -> bool:
    return review.state != ReviewState.NEW and review.assignee_id == actor.user_id


def _assign(session: AsyncSession, review: Review, actor: Actor) -> None:
    """Give the review to the actor, unless somebody else has it."""
    others = review.state != ReviewState.NEW and review.assignee_id is not None
    if others and not actor.has(Role.ADMIN):
        raise Conflict(code="review_taken", name=review.assignee_name)
    review.assignee_id, review.assignee_name = actor.user_id, _name(actor)
    if review.state == ReviewState.NEW:
        _move(session, review, actor, ReviewState.TAKEN)
    else:
        session.add(_event(Action.REVIEW_STATE, actor, review, to="taken_over"))
        session.add(review)


def _move(session: AsyncSession, review: Review, actor: Actor, to: ReviewState) -> None:
    review.state, review.changed_at = to, clock.now()
    session.add(review)
    session.add(_event(Action.REVIEW_STATE, actor, review, to=to))


def _event(
    action: Action, actor: Actor, review: Review, target: str = "", **details: str
) -> AuditEvent:
    row = event(action, by=actor, target=target or str(review.dialog_id), subject=review.user_id)
    row.details = " ".join(f"{key}={value}" for key, value in details.items())
    return row


def _name(actor: Actor) -> str:
    return actor.full_name or actor.username
