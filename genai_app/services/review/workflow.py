"""The workflow of a review: new -> taken -> judged -> closed, and new again when it is reopened."""

import uuid
from collections.abc import Awaitable, Callable

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
from genai_app.services.audit.events import Action, event
from genai_app.services.review.admission import Admission
from genai_app.text import clean_text

MAX_NOTE_CHARS = 2000


OnVerdict = Callable[[Actor, uuid.UUID, Verdict], Awaitable[None]]


class ReviewWork:
    """The steps of reviewers on a dialog. Every method raises Forbidden for an actor without
    admission, and NotFound.

    Args:
        on_verdict: called with the answer's id after a verdict is committed.
    """

    def __init__(
        self, db: Database, admission: Admission, on_verdict: OnVerdict | None = None
    ) -> None:
        self._db = db
        self._admission = admission
        self._on_verdict = on_verdict

    async def take(self, actor: Actor, dialog_id: object) -> None:
        """Assigns the review to the actor. An administrator takes it over from another reviewer.

        Raises Conflict: it is closed, or another reviewer has it.
        """
        await self._admission.check(actor)
        async with self._db.write() as session:
            _, review = await get_reviewed_dialog(session, actor, dialog_id, lock=True)
            if review.state == ReviewState.CLOSED:
                raise Conflict(code="review_closed")
            if not _is_mine(review, actor):
                _assign(session, review, actor)

    async def close(self, actor: Actor, dialog_id: object) -> None:
        """Closes the review. Raises Conflict: it is not judged, already closed, or another reviewer
        has it."""
        await self._admission.check(actor)
        async with self._db.write() as session:
            _, review = await get_reviewed_dialog(session, actor, dialog_id, lock=True)
            if review.state == ReviewState.CLOSED:
                raise Conflict(code="review_closed")
            if review.state != ReviewState.JUDGED:
                raise Conflict(code="review_not_judged")
            if not _is_mine(review, actor):
                _assign(session, review, actor)
            _move(session, review, actor, ReviewState.CLOSED)

    async def reopen(self, actor: Actor, dialog_id: object) -> None:
        """Makes a closed review new, without a reviewer. Verdicts and notes stay.

        Raises Conflict: it is not closed.
        """
        await self._admission.check(actor)
        async with self._db.write() as session:
            _, review = await get_reviewed_dialog(session, actor, dialog_id, lock=True)
            if review.state != ReviewState.CLOSED:
                raise Conflict(code="review_not_closed")
            review.assignee_id, review.assignee_name = None, ""
            _move(session, review, actor, ReviewState.NEW)

    async def judge(self, actor: Actor, message_id: object, verdict: str) -> uuid.UUID:
        """Sets the verdict on an answer and takes the review. Returns the dialog's id.

        Raises:
            Forbidden: the answer is to a question of the actor. Audited.
            InvalidInput: there is no such verdict.
            Conflict: the review is closed, or another reviewer has it.
        """
        await self._admission.check(actor)
        if verdict not in tuple(Verdict):
            raise InvalidInput(param="verdict")
        checked = Verdict(verdict)
        try:
            dialog_id, answer_id = await self._save_verdict(actor, message_id, checked)
        except Forbidden as error:
            await self._admission.record_refusal(actor, str(message_id)[:40], error.code)
            raise
        if self._on_verdict is not None:
            await self._on_verdict(actor, answer_id, checked)
        return dialog_id

    async def _save_verdict(
        self, actor: Actor, message_id: object, verdict: Verdict
    ) -> tuple[uuid.UUID, uuid.UUID]:
        """Commits a verdict. Returns the ids of the dialog and the answer."""
        async with self._db.write() as session:
            answer = await get_reviewed_answer(session, actor, message_id, lock=True)
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
            details = {"verdict": str(verdict), "of": str(dialog.id)}
            session.add(_event(Action.VERDICT, actor, review, str(answer.id), **details))
            if review.state != ReviewState.JUDGED:
                _move(session, review, actor, ReviewState.JUDGED)
        return dialog.id, answer.id

    async def add_note(self, actor: Actor, dialog_id: object, text: str) -> ReviewNote:
        """Writes a note for other reviewers. Raises InvalidInput for an empty or too long text."""
        await self._admission.check(actor)
        text = clean_text(text).strip()
        if not 0 < len(text) <= MAX_NOTE_CHARS:
            raise InvalidInput(code="bad_note")
        async with self._db.write() as session:
            dialog, review = await get_reviewed_dialog(session, actor, dialog_id)
            row = ReviewNote(
                dialog_id=dialog.id, author_id=actor.user_id, author_name=_name(actor), text=text
            )
            session.add(row)
            session.add(_event(Action.REVIEW_NOTE, actor, review, str(dialog.id)))
        return row


async def list_notes(session: AsyncSession, dialog_id: uuid.UUID, limit: int) -> list[ReviewNote]:
    """Returns the newest notes of a dialog, at most `limit`, oldest first."""
    newest = await session.scalars(
        sa.select(ReviewNote)
        .where(col(ReviewNote.dialog_id) == dialog_id)
        .order_by(col(ReviewNote.id).desc())
        .limit(limit)
    )
    return list(newest)[::-1]


def _is_mine(review: Review, actor: Actor) -> bool:
    return review.state != ReviewState.NEW and review.assignee_id == actor.user_id


def _assign(session: AsyncSession, review: Review, actor: Actor) -> None:
    """Assigns the review to the actor. Raises Conflict when another reviewer has it; only an
    administrator takes it over then."""
    is_anothers = review.state != ReviewState.NEW and review.assignee_id is not None
    if is_anothers and not actor.has(Role.ADMIN):
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
