"""Folders, pins, the archive and the return of deleted dialogs over HTTP."""

from typing import Any

import httpx
import pytest

from genai_app.db.database import Database
from tests.conftest import OpenApi, OpenPage
from tests.fakes.api_client import a_uuid, checked_error
from tests.fakes.rows import put_history


@pytest.fixture
async def api(open_api: OpenApi) -> httpx.AsyncClient:
    """A user of this test alone."""
    return await open_api()


@pytest.fixture
async def dialog_id(api: httpx.AsyncClient, app_db: Database) -> str:
    username = (await api.get("/me")).json()["username"]
    return await put_history(app_db, username, [("q", "a")])


async def _ids(api: httpx.AsyncClient, **query: str) -> list[str]:
    return [each["id"] for each in (await api.get("/dialogs", params=query)).json()["items"]]


async def test_a_folder_from_its_making_to_its_end(api: httpx.AsyncClient, dialog_id: str) -> None:
    made = await api.post("/folders", json={"name": " Отпуск\n2026 "})
    assert made.status_code == 201
    folder = made.json()
    assert set(folder) == {"id", "name", "created_at"}
    assert folder["name"] == "Отпуск 2026"
    moved = await api.patch(f"/dialogs/{dialog_id}", json={"folder_id": folder["id"]})
    assert moved.json()["folder_id"] == folder["id"]
    assert await _ids(api) == [dialog_id]
    renamed = await api.patch(f"/folders/{folder['id']}", json={"name": "Командировки"})
    assert renamed.json() == folder | {"name": "Командировки"}
    assert (await api.get("/folders")).json() == {"items": [renamed.json()]}
    twin = await api.post("/folders", json={"name": "КОМАНДИРОВКИ"})
    checked_error(twin, 409, "folder_exists")
    assert (await api.delete(f"/folders/{folder['id']}")).status_code == 204
    assert (await api.get(f"/dialogs/{dialog_id}")).json()["folder_id"] is None
    assert (await api.get("/folders")).json() == {"items": []}


async def test_a_dialog_is_changed_as_a_whole(api: httpx.AsyncClient, dialog_id: str) -> None:
    """Fields that are left out stay; a change with one wrong field changes nothing."""
    folder = (await api.post("/folders", json={"name": "One"})).json()
    body: dict[str, Any] = {"title": "New", "folder_id": folder["id"], "pinned": True}
    changed = (await api.patch(f"/dialogs/{dialog_id}", json=body)).json()
    assert changed | body | {"archived": False} == changed
    out = await api.patch(f"/dialogs/{dialog_id}", json={"folder_id": None})
    assert out.json() == changed | {"folder_id": None}
    wrong = await api.patch(f"/dialogs/{dialog_id}", json={"pinned": False, "title": " "})
    checked_error(wrong, 422, "bad_title")
    nowhere = {"pinned": False, "folder_id": a_uuid()}
    checked_error(await api.patch(f"/dialogs/{dialog_id}", json=nowhere), 404)
    assert (await api.get(f"/dialogs/{dialog_id}")).json() == out.json()


@pytest.mark.parametrize(
    "body",
    [
        *({}, {"pinned": None}, {"pinned": "yes"}, {"archived": 1}, {"title": None}),
        *({"folder_id": 7}, {"folder_id": "x" * 65}, {"pinned": True, "deleted": True}),
    ],
)
async def test_wrong_changes(body: dict[str, Any], api: httpx.AsyncClient, dialog_id: str) -> None:
    checked_error(await api.patch(f"/dialogs/{dialog_id}", json=body), 422, "invalid_input")


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\u200bb", 7, None])
async def test_wrong_names(name: object, api: httpx.AsyncClient) -> None:
    checked_error(await api.post("/folders", json={"name": name}), 422)
    assert (await api.get("/folders")).json() == {"items": []}


async def test_the_archive_is_a_list_of_its_own(
    api: httpx.AsyncClient, app_db: Database, dialog_id: str
) -> None:
    """A search has both, unless it says which; a cursor of one list is none of the other."""
    username = (await api.get("/me")).json()["username"]
    kept = [await put_history(app_db, username, [("q", "a")]) for _ in range(2)]
    archived = await api.patch(f"/dialogs/{dialog_id}", json={"archived": True})
    assert archived.json()["archived"] is True
    assert set(await _ids(api)) == set(await _ids(api, archived="false")) == set(kept)
    assert await _ids(api, archived="true") == [dialog_id]
    assert set(await _ids(api, q="a long")) == {dialog_id, *kept}
    assert await _ids(api, q="a long", archived="true") == [dialog_id]
    cursor = (await api.get("/dialogs", params={"limit": "1"})).json()["next_cursor"]
    other = await api.get("/dialogs", params={"archived": "true", "cursor": cursor})
    checked_error(other, 400, "bad_cursor")
    checked_error(await api.get("/dialogs", params={"archived": "x"}), 422)
    await api.patch(f"/dialogs/{dialog_id}", json={"archived": False})
    assert len(await _ids(api)) == 3


async def test_a_deleted_dialog_comes_back(api: httpx.AsyncClient, dialog_id: str) -> None:
    checked_error(await api.post(f"/dialogs/{dialog_id}/restore"), 404)
    before = (await api.get(f"/dialogs/{dialog_id}")).json()
    await api.delete(f"/dialogs/{dialog_id}")
    assert await _ids(api) == []
    assert (await api.post(f"/dialogs/{dialog_id}/restore")).json() == before
    assert await _ids(api) == [dialog_id]


async def test_folders_of_others(api: httpx.AsyncClient, open_api: OpenApi, dialog_id: str) -> None:
    """N7: as an id of nobody, in the address and in a body."""
    folder = (await api.post("/folders", json={"name": "Mine"})).json()
    stranger = await open_api()
    username = (await stranger.get("/me")).json()["username"]
    assert username
    own = (await stranger.post("/ask", json={"prompt": "hello"})).json()["dialog_id"]
    for key in (folder["id"], a_uuid(), "no-id"):
        for answer in (
            await stranger.patch(f"/folders/{key}", json={"name": "taken"}),
            await stranger.delete(f"/folders/{key}"),
            await stranger.patch(f"/dialogs/{own}", json={"folder_id": key}),
        ):
            checked_error(answer, 404, "not_found")
    assert (await api.get("/folders")).json() == {"items": [folder]}


async def test_pages_follow_what_the_api_does(
    open_api: OpenApi, open_page: OpenPage, app_db: Database
) -> None:
    """A folder, a move, a pin and the archive reach an open page by themselves."""
    api, page = await open_api("alice"), await open_page("alice")
    dialog_id = await put_history(app_db, "alice", [("q", "a")])

    def shown() -> dict[str, Any]:
        return page.view("dialogs_state")

    name = f"Folder {a_uuid()}"
    folder = (await api.post("/folders", json={"name": name})).json()
    await page.wait_for(lambda: name in [each["name"] for each in shown()["folders"]])
    await page.send_event("dialogs_state.toggle_folder", folder_id=folder["id"])
    await api.patch(f"/dialogs/{dialog_id}", json={"folder_id": folder["id"]})
    await page.wait_for(
        lambda: dialog_id in [row["id"] for each in shown()["folders"] for row in each["dialogs"]]
    )
    await api.patch(f"/dialogs/{dialog_id}", json={"pinned": True})
    await page.wait_for(lambda: dialog_id in [each["id"] for each in shown()["pinned"]])
    await page.send_event("dialogs_state.toggle_archive")
    await api.patch(f"/dialogs/{dialog_id}", json={"archived": True})
    await page.wait_for(lambda: dialog_id in [each["id"] for each in shown()["archive"]])
    await api.delete(f"/folders/{folder['id']}")
    await page.wait_for(lambda: name not in [each["name"] for each in shown()["folders"]])
