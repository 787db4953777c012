"""Actors and access checks. Every protected row is read through this module; a row of another user
raises NotFound, as an unknown id does."""

import uuid
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.errors import Forbidden, NotFound
from genai_app.models import (
    Attachment,
    Author,
    Channel,
    Dialog,
    Folder,
    Message,
    MessageAttachment,
    QueuedQuestion,
    Review,
    Role,
    Status,
)

RANK = {Role.USER: 0, Role.REVIEWER: 1, Role.ADMIN: 2}


@dataclass(frozen=True, slots=True)
class Actor:
    """An authenticated user, by a login or an API key. Only services/accounts/sessions.py and
    services/accounts/api_keys.py create actors."""

    user_id: uuid.UUID
    username: str
    full_name: str
    role: Role
    channel: Channel
    session_id: uuid.UUID | None = None
    key_id: uuid.UUID | None = None
    rate_limit: str | None = None  # the user's own limit; None: the limit of the role
    # the user's own, for every question; in no log
    instructions: str = field(default="", repr=False)

    def has(self, role: Role) -> bool:
        """Returns whether the actor has `role` or a higher one."""
        return RANK[self.role] >= RANK[role]


def parse_id(value: object) -> uuid.UUID:
    """Returns an id that a client sent. Raises NotFound for a value that is not a UUID."""
    if isinstance(value, uuid.UUID):
        return value
    if not isinstance(value, str) or len(value) > 40:
        raise NotFound
    try:
        return uuid.UUID(value)
    except ValueError:
        raise NotFound from None


async def get_dialog(
    session: AsyncSession, actor: Actor, dialog_id: object, *, lock: bool = False
) -> Dialog:
    """Returns the actor's own dialog, unless it is deleted. `lock`: locks the row until the commit.

    Raises NotFound.
    """
    query = sa.select(Dialog)
    if lock:
        query = query.with_for_update()
    dialog = await session.scalar(
        query.where(
            col(Dialog.id) == parse_id(dialog_id),
            col(Dialog.user_id) == actor.user_id,
            col(Dialog.deleted_at).is_(None),
        )
    )
    if dialog is None:
        raise NotFound
    return dialog


async def get_deleted_dialog(session: AsyncSession, actor: Actor, dialog_id: object) -> Dialog:
    """Returns a dialog that the actor deleted. One that was kept for review alone from its first
    moment was never in the actor's lists and is not found.

    Raises NotFound.
    """
    dialog = await session.scalar(
        sa.select(Dialog).where(
            col(Dialog.id) == parse_id(dialog_id),
            col(Dialog.user_id) == actor.user_id,
            col(Dialog.deleted_at) != col(Dialog.created_at),
        )
    )
    if dialog is None:
        raise NotFound
    return dialog


async def get_folder(session: AsyncSession, actor: Actor, folder_id: object) -> Folder:
    """Returns the actor's own folder. Raises NotFound."""
    folder = await session.scalar(
        sa.select(Folder).where(
            col(Folder.id) == parse_id(folder_id), col(Folder.user_id) == actor.user_id
        )
    )
    if folder is None:
        raise NotFound
    return folder


async def get_attachment(
    session: AsyncSession, actor: Actor, file_id: object, *, lock: bool = False
) -> Attachment:
    """Returns the actor's own file, unless it is deleted. `lock`: locks the row until the commit.

    Raises NotFound.
    """
    query = sa.select(Attachment)
    if lock:
        query = query.with_for_update()
    file = await session.scalar(
        query.where(
            col(Attachment.id) == parse_id(file_id),
            col(Attachment.user_id) == actor.user_id,
            col(Attachment.deleted_at).is_(None),
        )
    )
    if file is None:
        raise NotFound
    return file


async def get_message(
    session: AsyncSession,
    actor: Actor,
    message_id: object,
    author: Author | None = None,
    *,
    lock: bool = False,
) -> Message:
    """Returns a message in one of the actor's own dialogs. `author`: the only author to accept;
    `lock`: locks the row until the commit.

    Raises NotFound.
    """
    query = (
        sa.select(Message)
        .join(Dialog, col(Message.dialog_id) == col(Dialog.id))
        .where(
            col(Message.id) == parse_id(message_id),
            col(Dialog.user_id) == actor.user_id,
            col(Dialog.deleted_at).is_(None),
        )
    )
    if author is not None:
        query = query.where(col(Message.author) == author)
    if lock:
        query = query.with_for_update(of=Message, key_share=True)
    message = await session.scalar(query)
    if message is None:
        raise NotFound
    return message


async def get_queued_question(
    session: AsyncSession, actor: Actor, question_id: object
) -> tuple[Dialog, QueuedQuestion]:
    """Returns a question that waits in one of the actor's own dialogs, with the dialog, whose row
    is locked until the commit: whoever sends or changes the question locks it first.

    Raises NotFound.
    """
    key = parse_id(question_id)
    dialog_id = await session.scalar(
        sa.select(col(QueuedQuestion.dialog_id)).where(col(QueuedQuestion.id) == key)
    )
    dialog = await get_dialog(session, actor, dialog_id, lock=True)
    question = await session.scalar(sa.select(QueuedQuestion).where(col(QueuedQuestion.id) == key))
    if question is None:
        raise NotFound
    return dialog, question


async def get_reviewed_dialog(
    session: AsyncSession, actor: Actor, dialog_id: object, *, lock: bool = False
) -> tuple[Dialog, Review]:
    """Returns a dialog of any user with its review, also a deleted one. A dialog has a review from
    its first ended answer on. `lock`: locks the review until the commit.

    Raises:
        Forbidden: the actor is not a reviewer.
        NotFound: there is no such dialog or review.
    """
    if not actor.has(Role.REVIEWER):
        raise Forbidden
    query = (
        sa.select(Dialog, Review)
        .join(Review, col(Review.dialog_id) == col(Dialog.id))
        .where(col(Dialog.id) == parse_id(dialog_id))
    )
    if lock:
        query = query.with_for_update(of=Review)
    row = (await session.execute(query)).first()
    if row is None:
        raise NotFound
    return row[0], row[1]


async def get_reviewed_attachment(
    session: AsyncSession, actor: Actor, dialog_id: object, file_id: object
) -> Attachment:
    """Returns a file that was sent with a question of a dialog of any user, also a deleted one.

    Raises Forbidden, NotFound.
    """
    dialog, _ = await get_reviewed_dialog(session, actor, dialog_id)
    file = await session.scalar(
        sa.select(Attachment)
        .join(MessageAttachment, col(MessageAttachment.attachment_id) == col(Attachment.id))
        .join(Message, col(Message.id) == col(MessageAttachment.message_id))
        .where(col(Message.dialog_id) == dialog.id, col(Attachment.id) == parse_id(file_id))
        .limit(1)
    )
    if file is None:
        raise NotFound
    return file


async def get_reviewed_answer(
    session: AsyncSession, actor: Actor, message_id: object, *, lock: bool = False
) -> Message:
    """Returns an ended answer in a dialog of any user. `lock`: it does not go on until the commit.

    Raises Forbidden, NotFound.
    """
    if not actor.has(Role.REVIEWER):
        raise Forbidden
    query = sa.select(Message).where(col(Message.id) == parse_id(message_id))
    if lock:
        query = query.with_for_update(key_share=True)
    message = await session.scalar(query)
    if message is None or message.author != Author.ASSISTANT or message.status == Status.RUNNING:
        raise NotFound
    return message
