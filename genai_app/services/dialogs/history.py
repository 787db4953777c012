"""A user's own dialogs: lists, branches, deletion. Pages by key, never by count."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_dialog, get_message, parse_id
from genai_app.db.database import Database
from genai_app.errors import InvalidInput, NotFound
from genai_app.models import (
    Author,
    Dialog,
    Generation,
    Message,
    QueuedQuestion,
    Status,
)
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.branches import Branch, branch_of, count_from, load_branch
from genai_app.services.dialogs.leaves import leaf_below, show_leaf
from genai_app.services.dialogs.sections import began_by, is_archived
from genai_app.text import clean_text

MAX_TITLE_CHARS = 200
REACH = 100  # messages that a page loads at once to come to one of them
MOST_AGAIN = 400  # messages that it loads again at once
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
    error_code: str | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class PairPage:
    """Questions with their answers, newest first."""

    items: Sequence[Pair]
    next_cursor: str | None


async def next_moment(session: AsyncSession, user_id: uuid.UUID) -> datetime:
    """Returns now, or just after the user's newest dialog where that is dated later, from before
    the clock was set back: the dialog of the last question stands first in the list."""
    newest = await session.scalar(
        sa.select(sa.func.max(col(Dialog.updated_at))).where(col(Dialog.user_id) == user_id)
    )
    now = clock.now()
    return now if newest is None else max(now, newest + timedelta(microseconds=1))


def clean_title(title: str) -> str:
    """Returns a title on one line. Raises InvalidInput for an empty or too long one."""
    title = " ".join(clean_text(title).split())
    if not title or len(title) > MAX_TITLE_CHARS:
        raise InvalidInput(code="bad_title")
    return title


class History:
    """Reads and deletes an actor's dialogs."""

    def __init__(self, db: Database, cursors: Cursors) -> None:
        self._db = db
        self._cursors = cursors

    async def list_dialogs(
        self,
        actor: Actor,
        *,
        limit: int = PAGE,
        cursor: str | None = None,
        key_id: uuid.UUID | None = None,
        own: bool = False,
        archived: bool = False,
    ) -> DialogPage:
        """Returns the actor's dialogs, or those of one key, or (`own`) those that no key began;
        those that are not archived, or those that are.

        Raises BadCursor.
        """
        cursors = self._cursors.of("dialogs", actor, key=key_id, own=own, archived=archived)
        query = (
            sa.select(Dialog)
            .where(col(Dialog.user_id) == actor.user_id, col(Dialog.deleted_at).is_(None))
            .where(*began_by(key_id, own=own), *is_archived(archived))
            .order_by(col(Dialog.updated_at).desc(), col(Dialog.id).desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(
                sa.tuple_(col(Dialog.updated_at), col(Dialog.id))
                < sa.tuple_(*cursors.read(cursor, datetime, uuid.UUID))
            )
        async with self._db.read() as session:
            rows = list(await session.scalars(query))
        items = rows[:limit]
        more = cursors.make(items[-1].updated_at, items[-1].id) if len(rows) > limit else None
        return DialogPage(items, more)

    async def get(self, actor: Actor, dialog_id: object) -> Dialog:
        """Returns a dialog. Raises NotFound."""
        async with self._db.read() as session:
            return await get_dialog(session, actor, dialog_id)

    async def list_messages(
        self, actor: Actor, dialog_id: object, *, limit: int = PAGE, cursor: str | None = None
    ) -> MessagePage:
        """Returns a page of a dialog's messages. Raises NotFound, BadCursor."""
        async with self._db.read() as session:
            dialog = await get_dialog(session, actor, dialog_id)
            cursors = self._cursors.of("messages", actor, dialog=dialog.id)
            query = (
                sa.select(Message)
                .where(col(Message.dialog_id) == dialog.id)
                .order_by(col(Message.id))  # ids grow with time
                .limit(limit + 1)
            )
            if cursor is not None:
                query = query.where(col(Message.id) > cursors.read(cursor, uuid.UUID)[0])
            rows = list(await session.scalars(query))
        items = rows[:limit]
        more = cursors.make(items[-1].id) if len(rows) > limit else None
        return MessagePage(items, more)

    async def list_pairs(
        self, actor: Actor, *, limit: int = PAGE, cursor: str | None = None
    ) -> PairPage:
        """Returns the actor's questions with each answer, of all dialogs but deleted ones.

        Raises BadCursor.
        """
        cursors = self._cursors.of("history", actor)
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
            .order_by(col(Message.id).desc())  # ids grow in the order of the questions
            .limit(limit + 1)
        )
        if cursor is not None:
            query = query.where(col(Message.id) < cursors.read(cursor, uuid.UUID)[0])
        async with self._db.read() as session:
            rows = [(row[0], row[1]) for row in await session.execute(query)]
        items = [
            Pair(
                answer.dialog_id,
                answer.id,
                text,
                answer.text,
                answer.source,
                answer.status,
                answer.created_at,
                answer.error_code,
                details_of(answer),
            )
            for answer, text in rows[:limit]
        ]
        more = cursors.make(items[-1].answer_id) if len(rows) > limit else None
        return PairPage(items, more)

    async def get_branch(
        self,
        actor: Actor,
        dialog_id: object,
        *,
        above: object | None = None,
        reaching: object | None = None,
        since: object | None = None,
        limit: int = PAGE,
    ) -> Branch:
        """Returns the newest `limit` messages of the dialog's branch, or of those before `above`;
        as many more as it takes to reach the message `reaching`, up to REACH. With `since`: those
        from this message on, where it is in the branch and they are at most MOST_AGAIN.

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
            if reaching is not None:
                limit = max(limit, await count_from(session, dialog, reaching, REACH) + 2)
            again = await count_from(session, dialog, since, MOST_AGAIN) if since else 0
            messages, siblings = await load_branch(session, start, again or limit)
            if again and messages[0].id != parse_id(since):  # it is in another branch
                messages, siblings = await load_branch(session, start, limit)
            return await branch_of(session, dialog, messages, siblings)

    async def get_part(
        self,
        actor: Actor,
        dialog_id: object,
        *,
        around: object | None = None,
        below: object | None = None,
    ) -> Branch:
        """Returns PAGE messages of the dialog's branch around a message, or the next PAGE below
        one. Raises NotFound, also where that message is in another branch."""
        async with self._db.read() as session:
            dialog = await get_dialog(session, actor, dialog_id)
            count = await count_from(session, dialog, around or below, None)
            if dialog.leaf_id is None or not count:
                raise NotFound
            skip = max(count - PAGE // 2 if around else count - 1 - PAGE, 0)
            if around:
                skip -= skip % 2  # to the end of a turn
            messages, siblings = await load_branch(
                session, dialog.leaf_id, PAGE if around else count - 1 - skip, skip=skip
            )
            wanted = parse_id(around or below)
            if wanted not in {m.id if around else m.parent_id for m in messages}:
                raise NotFound
            return await branch_of(session, dialog, messages, siblings)

    async def get_reasoning(self, actor: Actor, answer_id: object) -> str:
        """Returns what the model thought before an answer, "" for nothing. Raises NotFound."""
        async with self._db.read() as session:
            return (await get_message(session, actor, answer_id, Author.ASSISTANT)).reasoning

    async def choose_branch(
        self, actor: Actor, message_id: object, *, within: str | None = None
    ) -> uuid.UUID:
        """Shows the branch that runs through this message, up to the leaf that was looked at last.

        Args:
            within: the id of the dialog that the message has to be of.

        Returns the dialog's id. Raises NotFound.
        """
        async with self._db.write() as session:
            message = await get_message(session, actor, message_id)
            if within is not None and str(message.dialog_id) != within:
                raise NotFound
            dialog = await get_dialog(session, actor, message.dialog_id, lock=True)
            await show_leaf(session, dialog, await leaf_below(session, dialog, message.id))
        return dialog.id

    async def delete(self, actor: Actor, dialog_id: object) -> None:
        """Hides the dialog from its user, ends what runs in it and deletes what waits in it. Raises
        NotFound."""
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
            await session.execute(
                sa.delete(QueuedQuestion).where(col(QueuedQuestion.dialog_id) == dialog.id)
            )


def details_of(message: Message) -> dict[str, Any]:
    """Returns the values that the sentence for the message's `error_code` names."""
    return json.loads(message.error_details) if message.error_details else {}
