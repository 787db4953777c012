"""Review: what reviewers and administrators see of everybody's dialogs, and say of the answers.

Nothing is shown before the audit has it: an event that cannot be written is a refusal.
"""

import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.access import Actor, get_reviewed_answer, get_reviewed_dialog, parse_id
from genai_app.db.database import Database
from genai_app.errors import Conflict, Forbidden, InvalidInput, NotFound
from genai_app.models import (
    AuditEvent,
    Dialog,
    Feedback,
    Message,
    MessageVerdict,
    Review,
    ReviewNote,
    Role,
    User,
    Verdict,
)
from genai_app.services.audit.events import MAX_REASON, Action, Audit, event, names_of
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.history import MessagePage, load_branch, newest_below
from genai_app.services.review import workflow as review_work
from genai_app.services.review.crowds import (
    blur_messages,
    blurred,
    check_crowd,
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
from genai_app.services.review.names import DialogPerson, Mode, Names, has_event, list_departments
from genai_app.services.review.search import search_page
from genai_app.text import clean_text

PAGE = 50
MAX_NOTES = 100
MIN_REASON_LETTERS = 10
MIN_REASON_WORDS = 2
MIN_REASON_DISTINCT = 5
_WORD = re.compile(r"[^\W\d_]{2,}")
ONE_READING_S = 3600  # going on with a dialog that was opened is the same reading

OnVerdict = Callable[[Actor, uuid.UUID, Verdict], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reading:
    """A dialog with a piece of one branch, and what users and reviewers say of it.

    `messages`: oldest first; `siblings` and `has_older` as in history.Branch. `own`: the reviewer's
    own dialog, on which no verdict is taken. `revealed`: the name was asked for within the hour.
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


class Reviews:
    """Every method takes who acts, and refuses whoever is no reviewer.

    Args:
        secret: the keys of pseudonyms and cursors are derived from it.
        mode: GENAI_REVIEW_MODE.
        on_verdict: called with the answer's id after each verdict is committed.
    """

    def __init__(
        self,
        db: Database,
        audit: Audit,
        secret: bytes,
        mode: Mode,
        on_verdict: OnVerdict | None = None,
    ) -> None:
        self._db = db
        self._audit = audit
        self._names = Names(secret, mode)
        self._cursors = Cursors(secret)
        self._on_verdict = on_verdict
        self.mode = mode

    async def admit(self, actor: Actor, target: str = "reviews") -> None:
        """Raises Forbidden, audited: no reviewer, or nobody reviews here."""
        if not actor.has(Role.REVIEWER):
            await self._refuse(actor, target, Forbidden.default_code)
        if self.mode == "off":
            await self._refuse(actor, target, "review_off")

    async def list_dialogs(
        self,
        actor: Actor,
        filters: Filters | None = None,
        cursor: str | None = None,
        limit: int = PAGE,
    ) -> ReviewPage:
        """Everybody's dialogs, the last asked first; with a query those of the newest hits.

        Every page is in the audit before it is read. Raises Forbidden, InvalidInput, BadCursor.
        """
        await self.admit(actor)
        filters = checked(filters or Filters())
        hidden = not self._names.named
        if hidden:
            filters = whole_days(filters)
        cursors = self._cursors.of("review", actor, **asdict(filters))
        asked = ReviewQuery.of(filters, self._names, actor.user_id, cursors, cursor, limit)
        used = names_of(filters)
        await self._write(event(Action.DIALOG_LIST, by=actor, target="dialogs", filters=used))
        async with self._db.read(planned_anew=True) as session:
            if hidden:
                await check_crowd(session, filters, actor.user_id)
            if filters.query:
                page = await search_page(session, asked, sqlite=self._db.is_sqlite)
            else:
                page = await list_page(session, asked)
            return replace(page, items=await blurred(session, page.items)) if hidden else page

    async def list_departments(self, actor: Actor) -> list[str]:
        """Raises Forbidden."""
        await self.admit(actor)
        async with self._db.read() as session:
            departments = await list_departments(session)
            if self._names.named:
                return departments
            return sorted(await list_crowded(session, departments))

    async def read_dialog(
        self, actor: Actor, dialog_id: object, *, above: object = None, answer: object = None
    ) -> Reading:
        """The newest messages of the user's branch, or of what stands above a message, or of the
        branch through an answer. The user's own choice of a branch stays as it is.

        Raises Forbidden, NotFound.
        """
        going_on = above is not None or answer is not None
        await self._note_reading(actor, dialog_id, going_on=going_on)
        async with self._db.read() as session:
            dialog, review = await get_reviewed_dialog(session, actor, dialog_id)
            start = dialog.leaf_id
            if answer is not None:
                chosen = await get_reviewed_answer(session, actor, answer)
                start = await newest_below(session, _within(dialog, chosen).id)
            elif above is not None:
                start = await _parent_of(session, actor, dialog, above)
            shown, revealed = await self._shown(session, actor, dialog, review)
            if start is None:
                own = dialog.user_id == actor.user_id
                return Reading(shown, [], {}, has_older=False, own=own, revealed=revealed)
            messages, siblings = await load_branch(session, start, PAGE)
            if not revealed:
                blur_messages(session, messages)
            ids = [each.id for each in messages]
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
                notes=await review_work.list_notes(session, dialog.id, MAX_NOTES),
            )

    async def list_messages(
        self, actor: Actor, dialog_id: object, cursor: str | None = None, limit: int = PAGE
    ) -> MessagePage:
        """All branches, oldest first. Raises Forbidden, NotFound, BadCursor."""
        await self.admit(actor)
        cursors = self._cursors.of("review messages", actor, dialog=parse_id(dialog_id))
        after = None if cursor is None else cursors.read(cursor, uuid.UUID)[0]
        await self._note_reading(actor, dialog_id, going_on=cursor is not None)
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
            found = list(await session.scalars(query))
            if not (self._names.named or await self._names.is_revealed(session, actor, dialog.id)):
                blur_messages(session, found)
        items = found[:limit]
        more = cursors.make(items[-1].id) if len(found) > limit else None
        return MessagePage(items, more)

    async def reveal(self, actor: Actor, dialog_id: object, reason: str) -> DialogPerson:
        """Whose the dialog is, for a reason that is committed before, and shown to that user.

        Raises Forbidden, NotFound, InvalidInput for a reason that is none, Conflict under `named`.
        """
        await self.admit(actor)
        reason = " ".join(clean_text(reason).split())
        if not is_reason(reason) or len(reason) > MAX_REASON:
            raise InvalidInput(code="bad_reason", param="reason")
        if self._names.named:
            raise Conflict(code="nothing_to_reveal")
        async with self._db.read() as session:
            dialog, _ = await get_reviewed_dialog(session, actor, dialog_id)
            user = await session.get_one(User, dialog.user_id)
        await self._write(
            event(
                Action.DIALOG_REVEAL,
                by=actor,
                target=str(dialog.id),
                subject=user.id,
                why=reason,
            )
        )
        return self._names.shown(user.id, user.username, user.full_name, revealed=True)

    async def take(self, actor: Actor, dialog_id: object) -> None:
        """Raises Forbidden, NotFound, Conflict where somebody else has it."""
        await self.admit(actor)
        await review_work.take(self._db, actor, dialog_id)

    async def close(self, actor: Actor, dialog_id: object) -> None:
        """Raises Forbidden, NotFound, Conflict where it is not judged or somebody else has it."""
        await self.admit(actor)
        await review_work.close(self._db, actor, dialog_id)

    async def reopen(self, actor: Actor, dialog_id: object) -> None:
        """Raises Forbidden, NotFound, Conflict where it is not closed."""
        await self.admit(actor)
        await review_work.reopen(self._db, actor, dialog_id)

    async def verdict(self, actor: Actor, message_id: object, verdict: str) -> uuid.UUID:
        """Judge an answer. Returns the dialog's id.

        Raises Forbidden (own answers too), NotFound, InvalidInput, Conflict.
        """
        await self.admit(actor)
        if verdict not in tuple(Verdict):
            raise InvalidInput(param="verdict")
        given = Verdict(verdict)
        try:
            dialog_id, key = await review_work.judge(self._db, actor, message_id, given)
        except Forbidden as error:
            await self._audit.record_news(
                review_work.refusal(actor, str(message_id)[:40], error.code)
            )
            raise
        if self._on_verdict is not None:
            await self._on_verdict(actor, key, given)
        return dialog_id

    async def note(self, actor: Actor, dialog_id: object, text: str) -> ReviewNote:
        """Raises Forbidden, NotFound, InvalidInput."""
        await self.admit(actor)
        return await review_work.note(self._db, actor, dialog_id, text)

    async def summary(self, actor: Actor, dialog_id: object) -> tuple[ReviewedDialog, bool]:
        """How the review of a dialog stands, and whether its user is revealed. Raises Forbidden,
        NotFound."""
        await self.admit(actor)
        async with self._db.read() as session:
            dialog, review = await get_reviewed_dialog(session, actor, dialog_id)
            return await self._shown(session, actor, dialog, review)

    async def _shown(
        self, session: AsyncSession, actor: Actor, dialog: Dialog, review: Review
    ) -> tuple[ReviewedDialog, bool]:
        user = await session.get_one(User, dialog.user_id)
        revealed = self._names.named or await self._names.is_revealed(session, actor, dialog.id)
        names = (user.id, user.username, user.full_name)
        kept = {"id", "title", "person", "deleted", "excerpt"}
        same = {
            name: getattr(review, name)
            for name in ReviewedDialog.__dataclass_fields__
            if name not in kept
        }
        shown = ReviewedDialog(
            id=dialog.id,
            title=dialog.title,
            person=self._names.shown(*names, revealed=revealed),
            deleted=dialog.deleted_at is not None,
            **same,
        )
        if not revealed:
            (shown,) = await blurred(session, [shown])
        return shown, revealed

    async def _note_reading(self, actor: Actor, dialog_id: object, *, going_on: bool) -> None:
        """Commit that the actor reads this dialog, before anything of it is there to be shown."""
        await self.admit(actor)
        async with self._db.read() as session:
            dialog, _ = await get_reviewed_dialog(session, actor, dialog_id)
            known = going_on and await has_event(
                session, actor, Action.DIALOG_READ, dialog.id, ONE_READING_S
            )
        # a further page of the same reading is in the audit too, but its user is told once
        action = Action.DIALOG_LIST if known else Action.DIALOG_READ
        await self._write(event(action, by=actor, target=str(dialog.id), subject=dialog.user_id))

    async def _refuse(self, actor: Actor, target: str, code: str) -> None:
        await self._audit.record_news(review_work.refusal(actor, target, code))
        raise Forbidden(code=code)

    async def _write(self, row: AuditEvent) -> None:
        """Not Audit.record, which forgives a database that is away."""
        async with self._db.write() as session:
            session.add(row)


def is_reason(text: str) -> bool:
    """Whether a text has words: two that differ, of different letters, and some letters in all."""
    words = {word.casefold() for word in _WORD.findall(text)}
    told = [word for word in words if len(set(word)) > 1]
    letters = "".join(told)
    enough = sum(each.isalpha() for each in text) >= MIN_REASON_LETTERS
    return enough and len(told) >= MIN_REASON_WORDS and len(set(letters)) >= MIN_REASON_DISTINCT


def _within(dialog: Dialog, message: Message) -> Message:
    if message.dialog_id != dialog.id:
        raise NotFound
    return message


async def _parent_of(
    session: AsyncSession, actor: Actor, dialog: Dialog, message_id: object
) -> uuid.UUID | None:
    found = await session.get(Message, parse_id(message_id))
    if found is None:
        raise NotFound
    return _within(dialog, found).parent_id
