"""The content of the sidebar: a user's dialogs by section, as far as each is unfolded."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.models import ApiKey, Dialog
from genai_app.services.dialogs.folders import folders_of
from genai_app.services.dialogs.history import PAGE
from genai_app.services.dialogs.sections import Section, in_section

MOST_COUNTED = 1000  # a program may have made millions; the sidebar asks at every question


@dataclass(frozen=True, slots=True)
class ListedDialog:
    """A dialog in a list."""

    id: uuid.UUID
    title: str
    updated_at: datetime
    changed_at: datetime | None
    folder_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class DialogList:
    """The first dialogs of a section, newest first. `has_more`: there are others after them."""

    dialogs: Sequence[ListedDialog] = ()
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class FolderContent:
    """A folder or the dialogs of an API key, with the number of its dialogs. `list` is empty while
    it is folded. MOST_COUNTED dialogs of a key stand for that many or more."""

    id: uuid.UUID
    name: str
    count: int
    list: DialogList = field(default_factory=DialogList)


@dataclass(frozen=True, slots=True)
class Unfolded:
    """The parts of the sidebar that are read with their dialogs, and how many dialogs of each."""

    days: int = PAGE
    folders: frozenset[uuid.UUID] = frozenset()
    in_folder: int = PAGE
    key: uuid.UUID | None = None
    in_key: int = PAGE
    archive: int = 0


@dataclass(frozen=True, slots=True)
class SidebarContent:
    """All of a sidebar."""

    pinned: Sequence[ListedDialog]
    folders: Sequence[FolderContent]
    keys: Sequence[FolderContent]
    days: DialogList
    archive: DialogList
    has_archive: bool


class Sidebar:
    """Reads the sidebar of a user."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def read(self, actor: Actor, unfolded: Unfolded) -> SidebarContent:
        """Returns the actor's dialogs by section."""
        async with self._db.read() as session:
            folders = await folders_of(session, actor)
            counts, has_archive = await _counts(session, actor)
            lists = await _in_folders(session, actor, unfolded)
            pinned = _dialogs(actor, Section.PINNED).order_by(col(Dialog.pinned_at).desc())
            return SidebarContent(
                pinned=[ListedDialog(*row) for row in await session.execute(pinned)],
                folders=[
                    FolderContent(
                        each.id, each.name, counts.get(each.id, 0), lists.get(each.id, DialogList())
                    )
                    for each in folders
                ],
                keys=await _keys(session, actor, unfolded),
                days=await _newest(session, _dialogs(actor, Section.DAYS), unfolded.days),
                archive=await _newest(session, _dialogs(actor, Section.ARCHIVE), unfolded.archive),
                has_archive=has_archive,
            )


_COLUMNS: tuple[Any, ...] = (
    *(col(Dialog.id), col(Dialog.title), col(Dialog.updated_at), col(Dialog.changed_at)),
    col(Dialog.folder_id),
)


def _dialogs(actor: Actor, section: Section) -> sa.Select[*tuple[Any, ...]]:
    """Returns the statement that reads the dialogs of a section."""
    return sa.select(*_COLUMNS).where(
        col(Dialog.user_id) == actor.user_id,
        col(Dialog.deleted_at).is_(None),
        *in_section(section),
    )


async def _newest(
    session: AsyncSession, query: sa.Select[*tuple[Any, ...]], count: int
) -> DialogList:
    """Returns the newest `count` of the dialogs of `query`."""
    if not count:
        return DialogList()
    newest_first = (col(Dialog.updated_at).desc(), col(Dialog.id).desc())
    rows = await session.execute(query.order_by(*newest_first).limit(count + 1))
    dialogs = [ListedDialog(*row) for row in rows]
    return DialogList(dialogs[:count], len(dialogs) > count)


async def _counts(session: AsyncSession, actor: Actor) -> tuple[dict[uuid.UUID, int], bool]:
    """Returns the numbers of dialogs by folder, and whether any dialog is archived."""
    archived = col(Dialog.archived_at).is_not(None)
    shown = sa.or_(archived, sa.and_(col(Dialog.pinned_at).is_(None), _HAS_FOLDER))
    query = (
        sa.select(col(Dialog.folder_id), archived, sa.func.count())
        .where(col(Dialog.user_id) == actor.user_id, col(Dialog.deleted_at).is_(None), shown)
        .group_by(col(Dialog.folder_id), archived)
    )
    rows = [(row[0], row[1], row[2]) for row in await session.execute(query)]
    counts = {row[0]: row[2] for row in rows if row[0] is not None and not row[1]}
    return counts, any(row[1] for row in rows)


_HAS_FOLDER = col(Dialog.folder_id).is_not(None)


async def _in_folders(
    session: AsyncSession, actor: Actor, unfolded: Unfolded
) -> dict[uuid.UUID, DialogList]:
    """Returns the newest dialogs of each unfolded folder."""
    if not unfolded.folders:
        return {}
    rank = sa.func.row_number().over(
        partition_by=col(Dialog.folder_id),
        order_by=(col(Dialog.updated_at).desc(), col(Dialog.id).desc()),
    )
    ranked = (
        _dialogs(actor, Section.FOLDER)
        .where(col(Dialog.folder_id).in_(unfolded.folders))
        .add_columns(rank.label("rank"))
        .subquery()
    )
    columns: list[sa.ColumnElement[Any]] = [ranked.c[column.key] for column in _COLUMNS]
    query = (
        sa.select(*columns).where(ranked.c.rank <= unfolded.in_folder + 1).order_by(ranked.c.rank)
    )
    by_folder: dict[uuid.UUID, list[ListedDialog]] = {}
    for row in await session.execute(query):
        dialog = ListedDialog(*row)
        if dialog.folder_id is not None:
            by_folder.setdefault(dialog.folder_id, []).append(dialog)
    most = unfolded.in_folder
    return {key: DialogList(rows[:most], len(rows) > most) for key, rows in by_folder.items()}


async def _keys(session: AsyncSession, actor: Actor, unfolded: Unfolded) -> list[FolderContent]:
    """Returns the API keys that began dialogs, revoked ones too, by name."""
    dialogs = (
        sa.select(sa.literal(1))
        .where(
            col(Dialog.key_id) == col(ApiKey.id),
            col(Dialog.user_id) == actor.user_id,
            col(Dialog.deleted_at).is_(None),
            *in_section(Section.KEY),
        )
        .correlate(ApiKey)
        .limit(MOST_COUNTED)
        .subquery()
    )
    count = sa.select(sa.func.count()).select_from(dialogs).correlate(ApiKey).scalar_subquery()
    rows = await session.execute(
        sa.select(col(ApiKey.id), col(ApiKey.name), count)
        .where(col(ApiKey.user_id) == actor.user_id)
        .order_by(col(ApiKey.name), col(ApiKey.id))
    )
    keys = [FolderContent(*row) for row in rows if row[2]]
    if unfolded.key not in [each.id for each in keys]:
        return keys
    query = _dialogs(actor, Section.KEY).where(col(Dialog.key_id) == unfolded.key)
    listed = await _newest(session, query, unfolded.in_key)
    return [
        FolderContent(each.id, each.name, each.count, listed) if each.id == unfolded.key else each
        for each in keys
    ]
