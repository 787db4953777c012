"""Sections of the list of dialogs. Each dialog of a user stands in exactly one of them."""

import uuid
from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import col

from genai_app.models import Dialog, Folder


class Section(StrEnum):
    """A part of the list, in the order in which a dialog is looked for in them."""

    ARCHIVE = "archive"
    PINNED = "pinned"
    FOLDER = "folder"
    KEY = "key"
    DAYS = "days"


def in_section(section: Section) -> list[sa.ColumnElement[bool]]:
    """Returns the conditions of a dialog in that section."""
    archived = col(Dialog.archived_at).is_not(None)
    pinned = col(Dialog.pinned_at).is_not(None)
    # a folder that was deleted while a dialog was moved into it counts as none
    in_folder = sa.exists().where(col(Folder.id) == col(Dialog.folder_id))
    in_key = col(Dialog.key_id).is_not(None)
    steps = zip(Section, (archived, pinned, in_folder, in_key, sa.true()), strict=True)
    conditions: list[sa.ColumnElement[bool]] = []
    for each, condition in steps:
        if each is section:
            return [*conditions, condition]
        conditions.append(~condition)
    raise AssertionError(section)


def began_by(key_id: uuid.UUID | None, *, own: bool) -> list[sa.ColumnElement[bool]]:
    """Returns the conditions of a dialog that this API key began, or (`own`) that no key began; no
    condition without either."""
    if key_id is not None:
        return [col(Dialog.key_id) == key_id]
    return [col(Dialog.key_id).is_(None)] if own else []


def is_archived(archived: bool | None) -> list[sa.ColumnElement[bool]]:
    """Returns the condition of a dialog that is archived, or is not; none for None."""
    if archived is None:
        return []
    column = col(Dialog.archived_at)
    return [column.is_not(None) if archived else column.is_(None)]
