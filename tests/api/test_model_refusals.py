"""A model server that takes the request as wrong: its reason is told, nothing is charged, and no
client repeats it."""

import uuid
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from genai_app.db.database import Database
from tests.conftest import OpenApi, OpenPage
from tests.fakes.api_client import checked_error, events_of
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Status as Refuse
from tests.fakes.model_steps import Wait
from tests.fakes.model_wire import encode
from tests.fakes.questions import asked, question
from tests.fakes.rows import list_questions

MODEL = "fake-model"
ROLES = "Conversation roles must alternate user/assistant/user/assistant/..."
SECRETS = (
    "Bad key sk-canary-12345678 at http://gpu-7.corp.example:8000/v1 (10.1.2.3:8000, vllm-0:8000)\n"
    "\x1b[31mpath /srv/canary/models\x00 Traceback (most recent call last): canary in line 5"
)


def refusal(message: str, status: int = 400) -> Refuse:
    error = {"message": message, "type": "BadRequestError", "param": None, "code": status}
    return Refuse(status, body=encode({"error": error}))


@pytest.fixture
async def api(open_api: OpenApi) -> httpx.AsyncClient:
    return await open_api()


async def left(api: httpx.AsyncClient) -> int:
    return (await api.get("/me/limits")).json()["remaining"]


@pytest.mark.parametrize("stream", [False, True])
async def test_openais_client_is_told_once(
    stream: bool, api: httpx.AsyncClient, app: AppProcess, app_db: Database, model: ModelServer
) -> None:
    """With its own two repeats: one dialog, one call, no unit."""
    token = api.headers["authorization"].removeprefix("Bearer ")
    text, before = question(), await left(api)
    messages: Any = [{"role": "user", "content": "first"}, {"role": "user", "content": text}]
    model.script_once(refusal(ROLES))
    async with AsyncOpenAI(base_url=f"{app.url}/v1", api_key=token, max_retries=2) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model=MODEL, messages=messages, stream=stream)
    assert (refused.value.code, refused.value.type) == ("model_refused", "invalid_request_error")
    assert ROLES in str(refused.value)
    headers = refused.value.response.headers
    assert headers["x-should-retry"] == "false"
    assert int(headers["x-ratelimit-remaining-requests"]) == await left(api) == before
    assert len(asked(model, text)) == len(await list_questions(app_db, text)) == 1


@pytest.mark.parametrize(
    ("step", "status", "code", "reason"),
    [
        (refusal("top_p must be in (0, 1]", 422), 400, "model_refused", "top_p must be in (0, 1]"),
        (Refuse(413, body=b"<html><h1>canary"), 400, "model_refused", ""),
        (Refuse(400, body=b'{"detail":[{"msg":"bad","input":"x"}]}'), 400, "model_refused", "bad"),
        (refusal(SECRETS), 400, "model_refused", "Bad key […] at […] ([…], […]) path […]"),
        (refusal("x" * 5000), 400, "model_refused", "x" * 299 + "…"),
        (refusal("The model `m` does not exist.", 404), 400, "model_unknown", "The model `m`"),
        (Refuse(404, body=b'{"detail":"Not Found"}'), 503, "model_unknown", None),
        (Refuse(401, "canary"), 503, "model_auth", None),
        (Refuse(403, "canary"), 503, "model_auth", None),
    ],
)
async def test_what_a_refusal_is(
    step: Refuse, status: int, code: str, reason: str | None, api: httpx.AsyncClient, model: Any
) -> None:
    """The server's own words, without what is not for users; a wrong key of ours is not theirs."""
    before = await left(api)
    model.script_once(step)
    answer = await api.post("/ask", json={"prompt": question()})
    error = checked_error(answer, status, code)
    assert (answer.headers.get("x-should-retry") == "false") == (status == 400)
    assert await left(api) == before
    assert "canary" not in answer.text
    assert "\x1b" not in error["message"]
    dialog = answer.headers["x-genai-dialog-id"]
    messages = (await api.get(f"/dialogs/{dialog}/messages")).json()["items"]
    assert [each["status"] for each in messages] == ["complete", "failed"]
    kept = messages[-1]
    assert kept["error_code"] == code
    assert (kept["error_reason"] or "").startswith(reason or "")
    assert (kept["error_reason"] or "") in error["message"]
    assert (await api.get("/history")).json()["items"][0]["error_reason"] == kept["error_reason"]


async def test_late_in_a_stream(api: httpx.AsyncClient, model: ModelServer) -> None:
    """After the stream was opened it is the last event."""
    before = await left(api)
    model.script_once(Wait(2.3), refusal(ROLES))
    answer = await api.post("/ask", json={"prompt": question(), "stream": True})
    assert answer.status_code == 200
    (event,) = events_of(answer.text.replace(": the model is thinking\n\n", ""))
    assert event["error"]["code"] == "model_refused"
    assert ROLES in event["error"]["message"]
    assert await left(api) == before


async def test_on_the_page(open_page: OpenPage, model: ModelServer) -> None:
    """The reason beside the question, which is kept."""
    page = await open_page("alice")
    model.script_once(refusal(ROLES))
    await page.send(question())
    await page.wait_for(lambda: page.messages()[-1:] and page.messages()[-1]["status"] == "failed")
    row = page.messages()[-1]
    assert (row["error_code"], row["error_reason"]) == ("model_refused", ROLES)


async def test_a_filtered_and_an_empty_answer(api: httpx.AsyncClient) -> None:
    """Each end by its name: at /ask, at /v1, in the dialog."""
    for directive, status, reason, code in (
        ("tokens=2,reason=content_filter", "filtered", "content_filter", None),
        ("tokens=0", "complete", "stop", "empty_answer"),
        ("tokens=2,reason=model_length", "truncated", "length", None),
    ):
        answer = await api.post("/ask", json={"prompt": question(directive)})
        assert (answer.json()["status"], answer.json()["error_code"]) == (status, code)
        body = {"model": MODEL, "messages": [{"role": "user", "content": question(directive)}]}
        chat = await api.post("/v1/chat/completions", json=body)
        assert chat.json()["choices"][0]["finish_reason"] == reason
        stream = await api.post("/v1/chat/completions", json=body | {"stream": True})
        assert events_of(stream.text)[-1]["choices"][0]["finish_reason"] == reason
        row = (await api.get(f"/dialogs/{answer.json()['dialog_id']}/messages")).json()["items"][-1]
        assert (row["status"], row["error_code"]) == (status, code)
    assert uuid.UUID(row["id"])
