"""Folders of the list of dialogs, and the sidebar that shows them."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import ApiKey, Dialog, Folder, new_id
from genai_app.services.dialogs.changes import DialogChanges
from genai_app.services.dialogs.edits import DialogEdit, DialogEdits
from genai_app.services.dialogs.folders import MAX_FOLDERS, MAX_NAME, Folders
from genai_app.services.dialogs.sidebar import (
    DialogList,
    ListedDialog,
    Sidebar,
    SidebarContent,
    Unfolded,
)
from tests.unit.talk import put_dialog

pytest_plugins = ("tests.unit.talk_fixtures",)

BAD_NAMES = ("", " \n", "\u3000", "x" * (MAX_NAME + 1), "a\u200bb", "a\u202eb", "a\x07b")


@pytest.fixture
def folders(db: Database) -> Folders:
    return Folders(db)


async def _names(folders: Folders, actor: Actor) -> list[str]:
    return [each.name for each in await folders.list(actor)]


async def test_names(folders: Folders, as_alice: Actor, as_bob: Actor) -> None:
    """On one line, in order, each once whatever its letters' case; another user's are no matter."""
    first = await folders.create(as_alice, " Отпуск\n 2026 ")
    await folders.create(as_alice, "договоры")
    await folders.create(as_bob, "Договоры")
    assert await _names(folders, as_alice) == ["договоры", "Отпуск 2026"]
    for refused in (
        folders.create(as_alice, "ДОГОВОРЫ"),
        folders.rename(as_alice, first.id, "Договоры"),
    ):
        with pytest.raises(Conflict) as caught:
            await refused
        assert caught.value.code == "folder_exists"
    assert (await folders.rename(as_alice, str(first.id), "ОТПУСК 2026")).name == "ОТПУСК 2026"
    assert await _names(folders, as_bob) == ["Договоры"]


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_bad_names(name: str, folders: Folders, as_alice: Actor) -> None:
    folder = await folders.create(as_alice, "x" * MAX_NAME)
    for refused in (folders.create(as_alice, name), folders.rename(as_alice, folder.id, name)):
        with pytest.raises(InvalidInput) as caught:
            await refused
        assert caught.value.code == "bad_folder_name"
    assert await _names(folders, as_alice) == ["x" * MAX_NAME]


async def test_two_at_once(folders: Folders, as_alice: Actor) -> None:
    """One of two requests makes the folder; the other is told that it is there."""
    made = await asyncio.gather(
        *(folders.create(as_alice, "Same") for _ in range(2)), return_exceptions=True
    )
    assert sorted(isinstance(each, Conflict) for each in made) == [False, True]
    assert await _names(folders, as_alice) == ["Same"]


async def test_too_many(db: Database, folders: Folders, as_alice: Actor) -> None:
    async with db.write() as session:
        session.add_all(Folder(user_id=as_alice.user_id, name=str(n)) for n in range(MAX_FOLDERS))
    with pytest.raises(Conflict) as caught:
        await folders.create(as_alice, "one more")
    assert caught.value.code == "too_many_folders"


async def test_strangers_find_no_folder(
    db: Database, folders: Folders, as_alice: Actor, as_bob: Actor
) -> None:
    folder = await folders.create(as_alice, "Hers")
    for target in (folder.id, str(folder.id), new_id(), "", "x" * 1000, None, {}):
        for refused in (folders.rename(as_bob, target, "mine"), folders.delete(as_bob, target)):
            with pytest.raises(NotFound):
                await refused
    assert await _names(folders, as_alice) == ["Hers"]
    assert await _names(folders, as_bob) == []


async def test_dialogs_of_a_deleted_folder_stay(
    db: Database, folders: Folders, as_alice: Actor
) -> None:
    (dialog_id,) = await put_dialog(db, as_alice, [])
    folder = await folders.create(as_alice, "Short")
    await DialogEdits(db).change(as_alice, dialog_id, DialogEdit(folder_id=folder.id))
    content = await Sidebar(db).read(as_alice, Unfolded())
    assert _ids(content.days) == []
    await folders.delete(as_alice, folder.id)
    content = await Sidebar(db).read(as_alice, Unfolded())
    assert (_ids(content.days), list(content.folders)) == ([dialog_id], [])
    assert content.days.dialogs[0].folder_id is None


async def test_a_dialog_that_was_moved_into_a_folder_while_it_was_deleted(
    db: Database, as_alice: Actor
) -> None:
    """It stands with those of no folder."""
    (dialog_id,) = await put_dialog(db, as_alice, [])
    async with db.write() as session:
        await session.execute(sa.update(Dialog).values(folder_id=new_id()))
    assert _ids((await Sidebar(db).read(as_alice, Unfolded())).days) == [dialog_id]


async def test_open_pages_hear_of_folders(db: Database, folders: Folders, as_alice: Actor) -> None:
    """Each change of a folder, an empty one too, wakes the pages of its user."""
    await put_dialog(db, as_alice, [])
    changes = DialogChanges(db)
    running = asyncio.create_task(changes.run())
    async with changes.watch(as_alice.user_id) as watcher:
        folder = await folders.create(as_alice, "One")
        for change in (
            None,
            folders.rename(as_alice, folder.id, "Two"),
            folders.delete(as_alice, folder.id),
        ):
            if change is not None:
                await change
            changes.look_soon()
            assert await watcher.wait(60)
    running.cancel()


def _ids(listed: DialogList | Sequence[ListedDialog]) -> list[uuid.UUID]:
    dialogs = listed.dialogs if isinstance(listed, DialogList) else listed
    return [each.id for each in dialogs]


async def _put(db: Database, actor: Actor, count: int, **columns: object) -> list[uuid.UUID]:
    """Dialogs, the newest first."""
    now = clock.now()
    dialogs = [
        Dialog(user_id=actor.user_id, updated_at=now - timedelta(minutes=n), **columns)  # type: ignore[arg-type]
        for n in range(count)
    ]
    ids = [each.id for each in dialogs]
    async with db.write() as session:
        session.add_all(dialogs)
    return ids


def _shown(content: SidebarContent) -> list[uuid.UUID]:
    """The ids of all dialogs of a sidebar."""
    inner = [each.list for each in (*content.folders, *content.keys)]
    lists = (content.pinned, *inner, content.days, content.archive)
    return [key for each in lists for key in _ids(each)]


async def test_each_dialog_stands_in_one_section(
    db: Database, folders: Folders, as_alice: Actor, as_bob: Actor
) -> None:
    """N7: whatever is set of it. The archive first, then the pin, the folder, the key, the day."""
    folder = await folders.create(as_alice, "Folder")
    key = ApiKey(user_id=as_alice.user_id, name="Nightly", key_hash=b"x" * 32, hint="x")
    async with db.write() as session:
        session.add(key)
    values = {
        "archived_at": clock.now(),
        "pinned_at": clock.now(),
        "folder_id": folder.id,
        "key_id": key.id,
    }
    sections: dict[str, list[uuid.UUID]] = {name: [] for name in (*values, "days")}
    for bits in range(16):
        columns = {name: values[name] for n, name in enumerate(values) if bits >> n & 1}
        section = next(iter(columns), "days")
        sections[section] += await _put(db, as_alice, 1, **columns)
    await _put(db, as_alice, 1, deleted_at=clock.now())
    await _put(db, as_bob, 1, folder_id=folder.id)

    unfolded = Unfolded(folders=frozenset({folder.id}), key=key.id, archive=50)
    content = await Sidebar(db).read(as_alice, unfolded)
    assert set(_ids(content.pinned)) == set(sections["pinned_at"])
    assert set(_ids(content.folders[0].list)) == set(sections["folder_id"])
    assert content.folders[0].count == len(sections["folder_id"])
    assert set(_ids(content.keys[0].list)) == set(sections["key_id"])
    assert content.keys[0].count == len(sections["key_id"])
    assert _ids(content.days) == sections["days"]
    assert set(_ids(content.archive)) == set(sections["archived_at"])
    assert len(_shown(content)) == 16

    folded = await Sidebar(db).read(as_alice, Unfolded(key=new_id()))
    assert set(_shown(folded)) == set(sections["pinned_at"] + sections["days"])
    assert folded.has_archive
    assert not (await Sidebar(db).read(as_bob, Unfolded())).has_archive


async def test_as_many_as_are_unfolded(db: Database, folders: Folders, as_alice: Actor) -> None:
    """Newest first; each section says whether there are more."""
    one, two = [await folders.create(as_alice, name) for name in ("1", "2")]
    days = await _put(db, as_alice, 7)
    many = await _put(db, as_alice, 6, folder_id=one.id)
    few = await _put(db, as_alice, 5, folder_id=two.id)
    archive = await _put(db, as_alice, 6, archived_at=clock.now())
    both = frozenset({one.id, two.id})
    content = await Sidebar(db).read(as_alice, Unfolded(6, folders=both, in_folder=5, archive=6))
    assert (_ids(content.days), content.days.has_more) == (days[:6], True)
    (first, second) = content.folders
    assert (_ids(first.list), first.list.has_more, first.count) == (many[:5], True, 6)
    assert (_ids(second.list), second.list.has_more, second.count) == (few, False, 5)
    assert (_ids(content.archive), content.archive.has_more) == (archive, False)
    content = await Sidebar(db).read(as_alice, Unfolded(7, folders=frozenset({two.id})))
    assert (_ids(content.days), content.days.has_more) == (days, False)
    assert _ids(content.folders[0].list) == []


async def test_pinned_dialogs_keep_their_order(db: Database, as_alice: Actor) -> None:
    """The last pinned first, whatever was asked in which since."""
    now = clock.now()
    first, second = [
        (await _put(db, as_alice, 1, pinned_at=now + timedelta(seconds=n)))[0] for n in range(2)
    ]
    async with db.write() as session:
        await session.execute(
            sa.update(Dialog)
            .where(col(Dialog.id) == first)
            .values(updated_at=now + timedelta(days=1))
        )
    assert _ids((await Sidebar(db).read(as_alice, Unfolded())).pinned) == [second, first]
