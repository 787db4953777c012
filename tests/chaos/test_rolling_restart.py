"""Both processes behind nginx are replaced one after the other, as docs/upgrade.md says, while
people and programs go on asking."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.cast import PASSWORDS
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import a_uuid, client_of, new_token
from tests.fakes.app_process import AppProcess, poll
from tests.fakes.edge import Nginx
from tests.fakes.model_server import ModelServer
from tests.fakes.questions import asked, question
from tests.fakes.services import RedisServer, free_port

pytestmark = pytest.mark.fault

REQUESTS = 1000
STREAMS = 20
CLIENTS = 8


async def read_events(answer: httpx.Response) -> list[dict[str, object]]:
    """The events of a stream that must end with [DONE]."""
    lines = [line async for line in answer.aiter_lines() if line.startswith("data: ")]
    assert lines[-1:] == ["data: [DONE]"]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


async def stream(client: httpx.AsyncClient, prompt: str, client_id: str) -> list[dict[str, object]]:
    body = {"prompt": prompt, "stream": True, "client_id": client_id}
    async with client.stream("POST", "/ask", json=body, timeout=60) as answer:
        assert answer.status_code == 200
        return await read_events(answer)


async def statuses(client: httpx.AsyncClient, done: asyncio.Event) -> AsyncGenerator[int]:
    """Reads and short questions, until the restarts are done and enough was asked."""
    while not done.is_set():
        yield (await client.get("/me")).status_code
        yield (await client.post("/ask", json={"prompt": question("tokens=1")})).status_code
        yield (await client.get("/dialogs", params={"limit": 1})).status_code


async def test_a_rolling_restart_fails_no_request_and_cuts_no_stream(
    start_app: StartApp, redis_server: RedisServer, model: ModelServer, tmp_path: Path
) -> None:
    """N1, N2, N6. 1,000 requests and 20 running streams meet nothing of it."""
    port = free_port()
    first = start_app(
        "postgresql", redis_url=redis_server.url, public_url=f"https://127.0.0.1:{port}"
    )
    second = start_app(
        database_url=first.database_url,
        **{k: first.settings[k] for k in ("secret_key", "redis_url", "public_url")},
    )
    token = await new_token(first, "alice", PASSWORDS["alice"])
    with ExitStack() as stack:
        nginx = stack.enter_context(Nginx(tmp_path / "nginx", port, first.port, second.port))
        client = httpx.AsyncClient(
            base_url=nginx.url,
            verify=nginx.trust,
            headers={"authorization": f"Bearer {token}"},
            timeout=60,
            limits=httpx.Limits(max_connections=STREAMS + CLIENTS),
        )
        done, seen = asyncio.Event(), list[int]()

        async def use() -> None:
            async for status in statuses(client, done):
                seen.append(status)

        async with client, asyncio.TaskGroup() as tasks:
            prompts = [question("tokens=60,delay=0.1") for _ in range(STREAMS)]
            streams = [tasks.create_task(stream(client, each, a_uuid())) for each in prompts]
            for each in prompts:
                assert await asyncio.to_thread(poll, lambda each=each: asked(model, each))
            for _ in range(CLIENTS):
                tasks.create_task(use())
            for app in (first, second):
                assert await asyncio.to_thread(app.stop) == 0
                await asyncio.to_thread(app.restart)
            while len(seen) < REQUESTS:  # noqa: ASYNC110 - what is counted is what ends it
                await asyncio.sleep(0.05)
            done.set()
        assert [status for status in seen if status != 200] == []
        ends = [each.result()[-1] for each in streams]
        assert [(end.get("status"), end.get("error")) for end in ends] == [
            ("complete", None)
        ] * STREAMS


async def test_the_stream_of_an_answer_that_goes_on_elsewhere_says_so(
    start_app: StartApp, redis_server: RedisServer, model: ModelServer
) -> None:
    """N6. A repeated question is followed at another process; when that one ends first, its reader
    gets a last event with the ids to go on with, and the answer itself is whole."""
    making = start_app("postgresql", redis_url=redis_server.url)
    following = start_app(
        database_url=making.database_url,
        **{k: making.settings[k] for k in ("secret_key", "redis_url")},
    )
    token, client_id = await new_token(making, "alice", PASSWORDS["alice"]), a_uuid()
    prompt = question("tokens=100,delay=0.15")
    async with client_of(making, token) as here, client_of(following, token) as there:
        own = asyncio.create_task(stream(here, prompt, client_id))
        assert await asyncio.to_thread(poll, lambda: asked(model, prompt))
        far = asyncio.create_task(stream(there, prompt, client_id))
        assert await asyncio.to_thread(poll, lambda: len(asked(model, prompt)) == 1)
        ready = await there.get("/readyz")
        assert ready.json()["status"] == "ready"
        stopped = asyncio.create_task(asyncio.to_thread(following.stop))
        async with asyncio.timeout(60):
            while (ready := await there.get("/readyz")).status_code == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
        assert ready.headers["connection"] == "close"
        last = (await far)[-1]
        error = last["error"]
        assert isinstance(error, dict)
        assert error["code"] == "server_restarting"
        assert await stopped == 0
        whole = (await own)[-1]
        assert whole["status"] == "complete"
        assert (last["dialog_id"], last["message_id"]) == (whole["dialog_id"], whole["message_id"])


async def test_who_is_connected_may_still_ask(start_app: StartApp) -> None:
    """N6. A proxy that connected in the last moment is slow to send its request."""
    app: AppProcess = start_app()
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    await asyncio.to_thread(app.wait_ready)  # by a later connection: that one is accepted too
    app.terminate()

    def refuses() -> bool:
        try:
            socket.create_connection(("127.0.0.1", app.port), timeout=5).close()
        except OSError:
            return True
        return False

    assert await asyncio.to_thread(poll, refuses)
    await asyncio.sleep(0.7)  # how slow it is, no wait for anything
    writer.write(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    answer = (await reader.read()).lower()
    writer.close()
    assert answer.startswith(b"http/1.1 200 ")
    assert b"connection: close\r\n" in answer
    assert await asyncio.to_thread(app.stop) == 0


async def test_an_answer_that_is_too_long_for_the_end_is_told_as_interrupted(
    start_app: StartApp, open_api: OpenApi, model: ModelServer
) -> None:
    """N2, N6. Alone, a process waits some seconds; then the stream gets its last event, with what
    was saved under the ids that it names."""
    app: AppProcess = start_app()
    api, prompt = await open_api("alice", at=app), question("tokens=400,delay=0.1")
    answer = asyncio.create_task(stream(api, prompt, a_uuid()))
    assert await asyncio.to_thread(poll, lambda: asked(model, prompt))
    assert await asyncio.to_thread(app.stop) == 0
    *deltas, last = await answer
    error = last["error"]
    assert isinstance(error, dict)
    assert error["code"] == "shutdown"
    await asyncio.to_thread(app.restart)
    messages = (await api.get(f"/dialogs/{last['dialog_id']}/messages")).json()["items"]
    (kept,) = [each for each in messages if each["id"] == last["message_id"]]
    assert kept["status"] == "interrupted"
    assert kept["text"] == "".join(str(each["delta"]) for each in deltas)
