"""What a user changes of a dialog in the list: title, folder, pin, archive, deletion and return."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import Dialog, new_id
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.edits import MAX_PINNED, DialogEdit, DialogEdits
from genai_app.services.dialogs.folders import Folders
from genai_app.services.dialogs.history import MAX_TITLE_CHARS, History
from genai_app.services.dialogs.search import Search
from tests import corpora
from tests.unit.review_rows import SECRET
from tests.unit.talk import everything, put_dialog

pytest_plugins = ("tests.unit.talk_fixtures",)

TITLE = DialogEdit(title="new")
PINNED, ARCHIVED = DialogEdit(pinned=True), DialogEdit(archived=True)


@pytest.fixture
def edits(db: Database) -> DialogEdits:
    return DialogEdits(db)


@pytest.fixture
def history(db: Database) -> History:
    return History(db, Cursors(SECRET))


async def _listed(history: History, actor: Actor, *, archived: bool = False) -> list[uuid.UUID]:
    return [each.id for each in (await history.list_dialogs(actor, archived=archived)).items]


async def test_rename(db: Database, history: History, edits: DialogEdits, as_alice: Actor) -> None:
    """Any text, on one line; the dialog keeps its place in the list."""
    (dialog_id,) = await put_dialog(db, as_alice, [])
    before = (await history.get(as_alice, dialog_id)).updated_at
    kept = {" a\n\tb ": "a b", "x" * MAX_TITLE_CHARS: "x" * MAX_TITLE_CHARS, "a\0b": "a\ufffdb"}
    for sample in corpora.load("xss"):
        kept[sample[:MAX_TITLE_CHARS]] = " ".join(sample[:MAX_TITLE_CHARS].split())
    for typed, title in kept.items():
        await edits.change(as_alice, str(dialog_id), DialogEdit(title=typed))
        dialog = await history.get(as_alice, dialog_id)
        assert (dialog.title, dialog.updated_at) == (title.replace("\0", "\ufffd"), before)


async def test_bad_title(db: Database, edits: DialogEdits, as_alice: Actor) -> None:
    """Nothing else of the change is made either."""
    (dialog_id,) = await put_dialog(db, as_alice, [])
    before = await everything(db)
    for title in ("", " \n", "\u3000", "x" * (MAX_TITLE_CHARS + 1)):
        with pytest.raises(InvalidInput) as caught:
            await edits.change(as_alice, dialog_id, DialogEdit(title=title, pinned=True))
        assert caught.value.code == "bad_title"
    assert await everything(db) == before


async def test_a_folder_a_pin_and_the_archive(
    db: Database, history: History, edits: DialogEdits, as_alice: Actor
) -> None:
    """Each is set and taken back; what is left out stays."""
    (dialog_id,) = await put_dialog(db, as_alice, [])
    folder = await Folders(db).create(as_alice, "Отпуск")
    dialog = await edits.change(as_alice, dialog_id, DialogEdit(folder_id=str(folder.id)))
    assert (dialog.folder_id, dialog.pinned, dialog.archived) == (folder.id, False, False)
    dialog = await edits.change(as_alice, dialog_id, PINNED)
    pinned_at = dialog.pinned_at
    assert (dialog.folder_id, dialog.pinned, dialog.archived) == (folder.id, True, False)
    assert (await edits.change(as_alice, dialog_id, PINNED)).pinned_at == pinned_at
    await edits.change(as_alice, dialog_id, ARCHIVED)
    assert await _listed(history, as_alice) == []
    assert await _listed(history, as_alice, archived=True) == [dialog_id]
    back = DialogEdit(folder_id=None, pinned=False, archived=False)
    dialog = await edits.change(as_alice, dialog_id, back)
    assert (dialog.folder_id, dialog.pinned, dialog.archived) == (None, False, False)
    assert await _listed(history, as_alice) == [dialog_id]


async def test_a_search_has_archived_dialogs_too(
    db: Database, edits: DialogEdits, as_alice: Actor
) -> None:
    search = Search(db, Cursors(SECRET))
    (kept,), (archived,) = [await put_dialog(db, as_alice, []) for _ in range(2)]
    await edits.change(as_alice, archived, ARCHIVED)
    for wanted, ids in ((None, {kept, archived}), (True, {archived}), (False, {kept})):
        hits = (await search.find(as_alice, "a long", archived=wanted)).items
        assert {each.dialog.id for each in hits} == ids


async def test_the_archive_makes_room_for_pins(
    db: Database, edits: DialogEdits, as_alice: Actor
) -> None:
    """One that comes back from it keeps its pin only where there is room."""
    ids = [(await put_dialog(db, as_alice, []))[0] for _ in range(2)]
    async with db.write() as session:
        rows = [
            Dialog(user_id=as_alice.user_id, title="x", pinned_at=clock.now())
            for _ in range(MAX_PINNED - 1)
        ]
        session.add_all(rows)
    await edits.change(as_alice, ids[0], PINNED)
    assert (await edits.change(as_alice, ids[0], ARCHIVED)).pinned
    assert (await edits.change(as_alice, ids[1], PINNED)).pinned
    back = await edits.change(as_alice, ids[0], DialogEdit(archived=False))
    assert (back.pinned, back.archived) == (False, False)
    await edits.change(as_alice, ids[1], ARCHIVED)
    assert (await edits.change(as_alice, ids[1], DialogEdit(archived=False))).pinned


async def test_a_return_pins_no_more_than_there_may_be(
    db: Database, history: History, edits: DialogEdits, as_alice: Actor
) -> None:
    gone, kept = [(await put_dialog(db, as_alice, []))[0] for _ in range(2)]
    for each in (gone, kept):
        await edits.change(as_alice, each, PINNED)
        await history.delete(as_alice, each)
    assert (await edits.restore(as_alice, kept)).pinned
    async with db.write() as session:
        rows = [
            Dialog(user_id=as_alice.user_id, title="x", pinned_at=clock.now())
            for _ in range(MAX_PINNED - 1)
        ]
        session.add_all(rows)
    restored = await edits.restore(as_alice, gone)
    assert (restored.pinned, restored.deleted_at) == (False, None)


async def test_too_many_pinned(db: Database, edits: DialogEdits, as_alice: Actor) -> None:
    """One that is pinned already is no more of them, and one that was let go makes room."""
    ids = [(await put_dialog(db, as_alice, []))[0] for _ in range(MAX_PINNED + 1)]
    for dialog_id in ids[:-1]:
        await edits.change(as_alice, dialog_id, PINNED)
    await edits.change(as_alice, ids[0], PINNED)
    with pytest.raises(Conflict) as caught:
        await edits.change(as_alice, ids[-1], PINNED)
    assert caught.value.code == "too_many_pinned"
    await edits.change(as_alice, ids[0], DialogEdit(pinned=False))
    assert (await edits.change(as_alice, ids[-1], PINNED)).pinned


async def test_a_deleted_dialog_comes_back(
    db: Database, history: History, edits: DialogEdits, as_alice: Actor
) -> None:
    """With its messages, its folder and its pin; once, and only if it was deleted."""
    dialog_id, *message_ids = await put_dialog(db, as_alice, ["q", "a"])
    folder = await Folders(db).create(as_alice, "Kept")
    await edits.change(as_alice, dialog_id, replace(PINNED, folder_id=folder.id))
    with pytest.raises(NotFound):
        await edits.restore(as_alice, dialog_id)
    await history.delete(as_alice, dialog_id)
    for edit in (TITLE, PINNED, ARCHIVED):
        with pytest.raises(NotFound):
            await edits.change(as_alice, dialog_id, edit)
    dialog = await edits.restore(as_alice, str(dialog_id))
    assert (dialog.folder_id, dialog.pinned) == (folder.id, True)
    branch = await history.get_branch(as_alice, dialog_id)
    assert [each.id for each in branch.messages] == message_ids
    with pytest.raises(NotFound):
        await edits.restore(as_alice, dialog_id)


async def test_what_was_never_listed_does_not_come_back(
    db: Database, edits: DialogEdits, as_alice: Actor
) -> None:
    """A call that is kept for review alone is deleted from its first moment."""
    moment = clock.now() - timedelta(days=1)
    dialog = Dialog(
        user_id=as_alice.user_id, created_at=moment, updated_at=moment, deleted_at=moment
    )
    dialog_id = dialog.id
    async with db.write() as session:
        session.add(dialog)
    with pytest.raises(NotFound):
        await edits.restore(as_alice, dialog_id)


async def test_what_is_removed_for_good_does_not_come_back(
    db: Database, history: History, edits: DialogEdits, as_alice: Actor
) -> None:
    (dialog_id,) = await put_dialog(db, as_alice, [])
    await history.delete(as_alice, dialog_id)
    async with db.write() as session:
        await session.execute(sa.delete(Dialog).where(col(Dialog.id) == dialog_id))
    with pytest.raises(NotFound):
        await edits.restore(as_alice, dialog_id)


async def test_strangers_change_nothing(
    db: Database, history: History, edits: DialogEdits, as_alice: Actor, as_bob: Actor
) -> None:
    """N7: hers, a random id and no id are the same to him, for dialogs and for folders."""
    (hers,), (deleted,) = [await put_dialog(db, as_alice, []) for _ in range(2)]
    await history.delete(as_alice, deleted)
    (own,) = await put_dialog(db, as_bob, [])
    folder = await Folders(db).create(as_alice, "Hers")
    before = await everything(db)
    for target in (hers, deleted, str(hers), new_id(), "", "x" * 10_000, "\ud800", None, {}):
        for refused in (
            *(edits.change(as_bob, target, edit) for edit in (TITLE, PINNED, ARCHIVED)),
            edits.restore(as_bob, target),
        ):
            with pytest.raises(NotFound) as caught:
                await refused
            assert str(caught.value) == "not_found"
    for target in (folder.id, str(folder.id), new_id(), "", {}):
        with pytest.raises(NotFound):
            await edits.change(as_bob, own, DialogEdit(folder_id=target, title="moved"))
    assert await everything(db) == before
