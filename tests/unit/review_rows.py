"""Dialogs for the tests of review, put straight into the tables; the database does the rest."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import (
    AuditEvent,
    Author,
    Channel,
    Dialog,
    Message,
    Review,
    Role,
    Source,
    User,
    new_id,
)
from genai_app.services.review.reviews import Reviews
from genai_app.services.review.workflow import ReviewWork

MakeReviews = Callable[..., Reviews]
MakeWork = Callable[..., ReviewWork]
SECRET = b"a key of the tests, 32 bytes long"


async def enter_as(
    db: Database, username: str, role: Role = Role.USER, full_name: str = "", department: str = ""
) -> Actor:
    """A new user of that role."""
    user = User(
        username=username,
        full_name=full_name or username.title(),
        role=role,
        department=department,
    )
    async with db.write() as session:
        session.add(user)
    return Actor(user.id, username, user.full_name, role, Channel.WEB, new_id())


async def put_review(
    db: Database,
    actor: Actor,
    turns: Sequence[tuple[str, str]] = (("Вопрос", "Ответ"),),
    *,
    title: str = "a title",
    at: datetime | None = None,
    **answer: Any,
) -> list[uuid.UUID]:
    """A finished dialog. `answer`: columns of its answers. Returns its id, then its messages'."""
    at = at or clock.now()
    dialog = Dialog(user_id=actor.user_id, title=title, created_at=at, updated_at=at)
    rows: list[Message] = []
    for question, text in turns:
        asked = Message(
            dialog_id=dialog.id,
            user_id=actor.user_id,
            parent_id=rows[-1].id if rows else None,
            depth=len(rows),
            author=Author.USER,
            text=question,
            created_at=at,
        )
        told = Message(
            **{
                "dialog_id": dialog.id,
                "user_id": actor.user_id,
                "parent_id": asked.id,
                "depth": len(rows) + 1,
                "author": Author.ASSISTANT,
                "text": text,
                "source": Source.MODEL,
                "model": "qwen3-32b",
                "created_at": at,
                "first_token_at": at + timedelta(seconds=0.4),
                "finished_at": at + timedelta(seconds=2),
                **answer,
            }
        )
        rows += [asked, told]
    dialog.leaf_id = rows[-1].id
    async with db.write() as session:
        session.add(dialog)
        await session.flush()
        await session.execute(sa.insert(Message), [row.model_dump() for row in rows])
    return [dialog.id, *(row.id for row in rows)]


async def put_answer(db: Database, question_id: uuid.UUID, text: str) -> uuid.UUID:
    """One more answer to a question. Returns its id."""
    async with db.write() as session:
        question = await session.get_one(Message, question_id)
        answer = Message(
            dialog_id=question.dialog_id,
            user_id=question.user_id,
            parent_id=question.id,
            depth=question.depth + 1,
            author=Author.ASSISTANT,
            text=text,
            source=Source.MODEL,
        )
        session.add(answer)
    return answer.id


async def review_of(db: Database, dialog_id: uuid.UUID) -> Review:
    async with db.read() as session:
        return await session.get_one(Review, dialog_id)


async def change_review(db: Database, dialog_id: uuid.UUID, **values: Any) -> None:
    async with db.write() as session:
        await session.execute(
            sa.update(Review).where(col(Review.dialog_id) == dialog_id).values(**values)
        )


async def events_of(db: Database, action: str) -> list[AuditEvent]:
    """The audit's events of one kind, oldest first."""
    query = sa.select(AuditEvent).where(col(AuditEvent.action) == action)
    async with db.read() as session:
        return list(await session.scalars(query.order_by(col(AuditEvent.id))))
