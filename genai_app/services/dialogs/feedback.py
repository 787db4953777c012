"""Users' opinions of the answers they got: a thumb, a reason, a comment. Reviewers see it."""

import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_message
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput
from genai_app.models import Author, Feedback, Message, Rating, Reason, Review, Status
from genai_app.text import clean_text

MAX_COMMENT_CHARS = 1000


@dataclass(frozen=True, slots=True)
class Opinion:
    """A user's opinion of an answer. `reason`: why it is no good, "" for none."""

    rating: Rating
    reason: str = ""
    comment: str = ""


class Feedbacks:
    """Keeps the user's last word on each answer."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def give(
        self,
        actor: Actor,
        answer_id: object,
        rating: str | None,
        *,
        reason: str | None = None,
        comment: str | None = None,
    ) -> Opinion | None:
        """Rates one of the actor's own answers; None takes it back. Returns what is kept.

        Raises:
            NotFound: no such answer of this actor. Conflict: it is still being written.
            InvalidInput: no such rating or reason, a reason for praise, a comment that is too long.
        """
        opinion = _opinion(rating, reason, comment)
        async with self._db.write() as session:
            answer = await get_message(session, actor, answer_id, Author.ASSISTANT)
            if answer.status == Status.RUNNING:
                raise Conflict(code="answer_running")
            # two thumbs in one dialog wait here, so that each sees the other's
            await session.execute(
                sa.select(col(Review.dialog_id))
                .where(col(Review.dialog_id) == answer.dialog_id)
                .with_for_update()
            )
            if opinion is None:
                await session.execute(
                    sa.delete(Feedback).where(col(Feedback.message_id) == answer.id)
                )
            else:
                row = Feedback(
                    message_id=answer.id,
                    dialog_id=answer.dialog_id,
                    user_id=actor.user_id,
                    rating=opinion.rating,
                    reason=opinion.reason,
                    comment=opinion.comment,
                    created_at=clock.now(),
                )
                await session.merge(row)
                await session.flush()
            await _keep_rating(session, answer.dialog_id)
        return opinion

    async def of_dialog(self, actor: Actor, dialog_id: uuid.UUID) -> dict[uuid.UUID, Opinion]:
        """Returns the actor's opinions of the answers of a dialog, by answer; nobody else's."""
        query = sa.select(Feedback).where(
            col(Feedback.dialog_id) == dialog_id, col(Feedback.user_id) == actor.user_id
        )
        async with self._db.read() as session:
            return {
                row.message_id: Opinion(Rating(row.rating), row.reason, row.comment)
                for row in await session.scalars(query)
            }


def _opinion(rating: str | None, reason: str | None, comment: str | None) -> Opinion | None:
    if rating is None:
        if reason or comment:
            raise InvalidInput(code="bad_feedback")
        return None
    comment = clean_text(comment or "").strip()
    wrong = rating not in tuple(Rating) or (reason and reason not in tuple(Reason))
    if wrong or (reason and rating != Rating.DOWN) or len(comment) > MAX_COMMENT_CHARS:
        raise InvalidInput(code="bad_feedback")
    return Opinion(Rating(rating), reason or "", comment)


async def _keep_rating(session: AsyncSession, dialog_id: uuid.UUID) -> None:
    """Saves what the list of all dialogs shows: "down" if any answer has it, else "up" if any.
    Answers without a source were given elsewhere, and say nothing of the model here."""
    ratings = set(
        await session.scalars(
            sa.select(col(Feedback.rating))
            .join(Message, col(Message.id) == col(Feedback.message_id))
            .where(col(Feedback.dialog_id) == dialog_id, col(Message.source).is_not(None))
            .distinct()
        )
    )
    rating = next((str(each) for each in (Rating.DOWN, Rating.UP) if each in ratings), "")
    await session.execute(
        sa.update(Review).where(col(Review.dialog_id) == dialog_id).values(rating=rating)
    )
