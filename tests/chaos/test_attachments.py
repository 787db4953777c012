"""A question with a file, and a process that is killed before it has answered."""

import asyncio
import uuid

import httpx
import pytest

from tests.api.test_attachments_api import brought
from tests.conftest import OpenApi, StartApp
from tests.fakes.app_process import eventually
from tests.fakes.model_server import ModelServer
from tests.fakes.model_sight import text_of
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.questions import question
from tests.unit.test_question_files import LEAVE

pytestmark = pytest.mark.fault


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_kill_between_commit_and_answer(
    engine: str, start_app: StartApp, open_api: OpenApi, model: ModelServer
) -> None:
    """N1, N2, N4. The question is there with its file; the same send is the same question, and
    another answer is about the file."""
    app = start_app(engine)
    api = await open_api("alice", at=app)
    file_id = await brought(api, LEAVE.encode(), "a.txt")
    count = len(model.answers)
    model.script_once(Hold("never"), End())
    body = {
        "prompt": question(),
        "attachments": [file_id],
        "client_id": str(uuid.uuid4()),
        "dialog_id": None,
    }
    asking = asyncio.create_task(api.post("/ask", json=body, timeout=60))
    assert await asyncio.to_thread(model.wait_answers, count + 1)
    app.kill()
    with pytest.raises(httpx.HTTPError):
        await asking
    app.restart()

    api = await open_api("alice", at=app)
    (dialog,) = (await api.get("/dialogs")).json()["items"]

    async def messages() -> list[dict[str, object]]:
        return (await api.get(f"/dialogs/{dialog['id']}/messages")).json()["items"]

    async def is_over() -> bool:
        return (await messages())[-1]["status"] == "interrupted"

    await eventually(is_over, within_s=60)
    asked, answer = await messages()
    assert [each["id"] for each in asked["attachments"]] == [file_id]  # pyright: ignore
    repeated = await api.post("/ask", json=body)
    assert repeated.headers["x-genai-message-id"] == answer["id"]
    model.script_once(Say(("28",)), End())
    again = await api.post(f"/messages/{answer['id']}/regenerate", json={})
    assert again.json()["response"] == "28"
    assert [each["id"] for each in again.json()["files_used"]] == [file_id]
    assert LEAVE.strip() in text_of(model.answers[-1].messages[0]["content"])
    assert len(await messages()) == 3
