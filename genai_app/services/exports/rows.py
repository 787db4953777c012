"""Reads the rows of an export in pages by key. Each page is a short transaction of its own, so that
a large export takes little memory and holds no lock for long."""

import json
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.models import (
    Dialog,
    Feedback,
    Folder,
    Message,
    MessageVerdict,
    Review,
    User,
    VerifiedAnswer,
)
from genai_app.services.dialogs.branches import branch
from genai_app.services.exports.choice import ExportChoice, ExportKind, Format, day_begins
from genai_app.services.files.rows import attachments_of
from genai_app.services.review.crowds import hidden_file_name, list_crowded
from genai_app.zones import DEFAULT_ZONE, utc_day

DIALOGS = 100
MESSAGES = 200
MAX_BRANCH = 100_000


@dataclass(frozen=True, slots=True)
class Head:
    """A dialog. The fields for reviewers are empty in a user's own export, and those of the user's
    list (`folder`, `pinned_at`, `archived_at`) in one for reviewers."""

    id: uuid.UUID
    title: str
    created_at: datetime
    updated_at: datetime
    leaf_id: uuid.UUID | None = None
    user_id: uuid.UUID | None = None
    username: str = ""
    full_name: str = ""
    department: str = ""
    deleted_at: datetime | None = None
    state: str = ""
    folder: str | None = None
    pinned_at: datetime | None = None
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ExportedMessage:
    """A message in its dialog."""

    head: Head
    id: uuid.UUID
    parent_id: uuid.UUID | None
    created_at: datetime
    author: str
    channel: str
    status: str
    error_code: str | None
    source: str | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    text: str
    rating: str
    verdict: str
    error_reason: str = ""  # as the model server wrote it
    reasoning: str | None = None  # None: it was not asked for
    files: tuple[str, ...] = ()  # the names of those that were sent with a question


@dataclass(frozen=True, slots=True)
class ExportedAnswer:
    """A verified answer and its question."""

    id: uuid.UUID
    question: str
    answer: str
    owner: str
    created_at: datetime
    updated_at: datetime
    review_by: datetime
    hits: int


_MESSAGE = (
    *(col(Message.dialog_id), col(Message.error_details)),
    *(col(Message.id), col(Message.parent_id), col(Message.created_at)),
    *(col(Message.author), col(Message.channel), col(Message.status), col(Message.error_code)),
    *(col(Message.source), col(Message.model), col(Message.prompt_tokens)),
    *(col(Message.completion_tokens), col(Message.text)),
    sa.func.coalesce(col(Feedback.rating), ""),
)
_HEAD: tuple[Any, ...] = (
    *(col(Dialog.id), col(Dialog.title), col(Dialog.created_at), col(Dialog.updated_at)),
    col(Dialog.leaf_id),
)
_OF_LIST: tuple[Any, ...] = (
    table_of(Folder).c.name.label("folder"),
    col(Dialog.pinned_at),
    col(Dialog.archived_at),
)
_OF_REVIEW: tuple[Any, ...] = (
    *(table_of(User).c.id.label("user_id"), col(User.username), col(User.full_name)),
    *(col(Review.department), col(Dialog.deleted_at), col(Review.state)),
)


class Rows:
    """The rows of one export.

    Args:
        owner_id: the user who ordered it: `dialog` and `mine` hold only this user's dialogs.
        pseudonym_of: returns the pseudonym of a user; None: names are shown.
    """

    def __init__(
        self,
        db: Database,
        kind: ExportKind,
        format: Format,
        choice: ExportChoice,
        owner_id: uuid.UUID,
        pseudonym_of: Callable[[uuid.UUID], str] | None = None,
    ) -> None:
        self._db = db
        self._kind = kind
        self._choice = choice
        self._owner_id = owner_id
        self._pseudonym_of = pseudonym_of
        # departments of this page that are large enough to be shown
        self._crowded: set[str] = set()
        # documents hold the branch that the page shows; data holds all branches
        self._one_branch = kind is ExportKind.DIALOG and format in (Format.MD, Format.PDF)

    async def count(self) -> int:
        """Returns the number of rows now; more may be added while the export is written."""
        if self._one_branch:
            return sum([len(ids) async for _, ids in self._branches()])
        if self._kind is ExportKind.VERIFIED:
            query = sa.select(sa.func.count()).select_from(VerifiedAnswer).where(_LIVE)
        else:
            dialogs = self._dialogs(col(Dialog.id)).subquery()
            query = (
                sa.select(sa.func.count())
                .select_from(Message)
                .join(dialogs, col(Message.dialog_id) == dialogs.c.id)
            )
        async with self._db.read() as session:
            return await session.scalar(query) or 0

    async def answers(self) -> AsyncGenerator[list[ExportedAnswer]]:
        """Yields pages of verified answers that are not retired, oldest first."""
        answers = VerifiedAnswer
        query = sa.select(
            *(col(answers.id), col(answers.question), col(answers.answer), col(answers.owner_name)),
            *(col(answers.created_at), col(answers.updated_at), col(answers.review_by)),
            col(answers.hits),
        ).where(_LIVE)
        last: uuid.UUID | None = None
        while True:
            page = query.order_by(col(answers.id)).limit(MESSAGES)
            if last is not None:
                page = page.where(col(answers.id) > last)
            async with self._db.read() as session:
                pairs = [ExportedAnswer(*row) for row in await session.execute(page)]
            if not pairs:
                return
            last = pairs[-1].id
            yield pairs

    async def messages(self) -> AsyncGenerator[list[ExportedMessage]]:
        """Yields pages of messages, dialog by dialog, the oldest dialog first."""
        if self._one_branch:
            async for head, ids in self._branches():
                for begin in range(0, len(ids), MESSAGES):
                    yield await self._messages_of(head, ids[begin : begin + MESSAGES])
            return
        async for heads in self._heads():
            by_id = {head.id: head for head in heads}
            last: tuple[uuid.UUID, uuid.UUID] | None = None
            while True:
                query = self._select_messages().where(col(Message.dialog_id).in_(by_id))
                key = sa.tuple_(col(Message.dialog_id), col(Message.id))
                if last is not None:
                    query = query.where(key > sa.tuple_(*last))
                query = query.order_by(col(Message.dialog_id), col(Message.id)).limit(MESSAGES)
                async with self._db.read() as session:
                    rows = await session.execute(query)
                    page = await with_files(session, [_message(by_id, row) for row in rows])
                if not page:
                    break
                last = (page[-1].head.id, page[-1].id)
                if self._pseudonym_of is not None:
                    page = [_without_names(row) for row in page]
                yield page
                if len(page) < MESSAGES:
                    break

    async def _heads(self) -> AsyncGenerator[list[Head]]:
        last: uuid.UUID | None = None
        while True:
            page = self._dialogs(*self._columns()).order_by(col(Dialog.id)).limit(DIALOGS)
            if last is not None:
                page = page.where(col(Dialog.id) > last)
            async with self._db.read() as session:
                heads = [Head(**row) for row in (await session.execute(page)).mappings()]
                if self._pseudonym_of is not None:
                    self._crowded = await list_crowded(
                        session, {each.department for each in heads} - {""}
                    )
            if not heads:
                return
            last = heads[-1].id
            yield [self._shown(head) for head in heads]

    def _shown(self, head: Head) -> Head:
        """Returns the dialog as the reader may see it: with a pseudonym and whole days if names are
        hidden."""
        if self._pseudonym_of is None or head.user_id is None:
            return head
        deleted_at = None if head.deleted_at is None else utc_day(head.deleted_at)
        return replace(
            head,
            username=self._pseudonym_of(head.user_id),
            full_name="",
            created_at=utc_day(head.created_at),
            updated_at=utc_day(head.updated_at),
            deleted_at=deleted_at,
            department=head.department if head.department in self._crowded else "",
        )

    def _columns(self) -> Sequence[Any]:
        return (*_HEAD, *(_OF_REVIEW if self._kind is ExportKind.DIALOGS else _OF_LIST))

    def _dialogs(self, *columns: Any) -> sa.Select[*tuple[Any, ...]]:
        choice = self._choice
        if self._kind is not ExportKind.DIALOGS:
            is_of_owner = col(Folder.user_id) == self._owner_id
            query = (
                sa.select(*columns)
                .select_from(Dialog)
                .outerjoin(Folder, sa.and_(col(Folder.id) == col(Dialog.folder_id), is_of_owner))
                .where(col(Dialog.user_id) == self._owner_id, col(Dialog.deleted_at).is_(None))
            )
            if self._kind is ExportKind.DIALOG:
                query = query.where(col(Dialog.id) == uuid.UUID(choice.dialog_id))
            return query
        query = (
            sa.select(*columns)
            .select_from(Review)
            .join(Dialog, col(Dialog.id) == col(Review.dialog_id))
            .join(User, col(User.id) == col(Dialog.user_id))
        )
        if choice.user_ids:
            query = query.where(col(Review.user_id).in_(choice.people))
        for name in ("department", "model", "source", "state"):
            if value := getattr(choice, name):
                query = query.where(col(getattr(Review, name)) == value)
        zone = DEFAULT_ZONE if self._pseudonym_of else choice.zone
        if since := day_begins(choice.since, zone=zone):
            query = query.where(col(Review.updated_at) >= since)
        if until := day_begins(choice.until, after=True, zone=zone):
            query = query.where(col(Review.updated_at) < until)
        return query

    def _select_messages(self) -> sa.Select[*tuple[Any, ...]]:
        query = sa.select(*_MESSAGE)
        if self._kind is ExportKind.DIALOGS:  # a user does not see the verdicts of reviewers
            query = query.add_columns(sa.func.coalesce(col(MessageVerdict.verdict), ""))
            query = query.outerjoin(
                MessageVerdict, col(MessageVerdict.message_id) == col(Message.id)
            )
        else:
            query = query.add_columns(sa.literal(""))
        thoughts = col(Message.reasoning) if self._choice.reasoning else sa.null()
        query = query.add_columns(thoughts)
        return query.outerjoin(Feedback, col(Feedback.message_id) == col(Message.id))

    async def _branches(self) -> AsyncGenerator[tuple[Head, list[uuid.UUID]]]:
        """Yields each dialog with the ids of the messages on its branch, oldest first."""
        async for heads in self._heads():
            for head in heads:
                if head.leaf_id is None:
                    continue
                path = branch(head.leaf_id, MAX_BRANCH)
                async with self._db.read() as session:
                    ids = await session.scalars(sa.select(path.c.id).order_by(path.c.n.desc()))
                    yield head, list(ids)

    async def _messages_of(self, head: Head, ids: list[uuid.UUID]) -> list[ExportedMessage]:
        query = self._select_messages().where(col(Message.id).in_(ids)).order_by(col(Message.id))
        async with self._db.read() as session:
            rows = await session.execute(query)
            return await with_files(session, [_message({head.id: head}, row) for row in rows])


async def with_files(
    session: AsyncSession, messages: list[ExportedMessage]
) -> list[ExportedMessage]:
    """Returns messages with the names of their files."""
    attached = await attachments_of(session, [each.id for each in messages])
    return [
        replace(each, files=tuple(file.name for file in attached[each.id]))
        if each.id in attached
        else each
        for each in messages
    ]


def _without_names(row: ExportedMessage) -> ExportedMessage:
    """Returns a message as it is shown while its user's name is hidden."""
    files = tuple(map(hidden_file_name, row.files))
    return replace(row, created_at=utc_day(row.created_at), files=files)


_LIVE = col(VerifiedAnswer.retired_at).is_(None)


def _message(heads: dict[uuid.UUID, Head], row: Sequence[Any]) -> ExportedMessage:
    dialog_id, details, *rest, reasoning = row
    reason = json.loads(details).get("reason", "") if details else ""
    message = ExportedMessage(heads[dialog_id], *rest)
    return replace(message, error_reason=reason, reasoning=reasoning)
