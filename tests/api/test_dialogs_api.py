"""Dialogs, messages and history over HTTP, a page at a time."""

import pytest

from genai_app.db.database import Database
from tests.conftest import OpenApi
from tests.fakes.api_client import LIMIT_HEADERS, a_uuid, checked_error
from tests.fakes.app_process import AppProcess
from tests.fakes.rows import put_history


async def test_who_i_am(open_api: OpenApi, app: AppProcess) -> None:
    api = await open_api("alice")
    answer = await api.get("/me")
    assert answer.json() == {
        **{"username": "alice", "full_name": "Алиса Петрова", "role": "user"},
        "instructions": "",
    }
    assert answer.headers["cache-control"] == "no-store"
    limits = await api.get("/me/limits")
    assert set(limits.json()) == {"limit", "remaining", "reset_at"}
    for each in (answer, limits):
        assert all(each.headers[name] for name in LIMIT_HEADERS)


async def test_dialogs_page_by_page(open_api: OpenApi, app_db: Database) -> None:
    """Every dialog once, the latest first, and a cursor that needs no quoting."""
    api = await open_api()
    username = (await api.get("/me")).json()["username"]
    ids = [await put_history(app_db, username, [("q", "a")]) for _ in range(5)]
    found: list[str] = []
    address = "/dialogs?limit=2"
    while address:
        page = (await api.get(address)).json()
        found += [item["id"] for item in page["items"]]
        assert all(
            set(item)
            == {"id", "title", "created_at", "updated_at", "folder_id", "pinned", "archived"}
            for item in page["items"]
        )
        cursor = page["next_cursor"]
        address = f"/dialogs?limit=2&cursor={cursor}" if cursor else ""
    assert sorted(found) == sorted(ids)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("title", "search", "hit"),
    [
        ("Отпуск в июле", "ОТПУСК", True),
        ("Holiday", "hOLI", True),
        ("100 %", "0 %", True),
        ("100 %", "1%0", False),
        ("a_b", "a_b", True),
        ("axb", "a_b", False),
        ("back\\slash", "k\\s", True),
        ("x", "' OR 1=1 --", False),
    ],
)
async def test_search_is_literal(title: str, search: str, hit: bool, open_api: OpenApi) -> None:
    """Letters of any case; no sign means more than itself."""
    api = await open_api()
    begun = (await api.post("/ask", json={"prompt": "hello"})).json()["dialog_id"]
    renamed = await api.patch(f"/dialogs/{begun}", json={"title": title})
    assert renamed.json()["title"] == title
    found = (await api.get("/dialogs", params={"q": search})).json()["items"]
    assert [item["id"] for item in found] == ([begun] if hit else [])


async def test_rename_and_delete(open_api: OpenApi) -> None:
    api = await open_api()
    begun = (await api.post("/ask", json={"prompt": "hello"})).json()["dialog_id"]
    assert (await api.get(f"/dialogs/{begun}")).json()["title"] == "hello"
    refused = await api.patch(f"/dialogs/{begun}", json={"title": " "})
    checked_error(refused, 422, "bad_title")
    gone = await api.delete(f"/dialogs/{begun}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert all(gone.headers[name] for name in LIMIT_HEADERS)
    for answer in (
        await api.get(f"/dialogs/{begun}"),
        await api.get(f"/dialogs/{begun}/messages"),
        await api.delete(f"/dialogs/{begun}"),
        await api.post("/ask", json={"prompt": "more", "dialog_id": begun}),
    ):
        checked_error(answer, 404)
    assert (await api.get("/history")).json()["items"] == []


async def test_messages_page_by_page(open_api: OpenApi, app_db: Database) -> None:
    """Oldest first, each once; who follows what is told by `parent_id`."""
    api = await open_api()
    username = (await api.get("/me")).json()["username"]
    turns = [(f"q{n}", f"a{n}") for n in range(5)]
    dialog_id = await put_history(app_db, username, turns)
    texts: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = await api.get(f"/dialogs/{dialog_id}/messages", params=params)
        texts += [item["text"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
    assert texts == [text for turn in turns for text in turn]


async def test_history_page_by_page(open_api: OpenApi, app_db: Database) -> None:
    """Pairs, newest first, over all dialogs."""
    api = await open_api()
    username = (await api.get("/me")).json()["username"]
    for number in range(3):
        await put_history(app_db, username, [(f"q{number}", f"a{number}")])
    found: list[tuple[str, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/history", params=params)).json()
        for item in page["items"]:
            assert set(item) >= {"id", "prompt", "response", "source", "timestamp"}
            found.append((item["prompt"], item["response"]))
        cursor = page["next_cursor"]
    assert found == [("q2", "a2"), ("q1", "a1"), ("q0", "a0")]


@pytest.mark.parametrize("path", ["/dialogs", "/history"])
@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x"])
async def test_bad_pages(path: str, query: str, open_api: OpenApi) -> None:
    api = await open_api("bob")
    checked_error(await api.get(f"{path}?{query}"), 422)


async def test_an_unknown_dialog(open_api: OpenApi) -> None:
    checked_error(await (await open_api("bob")).get(f"/dialogs/{a_uuid()}"), 404)
