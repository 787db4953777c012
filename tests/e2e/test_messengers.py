"""The link with Telegram, from the settings to the chat with the bot and back."""

import re
import urllib.parse
from typing import Any

import pytest
from playwright.async_api import expect

from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible
from tests.fakes import mattermost_server
from tests.fakes.app_process import eventually
from tests.fakes.mattermost_server import FakeMattermost
from tests.fakes.telegram_server import TOKEN, TelegramServer

pytestmark = E2E

PHONE = 1001
NOTICE_RU = "Telegram связан с вашей учётной записью — можно спрашивать там."
NOTICE_EN = "Telegram is linked to your account: you can ask there."


@pytest.mark.parametrize(
    ("locale", "theme", "linked", "notice", "unlink"),
    [
        ("ru", "light", "бот связан с вашей учётной записью", NOTICE_RU, "Отвязать @user1001"),
        ("en", "dark", "the bot is linked to your account", NOTICE_EN, "Unlink @user1001"),
    ],
)
async def test_link_ask_continue_and_unlink(
    start_app: StartApp,
    browse: Browse,
    locale: str,
    theme: Any,
    linked: str,
    notice: str,
    unlink: str,
) -> None:
    """The dialog of the chat is on the page at once, and goes on there and in the chat."""
    with TelegramServer() as telegram:
        app = start_app(telegram_token=TOKEN, telegram_api_url=telegram.url)
        page = await (await browse("alice", at=app, locale=locale, color_scheme=theme)).new_page()
        tab = Tab(page)
        await page.goto(f"{app.url}/settings")
        await tab.ready()
        await page.get_by_test_id("messenger-offer").click()
        link = page.get_by_test_id("messenger-link")
        await expect(link).to_have_attribute(
            "href", re.compile(r"^https://t\.me/corp_test_bot\?start=[\w-]{16}$")
        )
        await expect(page.locator("img[src^='data:image/svg']")).to_be_visible()
        await assert_accessible(page)
        query = urllib.parse.urlsplit(str(await link.get_attribute("href"))).query
        telegram.says(f"/start {query.partition('=')[2]}", PHONE, language=locale)
        await telegram.wait(lambda: linked in "".join(telegram.texts()))
        await expect(page.get_by_test_id("messenger-row")).to_contain_text("@user1001")
        await expect(page.get_by_test_id("messenger-notice")).to_have_text(notice)
        await expect(link).to_have_count(0)
        await assert_accessible(page)

        telegram.says("Asked by phone", PHONE, language=locale)
        await telegram.wait(lambda: "scripted model" in telegram.texts()[-1])
        await page.goto(app.url)
        await tab.ready()
        await page.get_by_test_id("dialog-item").first.click()
        await expect(page.get_by_test_id("message-user")).to_have_text(re.compile("Asked by phone"))
        await expect(page.get_by_test_id("message-assistant")).to_contain_text("scripted model")

        await page.goto(f"{app.url}/settings")
        await tab.ready()
        await page.get_by_role("button", name=unlink).click()
        await expect(page.get_by_test_id("messenger-row")).to_have_count(0)
        count = len(telegram.of())
        telegram.says("Still there?", PHONE, language=locale)
        await telegram.wait(lambda: len(telegram.of()) > count)
        assert telegram.texts()[-1].startswith(("Этот бот отвечает только", "This bot answers"))


@pytest.mark.parametrize(
    ("locale", "stopped", "notice"),
    [
        ("ru", "Ответ остановлен.", "Mattermost связан с вашей учётной записью"),
        ("en", "The answer was stopped.", "Mattermost is linked to your account"),
    ],
)
async def test_mattermost_link_ask_stop_rate_and_continue(
    start_app: StartApp, browse: Browse, locale: str, stopped: str, notice: str
) -> None:
    """The story by emoji and words; the question on the page has the chat's one before it."""
    with FakeMattermost() as mattermost:
        app = start_app(mattermost_url=mattermost.url, mattermost_token=mattermost_server.TOKEN)
        alice = mattermost.add_person("alice", locale=locale)
        page = await (await browse("alice", at=app, locale=locale)).new_page()
        tab = Tab(page)
        await tab.open("/settings")
        await page.get_by_test_id("messenger-offer").click()
        words = page.get_by_test_id("messenger-text").locator("code")
        await expect(words).to_have_text(re.compile(r"^start [\w-]{16}$"))
        await expect(page.get_by_test_id("messenger-link")).to_have_attribute(
            "href", re.compile(rf"^{mattermost.url}/_redirect/messages/@")
        )
        mattermost.say(alice, await words.inner_text())
        await expect(page.get_by_test_id("messenger-notice")).to_contain_text(notice)
        await expect(page.get_by_test_id("messenger-row")).to_contain_text("@alice")
        await expect(words).to_have_count(0)

        async def shown(text: str, emoji: str) -> str:
            """The id of the bot's last post, once it has that text and that button."""

            async def is_there() -> bool:
                post = mattermost.shown_to(alice)[-1]
                offered = [each["emoji_name"] for each in post["metadata"]["reactions"]]
                return text in post["message"] and emoji in offered

            await eventually(is_there, within_s=30)
            return mattermost.shown_to(alice)[-1]["id"]

        mattermost.say(alice, "Asked in Mattermost fake:tokens=2000,delay=0.05")
        mattermost.react(alice, await shown("w3", "octagonal_sign"), "octagonal_sign")
        mattermost.react(alice, await shown(stopped, "+1"), "+1")

        await tab.open("/")
        await page.get_by_test_id("dialog-item").first.click()
        await expect(page.get_by_test_id("message-user")).to_contain_text("Asked in Mattermost")
        await expect(page.get_by_test_id("thumb-up")).to_have_attribute("aria-pressed", "true")
        await tab.ask_and_read("On the page fake:tokens=3")
        mattermost.say(alice, "And in the chat again")
        await shown("scripted model", "+1")
        await expect(page.get_by_test_id("message-user")).to_have_count(3)
