"""Hosts whose clocks are wrong: N3, logins and limits."""

import asyncio
import re
import time

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import Message
from genai_app.services.generation.checkpoints import LEASE_S
from tests.cast import PASSWORDS
from tests.conftest import StartApp
from tests.fakes.api_client import checked_error, client_of
from tests.fakes.app_process import AppProcess, eventually, poll
from tests.fakes.model_server import ModelServer
from tests.fakes.questions import asked, question
from tests.fakes.rows import list_questions
from tests.fakes.services import RedisServer
from tests.fakes.wrong_clock import wrong_clock

pytestmark = pytest.mark.fault

AHEAD_S = 300
LONG = "tokens=6000,delay=0.01"


async def test_replicas_ten_minutes_apart(
    start_app: StartApp, redis_server: RedisServer, model: ModelServer
) -> None:
    """N3: one replica is 5 minutes ahead, the other 5 minutes behind. Tokens of one are good at the
    other at once, a limit is one limit, no live answer is taken for a dead one, and one whose
    process died ends within its lease."""
    shared = {
        "redis_url": redis_server.url,
        "rate_limit": "6/5 minutes",
        "max_parallel_answers": 50,
    }
    ahead = start_app("postgresql", within=wrong_clock(AHEAD_S), **shared)
    shared |= {"database_url": ahead.database_url, "secret_key": ahead.settings["secret_key"]}
    behind = start_app("postgresql", within=wrong_clock(-AHEAD_S), **shared)
    for app, offset_s in ((ahead, AHEAD_S), (behind, -AHEAD_S)):
        async with client_of(app) as client:
            ready = await client.get("/readyz")
            assert ready.status_code == 200
            clock = ready.json()["clock"]
            assert clock == {"state": "off", "offset_s": pytest.approx(offset_s, abs=2)}
        async with httpx.AsyncClient(base_url=app.url) as client:
            figures = (await client.get("/metrics")).text
        shown = re.search(r"^genai_clock_offset_seconds (\S+)", figures, re.MULTILINE)
        assert shown
        assert float(shown[1]) == pytest.approx(offset_s, abs=2)
        assert "clock.off" in app.log_text()

    pairs = {app: await _log_in(app) for app in (ahead, behind)}
    alice = {app: client_of(app, pairs[app]["access_token"]) for app in pairs}
    for here, there in ((ahead, behind), (behind, ahead)):
        async with client_of(there, pairs[here]["access_token"]) as client:
            assert (await client.get("/me")).status_code == 200
            form = {"refresh_token": pairs[here]["refresh_token"]}
            fresh = (await client.post("/token/refresh", json=form)).json()
        async with client_of(here, fresh["access_token"]) as client:
            assert (await client.get("/me")).status_code == 200

    # each has a live answer; what the other's reaper would do, it has done after some rounds
    texts = {app: question(LONG) for app in pairs}
    running = [asyncio.create_task(_ask(alice[app], text)) for app, text in texts.items()]
    for text in texts.values():
        assert await asyncio.to_thread(poll, lambda text=text: asked(model, text))
        assert await asyncio.to_thread(asked(model, text)[0].wait_sent, 400)
    db = Database(ahead.database_url)
    for text in texts.values():
        assert await _status(db, text) == "running"
    killed_at = time.monotonic()
    ahead.kill()

    async def is_interrupted() -> bool:
        return await _status(db, texts[ahead]) == "interrupted"

    await eventually(is_interrupted, LEASE_S + 6)
    assert time.monotonic() - killed_at > LEASE_S / 2
    assert await _status(db, texts[behind]) == "running"
    await db.close()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)

    # two units are out; the rest are taken at both
    ahead.restart()
    answers = [await _ask(alice[app], question()) for app in (ahead, behind, behind, ahead)]
    assert [answer.status_code for answer in answers] == [200] * 4
    for app in pairs:
        refused = await _ask(alice[app], question())
        checked_error(refused, 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 300
        await alice[app].aclose()


async def _log_in(app: AppProcess) -> dict[str, str]:
    async with client_of(app) as client:
        form = {"username": "alice", "password": PASSWORDS["alice"]}
        answer = await client.post("/token", json=form)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _ask(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.post("/ask", json={"prompt": text}, timeout=120)


async def _status(db: Database, text: str) -> str:
    """Of the answer to a question."""
    (row,) = await list_questions(db, text)
    async with db.read() as session:
        found = await session.scalar(
            sa.select(col(Message.status)).where(col(Message.parent_id) == row.id)
        )
    assert found is not None
    return found
