"""Files in questions, through `/ask` and as pictures in `/v1`."""

import base64
import uuid
from typing import Any

import httpx
import pytest

from tests.api.test_files_api import form, read
from tests.conftest import OpenApi
from tests.fakes.api_client import checked_error
from tests.fakes.model_server import ModelServer
from tests.fakes.model_sight import text_of
from tests.fakes.model_steps import End, Say
from tests.fakes.questions import question
from tests.unit.test_question_files import LEAVE, picture

CHAT = "/v1/chat/completions"


async def brought(api: httpx.AsyncClient, content: bytes, name: str) -> str:
    """The id of a file that was read."""
    sent = await api.post("/files", files=form(content, name))
    return str((await read(api, sent.json()["id"]))["id"])


def chat(text: str, url: str) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": {"url": url}}
    content = [{"type": "text", "text": text}, image]
    return {"model": "fake-model", "messages": [{"role": "user", "content": content}]}


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


async def test_ask_with_a_file(open_api: OpenApi, model: ModelServer) -> None:
    """The answer says what was used and where it names it; the dialog's messages do, too."""
    api = await open_api()
    file_id = await brought(api, LEAVE.encode(), "договор.txt")
    model.script_once(Say(("28 дней [договор.txt, строка 1].",)), End())
    body = {"prompt": question(), "attachments": [file_id], "client_id": str(uuid.uuid4())}
    answer = (await api.post("/ask", json=body)).json()
    assert [(each["id"], each["how"]) for each in answer["files_used"]] == [(file_id, "whole")]
    assert [each["file_id"] for each in answer["citations"]] == [file_id]
    assert LEAVE.strip() in text_of(model.answers[-1].messages[0]["content"])

    again = (await api.post("/ask", json=body)).json()
    assert again["message_id"] == answer["message_id"]
    assert again["files_used"] == answer["files_used"]
    messages = (await api.get(f"/dialogs/{answer['dialog_id']}/messages")).json()["items"]
    assert [each["name"] for each in messages[0]["attachments"]] == ["договор.txt"]
    assert messages[1]["files_used"] == answer["files_used"]
    assert messages[1]["citations"] == answer["citations"]


async def test_a_file_of_somebody_else(open_api: OpenApi, model: ModelServer) -> None:
    """N7: it is not there, as a file that never was or that is deleted."""
    alice, bob = await open_api("alice"), await open_api("bob")
    file_id = await brought(alice, LEAVE.encode(), "a.txt")
    gone = await brought(bob, LEAVE.encode(), "b.txt")
    await bob.delete(f"/files/{gone}")
    before = len(model.answers)
    for each in (file_id, gone, str(uuid.uuid4()), "nonsense"):
        refused = await bob.post("/ask", json={"prompt": question(), "attachments": [each]})
        assert checked_error(refused, 404)["code"] == "file_not_found"
    assert len(model.answers) == before


async def test_picture_parts(open_api: OpenApi, model: ModelServer) -> None:
    """They are taken as data, and the same conversation with its picture goes on."""
    api = await open_api()
    model.sees = True
    body = chat(question("text=pictures"), data_url(picture("green")))
    first = await api.post(CHAT, json=body)
    assert first.json()["choices"][0]["message"]["content"] == "320x200 green"
    dialog_id = first.headers["x-genai-dialog-id"]
    body["messages"] += [
        {"role": "assistant", "content": "320x200 green"},
        {"role": "user", "content": question("text=pictures")},
    ]
    second = await api.post(CHAT, json=body)
    assert second.json()["choices"][0]["message"]["content"] == "320x200 green"
    assert second.headers["x-genai-dialog-id"] == dialog_id
    body["messages"][0]["content"][1]["image_url"]["url"] = data_url(picture("blue"))
    other = await api.post(CHAT, json=body)
    assert other.headers["x-genai-dialog-id"] != dialog_id


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1/a.png", "image_not_data"),
        ("https://example.org/a.png", "image_not_data"),
        ("file:///etc/passwd", "image_not_data"),
        ("data:text/html;base64,AAAA", "image_damaged"),
        ("data:image/svg+xml;base64,AAAA", "image_damaged"),
        ("data:image/png;base64,!!!!", "image_damaged"),
        ("data:image/png;base64,", "image_damaged"),
    ],
)
async def test_no_address_is_fetched(
    open_api: OpenApi, model: ModelServer, url: str, code: str
) -> None:
    api = await open_api()
    before = len(model.answers)
    error = checked_error(await api.post(CHAT, json=chat(question(), url)), 400)
    assert error["code"] == code
    assert error["param"] == "messages[0].content[1].image_url.url"
    assert len(model.answers) == before
