"""Changes that a user makes to a dialog in the list: title, folder, pin, archive; and the return of
a deleted dialog."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_deleted_dialog, get_dialog, get_folder
from genai_app.db.database import Database
from genai_app.errors import Conflict
from genai_app.models import Dialog, TitledBy, User
from genai_app.services.dialogs.history import clean_title

MAX_PINNED = 50


class Unchanged(Enum):
    """The type of UNCHANGED, where None is a value of its own."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class DialogEdit:
    """Changes to a dialog. None leaves a field as it is; `folder_id` of None takes the dialog out
    of its folder."""

    title: str | None = None
    folder_id: object | None = UNCHANGED
    pinned: bool | None = None
    archived: bool | None = None


class DialogEdits:
    """Changes an actor's dialogs."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def change(self, actor: Actor, dialog_id: object, edit: DialogEdit) -> Dialog:
        """Makes all changes of `edit`, or none. The dialog keeps its time and its messages; one
        that leaves the archive loses its pin where as many are pinned as there may be.

        Raises:
            NotFound: no such dialog or folder of this actor.
            InvalidInput: bad_title.
            Conflict: too_many_pinned.
        """
        async with self._db.write() as session:
            dialog = await get_dialog(session, actor, dialog_id)
            if edit.title is not None:
                dialog.title, dialog.titled_by = clean_title(edit.title), TitledBy.USER
            if edit.folder_id is None:
                dialog.folder_id = None
            elif edit.folder_id is not UNCHANGED:
                dialog.folder_id = (await get_folder(session, actor, edit.folder_id)).id
            if edit.pinned is not None and edit.pinned != dialog.pinned:
                if edit.pinned and not await _may_pin(session, actor):
                    raise Conflict(code="too_many_pinned")
                dialog.pinned_at = clock.now() if edit.pinned else None
            if edit.archived is not None and edit.archived != dialog.archived:
                if dialog.pinned and not edit.archived and not await _may_pin(session, actor):
                    dialog.pinned_at = None
                dialog.archived_at = clock.now() if edit.archived else None
            session.add(dialog)
        return dialog

    async def restore(self, actor: Actor, dialog_id: object) -> Dialog:
        """Brings back a dialog that the actor deleted and that is still kept, to the section it
        stood in; without its pin where as many are pinned as there may be. An answer that the
        deletion stopped stays stopped. Raises NotFound."""
        async with self._db.write() as session:
            dialog = await get_deleted_dialog(session, actor, dialog_id)
            if dialog.pinned and not await _may_pin(session, actor):
                dialog.pinned_at = None
            dialog.deleted_at = None
            session.add(dialog)
        return dialog


async def _may_pin(session: AsyncSession, actor: Actor) -> bool:
    """Returns whether the actor has fewer pinned dialogs outside the archive than there may be.
    Until the commit no other request pins one."""
    await session.execute(
        sa.select(col(User.id)).where(col(User.id) == actor.user_id).with_for_update()
    )
    count = await session.scalar(
        sa.select(sa.func.count())
        .select_from(Dialog)
        .where(
            col(Dialog.user_id) == actor.user_id,
            col(Dialog.deleted_at).is_(None),
            col(Dialog.pinned_at).is_not(None),
            col(Dialog.archived_at).is_(None),
        )
    )
    return (count or 0) < MAX_PINNED
