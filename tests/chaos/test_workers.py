"""`serve --workers`: several processes at one port, and who may not be one of several."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from genai_app.server.workers import merged
from tests.cast import PASSWORDS
from tests.conftest import OpenPage, StartApp
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import AppProcess, poll
from tests.fakes.model_server import ModelServer
from tests.fakes.page_client import PageClient
from tests.fakes.questions import asked, question
from tests.fakes.services import RedisServer

pytestmark = pytest.mark.fault


def served_by(app: AppProcess) -> set[str]:
    """The workers in the metrics; asked on a connection of its own each time."""
    return set(
        re.findall(r'genai_event_sockets\{worker="(\d)"\}', httpx.get(f"{app.url}/metrics").text)
    )


def known_by(app: AppProcess) -> set[str]:
    """How many processes each worker knows."""
    text = httpx.get(f"{app.url}/metrics").text
    return set(re.findall(r"genai_processes\{.*\} (\S+)", text))


def refusal(app: AppProcess) -> str:
    """The log of a process that ended at its start."""
    app.start()
    assert poll(lambda: not app.alive, 60)
    assert app.stop() == 2
    return app.log_text()


def all_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_two_workers(
    start_app: StartApp, open_page: OpenPage, redis_server: RedisServer, model: ModelServer
) -> None:
    """N1-N5. Pages of one user at both; one is killed and comes again, and its pages go on at
    whichever takes them; the parent ends both in order."""
    app = start_app("postgresql", workers=2, redis_url=redis_server.url)
    assert poll(lambda: served_by(app) == {"0", "1"})
    first, second = app.workers

    pages: list[PageClient] = []
    for number in range(4):
        page = await open_page("alice" if number % 2 else "bob", at=app)
        await page.ask(question("tokens=30,delay=0.01"))
        assert page.messages()[-1]["status"] == "complete"
        pages.append(page)
    os.kill(first, signal.SIGKILL)
    assert poll(lambda: len(app.workers) == 2 and first not in app.workers)
    assert second in app.workers
    assert poll(lambda: served_by(app) == {"0", "1"})
    for page in pages:
        await page.open(f"/c/{page.dialog_id}")
        assert [row["status"] for row in page.messages()] == ["complete", "complete"]

    pids = [app.pid, *app.workers]
    assert app.stop() == 0
    assert all_gone(pids)
    assert app.log_text().count('"worker.ended"') == 1


async def test_one_question_is_one_run_at_each_worker(
    start_app: StartApp, redis_server: RedisServer, model: ModelServer
) -> None:
    """Twenty people's connections, at either worker."""
    app = start_app(
        "postgresql",
        workers=2,
        redis_url=redis_server.url,
        cache_scope="company",
        max_parallel_answers=50,
    )
    assert poll(lambda: served_by(app) == {"0", "1"})
    assert poll(lambda: known_by(app) == {"2.0"})
    tokens = [await new_token(app, name, PASSWORDS[name]) for name in ("alice", "bob")]
    prompt = question("tokens=60,delay=0.02")

    async def ask(number: int) -> str:
        async with client_of(app, tokens[number % 2]) as client:
            answer = await client.post("/ask", json={"prompt": prompt})
        assert answer.status_code == 200, answer.text
        return answer.json()["response"]

    answers = await asyncio.gather(*(ask(number) for number in range(20)))
    calls = asked(model, prompt)
    assert 1 <= len(calls) <= 2
    assert set(answers) <= {call.sent_text for call in calls}


async def test_workers_end_when_their_parent_is_killed(
    start_app: StartApp, redis_server: RedisServer
) -> None:
    app = start_app("postgresql", workers=2, redis_url=redis_server.url)
    pids = app.workers
    app.kill()
    assert poll(lambda: all_gone(pids))


def test_several_without_redis_are_refused(
    start_app: StartApp, redis_server: RedisServer, tmp_path: Path, model: ModelServer
) -> None:
    """By `--workers`, and one by one on hosts of their own; SQLite is for one process anyway."""
    alone = start_app("postgresql")
    same: dict[str, Any] = {
        "database_url": alone.database_url,
        "secret_key": alone.settings["secret_key"],
        "llm_url": model.url,
    }
    assert "GENAI_REDIS_URL" in refusal(AppProcess(tmp_path / "a", workers=2, **same))
    assert "GENAI_DATABASE_URL" in refusal(
        AppProcess(tmp_path / "b", llm_url=model.url, workers=2, redis_url=redis_server.url)
    )
    beside = AppProcess(tmp_path / "c", **same)
    beside.start()
    try:
        alone.stop()  # what is about to end is waited for
        beside.wait_ready()
    finally:
        beside.stop()


def test_metrics_of_several_are_one_text() -> None:
    text = '# HELP a_total Of a.\n# TYPE a_total counter\na_total{kind="x"} 1.0\n'
    told = merged({0: text, 1: text})
    assert told.count("# TYPE a_total counter") == 1
    assert 'a_total{kind="x",worker="0"} 1.0' in told
    assert 'a_total{kind="x",worker="1"} 1.0' in told


def test_a_bad_number_of_workers(tmp_path: Path) -> None:
    done = subprocess.run(
        [*(sys.executable, "-m", "genai_app", "serve", "--workers", "0")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--workers" in done.stderr
