"""/admin/api/verified: reviewers write answers, everybody is given them, nobody else comes in."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest_asyncio
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.models import AuditEvent, Role
from genai_app.services.accounts.users import Users
from tests.conftest import OpenApi
from tests.fakes.api_client import a_uuid, checked_error, client_of, events_of, new_token
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.questions import asked, question

ADDRESS = "/admin/api/verified"


@pytest_asyncio.fixture
async def reviewer(app: AppProcess, app_db: Database) -> Callable[[], Awaitable[httpx.AsyncClient]]:
    async def open_one() -> httpx.AsyncClient:
        name, password = f"rita-{a_uuid()[:8]}", "rita: who reads dialogs 7"
        await Users(app_db).add(name, password, Role.REVIEWER, "Рита Смирнова")
        return client_of(app, await new_token(app, name, password))

    return open_one


Open = Callable[[], Awaitable[httpx.AsyncClient]]


async def test_an_answer_is_written_and_given(
    reviewer: Open, open_api: OpenApi, model: ModelServer
) -> None:
    """Over every way of asking: source, header, OpenAI's shape, stream; a unit is taken."""
    text = question()
    async with await reviewer() as rita:
        written = await rita.post(ADDRESS, json={"question": text, "answer": "Ровно 28 дней."})
        assert written.status_code == 201
        item = written.json()
        assert (item["owner"], item["hits"], item["retired_at"]) == ("Рита Смирнова", 0, None)

        api = await open_api()
        before = (await api.get("/me/limits")).json()["remaining"]
        answer = await api.post("/ask", json={"prompt": f" {text.upper()}?"})
        assert answer.headers["x-genai-source"] == "verified"
        assert answer.headers["x-ratelimit-remaining-requests"] == str(before - 1)
        told = answer.json()
        assert (told["response"], told["source"]) == ("Ровно 28 дней.", "verified")
        assert (told["model"], told["usage"]["completion_tokens"]) == (None, None)
        assert told["made_at"] == item["updated_at"]
        streamed = await api.post("/ask", json={"prompt": text, "stream": True})
        *pieces, last = events_of(streamed.text)
        assert "".join(piece["delta"] for piece in pieces) == "Ровно 28 дней."
        assert last["source"] == "verified"
        messages = [{"role": "user", "content": text}]
        body = {"model": (await api.get("/v1/models")).json()["data"][0]["id"]}
        completed = await api.post("/v1/chat/completions", json=body | {"messages": messages})
        assert completed.headers["x-genai-source"] == "verified"
        choice = completed.json()["choices"][0]
        assert choice["message"]["content"] == "Ровно 28 дней."
        assert completed.json()["usage"]["total_tokens"] == 0
        assert (await api.get("/history")).json()["items"][0]["source"] == "verified"
        assert asked(model, text) == []
        fresh = await api.post("/ask", json={"prompt": text}, headers={"cache-control": "no-cache"})
        assert fresh.json()["source"] == "model"

        changed = await rita.patch(f"{ADDRESS}/{item['id']}", json={"answer": "Ровно 31 день."})
        assert changed.status_code == 200
        assert changed.json()["id"] != item["id"]
        assert (await api.post("/ask", json={"prompt": text})).json()["response"] == (
            "Ровно 31 день."
        )
        gone = await rita.delete(f"{ADDRESS}/{changed.json()['id']}")
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await api.post("/ask", json={"prompt": text})).json()["source"] != "verified"


async def test_the_list(reviewer: Open) -> None:
    """The first to be reviewed first; due ones alone; the retired ones."""
    async with await reviewer() as rita:
        soon = (clock.now() + timedelta(days=3)).isoformat()
        text = question()
        item = (
            await rita.post(ADDRESS, json={"question": text, "answer": "a", "review_by": soon})
        ).json()
        later = (await rita.post(ADDRESS, json={"question": question(), "answer": "b"})).json()
        due = (await rita.get(ADDRESS, params={"state": "due", "limit": 200})).json()["items"]
        assert item in due
        assert later not in due
        live = (await rita.get(ADDRESS, params={"limit": 200})).json()["items"]
        assert live.index(item) < live.index(later)
        await rita.delete(f"{ADDRESS}/{item['id']}")
        retired = (await rita.get(ADDRESS, params={"state": "retired", "limit": 200})).json()
        assert item["id"] in [each["id"] for each in retired["items"]]
        checked_error(await rita.patch(f"{ADDRESS}/{item['id']}", json={}), 409, "verified_retired")
        for method in ("PATCH", "DELETE"):
            for key in (a_uuid(), "no-id"):
                body = {} if method == "PATCH" else None
                checked_error(await rita.request(method, f"{ADDRESS}/{key}", json=body), 404)
        for wrong in (
            {"question": " ", "answer": "x"},
            {"question": "x", "answer": ""},
            {"question": "x", "answer": "x", "review_by": "2020-01-01T00:00:00Z"},
            {"question": "x", "answer": "x", "review_by": "2099-01-01"},
            {"question": "x", "answer": "x", "review_by": 4_000_000_000},
        ):
            checked_error(await rita.post(ADDRESS, json=wrong), 422)
        for query in ("state=x", "limit=0"):
            checked_error(await rita.get(f"{ADDRESS}?{query}"), 422)


async def test_a_user_is_refused_and_audited(open_api: OpenApi, app_db: Database) -> None:
    """By every method; the refusal names the door, never an id that was tried."""
    api = await open_api()
    username = (await api.get("/me")).json()["username"]
    body = {"question": "x", "answer": "x"}
    for _ in range(3):
        for answer in (
            await api.get(ADDRESS),
            await api.post(ADDRESS, json=body),
            await api.patch(f"{ADDRESS}/{a_uuid()}", json={}),
            await api.delete(f"{ADDRESS}/{a_uuid()}"),
        ):
            checked_error(answer, 403, "forbidden")
    async with app_db.read() as session:
        rows = await session.scalars(
            sa.select(AuditEvent)
            .where(col(AuditEvent.actor_name) == username, col(AuditEvent.action) == "access")
            .order_by(col(AuditEvent.id))
        )
        assert [(row.outcome, row.target, row.channel) for row in rows] == [
            ("refused", f"GET {ADDRESS}", "api"),
            ("refused", f"POST {ADDRESS}", "api"),
            ("refused", f"PATCH {ADDRESS}/{{verified_id}}", "api"),
            ("refused", f"DELETE {ADDRESS}/{{verified_id}}", "api"),
        ]


async def test_what_reviewers_do_is_audited(reviewer: Open, app_db: Database) -> None:
    """Who and which, never the texts."""
    async with await reviewer() as rita:
        username = (await rita.get("/me")).json()["username"]
        text = question(words="canary-question")
        item = (await rita.post(ADDRESS, json={"question": text, "answer": "canary"})).json()
        await rita.patch(f"{ADDRESS}/{item['id']}", json={})
        await rita.delete(f"{ADDRESS}/{item['id']}")
    async with app_db.read() as session:
        rows = list(
            await session.scalars(
                sa.select(AuditEvent)
                .where(col(AuditEvent.actor_name) == username, col(AuditEvent.action) != "login")
                .order_by(col(AuditEvent.id))
            )
        )
    assert [row.action for row in rows] == ["verified_write", "verified_write", "verified_retire"]
    assert {row.target for row in rows} == {item["id"]}
    assert all("canary" not in row.details + row.target + row.reason for row in rows)
