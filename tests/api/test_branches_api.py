"""Branches by the API: `parent_id`, variants of an answer, and answers that go on."""

import uuid

import httpx
import pytest

from genai_app.db.database import Database
from genai_app.models import Status
from tests.conftest import OpenApi
from tests.fakes.api_client import LIMIT_HEADERS, a_uuid, checked_error, events_of
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say
from tests.fakes.questions import question
from tests.fakes.rows import message_row

CUT = (Say(("The", " first", " part", " of")), End("length"))
REST = (Say((" an", " answer", ".")), End())


async def ask(api: httpx.AsyncClient, **fields: object) -> dict[str, str]:
    answer = await api.post("/ask", json={"prompt": question("tokens=2"), **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def cut(api: httpx.AsyncClient, model: ModelServer) -> str:
    """Returns the id of an answer that reached its token limit."""
    model.script_once(*CUT)
    answer = await api.post("/ask", json={"prompt": question()})
    assert answer.json()["status"] == "truncated"
    return answer.json()["message_id"]


async def test_a_question_below_an_answer(open_api: OpenApi, app_db: Database) -> None:
    """Beside the one that is there; the dialog follows from the parent, or must be its own."""
    api = await open_api()
    first = await ask(api)
    dialog_id = first["dialog_id"]
    second = await ask(api, dialog_id=dialog_id)
    for fields in ({}, {"dialog_id": dialog_id}):
        branch = await ask(api, parent_id=first["message_id"], **fields)
        assert branch["dialog_id"] == dialog_id
        answer = await message_row(app_db, branch["message_id"])
        assert answer.parent_id is not None
        parent_id = (await message_row(app_db, str(answer.parent_id))).parent_id
        assert str(parent_id) == first["message_id"]
    after = await ask(api, dialog_id=dialog_id)
    after_row = await message_row(app_db, after["message_id"])
    assert (
        str((await message_row(app_db, str(after_row.parent_id))).parent_id)
        == (
            branch["message_id"]  # the branch that was asked last is the current one
        )
    )
    assert second["dialog_id"] == dialog_id


async def test_a_new_first_question(open_api: OpenApi, app_db: Database) -> None:
    """`null` with a dialog; without one it is the first question of a new dialog."""
    api = await open_api()
    first = await ask(api)
    root = await ask(api, parent_id=None, dialog_id=first["dialog_id"])
    assert root["dialog_id"] == first["dialog_id"]
    answer = await message_row(app_db, root["message_id"])
    assert (await message_row(app_db, str(answer.parent_id))).parent_id is None
    alone = await ask(api, parent_id=None)
    assert alone["dialog_id"] != first["dialog_id"]
    page = (await api.get(f"/dialogs/{first['dialog_id']}/messages")).json()["items"]
    assert [each["parent_id"] for each in page if each["role"] == "user"] == [None, None]


async def test_parents_that_are_none(open_api: OpenApi, app_db: Database) -> None:
    api, his = await open_api("alice"), await open_api("bob")
    first, other, foreign = await ask(api), await ask(api), await ask(his)
    answer = await message_row(app_db, first["message_id"])
    prompt = {"prompt": question("tokens=2")}
    for parent_id in (foreign["message_id"], a_uuid(), "no id", ""):
        refusal = await api.post("/ask", json=prompt | {"parent_id": parent_id})
        checked_error(refusal, 404, "not_found")
    wrong = prompt | {"parent_id": first["message_id"], "dialog_id": other["dialog_id"]}
    checked_error(await api.post("/ask", json=wrong), 404, "not_found")
    wrong = prompt | {"parent_id": None, "dialog_id": foreign["dialog_id"]}
    checked_error(await api.post("/ask", json=wrong), 404, "not_found")
    refusal = await api.post("/ask", json=prompt | {"parent_id": str(answer.parent_id)})
    error = checked_error(refusal, 422, "parent_is_no_answer")
    assert error["param"] == "parent_id"
    checked_error(await api.post("/ask", json=prompt | {"parent_id": 5}), 422, "invalid_input")


async def test_a_repeated_branch_is_the_same(open_api: OpenApi) -> None:
    """N4. With another parent the same `client_id` is refused."""
    api = await open_api()
    first = await ask(api)
    body = {"prompt": question("tokens=2"), "client_id": a_uuid()}
    sent = [
        await api.post("/ask", json=body | {"parent_id": first["message_id"]}) for _ in range(2)
    ]
    assert sent[0].json()["message_id"] == sent[1].json()["message_id"]
    other = body | {"dialog_id": first["dialog_id"], "parent_id": None}
    checked_error(await api.post("/ask", json=other), 422, "client_id_reused")


@pytest.mark.parametrize("variant", ["shorter", "longer"])
async def test_a_variant(open_api: OpenApi, model: ModelServer, variant: str) -> None:
    api = await open_api()
    first = await ask(api)
    again = await api.post(f"/messages/{first['message_id']}/regenerate", json={"variant": variant})
    assert again.status_code == 200, again.text
    page = (await api.get(f"/dialogs/{first['dialog_id']}/messages")).json()["items"]
    assert [each["variant"] for each in page] == [None, None, variant]
    prompts = [each.messages[-1]["content"] for each in model.answers[-2:]]
    assert prompts[1].startswith(prompts[0])
    assert len(prompts[1]) > len(prompts[0])
    wrong = {"variant": "funnier"}
    refusal = await api.post(f"/messages/{first['message_id']}/regenerate", json=wrong)
    checked_error(refusal, 422, "invalid_input")


async def test_an_answer_goes_on(open_api: OpenApi, app_db: Database, model: ModelServer) -> None:
    """The whole text, the tokens of both runs, and a unit of the limit."""
    api = await open_api()
    message_id = await cut(api, model)
    before = (await api.get("/me/limits")).json()["remaining"]
    model.script_once(*REST)
    answer = await api.post(f"/messages/{message_id}/continue")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["response"], body["status"], body["message_id"]) == (
        *("The first part of an answer.", "complete", message_id),
    )
    assert body["usage"]["completion_tokens"] == 7
    assert all(answer.headers[name] for name in LIMIT_HEADERS)
    assert (await api.get("/me/limits")).json()["remaining"] == before - 1
    row = await message_row(app_db, message_id)
    assert (row.text, row.status) == (body["response"], Status.COMPLETE)
    again = await api.post(f"/messages/{message_id}/continue")
    checked_error(again, 409, "answer_is_whole")


async def test_an_answer_goes_on_as_a_stream(open_api: OpenApi, model: ModelServer) -> None:
    """Deltas of what is new; the last object has all."""
    api = await open_api()
    message_id = await cut(api, model)
    model.script_once(*REST)
    answer = await api.post(f"/messages/{message_id}/continue", json={"stream": True})
    *deltas, last = events_of(answer.text)
    assert "".join(each["delta"] for each in deltas) == " an answer."
    assert last["response"] == "The first part of an answer."


async def test_what_cannot_go_on(open_api: OpenApi, model: ModelServer) -> None:
    api, his = await open_api("alice"), await open_api("bob")
    message_id = await cut(api, model)
    for client, wrong in ((his, message_id), (api, str(uuid.uuid4())), (api, "no-id")):
        checked_error(await client.post(f"/messages/{wrong}/continue"), 404, "not_found")
    row = (await api.get("/history")).json()["items"][0]
    await ask(api, dialog_id=row["dialog_id"])
    answer = await api.post(f"/messages/{message_id}/continue")
    checked_error(answer, 409, "answer_has_replies")
    refusal = await api.post(f"/messages/{message_id}/continue", json={"extra": 1})
    checked_error(refusal, 422, "invalid_input")
