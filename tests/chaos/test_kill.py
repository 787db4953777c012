"""Real processes, killed and starved: N1 to N6."""

import asyncio
import time
import uuid

import pytest

from genai_app.db.database import Database
from genai_app.services.generation.checkpoints import LEASE_S
from tests.conftest import OpenPage, StartApp
from tests.fakes.app_process import eventually, poll
from tests.fakes.model_records import RequestRecord
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say, Think
from tests.fakes.page_client import PageClient
from tests.fakes.questions import asked, question
from tests.fakes.rows import list_questions, message_row
from tests.fakes.services import PostgresServer, RedisServer

pytestmark = pytest.mark.fault

TOKENS = tuple(f"w{number} " for number in range(6_000))
LOSS_S = 1.0  # what a SIGKILL may cost
REAP_S = LEASE_S + 5.0


def record_of(model: ModelServer, text: str) -> RequestRecord:
    assert poll(lambda: asked(model, text))
    return asked(model, text)[0]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_kill_in_mid_answer_costs_a_second_at_most(
    engine: str, start_app: StartApp, open_page: OpenPage, model: ModelServer
) -> None:
    """N1, N2, N3. SIGKILL, start: the question whole, the text but the last second, the state
    `interrupted` with no spinner left, the login kept, and asking again works."""
    app = start_app(engine)
    page = await open_page("alice", at=app)
    text = question()
    model.script_once(Say(TOKENS, delay_s=0.01), End())
    answer = await page.begin(text)
    record = record_of(model, text)
    await page.wait_for(lambda: len(page.live_text()) > 800)
    killed_at = time.monotonic()
    app.kill()
    assert await asyncio.to_thread(record.wait_aborted)
    app.restart()

    await page.open(f"/c/{page.dialog_id}")
    await page.wait_for(lambda: not page.running, REAP_S)
    kept = page.messages()[-1]
    assert page.messages()[0]["text"] == text
    assert (kept["id"], kept["status"], kept["error_code"]) == (
        answer["id"],
        "interrupted",
        "process_lost",
    )
    owed = "".join(sent.text for sent in record.sent if sent.mono < killed_at - LOSS_S)
    assert kept["text"].startswith(owed)
    assert record.sent_text.startswith(kept["text"])
    assert len(owed) > 100

    await page.send_event("conversation_state.regenerate", answer_id=answer["id"])
    await page.wait_for(lambda: page.messages()[-1]["id"] != answer["id"] and not page.running)
    assert page.messages()[-1]["status"] == "complete"
    assert page.messages()[-1]["siblings"][0] == answer["id"]


async def test_kill_in_mid_continuation(
    start_app: StartApp, open_page: OpenPage, model: ModelServer
) -> None:
    """N2, N3. The text of before and that of the continuation but its last second are there, as
    `interrupted`, and the answer goes on once more."""
    app = start_app("postgresql")
    page = await open_page("alice", at=app)
    text = question()
    model.script_once(Say(TOKENS[:100]), End("length"))
    answer = await page.ask(text)
    assert answer["status"] == "truncated"
    first = answer["text"]
    model.script_once(Say(TOKENS[100:], delay_s=0.01), End())
    await page.send_event("branch_state.continue_answer", answer_id=answer["id"])
    await page.wait_for(lambda: len(page.live_text()) > len(first) + 800)
    record = model.answers[-1]
    assert record.messages[-1] == {"role": "assistant", "content": first}
    killed_at = time.monotonic()
    app.kill()
    assert await asyncio.to_thread(record.wait_aborted)
    app.restart()

    await page.open(f"/c/{page.dialog_id}")
    await page.wait_for(lambda: not page.running, REAP_S)
    kept = page.messages()[-1]
    assert (kept["id"], kept["status"], kept["can_go_on"]) == (answer["id"], "interrupted", True)
    owed = first + "".join(sent.text for sent in record.sent if sent.mono < killed_at - LOSS_S)
    assert kept["text"].startswith(owed)
    assert (first + record.sent_text).startswith(kept["text"])
    assert len(owed) > len(first) + 100

    model.script_once(Say(("the ", "end")), End())
    await page.send_event("branch_state.continue_answer", answer_id=answer["id"])
    await page.wait_for(lambda: page.messages()[-1]["status"] == "complete")
    assert page.messages()[-1]["text"] == kept["text"] + "the end"


async def test_kill_while_the_model_thinks(
    start_app: StartApp, open_page: OpenPage, model: ModelServer
) -> None:
    """N2. SIGKILL costs thoughts of a second at most, too."""
    app = start_app("sqlite")
    page = await open_page("alice", at=app)
    text = question()
    model.script_once(Think(TOKENS, delay_s=0.01), End())
    answer = await page.begin(text)
    record = record_of(model, text)
    await page.wait_for(lambda: len(page.live_reasoning()) > 800)
    killed_at = time.monotonic()
    app.kill()
    assert await asyncio.to_thread(record.wait_aborted)
    app.restart()
    await page.open(f"/c/{page.dialog_id}")
    await page.wait_for(lambda: not page.running, REAP_S)
    kept = page.messages()[-1]
    assert (kept["id"], kept["status"], kept["thought"]) == (answer["id"], "interrupted", True)
    await page.send_event("reasoning_state.show", message_id=answer["id"])
    texts = await page.wait_for(lambda: page.view("reasoning_state").get("texts"))
    owed = "".join(sent.text for sent in record.thoughts if sent.mono < killed_at - LOSS_S)
    assert texts[answer["id"]].startswith(owed)
    assert record.sent_thoughts.startswith(texts[answer["id"]])
    assert len(owed) > 100


async def test_kill_right_after_the_send_keeps_the_question(
    start_app: StartApp, open_page: OpenPage, model: ModelServer
) -> None:
    """N1, N3. As soon as the composer is told to clear, the question survives anything."""
    app = start_app()
    page = await open_page("alice", at=app)
    text = question("hang=1")
    await page.send(text)
    await page.wait_for(lambda: page.committed)
    app.kill()
    app.restart()
    db = Database(app.database_url)
    (row,) = await list_questions(db, text)
    await db.close()
    await page.open(f"/c/{row.dialog_id}")
    assert page.messages()[0]["text"] == text
    assert page.messages()[-1]["status"] == "interrupted"


async def test_another_process_takes_over_after_the_lease(
    start_app: StartApp, open_page: OpenPage, model: ModelServer, redis_server: RedisServer
) -> None:
    """N3. Two processes on one database: what the dead one wrote is read, ended and
    continued on the other."""
    first = start_app("postgresql", redis_url=redis_server.url)
    second = start_app(
        "postgresql",
        redis_url=redis_server.url,
        database_url=first.settings["database_url"],
        secret_key=first.settings["secret_key"],
    )
    page = await open_page("alice", at=first)
    text = question()
    model.script_once(Say(TOKENS, delay_s=0.01), End())
    answer = await page.begin(text)
    await page.wait_for(lambda: len(page.live_text()) > 400)
    other = await open_page(path="", at=second)
    other.cookie = page.cookie
    await other.open(f"/c/{page.dialog_id}")
    assert other.messages()[-1]["status"] == "running"
    await other.wait_for(lambda: len(other.live_text()) > 800)
    killed_at = time.monotonic()
    first.kill()
    await other.wait_for(lambda: not other.running, REAP_S)
    assert other.messages()[-1]["status"] == "interrupted"
    kept, record = other.messages()[-1]["text"], record_of(model, text)
    owed = "".join(sent.text for sent in record.sent if sent.mono < killed_at - LOSS_S)
    assert kept.startswith(owed)
    assert record.sent_text.startswith(kept)
    assert len(owed) > 100
    await other.send_event("conversation_state.regenerate", answer_id=answer["id"])
    await other.wait_for(lambda: other.messages()[-1]["status"] == "complete")


async def test_stop_lands_on_the_other_process(
    start_app: StartApp, open_page: OpenPage, model: ModelServer, redis_server: RedisServer
) -> None:
    """Stop on a replica that does not own the answer ends the model call within 2 s."""
    first = start_app("postgresql", redis_url=redis_server.url)
    second = start_app(
        "postgresql",
        redis_url=redis_server.url,
        database_url=first.settings["database_url"],
        secret_key=first.settings["secret_key"],
    )
    page = await open_page("alice", at=first)
    text = question("tokens=6000,delay=0.01")
    answer = await page.begin(text)
    other = await open_page(path="", at=second)
    other.cookie = page.cookie
    await other.open(f"/c/{page.dialog_id}")
    record = record_of(model, text)  # it has waited for its slot
    await other.send_event("conversation_state.stop", answer_id=answer["id"])
    assert await asyncio.to_thread(record.wait_aborted, 2.0)
    for each in (page, other):
        await each.wait_for(lambda e=each: not e.running)
        assert each.messages()[-1]["status"] == "stopped"


async def test_sigterm_lets_a_short_answer_end(
    start_app: StartApp, open_page: OpenPage, model: ModelServer
) -> None:
    """The process ends orderly, the answer is whole."""
    app = start_app()
    page = await open_page("alice", at=app)
    text = question("tokens=150,delay=0.02")
    answer = await page.begin(text)
    await page.wait_for(lambda: page.live_text())
    assert await asyncio.to_thread(app.stop) == 0
    assert record_of(model, text).aborted_at is None
    app.restart()
    await page.open(f"/c/{page.dialog_id}")
    assert page.messages()[-1]["id"] == answer["id"]
    assert page.messages()[-1]["status"] == "complete"
    assert page.messages()[-1]["text"] == "".join(TOKENS[:150])


async def test_sigterm_saves_a_long_answer(
    start_app: StartApp, open_page: OpenPage, model: ModelServer
) -> None:
    """After 30 s at most the process is gone; all that came is saved, and said so."""
    app = start_app()
    page = await open_page("alice", at=app)
    text = question("tokens=6000,delay=0.02")
    await page.begin(text)
    await page.wait_for(lambda: page.live_text())
    begin = time.monotonic()
    assert await asyncio.to_thread(app.stop) == 0
    assert time.monotonic() - begin < 30
    record = record_of(model, text)
    app.restart()
    await page.open(f"/c/{page.dialog_id}")
    row = page.messages()[-1]
    assert (row["status"], row["error_code"]) == ("interrupted", "shutdown")
    assert record.aborted_at is not None
    owed = "".join(sent.text for sent in record.sent if sent.mono < record.aborted_at - 0.2)
    assert row["text"].startswith(owed)


async def test_a_restart_keeps_logins(start_app: StartApp, open_page: OpenPage) -> None:
    """N5. The secret and the sessions are in the data: nobody logs in again."""
    app = start_app()
    page = await open_page("alice", at=app)
    await page.ask(question())
    shown = page.messages()
    assert await asyncio.to_thread(app.stop) == 0
    assert not list(app.data_dir.rglob("*.pkl"))  # what stands on a page is never on the disk
    await page.wait_closed()
    app.restart()
    await page.open(page.path)
    assert page.view("session_state")["username"] == "alice"
    assert page.messages() == shown


async def test_database_away_at_the_send(
    start_app: StartApp, open_page: OpenPage, model: ModelServer, postgres: PostgresServer
) -> None:
    """N1, N4, N6. Not accepted, said so, nobody logged out; once it is back the same send is
    one message and one model call."""
    app = start_app("postgresql")
    page = await open_page("alice", at=app)
    text, send_id = question(), str(uuid.uuid4())
    postgres.stop()
    try:
        await page.send(text, send_id=send_id)
        await page.wait_for(lambda: page.error_code == "storage_unavailable", 15)
        assert page.messages() == []
        assert page.committed == 0
        assert asked(model, text) == []
        async with page.http("GET", "/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["checks"]["database"] == "down"
        async with page.http("GET", "/healthz") as answer:
            assert answer.status == 200
        async with page.http("GET", "/") as answer:
            assert answer.status == 200  # the page itself says what is wrong
        form = {"username": "alice", "password": "x"}
        async with page.http("POST", "/login", data=form) as answer:
            assert answer.headers["location"] == "/login?error=storage_unavailable"
        assert page.redirects == []
    finally:
        postgres.start()
    await eventually(lambda: is_ready(page))
    await page.send(text, send_id=send_id)
    await page.send(text, send_id=send_id)
    await page.wait_for(lambda: page.messages() and not page.running)
    assert page.error_code == ""
    assert len(page.messages()) == 2
    assert len(asked(model, text)) == 1


async def test_database_restarts_in_mid_answer(
    start_app: StartApp, open_page: OpenPage, model: ModelServer, postgres: PostgresServer
) -> None:
    """The text is held in memory and saved when the database is back; the page needs no
    reload and shows the whole."""
    app = start_app("postgresql")
    page = await open_page("alice", at=app)
    answer = await page.begin(question("tokens=250,delay=0.02"))
    await page.wait_for(lambda: page.live_text())
    postgres.kill()
    postgres.start()
    await page.wait_for(lambda: not page.running)
    whole = "".join(TOKENS[:250])
    assert (page.messages()[-1]["status"], page.messages()[-1]["text"]) == ("complete", whole)
    db = Database(app.database_url)
    row = await message_row(db, answer["id"])
    await db.close()
    assert (row.status, row.text) == ("complete", whole)


async def test_database_away_at_the_end_of_an_answer(
    start_app: StartApp, open_page: OpenPage, model: ModelServer, postgres: PostgresServer
) -> None:
    """N6. The answer ends while the database is down: nothing is shown as saved before it is,
    and then it is whole."""
    app = start_app("postgresql")
    page = await open_page("alice", at=app)
    text = question("tokens=60,delay=0.02")
    await page.begin(text)
    await page.wait_for(lambda: page.live_text())
    postgres.stop()
    try:
        assert await asyncio.to_thread(record_of(model, text).wait_ended)
        assert page.running
    finally:
        postgres.start()
    await page.wait_for(lambda: not page.running)
    row = page.messages()[-1]
    assert (row["status"], row["text"]) == ("complete", "".join(TOKENS[:60]))


async def is_ready(page: PageClient) -> bool:
    async with page.http("GET", "/readyz") as answer:
        return answer.status == 200
