"""The page in its system: theme, paper, a shortcut on the desktop, notifications, the clipboard."""

import json
import re
import uuid
from typing import Any

import pytest
from playwright.async_api import expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.e2e.test_looks import RICH, assert_accessible, has_theme
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say

pytestmark = E2E

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
WHITE = "rgb(255, 255, 255)"


async def test_the_theme_follows_the_system_until_one_is_chosen(browse: Browse):
    tab = Tab(await (await browse("alice", color_scheme="light")).new_page())
    await tab.open()
    theme = tab.page.get_by_test_id("theme")
    await has_theme(tab.page, "light")
    await tab.page.emulate_media(color_scheme="dark")
    await has_theme(tab.page, "dark")
    await expect(theme).to_have_accessible_name("Тема: системная. Сменить")
    for chosen, name in (("light", "светлая"), ("dark", "тёмная"), ("dark", "системная")):
        await theme.click()
        await has_theme(tab.page, chosen)
        await expect(theme).to_have_accessible_name(f"Тема: {name}. Сменить")
    await tab.page.get_by_test_id("settings-link").click()
    await tab.page.get_by_role("button", name="Светлая", exact=True).click()
    await has_theme(tab.page, "light")
    system = tab.page.get_by_role("button", name="Системная", exact=True)
    await expect(system).to_have_attribute("aria-pressed", "false")
    await system.click()
    await has_theme(tab.page, "dark")
    await expect(system).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize(("system", "chosen"), [("light", "dark"), ("dark", "light")])
async def test_a_chosen_theme_is_there_before_the_page_is_drawn(
    system: Any, chosen: str, browse: Browse, watch: Watch
):
    watch.allow("ERR_FAILED")
    page = await (await browse(color_scheme=system)).new_page()
    await page.goto("/login")
    await page.evaluate("theme => localStorage.setItem('theme', theme)", chosen)
    await page.route(re.compile(r"/assets/.*\.js"), lambda route: route.abort())
    await page.reload()
    assert (await page.evaluate(BACKGROUND) == WHITE) == (chosen == "light")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_dialog_on_paper(theme: Any, browse: Browse, stored: Stored):
    """Title, who said what, all of it, black on white; nothing of the page around it."""
    dialog_id = stored.add_dialog(
        "alice", "Сводка для печати", [("Вопрос на бумаге", RICH), ("Второй вопрос", "Второй")]
    )
    tab = Tab(await (await browse("alice", color_scheme=theme)).new_page())
    await tab.open(f"/c/{dialog_id}")
    await expect(tab.answers.first.locator("pre span").first).to_be_visible()
    await has_theme(tab.page, theme)
    await tab.page.emulate_media(media="print")
    assert await tab.page.evaluate(BACKGROUND) == WHITE
    for hidden in (".sidebar", ".dock", ".bar", ".answer-foot", ".dialog-export"):
        await expect(tab.page.locator(hidden).first).to_be_hidden()
    title = tab.page.get_by_role("heading", name="Сводка для печати")
    for whole in (title, tab.page.get_by_text("Вы", exact=True).first):
        box = await whole.bounding_box()
        assert box is not None
        assert box["height"] > 8
    colours: list[str] = await tab.page.evaluate(
        """() => [...document.querySelectorAll('.bubble, .markdown p, .markdown td, pre span')]
            .map(node => getComputedStyle(node).color)"""
    )
    assert set(colours) == {"rgb(0, 0, 0)", "rgb(68, 68, 68)"}  # a quotation is grey
    heights = await tab.page.evaluate(
        "[document.documentElement.scrollHeight, document.querySelector('.dialog').scrollHeight]"
    )
    assert heights[0] >= heights[1] > 700  # the whole list, not a window on it


async def test_it_can_be_installed(browse: Browse, app: AppProcess):
    page = await (await browse()).new_page()
    await page.goto("/login")
    session = await page.context.new_cdp_session(page)
    manifest = await session.send("Page.getAppManifest")
    assert manifest["errors"] == []
    assert manifest["url"] == f"{app.url}/manifest.webmanifest"
    described = json.loads(manifest["data"])
    assert described["short_name"] == "GenAI"
    errors = await session.send("Page.getInstallabilityErrors")
    assert [
        e["errorId"] for e in errors["installabilityErrors"] if e["errorId"] != "in-incognito"
    ] == []
    for icon in described["icons"]:
        answer = await page.request.get(icon["src"])
        assert (answer.status, answer.headers["content-type"]) == (200, icon["type"])


NOTIFICATIONS = """
window.shown = [];
window.later = 0;
const now = performance.now.bind(performance);
performance.now = () => now() + window.later;
window.Notification = class {
  static permission = 'default';
  static async requestPermission() { return this.permission = 'granted'; }
  constructor(title, options) { window.shown.push([title, options.body ?? '']); }
};
Object.defineProperty(document, 'hidden', { get: () => window.away ?? false });
"""


async def test_a_long_answer_is_told_to_whoever_is_away(browse: Browse, model: ModelServer):
    """When they asked for it; with the dialog's title and no word of the dialog."""
    context = await browse("alice")
    await context.add_init_script(NOTIFICATIONS)
    page = await context.new_page()
    await Tab(page).open("/settings")
    notify = page.get_by_role("switch", name="Уведомления о готовом ответе")
    await expect(notify).not_to_be_checked()
    await notify.click()
    await expect(notify).to_be_checked()
    await assert_accessible(page)

    tab = Tab(page)
    await page.get_by_test_id("new-dialog").click()
    await expect(page.get_by_role("heading", name="Чем помочь?")).to_be_visible()
    # each page of this context grants anew: a real browser remembers it
    await page.evaluate("Notification.permission = 'granted'")
    for away, later_ms, expected in ((True, 11_000, 1), (False, 11_000, 1), (True, 1_000, 1)):
        hold = uuid.uuid4().hex
        model.script_once(Say(("тайна ",)), Hold(hold), End())
        await tab.ask("Отчёт за год")
        await tab.shows("тайна")
        await page.evaluate(
            "([away, ms]) => { window.away = away; later += ms; }", [away, later_ms]
        )
        model.release(hold)
        await tab.ends()
        shown: list[list[str]] = await page.evaluate("shown")
        assert len(shown) == expected
    assert shown == [["Отчёт за год", ""]]


SOON = """
const wait = setTimeout.bind(window);
window.setTimeout = (then, ms, ...more) => wait(then, ms === 20000 ? 300 : ms, ...more);
"""


@pytest.mark.parametrize(
    ("locale", "theme", "words"),
    [("ru", "light", "Сообщить, когда ответ"), ("en", "dark", "Notify you when the answer")],
)
async def test_a_notification_is_offered_once(
    locale: str, theme: Any, words: str, browse: Browse, model: ModelServer
):
    """While an answer takes long; the browser asks only whoever wants it, nobody twice."""
    for wanted in (True, False):
        context = await browse("alice", locale=locale, color_scheme=theme)
        await context.add_init_script(NOTIFICATIONS + SOON)
        tab = Tab(await context.new_page())
        await tab.open()
        offer, page = tab.page.get_by_test_id("offer"), tab.page
        for is_first in (True, False):
            hold = uuid.uuid4().hex
            model.script_once(Say(("долго ",)), Hold(hold), End())
            await tab.ask(f"Отчёт {hold}")
            await tab.shows("долго")
            if is_first:
                await expect(offer).to_contain_text(words)
                await assert_accessible(page)
                assert await page.evaluate("Notification.permission") == "default"
                await offer.get_by_role("button").nth(0 if wanted else 1).click()
            else:
                await page.wait_for_timeout(600)
            await expect(offer).to_have_count(0)
            model.release(hold)
            await tab.ends()
        granted = await page.evaluate("Notification.permission")
        assert granted == ("granted" if wanted else "default")


async def test_a_browser_that_refuses_notifications_is_told_so(browse: Browse):
    context = await browse("alice")
    await context.add_init_script(
        NOTIFICATIONS.replace("permission = 'default'", "permission = 'denied'")
    )
    page = await context.new_page()
    await Tab(page).open("/settings")
    await expect(page.get_by_test_id("notifications")).to_contain_text("запрещены в настройках")
    await expect(page.get_by_test_id("notifications").get_by_role("switch")).to_have_count(0)


async def test_a_tick_says_that_it_was_copied(browse: Browse, stored: Stored, app: AppProcess):
    context = await browse("alice")
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    dialog_id = stored.add_dialog("alice", "Копия", [("Вопрос", "Ответ **целиком**")])
    tab = Tab(await context.new_page())
    await tab.open(f"/c/{dialog_id}")
    copy = tab.answer.get_by_test_id("copy")
    await copy.click()
    await expect(copy.locator(".copied-mark")).to_be_visible()
    await expect(copy.get_by_role("status")).to_have_text("Скопировано")
    assert await tab.page.evaluate("navigator.clipboard.readText()") == "Ответ **целиком**"
    await expect(copy.locator(".copied-mark")).to_be_hidden()


async def test_escape_closes_the_sidebar_of_a_phone(browse: Browse):
    """And the focus comes back to the button that opened it."""
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}}
    tab = Tab(await (await browse("alice", **phone)).new_page())
    await tab.open()
    menu = tab.page.get_by_role("button", name="Меню", exact=True)
    await menu.click()
    await expect(tab.page.get_by_test_id("new-dialog")).to_be_visible()
    await tab.page.get_by_test_id("search").focus()
    await tab.page.keyboard.press("Escape")
    await expect(tab.page.get_by_test_id("new-dialog")).to_be_hidden()
    await expect(menu).to_be_focused()
