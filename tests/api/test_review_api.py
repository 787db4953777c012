"""Review through the API: who may, what is told, and that the audit knows it first."""

import uuid
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import checked_error
from tests.fakes.questions import question

REASON = "Жалоба на этот ответ"
JUNK = ["' OR 1=1", "%", "_", "\\", '"', "''", "zqxj\x00wvkq", "!&|()", "я" * 5_000]


async def asked(api: httpx.AsyncClient, words: str = "hello") -> dict[str, str]:
    """A dialog with one answer."""
    answer = await api.post("/ask", json={"prompt": question("tokens=2", words=words)})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def events(db: Database, target: str) -> list[AuditEvent]:
    query = sa.select(AuditEvent).where(col(AuditEvent.target) == target)
    async with db.read() as session:
        return list(await session.scalars(query.order_by(col(AuditEvent.id))))


async def test_a_dialog_from_new_to_closed(open_api: OpenApi, app_db: Database) -> None:
    """Found, read, judged, noted, closed, opened again; and its user sees who read it."""
    someone = await open_api()
    mine = await asked(someone, "заявление об увольнении")
    name = (await someone.get("/me")).json()["username"]
    rita = await open_api("rita")
    at = f"/admin/api/dialogs/{mine['dialog_id']}"

    found = (
        await rita.get("/admin/api/dialogs", params={"q": "увольнения заявления", "user": name})
    ).json()
    (row,) = found["items"]
    assert row["id"] == mine["dialog_id"]
    assert row["user"]["username"] == name
    assert (row["channel"], row["state"], row["verdict"]) == ("api", "new", None)
    text = row["excerpt"]["text"]
    hits = [text[start:end] for start, end in row["excerpt"]["hits"]]
    assert hits == ["заявление", "увольнении"]

    reading = (await rita.get(at)).json()
    assert [each["role"] for each in reading["messages"]] == ["user", "assistant"]
    answer = reading["messages"][1]
    assert answer["id"] == mine["message_id"]
    assert answer["finished_at"]
    assert "user_id" not in answer
    listed = (await rita.get(f"{at}/messages")).json()
    assert [each["id"] for each in listed["items"]] == [m["id"] for m in reading["messages"]]

    taken = (await rita.post(f"{at}/take")).json()
    assert (taken["state"], taken["assignee"]) == ("taken", "Рита Орлова")
    checked_error(await rita.post(f"{at}/close"), 409, "review_not_judged")
    verdict = f"/admin/api/messages/{mine['message_id']}/verdict"
    judged = (await rita.post(verdict, json={"verdict": "wrong"})).json()
    assert (judged["state"], judged["verdict"]) == ("judged", "wrong")
    note = await rita.post(f"{at}/notes", json={"text": "Проверить"})
    assert (note.status_code, note.json()["text"]) == (201, "Проверить")
    assert (await rita.post(f"{at}/close")).json()["state"] == "closed"
    checked_error(await rita.post(verdict, json={"verdict": "good"}), 409, "review_closed")
    assert (await rita.post(f"{at}/reopen")).json()["state"] == "new"
    again = (await rita.get(at)).json()
    assert again["notes"][0]["author"] == "Рита Орлова"
    assert again["messages"][1]["verdict"]["verdict"] == "wrong"

    actions = [each.action for each in await events(app_db, mine["dialog_id"])]
    assert actions[:2] == ["dialog_read", "dialog_read"]
    assert actions.count("review_state") == 4
    readers = (await someone.get("/me/readers")).json()["items"]
    assert {each["name"] for each in readers} == {"Рита Орлова"}
    assert {each["dialog_id"] for each in readers} == {mine["dialog_id"]}


async def test_filters_and_pages(open_api: OpenApi) -> None:
    someone = await open_api()
    ids = [(await asked(someone))["dialog_id"] for _ in range(3)]
    name = (await someone.get("/me")).json()["username"]
    rita = await open_api("rita")

    async def listed(**params: Any) -> list[str]:
        answer = await rita.get("/admin/api/dialogs", params={"user": name, **params})
        return [each["id"] for each in answer.json()["items"]]

    assert await listed() == ids[::-1]
    assert await listed(channel="web") == []
    assert await listed(channel="api", state="new", source="model", status="complete") == ids[::-1]
    assert await listed(since="2000-01-01T00:00:00Z", until="2000-01-02T00:00:00Z") == []
    first = (await rita.get("/admin/api/dialogs", params={"user": name, "limit": 2})).json()
    rest = await listed(limit=2, cursor=first["next_cursor"])
    assert [each["id"] for each in first["items"]] + rest == ids[::-1]
    await rita.post(f"/admin/api/dialogs/{ids[0]}/take")
    assert await listed(mine=True) == [ids[0]]
    for wrong in ({"state": "x"}, {"limit": 0}, {"limit": 201}, {"unknown": "x"}, {"since": "x"}):
        answer = await rita.get("/admin/api/dialogs", params=wrong)
        checked_error(answer, 422, "invalid_input")


@pytest.mark.parametrize("junk", JUNK, ids=lambda text: repr(text[:10]))
async def test_junk_is_literal(junk: str, open_api: OpenApi) -> None:
    """In every text: an empty list, no error."""
    rita = await open_api("rita")
    for name in ("q", "user", "department"):
        answer = await rita.get("/admin/api/dialogs", params={name: junk})
        assert answer.status_code == 200, (name, answer.text)
        assert answer.json()["items"] == []


CALLS: list[tuple[str, str, dict[str, str] | None]] = [
    ("GET", "/admin/api/dialogs/{id}", None),
    ("GET", "/admin/api/dialogs/{id}/messages", None),
    ("POST", "/admin/api/dialogs/{id}/reveal", {"reason": REASON}),
    ("POST", "/admin/api/dialogs/{id}/take", None),
    ("POST", "/admin/api/dialogs/{id}/close", None),
    ("POST", "/admin/api/dialogs/{id}/reopen", None),
    ("POST", "/admin/api/dialogs/{id}/notes", {"text": "x"}),
    ("POST", "/admin/api/messages/{id}/verdict", {"verdict": "good"}),
]


async def test_what_never_was_is_not_found(start_app: StartApp, open_api: OpenApi) -> None:
    """An unknown id and no id: one answer. Under pseudonyms, where all of it can be done."""
    app = start_app(review_mode="pseudonymous")
    rita = await open_api("rita", at=app)
    for method, path, body in CALLS:
        for key in (str(uuid.uuid4()), "no-id"):
            answer = await rita.request(method, path.format(id=key), json=body)
            checked_error(answer, 404, "not_found")


async def test_a_pseudonym_until_a_reason_is_given(start_app: StartApp, open_api: OpenApi) -> None:
    """No name, login or id in any answer; then, for a reason, the name, and the user sees why."""
    app = start_app(review_mode="pseudonymous")
    alice, rita = await open_api("alice", at=app), await open_api("rita", at=app)
    mine = await asked(alice, "секретный вопрос")
    at = f"/admin/api/dialogs/{mine['dialog_id']}"
    answers = [
        await rita.get("/admin/api/dialogs"),
        await rita.get("/admin/api/dialogs", params={"q": "секретный"}),
        await rita.get(at),
        await rita.get(f"{at}/messages"),
        await rita.post(f"{at}/take"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert "alice" not in answer.text
        assert "Алиса" not in answer.text
    person = answers[2].json()["dialog"]["user"]
    assert (person["user_id"], person["username"], person["full_name"]) == (None, None, None)
    for name in ("alice", "Алиса"):
        found = await rita.get("/admin/api/dialogs", params={"user": name})
        assert found.json()["items"] == []
    found = await rita.get("/admin/api/dialogs", params={"user": person["code"]})
    assert len(found.json()["items"]) == 1

    for reason in ("", "short", "." * 40):
        answer = await rita.post(f"{at}/reveal", json={"reason": reason})
        checked_error(answer, 422, "bad_reason")
    assert (await alice.get("/me/readers")).json()["items"][0]["action"] == "dialog_read"
    shown = (await rita.post(f"{at}/reveal", json={"reason": REASON})).json()
    assert (shown["username"], shown["full_name"]) == ("alice", "Алиса Петрова")
    assert (await rita.get(at)).json()["dialog"]["user"] == shown
    readers = (await alice.get("/me/readers")).json()["items"]
    told = [each for each in readers if each["action"] == "dialog_reveal"]
    assert [(each["name"], each["reason"]) for each in told] == [("Рита Орлова", REASON)]


async def test_where_review_is_off_nobody_reviews(start_app: StartApp, open_api: OpenApi) -> None:
    app = start_app(review_mode="off")
    carol = await open_api("carol", at=app)
    answer = await carol.get("/admin/api/dialogs")
    checked_error(answer, 403, "review_off")


async def test_own_answers_are_judged_by_somebody_else(open_api: OpenApi) -> None:
    carol = await open_api("carol")
    mine = await asked(carol)
    verdict = f"/admin/api/messages/{mine['message_id']}/verdict"
    answer = await carol.post(verdict, json={"verdict": "good"})
    checked_error(answer, 403, "own_answer")
    checked_error(await carol.post(verdict, json={"verdict": "best"}), 422, "invalid_input")


async def test_there_is_no_way_to_delete(open_api: OpenApi) -> None:
    """A reviewer can delete neither dialog nor note nor event."""
    rita = await open_api("rita")
    mine = await asked(await open_api())
    at = f"/admin/api/dialogs/{mine['dialog_id']}"
    for path in (at, f"{at}/notes", f"{at}/messages", f"/dialogs/{mine['dialog_id']}"):
        assert (await rita.delete(path)).status_code in (404, 405)
    assert (await rita.get(at)).status_code == 200
