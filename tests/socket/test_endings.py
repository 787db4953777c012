"""Every way an answer may end, as the page shows it."""

import asyncio
import time
from typing import Any

import pytest

from genai_app.db.database import Database
from tests.conftest import OpenPage, StartApp
from tests.fakes.app_process import AppProcess
from tests.fakes.log_lines import LogMark
from tests.fakes.model_records import RequestRecord
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Raw, Say, Step
from tests.fakes.page_client import PageClient
from tests.fakes.questions import asked, question
from tests.fakes.rows import list_questions, message_row
from tests.fakes.services import free_port

LONG = "tokens=500,delay=0.02"


async def call_of(model: ModelServer, text: str) -> RequestRecord:
    """The one model call for this question, once it has come."""
    async with asyncio.timeout(60):
        while not asked(model, text):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # it comes in another thread
    (record,) = asked(model, text)
    return record


async def stop(page: PageClient) -> dict[str, Any]:
    await page.send_event("conversation_state.stop", answer_id=page.messages()[-1]["id"])
    await page.round_trip()
    await page.wait_for(lambda: not page.running, 3)
    return page.messages()[-1]


@pytest.mark.parametrize("directive", ["hang=1", "first=30", LONG])
async def test_stop_closes_the_model_call_within_a_second(
    directive: str, open_page: OpenPage, model: ModelServer, app_db: Database
) -> None:
    """Before the first token and in the middle: upstream closed, what came is kept."""
    page = await open_page("alice")
    text = question(directive)
    await page.begin(text)
    call = await call_of(model, text)
    if directive == LONG:
        await page.wait_for(lambda: page.live_text())
    answer = await stop(page)
    assert await asyncio.to_thread(call.wait_aborted, 1.0)
    assert (answer["status"], answer["error_code"]) == ("stopped", "")
    assert call.sent_text.startswith(answer["text"])
    assert bool(answer["text"]) == (directive == LONG)
    assert answer["text"].startswith(page.live_text())
    row = await message_row(app_db, answer["id"])
    assert (row.text, row.status) == (answer["text"], "stopped")
    assert (await page.ask(question("tokens=3")))["status"] == "complete"


async def test_stop_twice_and_after_the_end_changes_nothing(open_page: OpenPage) -> None:
    """Idempotent."""
    page = await open_page("alice")
    answer = await page.ask(question("tokens=3"))
    assert await stop(page) == answer
    await page.begin(question(LONG))
    await page.wait_for(lambda: page.live_text())
    await page.send_event("conversation_state.stop", answer_id=page.messages()[-1]["id"])
    stopped = await stop(page)
    assert stopped["status"] == "stopped"
    assert await stop(page) == stopped
    assert page.error_code == ""


async def test_another_tab_stops_it(open_page: OpenPage) -> None:
    """Stop in one tab ends it in both."""
    page = await open_page("alice")
    await page.begin(question(LONG))
    await page.wait_for(lambda: page.live_text() and page.path != "/")
    other = await open_page("alice", page.path)
    await stop(other)
    await page.wait_for(lambda: not page.running, 3)
    assert page.messages() == other.messages()


async def test_answer_again_makes_a_sibling(open_page: OpenPage, app_db: Database) -> None:
    """The old answer stays; the arrows go between them; the next question follows the one on
    the screen."""
    page = await open_page("alice")
    text = question("tokens=3")
    first = await page.ask(text)
    await page.send_event("conversation_state.regenerate", answer_id=first["id"])
    await page.wait_for(lambda: page.messages()[-1]["id"] != first["id"] and not page.running)
    second = page.messages()[-1]
    assert [row["text"] for row in page.messages()] == [text, second["text"]]
    assert (second["sibling"], second["siblings"]) == (2, [first["id"], second["id"]])
    await page.send_event("conversation_state.choose_answer", answer_id=first["id"])
    await page.wait_for(lambda: page.messages()[-1]["id"] == first["id"])
    assert page.messages()[-1]["sibling"] == 1
    third = await page.ask(question("tokens=3"))
    assert (await message_row(app_db, page.messages()[-2]["id"])).parent_id == (
        await message_row(app_db, first["id"])
    ).id
    await page.send_event("conversation_state.choose_answer", answer_id=second["id"])
    await page.wait_for(lambda: len(page.messages()) == 2)
    await page.send_event("conversation_state.choose_answer", answer_id=first["id"])
    await page.wait_for(lambda: page.messages()[-1]["id"] == third["id"])
    assert len(await list_questions(app_db, text)) == 1


async def test_answer_again_while_one_runs_is_refused(open_page: OpenPage) -> None:
    """N6. One answer at a time in a dialog; the running one is not harmed."""
    page = await open_page("alice")
    first = await page.ask(question("tokens=3"))
    await page.begin(question("tokens=30,delay=0.02"))
    await page.send_event("conversation_state.regenerate", answer_id=first["id"])
    await page.wait_for(lambda: page.error_code == "answer_running")
    await page.wait_for(lambda: not page.running)
    assert page.messages()[-1]["status"] == "complete"


@pytest.mark.parametrize(
    ("directive", "status", "code", "kept"),
    [
        ("status=503", "failed", "model_unavailable", ""),
        ("status=500", "failed", "model_unavailable", ""),
        ("status=429,retry_after=1", "failed", "model_busy", ""),
        ("status=401", "failed", "model_auth", ""),
        ("cut=0", "failed", "model_unavailable", ""),
        ("tokens=9,cut=5", "interrupted", "model_interrupted", "w0 w1 w2 w3 w4 "),
        ("tokens=9,close=5", "interrupted", "model_interrupted", "w0 w1 w2 w3 w4 "),
        ("tokens=9,error=5", "failed", "model_failed", "w0 w1 w2 w3 w4 "),
        ("tokens=9,error=0", "failed", "model_failed", ""),
        ("tokens=3,reason=length", "truncated", "", "w0 w1 w2 "),
        ("tokens=0", "complete", "empty_answer", ""),
    ],
)
async def test_a_broken_answer_says_why_and_keeps_what_came(
    directive: str,
    status: str,
    code: str,
    kept: str,
    open_page: OpenPage,
    app: AppProcess,
    app_db: Database,
) -> None:
    """N6. State, reason and text on the page and in the table; the question is
    there, and both asking again and the next question work."""
    log = LogMark(app)
    page = await open_page("alice")
    text = question(directive)
    answer = await page.ask(text)
    assert (answer["status"], answer["error_code"], answer["text"]) == (status, code, kept)
    row = await message_row(app_db, answer["id"])
    assert (row.status, row.error_code or "", row.text) == (status, code, kept)
    assert len(await list_questions(app_db, text)) == 1
    assert log.bugs() == []
    assert text.partition(" fake:")[0] not in log.text()
    assert (await page.ask(question("tokens=3")))["status"] == "complete"


async def test_a_refused_model_is_asked_once_more_and_no_storm(
    open_page: OpenPage, model: ModelServer
) -> None:
    """One more try; after a 429 when the model server says."""
    page = await open_page("alice")
    busy, away = question("status=429,retry_after=1"), question("status=503")
    await page.ask(away)
    await page.open("/")  # a dialog of its own: unanswered questions are asked together
    begun_at = time.monotonic()
    await page.ask(busy)
    assert time.monotonic() - begun_at >= 1
    assert (len(asked(model, busy)), len(asked(model, away))) == (2, 2)


async def test_no_model_server_at_all(
    open_page: OpenPage, start_app: StartApp, model: ModelServer
) -> None:
    """N1. Nobody listens: the question is kept and can be asked again when somebody does."""
    app = start_app(llm_url=f"http://127.0.0.1:{free_port()}")
    page = await open_page("alice", at=app)
    answer = await page.ask(question("tokens=3"))
    assert (answer["status"], answer["error_code"]) == ("failed", "model_unavailable")
    async with page.http("GET", "/readyz") as ready:
        assert ready.status == 200
        assert (await ready.json())["checks"] == {"database": "up", "model": "down"}


GOOD = (
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}'
)


@pytest.mark.parametrize(
    ("steps", "text", "status"),
    [
        ((Say(("a", "b")), Raw(b'data: {"choi\n\n'), Say(("c",)), End()), "abc", "interrupted"),
        (
            (Say(("a",)), Raw(b": ping\n\njunk\n\nevent: x\n\n"), Say(("b",)), End()),
            "ab",
            "complete",
        ),
        ((Raw(GOOD % b"a" + b"\r\n\r\n"), Say(("b",)), End()), "ab", "complete"),
        (
            (Raw(GOOD.replace(b": ", b":", 1) % b"a" + b"\n\n"), Say(("b",)), End()),
            "ab",
            "complete",
        ),
        ((Raw(GOOD % "я\u2028".encode() + b"\n\n", 1), End()), "я\u2028", "complete"),
        ((Say(("a",)), *(Raw(b"data: {junk\n\n"),) * 4, Say(("b",)), End()), "a", "failed"),
    ],
    ids=["half_json", "comments", "crlf", "no_space", "split_utf8", "too_much"],
)
async def test_malformed_streams(
    steps: tuple[Step, ...], text: str, status: str, open_page: OpenPage, model: ModelServer
) -> None:
    """Good data is kept and a bad event skipped, but an answer that lost one is not complete; more
    than three end it with what had come."""
    page = await open_page("alice")
    model.script_once(*steps)
    answer = await page.ask(question("tokens=3"))
    assert (answer["text"], answer["status"]) == (text, status)
