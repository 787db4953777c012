"""A user's own dialogs: lists, branches, titles, deletion. Pages by key, never by count."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_dialog, get_message
from genai_app.db import Database
from genai_app.errors import InvalidInput, NotFound
from genai_app.models import Author, Dialog, Generation, Message, Status, VerifiedAnswer
from genai_app.services.cursors import make_cursor, parse_cursor
from genai_app.text import clean_text

MAX_TITLE_CHARS = 200
PAGE = 50


@dataclass(frozen=True, slots=True)
class DialogPage:
    """Dialogs, newest first; `next_cursor` asks for the page after this one."""

    items: Sequence[Dialog]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Messages of a dialog, all branches, oldest first."""

    items: Sequence[Message]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and one answer of it."""

    dialog_id: uuid.UUID
    answer_id: uuid.UUID
    question: str
    answer: str
    source: str | None
    status: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class PairPage:
    """Questions with their answers, newest first."""

    items: Sequence[Pair]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Branch:
    """Messages of the branch on the screen, oldest first.

    `siblings` maps an answer's id to all answers of its question, where there are several.
    `has_older`: messages stand before the first one. `verified`: by the id of the answer that was
    given, those that a reviewer wrote.
    """

    dialog: Dialog
    messages: Sequence[Message]
    siblings: dict[uuid.UUID, tuple[uuid.UUID, ...]]
    has_older: bool
    verified: dict[uuid.UUID, VerifiedAnswer] = field(
        default_factory=dict[uuid.UUID, VerifiedAnswer]
    )


def branch(leaf_id: uuid.UUID, limit: int) -> sa.CTE:
    """`id` and `n` of at most `limit` messages from `leaf_id` (n = 1) up to the root."""
    key, parent = sa.column("id", sa.Uuid()), sa.column("parent_id", sa.Uuid())
    messages = sa.table("messages", key, parent)
    start = sa.select(key, parent, sa.literal(1).label("n")).select_from(messages)
    path = start.where(key == leaf_id).cte("path", recursive=True)
    above = messages.alias()
    return path.union_all(
        sa.select(above.c.id, above.c.parent_id, path.c.n + 1).where(
            above.c.id == path.c.parent_id, path.c.n < limit
        )
    )


async def load_branch(
    session: AsyncSession, leaf_id: uuid.UUID, limit: int
) -> tuple[list[Message], dict[uuid.UUID, tuple[uuid.UUID, ...]]]:
    """The last `limit` messages of a branch, oldest first, and the siblings of a `Branch`."""
    path = branch(leaf_id, limit)
    newest_first = await session.scalars(
        sa.select(Message).join(path, col(Message.id) == path.c.id).order_by(path.c.n)
    )
    messages = list(newest_first)[::-1]
    questions = {m.parent_id for m in messages if m.author == Author.ASSISTANT}
    rows = await session.execute(
        sa.select(col(Message.parent_id), col(Message.id))
        .where(col(Message.parent_id).in_(questions))
        .order_by(col(Message.id))
    )
    families: dict[uuid.UUID | None, list[uuid.UUID]] = {}
    for parent_id, message_id in rows:
        families.setdefault(parent_id, []).append(message_id)
    siblings = {
        m.id: tuple(families[m.parent_id])
        for m in messages
        if m.parent_id in families and len(families[m.parent_id]) > 1
    }
    return messages, siblings


async def newest_below(session: AsyncSession, message_id: uuid.UUID) -> uuid.UUID | None:
    """The leaf of the newest branch that runs through a message."""
    key, parent = sa.column("id", sa.Uuid()), sa.column("parent_id", sa.Uuid())
    messages = sa.table("messages", key, parent)
    below = sa.select(key).select_from(messages).where(key == message_id)
    below = below.cte("below", recursive=True)
    child = messages.alias()
    below = below.union_all(sa.select(child.c.id).where(child.c.parent_id == below.c.id))
    # ids grow with time and a child is younger than its parent: the newest is a leaf
    return await session.scalar(sa.select(below.c.id).order_by(below.c.id.desc()).limit(1))


class History:
    """Reads and tidies an actor's dialogs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def list_dialogs(
        self, actor: Actor, *, limit: int = PAGE, cursor: str | None = None
    ) -> DialogPage:
        """The actor's dialogs. Raises InvalidInput for a cursor that was not given out."""
        query = (
            sa.select(Dialog)
            .where(col(Dialog.user_id) == actor.user_id, col(Dialog.deleted_at).is_(None))
            .order_by(col(Dialog.updated_at).desc(), col(Dialog.id).desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(
                sa.tuple_(col(Dialog.updated_at), col(Dialog.id)) < sa.tuple_(*parse_cursor(cursor))
            )
        async with self._db.read() as session:
            found = list(await session.scalars(query))
        items = found[:limit]
        more = make_cursor(items[-1].updated_at, items[-1].id) if len(found) > limit else None
        return DialogPage(items, more)

    async def get(self, actor: Actor, dialog_id: object) -> Dialog:
        """Raises NotFound."""
        async with self._db.read() as session:
            return await get_dialog(session, actor, dialog_id)

    async def list_messages(
        self, actor: Actor, dialog_id: object, *, limit: int = PAGE, cursor: str | None = None
    ) -> MessagePage:
        """Raises NotFound, InvalidInput for a cursor that was not given out."""
        async with self._db.read() as session:
            dialog = await get_dialog(session, actor, dialog_id)
            query = (
                sa.select(Message)
                .where(col(Message.dialog_id) == dialog.id)
                .order_by(col(Message.id))  # ids grow with time
                .limit(limit + 1)
            )
            if cursor is not None:
                query = query.where(col(Message.id) > parse_cursor(cursor)[1])
            found = list(await session.scalars(query))
        items = found[:limit]
        more = make_cursor(items[-1].created_at, items[-1].id) if len(found) > limit else None
        return MessagePage(items, more)

    async def list_pairs(
        self, actor: Actor, *, limit: int = PAGE, cursor: str | None = None
    ) -> PairPage:
        """What the actor asked in all dialogs, deleted ones left out, with each answer.

        Raises InvalidInput for a cursor that was not given out.
        """
        question = aliased(Message)
        query = (
            sa.select(Message, col(question.text))
            .join(question, col(Message.parent_id) == col(question.id))
            .join(Dialog, col(Message.dialog_id) == col(Dialog.id))
            .where(
                col(Message.user_id) == actor.user_id,
                col(Message.author) == Author.ASSISTANT,
                col(Dialog.user_id) == actor.user_id,
                col(Dialog.deleted_at).is_(None),
            )
            .order_by(col(Message.created_at).desc(), col(Message.id).desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(
                sa.tuple_(col(Message.created_at), col(Message.id))
                < sa.tuple_(*parse_cursor(cursor))
            )
        async with self._db.read() as session:
            found = [(row[0], row[1]) for row in await session.execute(query)]
        items = [
            Pair(
                answer.dialog_id,
                answer.id,
                text,
                answer.text,
                answer.source,
                answer.status,
                answer.created_at,
            )
            for answer, text in found[:limit]
        ]
        more = make_cursor(items[-1].asked_at, items[-1].answer_id) if len(found) > limit else None
        return PairPage(items, more)

    async def get_branch(
        self, actor: Actor, dialog_id: object, *, above: object | None = None, limit: int = PAGE
    ) -> Branch:
        """The newest `limit` messages of the dialog's branch, or of what stands above `above`.

        Raises NotFound.
        """
        async with self._db.read() as session:
            dialog = await get_dialog(session, actor, dialog_id)
            start = dialog.leaf_id
            if above is not None:
                below = await get_message(session, actor, above)
                if below.dialog_id != dialog.id:
                    raise NotFound
                start = below.parent_id
            if start is None:
                return Branch(dialog, [], {}, has_older=False)
            messages, siblings = await load_branch(session, start, limit)
            verified = await _verified(session, messages)
        has_older = messages[0].parent_id is not None
        return Branch(dialog, messages, siblings, has_older, verified)

    async def choose_branch(self, actor: Actor, answer_id: object) -> uuid.UUID:
        """Show the branch that runs through this answer; its newest message becomes the leaf.

        Returns the dialog's id. Raises NotFound.
        """
        async with self._db.write() as session:
            answer = await get_message(session, actor, answer_id, Author.ASSISTANT)
            dialog = await get_dialog(session, actor, answer.dialog_id)
            dialog.leaf_id = await newest_below(session, answer.id)
            session.add(dialog)
        return dialog.id

    async def rename(self, actor: Actor, dialog_id: object, title: str) -> None:
        """Raises NotFound, InvalidInput for an empty or too long title."""
        title = " ".join(clean_text(title).split())
        if not title or len(title) > MAX_TITLE_CHARS:
            raise InvalidInput(code="bad_title")
        async with self._db.write() as session:
            dialog = await get_dialog(session, actor, dialog_id)
            dialog.title = title
            session.add(dialog)

    async def delete(self, actor: Actor, dialog_id: object) -> None:
        """Take the dialog out of the user's sight and end what runs in it. Raises NotFound."""
        async with self._db.write() as session:
            dialog = await get_dialog(session, actor, dialog_id)
            dialog.deleted_at = clock.now()
            session.add(dialog)
            running = sa.select(col(Message.id)).where(
                col(Message.dialog_id) == dialog.id, col(Message.status) == Status.RUNNING
            )
            await session.execute(
                sa.update(Generation)
                .where(col(Generation.message_id).in_(running))
                .values(stop_requested_at=clock.now())
            )


async def _verified(
    session: AsyncSession, messages: Sequence[Message]
) -> dict[uuid.UUID, VerifiedAnswer]:
    """What the answers among `messages` were copied from."""
    given = {m.verified_id for m in messages if m.verified_id is not None}
    if not given:
        return {}
    found = await session.scalars(
        sa.select(VerifiedAnswer).where(col(VerifiedAnswer.id).in_(given))
    )
    rows = {row.id: row for row in found}
    return {
        m.id: rows[m.verified_id]
        for m in messages
        if m.verified_id is not None and m.verified_id in rows
    }
