"""What a whole session leaves in the log."""

import re

from tests.cast import PASSWORDS
from tests.conftest import OpenPage
from tests.fakes.app_process import AppProcess, poll
from tests.fakes.log_lines import LogMark
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question
from tests.fakes.raw_http import ask


async def whole_session(page: PageClient) -> None:
    await page.log_in("alice", "canary-password")
    await page.log_in("alice", PASSWORDS["alice"])
    await page.open("/?canary-query=1")
    await page.ask(question("tokens=30,delay=0.01", "canary-prompt"))
    await page.ask(question("tokens=3,cut=1", "canary-prompt"))
    await page.ask(question("status=400", "canary-prompt"))
    async with page.http("GET", "/readyz?token=canary-query"):
        pass
    await page.open(page.path)
    await page.emit("no.such.handler", {"password": "canary-password", "text": "canary-prompt"})
    await page.round_trip()
    await page.log_out()
    await page.wait_closed()


async def test_no_secret_and_no_prompt_is_logged(app: AppProcess, open_page: OpenPage) -> None:
    """No cookie, token, password, question or answer, and no query of the event path."""
    log = LogMark(app)
    page = await open_page(path="")
    token = page.token
    await page.log_in("alice", PASSWORDS["alice"])
    cookie = page.cookie
    await whole_session(page)
    text = log.text()
    assert "login.accepted" in text
    for secret in (cookie, token, PASSWORDS["alice"], "canary-password", "canary-query"):
        assert secret not in text
    assert "canary-prompt" not in text
    assert "w0 w1" not in text
    assert not re.search(r"/_event/?\?", text)
    assert "EIO=4" not in text


async def test_every_line_is_one_json_object(app: AppProcess, open_page: OpenPage) -> None:
    """Nothing goes round the log's format: neither a library's own handler nor a line break
    in a name."""
    log = LogMark(app)
    page = await open_page(path="")
    await page.log_in("x\n\x1b[31mevil\u2028", "y")
    await ask(app, "GET", "/%0d%0aevil%1b[31m", {"user-agent": "a\x1b[31mb"})
    await whole_session(page)
    for event in log.events():
        assert {"event", "level", "logger", "time"} <= set(event)
    assert "\x1b" not in log.text()


async def test_requests_are_logged_once_without_their_query(app: AppProcess) -> None:
    """One line a request: method, path, status, and the id that the answer carried."""
    log = LogMark(app)
    answer = await ask(app, "GET", "/login?next=canary-next")
    request_id = answer.header("x-request-id")
    assert poll(lambda: request_id in log.text())  # written after the answer
    lines = [e for e in log.events() if e.get("request_id") == request_id]
    assert [(e["method"], e["path"], e["status"]) for e in lines] == [("GET", "/login", 200)]
    assert "canary-next" not in log.text()
