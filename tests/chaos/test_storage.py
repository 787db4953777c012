"""A database that is there and refuses: deadlock, no connection free, no room left. And a full disk
of the product's own."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import httpx
import pytest

from genai_app.db.database import POOL_SIZE
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import a_uuid, checked_error
from tests.fakes.app_process import eventually
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.questions import asked, question
from tests.fakes.services import PostgresServer
from tests.fakes.small_disk import Disk, on_small_disk

pytestmark = pytest.mark.fault

# the database's own refusal, as often as the sequence says
REFUSALS = """
    CREATE SEQUENCE tries;
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('tries') <= {times} THEN
            RAISE EXCEPTION 'injected' USING ERRCODE = '{state}';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON dialogs FOR EACH ROW EXECUTE FUNCTION refuse();
"""
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@asynccontextmanager
async def beside(url: str) -> AsyncGenerator[Any]:
    """A connection of our own to the product's database."""
    connection: Any = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def ask(api: httpx.AsyncClient, text: str, **more: object) -> httpx.Response:
    return await api.post("/ask", json={"prompt": text, **more})


async def test_a_deadlock_is_no_error_of_the_users(
    start_app: StartApp,
    open_api: OpenApi,
    model: ModelServer,
    postgres: PostgresServer,
    postgres_with_cast: str,
) -> None:
    """N4. Two sessions lock a user and a dialog in opposite order. PostgreSQL ends the
    product's, which begins again: one question, one call, one answer."""
    url = postgres.create_database("deadlock", template=postgres_with_cast)
    async with beside(url) as other:
        # the product's sessions look for deadlocks after this time, ours never
        await other.execute("ALTER DATABASE deadlock SET deadlock_timeout = '2s'")
    app = start_app("postgresql", database_url=url)
    api = await open_api("alice", at=app)
    begun = (await ask(api, question("tokens=2"))).json()
    text = question("tokens=3")
    async with beside(app.database_url) as other, beside(app.database_url) as watcher:
        await other.execute("SET deadlock_timeout = '10min'")
        async with other.transaction():
            await other.execute("SELECT 1 FROM dialogs FOR UPDATE")
            asking = asyncio.create_task(ask(api, text, dialog_id=begun["dialog_id"]))

            async def waits() -> bool:
                return await watcher.fetchval(WAITING) > 0

            await eventually(waits)
            await other.execute("SELECT 1 FROM users FOR UPDATE")  # until the product gave way
        answer = await asking
        assert await watcher.fetchval("SELECT count(*) FROM messages") == 4
    assert (answer.status_code, answer.json()["response"]) == (200, "w0 w1 w2 ")
    assert len(asked(model, text)) == 1
    app.kill()
    postgres.drop_database("deadlock")


async def test_refusals_are_tried_again_or_told_at_once(
    start_app: StartApp, open_api: OpenApi, model: ModelServer
) -> None:
    """N6. Two serialization failures are two more tries; the third is told. A full disk,
    or too many connections, is told at once. Nothing half is there, and afterwards all is well."""
    app = start_app("postgresql")
    api = await open_api("alice", at=app)
    count = 0
    async with beside(app.database_url) as other:
        for state, times, tries, status in (
            ("40001", 2, 3, 200),
            ("40P01", 2, 3, 200),
            ("40001", 99, 3, 503),
            ("53100", 99, 1, 503),  # disk full
            ("53300", 99, 1, 503),
        ):
            await other.execute(REFUSALS.format(times=times, state=state))
            text, key = question("tokens=3"), a_uuid()
            answer = await ask(api, text, client_id=key)
            assert await other.fetchval("SELECT last_value FROM tries") == tries, state
            assert answer.status_code == status, state
            if status == 503:
                checked_error(answer, 503, "storage_unavailable")
                assert int(answer.headers["retry-after"]) > 0
                assert asked(model, text) == []
            await other.execute("DROP FUNCTION refuse CASCADE; DROP SEQUENCE tries")
            again = await ask(api, text, client_id=key)
            assert (again.status_code, again.json()["response"]) == (200, "w0 w1 w2 ")
            assert len(asked(model, text)) == 1
            count += 1
            assert await other.fetchval("SELECT count(*) FROM messages") == 2 * count


async def test_no_connection_is_free(start_app: StartApp, open_api: OpenApi) -> None:
    """Somebody's lock holds every connection of the pool: whoever comes is told so within the
    pool's patience, those who hold one are answered when the lock goes, and then asking works."""
    app = start_app("postgresql")
    apis = [await open_api(who, at=app) for who in ("alice", "bob")]
    async with beside(app.database_url) as other:
        async with other.transaction():
            await other.execute("SELECT 1 FROM users FOR UPDATE")
            texts = [question("tokens=2") for _ in range(3 * POOL_SIZE)]
            asking = [
                asyncio.create_task(ask(apis[number % 2], text))
                for number, text in enumerate(texts)
            ]

            async def most_are_refused() -> bool:
                return sum(each.done() for each in asking) >= len(asking) - POOL_SIZE

            await eventually(most_are_refused, 60)
            for each in asking:
                if each.done():
                    checked_error(each.result(), 503, "storage_unavailable")
                    assert int(each.result().headers["retry-after"]) > 0
            assert (await apis[0].get("/healthz")).status_code == 200
            assert app.alive
        statuses = [answer.status_code for answer in await asyncio.gather(*asking)]
        assert set(statuses) <= {200, 503}
        good = await ask(apis[0], question("tokens=2"))
        assert good.json()["response"] == "w0 w1 "
        told = statuses.count(200) + 1
        assert await other.fetchval("SELECT count(*) FROM messages") == 2 * told


async def test_the_databases_disk_is_full(start_app: StartApp, open_api: OpenApi) -> None:
    """N1, N4, N6. Refused, said so, nothing half kept; reading goes on; an answer under
    way is held and saved when there is room; the refused question is asked again, once."""
    with ModelServer() as model:
        app = start_app(llm_url=model.url, within=on_small_disk(), llm_context_tokens=100_000)
        disk = Disk(app)
        api = await open_api("alice", at=app)
        whole = "held " * 100_000
        model.script_once(Hold("go"), Say((whole,)), End())
        under_way = asyncio.create_task(ask(api, question()))
        assert await asyncio.to_thread(model.wait_answers, 1)
        disk.fill()
        text, key = question("tokens=2", "word " * 2000), a_uuid()
        async with asyncio.timeout(60):
            while (refused := await ask(api, text, client_id=key)).status_code == 200:
                disk.fill()  # SQLite had something in reserve
                text, key = question("tokens=2", "word " * 2000), a_uuid()
        checked_error(refused, 503, "storage_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert asked(model, text) == []
        before = (await api.get("/dialogs")).json()["items"]
        assert before
        assert app.alive
        model.release("go")

        async def is_held() -> bool:
            return "generation.save_delayed" in app.log_text()

        await eventually(is_held)
        assert not under_way.done()
        checked_error(await ask(api, text, client_id=key), 503, "storage_unavailable")

        disk.free()
        answer = await asyncio.wait_for(under_way, 60)
        assert (answer.status_code, answer.json()["response"]) == (200, whole)
        for _ in range(2):
            good = await ask(api, text, client_id=key)
            assert (good.status_code, good.json()["response"]) == (200, "w0 w1 ")
        assert len(asked(model, text)) == 1
        after = (await api.get("/dialogs")).json()["items"]
        assert len(after) == len(before) + 1
        assert '"background.bug"' not in app.log_text()
        assert '"generation.bug"' not in app.log_text()


async def test_the_exports_disk_is_full(start_app: StartApp, open_api: OpenApi) -> None:
    """N6. An export fails and says so, whatever its format; chat works; with room it works."""
    app = start_app("postgresql", within=on_small_disk())
    disk = Disk(app)
    api = await open_api("alice", at=app)
    dialog = (await ask(api, question("tokens=3"))).json()["dialog_id"]

    async def end_of_export(format_: str) -> tuple[str, str | None]:
        order = {"kind": "dialog", "format": format_, "dialog_id": dialog}
        made = await api.post("/exports", json=order)
        assert made.status_code == 202, made.text
        address = f"/exports/{made.json()['id']}"

        async def ended() -> bool:
            return (await api.get(address)).json()["state"] not in ("queued", "running")

        await eventually(ended, 60)
        told = (await api.get(address)).json()
        return told["state"], told["error_code"]

    disk.fill()
    for format_ in ("md", "json", "pdf"):
        assert await end_of_export(format_) == ("failed", "export_failed")
        good = await ask(api, question("tokens=2"), dialog_id=dialog)
        assert good.json()["response"] == "w0 w1 "
    assert list((disk.folder / "exports").iterdir()) == []
    disk.free()
    for format_ in ("md", "json", "pdf"):
        assert (await end_of_export(format_))[0] == "done"
