"""Reading dialogs of all users, for reviewers and administrators.

Every reading is committed to the audit before anything is returned. Nothing can be read while the
event cannot be written.
"""

import re
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.access import Actor, get_reviewed_dialog, parse_id
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import (
    Attachment,
    AuditEvent,
    Dialog,
    Feedback,
    Message,
    MessageVerdict,
    Review,
    ReviewNote,
    User,
)
from genai_app.services.audit.events import MAX_REASON, Action, event, names_of
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.branches import load_branch
from genai_app.services.dialogs.leaves import leaf_below
from genai_app.services.files.rows import attachments_of
from genai_app.services.review.admission import Admission
from genai_app.services.review.crowds import (
    blur_messages,
    blurred,
    check_crowd,
    hide_file_names,
    list_crowded,
    whole_days,
)
from genai_app.services.review.listing import (
    Filters,
    ReviewedDialog,
    ReviewPage,
    ReviewQuery,
    checked,
    list_page,
)
from genai_app.services.review.names import (
    ONE_READING_S,
    DialogPerson,
    Mode,
    Names,
    has_event,
    list_departments,
)
from genai_app.services.review.search import search_page
from genai_app.services.review.workflow import list_notes
from genai_app.text import clean_text

PAGE = 50
MAX_NOTES = 100
MIN_REASON_LETTERS = 10
MIN_REASON_WORDS = 2
MIN_REASON_DISTINCT = 5
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Reading:
    """A dialog with a part of one branch, its feedback, verdicts and notes.

    `messages`: oldest first; `siblings` and `has_older` as in history.Branch. `own`: the dialog is
    the reviewer's own and cannot be judged by them. `revealed`: the reviewer may see the name.
    `instructions`: the user's own ones of now, "" while the name is hidden, which they may hold.
    `files`: those of each question; their names are hidden with the user's.
    """

    dialog: ReviewedDialog
    messages: Sequence[Message]
    siblings: dict[uuid.UUID, tuple[uuid.UUID, ...]]
    has_older: bool
    own: bool
    revealed: bool
    feedback: dict[uuid.UUID, Feedback] = field(default_factory=dict[uuid.UUID, Feedback])
    verdicts: dict[uuid.UUID, MessageVerdict] = field(
        default_factory=dict[uuid.UUID, MessageVerdict]
    )
    notes: Sequence[ReviewNote] = ()
    instructions: str = ""
    files: dict[uuid.UUID, list[Attachment]] = field(
        default_factory=dict[uuid.UUID, list[Attachment]]
    )


@dataclass(frozen=True, slots=True)
class ReviewedMessages:
    """Messages of all branches of a dialog, oldest first, with the files of questions."""

    items: Sequence[Message]
    next_cursor: str | None
    files: dict[uuid.UUID, list[Attachment]]


class Reviews:
    """Reads dialogs of all users. Every method raises Forbidden for an actor without admission.

    Args:
        secret: the keys of pseudonyms and cursors are derived from it.
        mode: GENAI_REVIEW_MODE.
    """

    def __init__(self, db: Database, admission: Admission, secret: bytes, mode: Mode) -> None:
        self._db = db
        self._admission = admission
        self._names = Names(secret, mode)
        self._cursors = Cursors(secret)

    async def list_dialogs(
        self,
        actor: Actor,
        filters: Filters | None = None,
        cursor: str | None = None,
        limit: int = PAGE,
    ) -> ReviewPage:
        """Returns a page of all users' dialogs by the last question, newest first; with a query by
        the newest hit. Audits each page.

        Raises Forbidden, InvalidInput, BadCursor.
        """
        await self._admission.check(actor)
        filters = checked(filters or Filters())
        hidden = not self._names.named
        if hidden:
            filters = whole_days(filters)
        cursors = self._cursors.of("review", actor, **asdict(filters))
        query = ReviewQuery.of(filters, self._names, actor.user_id, cursors, cursor, limit)
        used = names_of(filters)
        await self._write(event(Action.DIALOG_LIST, by=actor, target="dialogs", filters=used))
        async with self._db.read(planned_anew=True) as session:
            if hidden:
                await check_crowd(session, filters, actor.user_id)
            if filters.query:
                page = await search_page(session, query, sqlite=self._db.is_sqlite)
            else:
                page = await list_page(session, query)
            return replace(page, items=await blurred(session, page.items)) if hidden else page

    async def list_departments(self, actor: Actor) -> list[str]:
        """Returns the departments to filter by; while names are hidden, only those with enough
        users. Raises Forbidden."""
        await self._admission.check(actor)
        async with self._db.read() as session:
            departments = await list_departments(session)
            if self._names.named:
                return departments
            return sorted(await list_crowded(session, departments))

    async def read_dialog(
        self, actor: Actor, dialog_id: object, *, above: object = None, through: object = None
    ) -> Reading:
        """Returns the newest messages of the branch that the user has chosen, and does not change
        that choice.

        Args:
            above: the id of a message: returns the messages before it instead.
            through: the id of a message: returns the branch through it instead.

        Raises Forbidden, NotFound.
        """
        is_further = above is not None or through is not None
        await self._record_reading(actor, dialog_id, is_further=is_further)
        async with self._db.read() as session:
            dialog, review = await get_reviewed_dialog(session, actor, dialog_id)
            start = dialog.leaf_id
            if through is not None:
                chosen = await _message_in(session, dialog, through)
                start = await leaf_below(session, dialog, chosen.id)
            elif above is not None:
                start = (await _message_in(session, dialog, above)).parent_id
            shown, revealed = await self._shown(session, actor, dialog, review)
            user = await session.get_one(User, dialog.user_id)
            instructions = user.instructions if revealed else ""
            if start is None:
                own = dialog.user_id == actor.user_id
                return Reading(shown, [], {}, has_older=False, own=own, revealed=revealed)
            messages, siblings = await load_branch(session, start, PAGE, with_reasoning=True)
            ids = [each.id for each in messages]
            files = await attachments_of(session, ids)
            if not revealed:
                blur_messages(session, messages)
                hide_file_names(messages, files)
            feedback = await session.scalars(
                sa.select(Feedback).where(col(Feedback.message_id).in_(ids))
            )
            verdicts = await session.scalars(
                sa.select(MessageVerdict).where(col(MessageVerdict.message_id).in_(ids))
            )
            return Reading(
                dialog=shown,
                messages=messages,
                siblings=siblings,
                has_older=bool(messages) and messages[0].parent_id is not None,
                own=dialog.user_id == actor.user_id,
                revealed=revealed,
                feedback={each.message_id: each for each in feedback},
                verdicts={each.message_id: each for each in verdicts},
                notes=await list_notes(session, dialog.id, MAX_NOTES),
                instructions=instructions,
                files=files,
            )

    async def list_messages(
        self, actor: Actor, dialog_id: object, cursor: str | None = None, limit: int = PAGE
    ) -> ReviewedMessages:
        """Returns a page of messages of all branches, oldest first.

        Raises Forbidden, NotFound, BadCursor.
        """
        await self._admission.check(actor)
        cursors = self._cursors.of("review messages", actor, dialog=parse_id(dialog_id))
        after = None if cursor is None else cursors.read(cursor, uuid.UUID)[0]
        await self._record_reading(actor, dialog_id, is_further=cursor is not None)
        async with self._db.read() as session:
            dialog, _ = await get_reviewed_dialog(session, actor, dialog_id)
            query = (
                sa.select(Message)
                .where(col(Message.dialog_id) == dialog.id)
                .order_by(col(Message.id))
                .limit(limit + 1)
            )
            if after is not None:
                query = query.where(col(Message.id) > after)
            rows = list(await session.scalars(query))
            files = await attachments_of(session, [each.id for each in rows])
            if not (self._names.named or await self._names.is_revealed(session, actor, dialog.id)):
                blur_messages(session, rows)
                hide_file_names(rows, files)
        items = rows[:limit]
        more = cursors.make(items[-1].id) if len(rows) > limit else None
        return ReviewedMessages(items, more, files)

    async def reveal(self, actor: Actor, dialog_id: object, reason: str) -> DialogPerson:
        """Returns the user of the dialog with the name. Audits the reason first; the user sees it.

        Raises:
            Forbidden, NotFound.
            InvalidInput: the text is no reason (see `is_reason`) or too long.
            Conflict: names are not hidden.
        """
        await self._admission.check(actor)
        reason = " ".join(clean_text(reason).split())
        if not is_reason(reason) or len(reason) > MAX_REASON:
            raise InvalidInput(code="bad_reason", param="reason")
        if self._names.named:
            raise Conflict(code="nothing_to_reveal")
        async with self._db.read() as session:
            dialog, _ = await get_reviewed_dialog(session, actor, dialog_id)
            user = await session.get_one(User, dialog.user_id)
        target = str(dialog.id)
        await self._write(
            event(Action.DIALOG_REVEAL, by=actor, target=target, subject=user.id, why=reason)
        )
        return self._names.shown(user.id, user.username, user.full_name, revealed=True)

    async def summary(self, actor: Actor, dialog_id: object) -> tuple[ReviewedDialog, bool]:
        """Returns a dialog with the state of its review, and whether its user is revealed.

        Raises Forbidden, NotFound.
        """
        await self._admission.check(actor)
        async with self._db.read() as session:
            dialog, review = await get_reviewed_dialog(session, actor, dialog_id)
            return await self._shown(session, actor, dialog, review)

    async def _shown(
        self, session: AsyncSession, actor: Actor, dialog: Dialog, review: Review
    ) -> tuple[ReviewedDialog, bool]:
        user = await session.get_one(User, dialog.user_id)
        revealed = self._names.named or await self._names.is_revealed(session, actor, dialog.id)
        names = (user.id, user.username, user.full_name)
        own = {"id", "title", "person", "deleted", "excerpt"}
        columns = {
            name: getattr(review, name)
            for name in ReviewedDialog.__dataclass_fields__
            if name not in own
        }
        shown = ReviewedDialog(
            id=dialog.id,
            title=dialog.title,
            person=self._names.shown(*names, revealed=revealed),
            deleted=dialog.deleted_at is not None,
            **columns,
        )
        if not revealed:
            (shown,) = await blurred(session, [shown])
        return shown, revealed

    async def _record_reading(self, actor: Actor, dialog_id: object, *, is_further: bool) -> None:
        """Commits to the audit that the actor reads this dialog. `is_further`: the request is for a
        further page or another branch.

        Raises Forbidden, NotFound.
        """
        await self._admission.check(actor)
        async with self._db.read() as session:
            dialog, _ = await get_reviewed_dialog(session, actor, dialog_id)
            is_same_reading = is_further and await has_event(
                session, actor, Action.DIALOG_READ, dialog.id, ONE_READING_S
            )
        # the user sees a reading once (DIALOG_READ); its further pages are for the audit alone
        action = Action.DIALOG_LIST if is_same_reading else Action.DIALOG_READ
        await self._write(event(action, by=actor, target=str(dialog.id), subject=dialog.user_id))

    async def _write(self, row: AuditEvent) -> None:
        """Commits an event. Unlike Audit.record, fails when the database is unavailable."""
        async with self._db.write() as session:
            session.add(row)


def is_reason(text: str) -> bool:
    """Returns whether a text looks like a reason: it has MIN_REASON_LETTERS, and MIN_REASON_WORDS
    different words of at least two different letters, with MIN_REASON_DISTINCT letters in all."""
    words = {word.casefold() for word in _WORD.findall(text) if len(set(word.casefold())) > 1}
    distinct_letters = set("".join(words))
    return (
        sum(each.isalpha() for each in text) >= MIN_REASON_LETTERS
        and len(words) >= MIN_REASON_WORDS
        and len(distinct_letters) >= MIN_REASON_DISTINCT
    )


async def _message_in(session: AsyncSession, dialog: Dialog, message_id: object) -> Message:
    """Returns a message of the dialog. Raises NotFound for one of another dialog."""
    message = await session.get(Message, parse_id(message_id))
    if message is None or message.dialog_id != dialog.id:
        raise NotFound
    return message
