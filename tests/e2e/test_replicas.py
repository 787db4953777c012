"""A page whose process dies goes on at another one, in a real browser."""

import os
import re
import signal

import httpx
from playwright.async_api import expect

from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch
from tests.e2e.tab import Tab
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.questions import question
from tests.fakes.services import RedisServer

pytestmark = E2E

AGAIN_S = 30_000


def workers_with_a_page(app: AppProcess) -> list[int]:
    """The processes that have a socket. Workers are numbered as they were started."""
    told = httpx.get(f"{app.url}/metrics").text
    numbers = re.findall(r'genai_event_sockets\{worker="(\d)"\} [1-9]', told)
    return [app.workers[int(number)] for number in numbers]


async def test_the_page_goes_on_at_another_process(
    start_app: StartApp, browse: Browse, redis_server: RedisServer, watch: Watch
):
    """N1, N2, N3, N5, no reload: what was said stays, the answer is marked, a draft stays in the
    field, and the next question is answered."""
    watch.allow("WebSocket|ERR_CONNECTION|Failed to load resource|socket")
    app = start_app("postgresql", workers=2, redis_url=redis_server.url)
    tab = Tab(await (await browse("alice", at=app)).new_page())
    await tab.open()
    first = await tab.ask_and_read(question("tokens=12"))
    await tab.ask(question("tokens=4000,delay=0.02"))
    await expect(tab.answer_text.first).to_contain_text("w9")
    await tab.composer.fill("a draft")
    (worker,) = workers_with_a_page(app)
    os.kill(worker, signal.SIGKILL)

    await expect(tab.answer).to_have_attribute("data-status", "interrupted", timeout=AGAIN_S)
    await expect(tab.composer).to_have_value("a draft")
    await expect(tab.answers).to_have_count(2)
    await expect(tab.answers.first).to_contain_text(first)
    await expect(tab.connection_lost).to_have_count(0)
    await tab.composer.fill("")
    assert await tab.ask_and_read(question("tokens=5")) == "w0 w1 w2 w3 w4"


async def test_two_tabs_at_two_processes_show_one_dialog(
    start_app: StartApp, browse: Browse, redis_server: RedisServer
):
    """N5. Each tab is at a process of its own; the answer grows in both, and is stopped from the
    one that does not make it."""
    app = start_app("postgresql", workers=2, redis_url=redis_server.url)
    context = await browse("alice", at=app)
    tab = Tab(await context.new_page())
    await tab.open()
    await tab.ask(question("tokens=4000,delay=0.02"))
    other = Tab(await context.new_page())

    async def elsewhere() -> bool:
        await other.open(f"/c/{tab.dialog_id}")
        return len(workers_with_a_page(app)) == 2

    await eventually(elsewhere, 60)
    await expect(other.answer_text.first).to_contain_text("w60")
    await other.stop_button.click()
    for each in (other, tab):
        await each.ends("stopped")
    assert await tab.words() == await other.words()
