"""Every page, walked where there is no network. test_air_gap.py runs this, in a namespace.

Not collected by itself: it would prove nothing where the internet can be reached.
"""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.async_api import BrowserContext, Page, Request, Response, expect

from genai_app.server.build import ROOT
from tests.cast import PASSWORDS
from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch
from tests.e2e.tab import Tab
from tests.e2e.test_looks import RICH, assert_language
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say
from tests.fakes.no_network import attempts

pytestmark = E2E

ELSEWHERE = ("192.0.2.1", 443)  # reserved for documents
GREETING = {"ru": "Чем помочь?", "en": "How can I help?"}
NO_PAGE = {"ru": "Такой страницы нет", "en": "Page not found"}
NOWHERE = ("nowhere", "far/away/from/here")  # within the chat's frame, and on a page of its own
CHROMIUM_COUNTS = "Ip6OutNoRoutes"
CHAT, NOT_FOUND = "[[section]]/[[dialog]]", "404"
# what the sight of a page tells: stylesheets, fonts and pictures that did not come, empty icons
BROKEN = """async () => {
    await document.fonts.ready;
    // .svg-assets holds the shapes of other pictures
    const icons = [...document.querySelectorAll("svg:not(.svg-assets)")]
        .filter(each => each.checkVisibility());
    return [
        ...[...document.styleSheets].filter(each => each.href && !each.cssRules.length)
            .map(each => `stylesheet ${each.href}`),
        ...[...document.fonts].filter(each => each.status === 'error')
            .map(each => `font ${each.family}`),
        ...[...document.images].filter(each => !(each.complete && each.naturalWidth))
            .map(each => `picture ${each.src}`),
        ...icons.filter(each => !(each.getBBox().width + each.getBBox().height))
            .map(each => `icon ${each.outerHTML}`),
    ];
}"""


@asynccontextmanager
async def all_requests_answered(context: BrowserContext) -> AsyncIterator[None]:
    """Every request within is answered, and not with an error."""
    failed: list[str] = []

    def lost(request: Request) -> None:
        failed.append(f"{request.url}: {request.failure}")

    def answered(response: Response) -> None:
        if response.status >= 400 and not response.url.endswith(NOWHERE):
            failed.append(f"{response.url}: {response.status}")

    context.on("requestfailed", lost)
    context.on("response", answered)
    yield
    assert failed == []


async def nothing_is_broken(page: Page) -> None:
    await page.wait_for_load_state("networkidle")
    assert await page.evaluate(BROKEN) == []


def routes() -> list[str]:
    """Every page of the product but those that are walked by rules of their own."""
    known: list[str] = json.loads((ROOT / ".web" / "routes.json").read_text())
    assert {CHAT, NOT_FOUND, "login"} < set(known)
    return [f"/{each}" for each in known if each not in (CHAT, NOT_FOUND, "login")]


async def test_the_product_alone(start_app: StartApp) -> None:
    """As `make run` starts it, with its demo model: it needs nobody, and tries to reach nobody.

    First, while there is no browser: Chromium looks by itself whether there is IPv6.
    """
    alone = start_app(llm_base_url="")
    async with client_of(alone, await new_token(alone, "alice", PASSWORDS["alice"])) as client:
        answer = await client.post("/ask", json={"prompt": "Say hello.", "max_tokens": 8})
    assert answer.status_code == httpx.codes.OK, answer.text
    assert answer.json()["response"]
    assert set(attempts().values()) == {0}


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_every_page_is_whole(
    locale: str, browse: Browse, app: AppProcess, model: ModelServer, watch: Watch
) -> None:
    """Nothing foreign is asked for, nothing fails, the console is silent (the watch sees to
    both), styles, fonts, pictures and icons are there."""
    context = await browse(locale=locale)
    async with all_requests_answered(context):
        page = await context.new_page()
        await page.goto("/login")
        await nothing_is_broken(page)
        await page.get_by_test_id("login-username").fill("carol")
        await page.get_by_test_id("login-password").fill(PASSWORDS["carol"])
        await page.get_by_test_id("login-submit").click()
        await page.wait_for_url("**/")
        tab = Tab(page)
        await tab.ready()
        await assert_language(page, locale, GREETING[locale])
        await nothing_is_broken(page)

        model.script_once(Say((RICH,)), End())
        await tab.ask_and_read(f"Всё и сразу, {locale}")
        await expect(tab.answer.locator("pre code span").first).to_be_visible()  # coloured code
        await expect(tab.answer.locator("table")).to_be_visible()
        await nothing_is_broken(page)

        for path in routes():
            await tab.open(path)
            await expect(page.get_by_role("heading").first).to_be_visible()
            await nothing_is_broken(page)
        assert await page.locator("svg").count() > 0

        await page.goto("/docs")
        operations = page.locator(".opblock-summary-path")
        await expect(operations.first).to_be_visible()
        await nothing_is_broken(page)

        watch.allow(rf"status of 404 .*/({'|'.join(NOWHERE)})$")  # the console says it of a page
        for path in NOWHERE:
            await page.goto(path)
            await expect(page.get_by_text(NO_PAGE[locale])).to_be_visible()
            await nothing_is_broken(page)
    assert "error" not in {json.loads(line).get("level") for line in log_lines(app)}


async def test_nobody_tried_to_leave() -> None:
    """No process of the tests above: the kernel would have counted it. Then the count is tried."""
    before = attempts()
    assert {count for name, count in before.items() if name != CHROMIUM_COUNTS} == {0}
    with pytest.raises(OSError, match="unreachable"), socket.socket() as away:
        away.connect(ELSEWHERE)
    assert sum(attempts().values()) == sum(before.values()) + 1


def log_lines(app: AppProcess) -> list[str]:
    return [line for line in app.log_text().splitlines() if line.startswith("{")]
