"""The next version migrates the database while this one serves."""

import asyncio

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import pytest

from genai_app import i18n
from tests.conftest import OpenApi, StartApp
from tests.fakes.app_process import AppProcess, poll
from tests.fakes.log_lines import LogMark
from tests.fakes.model_server import ModelServer
from tests.fakes.questions import asked, question
from tests.fakes.services import RedisServer

pytestmark = pytest.mark.fault

# as the rule of CONTRIBUTING allows: it only adds, and locks as a question does, dialogs first
NEXT_VERSION = """
    ALTER TABLE dialogs ADD COLUMN shelf_id uuid;
    CREATE TABLE shelves (id uuid PRIMARY KEY, name text NOT NULL);
    CREATE INDEX ix_dialogs_shelf ON dialogs (shelf_id);
    ALTER TABLE messages ADD COLUMN tone text;
    ALTER TABLE messages ADD COLUMN weight integer NOT NULL DEFAULT 0;
    UPDATE alembic_version SET version_num = '9999';
"""


async def test_the_next_version_migrates_while_this_one_serves(
    start_app: StartApp, open_api: OpenApi, model: ModelServer, redis_server: RedisServer
) -> None:
    """Answers that run, questions, lists and reading go on without an error, and a process of
    this version that starts afterwards is told why it may not."""
    app = start_app("postgresql", redis_url=redis_server.url)  # so that there may be two
    api, log = await open_api("alice", at=app), LogMark(app)

    async def use(dialog_id: str | None = None) -> str:
        """One question with all that is read after it."""
        text = question("tokens=3")
        body = {"prompt": text} | ({"dialog_id": dialog_id} if dialog_id else {})
        answer = await api.post("/ask", json=body)
        assert (answer.status_code, answer.json()["response"]) == (200, "w0 w1 w2 ")
        found = answer.json()["dialog_id"]
        for path in ("/dialogs", f"/dialogs/{found}", "/me/limits", "/readyz"):
            assert (await api.get(path)).status_code == 200, path
        listed = (await api.get("/dialogs", params={"q": text.split()[1]})).json()["items"]
        assert [each["id"] for each in listed] == [found]
        return found

    dialog_id = ""
    for _ in range(10):  # so that the driver keeps its statements prepared
        dialog_id = await use(dialog_id or None) if dialog_id else await use()
    long_one = question("tokens=40,delay=0.05")
    running = asyncio.create_task(api.post("/ask", json={"prompt": long_one}))
    assert await asyncio.to_thread(poll, lambda: asked(model, long_one))
    busy = [asyncio.create_task(use()) for _ in range(5)]
    other = await asyncpg.connect(app.database_url)
    await other.execute(NEXT_VERSION)
    await other.close()
    await asyncio.gather(*busy)
    await use(dialog_id)
    await use()
    answer = await running
    assert answer.json()["response"] == "".join(f"w{number} " for number in range(40))
    assert log.bugs() == []
    assert {each["level"] for each in log.events()} <= {"info"}

    late = AppProcess(
        app.data_dir.parent / "late",
        llm_url=model.url,
        database_url=app.database_url,
        redis_url=redis_server.url,
        secret_key=app.settings["secret_key"],
        locale="en",
    )
    late.start()
    try:
        assert await asyncio.to_thread(poll, lambda: not late.alive, 60.0)
        assert late.stop() != 0
        assert i18n.translate("en", "error.database_newer") in late.log_text()
        assert "Traceback" not in late.log_text()
    finally:
        late.kill()
    await use()
