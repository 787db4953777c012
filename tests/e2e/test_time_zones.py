"""Pages show times in the browser's own time zone, and are loaded again at most once for it."""

import asyncio
import re
from datetime import datetime, timedelta
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, log_in
from tests.e2e.tab import Tab

pytestmark = E2E

REFUSE_COOKIE = """
const own = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
Object.defineProperty(document, "cookie", {
  get() { return own.get.call(document); },
  set(text) { if (!text.startsWith("genai_zone")) own.set.call(document, text); },
});
"""
UNKNOWN_ZONE = """
const own = Intl.DateTimeFormat.prototype.resolvedOptions;
Intl.DateTimeFormat.prototype.resolvedOptions = function () {
  return {...own.call(this), timeZone: "Mars/Olympus"};
};
"""


def clock_pattern(zone: str) -> re.Pattern[str]:
    """Matches what a clock in the zone shows now or showed a minute ago."""
    now = datetime.now(ZoneInfo(zone))
    return re.compile("|".join(f"{now - timedelta(minutes=each):%H:%M}" for each in (0, 1)))


def count_loads(page: Page) -> list[str]:
    """Returns a list that grows by the address of each document that the page loads."""
    loads: list[str] = []
    page.on("domcontentloaded", lambda shown: loads.append(shown.url))
    return loads


async def zone_cookie(page: Page) -> str:
    """The zone that the browser sends, "" for none."""
    cookies = await page.context.cookies()
    values = {each.get("name"): each.get("value", "") for each in cookies}
    return unquote(values.get("genai_zone", ""))


async def until_settled(page: Page, loads: list[str], count: int) -> None:
    """Returns when the page was loaded that often and then stayed for a while."""
    async with asyncio.timeout(10):
        while len(loads) < count:  # noqa: ASYNC110 - what is counted is what ends it
            await asyncio.sleep(0.05)
    await Tab(page).ready()
    await page.wait_for_timeout(1500)
    assert len(loads) == count


async def test_times_are_those_of_the_browser(browse: Browse):
    """Also after a journey: each new zone costs one more load of the page, once."""
    for zone in ("Asia/Yekaterinburg", "America/New_York"):
        context = await browse("alice", timezone_id=zone)
        await context.clear_cookies(name="genai_zone")
        page = await context.new_page()
        loads = count_loads(page)
        await page.goto("/?from=a-link")
        await until_settled(page, loads, 2)
        assert await zone_cookie(page) == zone
        assert loads[0] == loads[1]

        await page.reload()
        await until_settled(page, loads, 3)
        tab = Tab(page)
        await tab.ask_and_read(f"Который час в {zone}?")
        await expect(tab.answer).to_contain_text(clock_pattern(zone))
        await page.goto("/settings")
        await until_settled(page, loads, 4)


async def test_a_zone_is_learned_while_somebody_logs_in(browse: Browse):
    """No page is loaded twice then."""
    context = await browse(timezone_id="Asia/Vladivostok")
    page = await context.new_page()
    await page.goto("/login")
    async with asyncio.timeout(10):
        while await zone_cookie(page) != "Asia/Vladivostok":  # noqa: ASYNC110 - the browser's own
            await asyncio.sleep(0.05)
    loads = count_loads(page)
    await log_in(page, "alice")
    await until_settled(page, loads, 2)  # the login page and the chat


@pytest.mark.parametrize(("script", "loaded"), [(REFUSE_COOKIE, 1), (UNKNOWN_ZONE, 2)])
async def test_no_browser_loads_for_ever(script: str, loaded: int, browse: Browse):
    """One that refuses the cookie, and one whose zone is no zone: its times are in UTC."""
    context = await browse("alice", timezone_id="Asia/Tokyo")
    await context.clear_cookies(name="genai_zone")
    await context.add_init_script(script)
    page = await context.new_page()
    loads = count_loads(page)
    await page.goto("/")
    await until_settled(page, loads, loaded)
    tab = Tab(page)
    await tab.ask_and_read("Который час?")
    await expect(tab.answer).to_contain_text(clock_pattern("UTC"))
