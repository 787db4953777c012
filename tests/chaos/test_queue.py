"""Processes that are killed while a question waits for the end of an answer."""

import pytest

from genai_app.db.database import Database
from tests.chaos.test_kill import REAP_S
from tests.conftest import OpenPage, StartApp
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question
from tests.fakes.rows import list_questions
from tests.fakes.services import RedisServer

pytestmark = pytest.mark.fault


def waiting(page: PageClient) -> list[str]:
    return [each["text"] for each in page.view("queued_state").get("questions", [])]


async def begin_and_queue(page: PageClient, model: ModelServer, texts: list[str]) -> None:
    """An answer that never ends, and questions that wait for its end."""
    model.script_once(Say(("one ",)), Hold("never"), End())
    await page.begin(question())
    await page.wait_for(lambda: page.live_text())
    for number, text in enumerate(texts, 1):
        await page.send(text)
        await page.wait_for(lambda count=number: len(waiting(page)) == count)


async def sent_once(page: PageClient, model: ModelServer, url: str, texts: list[str]) -> None:
    """In order, a message and a model call each, and nothing waits."""
    shown = [row["text"] for row in page.messages() if row["author"] == "user"]
    assert shown[1:] == texts
    assert waiting(page) == []
    db = Database(url)
    try:
        saved = [len(await list_questions(db, text)) for text in texts]
    finally:
        await db.close()
    assert saved == [1] * len(texts)
    # the question before stands in the same message where its answer was killed without a word
    calls = [str(each.messages[-1]["content"]) for each in model.answers]
    assert [sum(call.endswith(text) for call in calls) for text in texts] == [1] * len(texts)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_kill_while_questions_wait(
    engine: str, start_app: StartApp, open_page: OpenPage, model: ModelServer
) -> None:
    """N1, N2, N4. SIGKILL, start: the answer is interrupted, the questions are sent, each once."""
    app = start_app(engine)
    page = await open_page("alice", at=app)
    texts = [question("tokens=3"), question("tokens=3")]
    await begin_and_queue(page, model, texts)
    app.kill()
    app.restart()

    await page.open(page.path)
    await page.wait_for(lambda: len(page.messages()) == 6 and not page.running, REAP_S)
    assert [row["status"] for row in page.messages()][1::2] == [
        "interrupted",
        *("complete", "complete"),
    ]
    await sent_once(page, model, app.database_url, texts)


async def test_another_process_sends_what_the_dead_one_left(
    start_app: StartApp, open_page: OpenPage, model: ModelServer, redis_server: RedisServer
) -> None:
    """N3, N4. After the lease of the dead process, and shown on a page of the living one."""
    first = start_app("postgresql", redis_url=redis_server.url)
    second = start_app(
        "postgresql",
        redis_url=redis_server.url,
        database_url=first.settings["database_url"],
        secret_key=first.settings["secret_key"],
    )
    page = await open_page("alice", at=first)
    texts = [question("tokens=3")]
    await begin_and_queue(page, model, texts)
    other = await open_page(path="", at=second)
    other.cookie = page.cookie
    await other.open(f"/c/{page.dialog_id}")
    assert waiting(other) == texts
    first.kill()
    await other.wait_for(lambda: len(other.messages()) == 4 and not other.running, REAP_S + 5)
    await other.wait_for(lambda: waiting(other) == [])
    assert [row["status"] for row in other.messages()][1::2] == ["interrupted", "complete"]
    await sent_once(other, model, first.database_url, texts)
