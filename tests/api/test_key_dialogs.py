"""Dialogs of API keys: a folder for each, apart from what the owner talked about; and calls that
are kept for review alone."""

from typing import Any

import httpx
import pytest

from genai_app.db.database import Database
from tests.conftest import OpenApi, OpenPage
from tests.fakes.api_client import checked_error, client_of
from tests.fakes.app_process import AppProcess
from tests.fakes.questions import question
from tests.fakes.rows import list_questions

CHAT = "/v1/chat/completions"


@pytest.fixture
async def alice(open_api: OpenApi, app: AppProcess) -> httpx.AsyncClient:
    return await open_api("alice", at=app)


async def titles(api: httpx.AsyncClient, **query: str) -> list[str]:
    items = (await api.get("/dialogs", params={"limit": "200"} | query)).json()["items"]
    return [each["title"] for each in items]


async def test_a_folder_for_each_key(
    app: AppProcess, alice: httpx.AsyncClient, open_api: OpenApi, open_page: OpenPage
) -> None:
    own, called = question("tokens=1"), [question("tokens=1") for _ in range(2)]
    key = (await alice.post("/me/keys", json={"name": "Nightly batch"})).json()
    await alice.post("/ask", json={"prompt": own})
    async with client_of(app, key["key"]) as program:
        for text in called:
            body = {"model": "fake-model", "messages": [{"role": "user", "content": text}]}
            assert (await program.post(CHAT, json=body)).status_code == 200
    listed = (await alice.get("/dialogs")).json()["items"]
    assert [each.get("key_id") for each in listed[:3]] == [key["id"], key["id"], None]
    assert own[:20] in "".join(await titles(alice, key_id="none"))
    assert len(await titles(alice, key_id=key["id"])) == 2
    assert not set(await titles(alice, key_id="none")) & set(await titles(alice, key_id=key["id"]))
    assert len(await titles(alice, q=called[0])) == 1, "search finds them"
    assert await titles(alice, q=called[0], key_id="none") == []
    checked_error(await alice.get("/dialogs", params={"key_id": "x"}), 422, "invalid_input")
    bob = await open_api("bob", at=app)
    assert await titles(bob, key_id=key["id"]) == []

    page = await open_page("alice")

    def folder() -> dict[str, Any]:
        folders = page.view("dialogs_state")["key_folders"]
        return next(each for each in folders if each["id"] == key["id"])

    assert (folder()["name"], folder()["count"]) == ("Nightly batch", "2")
    assert folder()["dialogs"] == []
    assert not set(page.titles()) & set(await titles(alice, key_id=key["id"]))
    await page.send_event("dialogs_state.toggle_key", key_id=key["id"])
    await page.wait_for(lambda: len(folder()["dialogs"]) == 2)
    stranger = await open_page("bob")
    await stranger.send_event("dialogs_state.toggle_key", key_id=key["id"])
    await stranger.round_trip()
    assert key["id"] not in str(stranger.view("dialogs_state"))


async def test_kept_for_review_alone(
    alice: httpx.AsyncClient, open_api: OpenApi, app_db: Database, app: AppProcess
) -> None:
    """`store: false`: as a dialog that its user deleted at once. Not in any list of the owner, nor
    gone on with; a unit is taken, and a reviewer finds it."""
    first, second = question("tokens=2"), question("tokens=2")
    left = (await alice.get("/me/limits")).json()["remaining"]
    body = {"model": "fake-model", "messages": [{"role": "user", "content": first}]}
    answer = await alice.post(CHAT, json=body | {"store": False})
    assert answer.json()["choices"][0]["message"]["content"] == "w0 w1 "
    assert (await alice.get("/me/limits")).json()["remaining"] == left - 1
    assert await titles(alice, q=first) == []
    dialog = answer.headers["x-genai-dialog-id"]
    checked_error(await alice.get(f"/dialogs/{dialog}"), 404)
    history = (await alice.get("/history")).json()["items"]
    assert first not in [each["prompt"] for each in history]
    rita = await open_api("rita", at=app)
    assert (await rita.get(f"/admin/api/dialogs/{dialog}")).status_code == 200

    messages = [*body["messages"], answer.json()["choices"][0]["message"]]
    again = {**body, "messages": [*messages, {"role": "user", "content": second}]}
    other = await alice.post(CHAT, json=again)
    assert other.headers["x-genai-dialog-id"] != dialog
    assert len(await list_questions(app_db, second)) == 1
