"""Folders in which a user keeps dialogs. A dialog is in one folder or in none."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor, get_folder
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput
from genai_app.models import Dialog, Folder, User
from genai_app.text import clean_text, is_invisible

MAX_NAME = 60
MAX_FOLDERS = 100


class Folders:
    """Creates, renames and deletes the folders of an actor. Each change also marks the actor's
    newest dialog as changed, so that open pages read their lists again."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def list(self, actor: Actor) -> Sequence[Folder]:
        """Returns the actor's folders by name."""
        async with self._db.read() as session:
            return await folders_of(session, actor)

    async def create(self, actor: Actor, name: str) -> Folder:
        """Creates an empty folder.

        Raises:
            InvalidInput: bad_folder_name.
            Conflict: folder_exists, too_many_folders.
        """
        name = _clean_name(name)
        async with self._db.write() as session:
            others = await _lock_folders(session, actor)
            if len(others) >= MAX_FOLDERS:
                raise Conflict(code="too_many_folders")
            _check_unique(name, others)
            folder = Folder(user_id=actor.user_id, name=name)
            session.add(folder)
            await _mark_changed(session, actor)
        return folder

    async def rename(self, actor: Actor, folder_id: object, name: str) -> Folder:
        """Renames a folder.

        Raises:
            NotFound.
            InvalidInput: bad_folder_name.
            Conflict: folder_exists.
        """
        name = _clean_name(name)
        async with self._db.write() as session:
            folders = await _lock_folders(session, actor)
            folder = await get_folder(session, actor, folder_id)
            _check_unique(name, [each for each in folders if each.id != folder.id])
            folder.name = name
            session.add(folder)
            await _mark_changed(session, actor)
        return folder

    async def delete(self, actor: Actor, folder_id: object) -> None:
        """Deletes a folder. Its dialogs stay, in no folder. Raises NotFound."""
        async with self._db.write() as session:
            folder = await get_folder(session, actor, folder_id)
            await session.execute(
                sa.update(Dialog)
                .where(col(Dialog.user_id) == actor.user_id, col(Dialog.folder_id) == folder.id)
                .values(folder_id=None)
            )
            await session.delete(folder)
            await _mark_changed(session, actor)


async def folders_of(session: AsyncSession, actor: Actor) -> list[Folder]:
    """Returns the actor's folders by name."""
    rows = await session.scalars(sa.select(Folder).where(col(Folder.user_id) == actor.user_id))
    return sorted(rows, key=lambda folder: (folder.name.casefold(), folder.id))


def _clean_name(name: str) -> str:
    """Returns the name on one line. Raises InvalidInput."""
    name = " ".join(clean_text(name).split())
    if not 0 < len(name) <= MAX_NAME or any(map(is_invisible, name)):
        raise InvalidInput(code="bad_folder_name")
    return name


def _check_unique(name: str, others: Sequence[Folder]) -> None:
    """Raises Conflict where one of the other folders has the name, in any case of letters."""
    if name.casefold() in {each.name.casefold() for each in others}:
        raise Conflict(code="folder_exists")


async def _lock_folders(session: AsyncSession, actor: Actor) -> list[Folder]:
    """Returns the actor's folders. Until the commit no other request changes their names."""
    await session.execute(
        sa.select(col(User.id)).where(col(User.id) == actor.user_id).with_for_update()
    )
    return await folders_of(session, actor)


async def _mark_changed(session: AsyncSession, actor: Actor) -> None:
    newest = (
        sa.select(col(Dialog.id))
        .where(col(Dialog.user_id) == actor.user_id, col(Dialog.deleted_at).is_(None))
        .order_by(col(Dialog.updated_at).desc(), col(Dialog.id).desc())
        .limit(1)
        .scalar_subquery()
    )
    await session.execute(
        sa.update(Dialog).where(col(Dialog.id) == newest).values(changed_at=clock.now())
    )
