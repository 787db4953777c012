"""Rows of files and their messages."""

import uuid
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.access import Actor
from genai_app.adapters.documents.summary import DocumentSummary
from genai_app.errors import NotFound
from genai_app.models import Attachment, Dialog, JobState, Message, MessageAttachment, User
from genai_app.services.files.store import Owned

SHOWN_STATES = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "reading",
    JobState.DONE: "ready",
}

_decoder = msgspec.json.Decoder(DocumentSummary)


def shown_state(row: Attachment) -> str:
    """Returns `queued`, `reading`, `ready` or `failed`."""
    return SHOWN_STATES.get(JobState(row.state), "failed")


def summary_of(row: Attachment) -> DocumentSummary | None:
    """Returns what the reader found in a file; None before it is read."""
    if row.state != JobState.DONE or row.summary == "{}":
        return None
    return _decoder.decode(row.summary)


def owned_by(row: Attachment) -> Owned:
    return row.user_id, row.id


async def attach(
    session: AsyncSession,
    actor: Actor,
    message_id: uuid.UUID,
    dialog_id: uuid.UUID,
    file_ids: Sequence[uuid.UUID],
) -> None:
    """Attaches files to a question, in the transaction that commits it.

    Raises NotFound: one of them is not the actor's, or was deleted meanwhile.
    """
    if not file_ids:
        return
    mine = (
        col(Attachment.id).in_(file_ids),
        col(Attachment.user_id) == actor.user_id,
        col(Attachment.deleted_at).is_(None),
    )
    # locked: whoever deletes one waits, and then sees the message
    rows = await session.scalars(sa.select(col(Attachment.id)).where(*mine).with_for_update())
    if set(rows) != set(file_ids):
        raise NotFound
    await session.execute(
        sa.update(Attachment)
        .where(*mine, col(Attachment.dialog_id).is_(None))
        .values(dialog_id=dialog_id)
    )
    await session.execute(
        sa.insert(MessageAttachment),
        [
            {"message_id": message_id, "attachment_id": each, "position": position}
            for position, each in enumerate(dict.fromkeys(file_ids))
        ],
    )


async def attachments_of(
    session: AsyncSession, message_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[Attachment]]:
    """Returns the files of messages, in their order, also deleted ones. The caller has the right to
    read the messages."""
    attached: dict[uuid.UUID, list[Attachment]] = {}
    if not message_ids:
        return attached
    rows = await session.execute(
        sa.select(col(MessageAttachment.message_id), Attachment)
        .join(Attachment, col(Attachment.id) == col(MessageAttachment.attachment_id))
        .where(col(MessageAttachment.message_id).in_(message_ids))
        .order_by(col(MessageAttachment.message_id), col(MessageAttachment.position))
    )
    for message_id, row in rows:
        attached.setdefault(message_id, []).append(row)
    return attached


def is_attached() -> sa.ColumnElement[bool]:
    """Returns the condition on a file: a message has it."""
    return sa.exists().where(col(MessageAttachment.attachment_id) == col(Attachment.id))


def is_under_hold() -> sa.ColumnElement[bool]:
    """Returns the condition on a file: a legal hold on its user, or on a dialog with it."""
    held_user = sa.exists().where(
        col(User.id) == col(Attachment.user_id), col(User.held_at).is_not(None)
    )
    held_dialog = (
        sa.select(sa.literal(1))
        .select_from(MessageAttachment)
        .join(Message, col(Message.id) == col(MessageAttachment.message_id))
        .join(Dialog, col(Dialog.id) == col(Message.dialog_id))
        .where(
            col(MessageAttachment.attachment_id) == col(Attachment.id),
            col(Dialog.held_at).is_not(None),
        )
        .exists()
    )
    return sa.or_(held_user, held_dialog)
