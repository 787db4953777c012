"""The administrators' page: the check of the directory, as they meet it."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.every_page import routes
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, assert_language, has_theme
from tests.fakes.app_process import AppProcess
from tests.fakes.directory_calls import as_environment
from tests.fakes.slapd import PASSWORD, SlapdServer

pytestmark = E2E
pytest_plugins = ("tests.fakes.directory_fixtures",)

IVANOV = ("ivanov", PASSWORD)
# fields and buttons that share more than a hair's breadth
OVERLAPS = """() => {
    const seen = [...document.querySelectorAll('main :is(input, select, textarea, button)')]
        .filter(each => each.checkVisibility());
    const box = each => each.getBoundingClientRect();
    const meet = (a, b) =>
        Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
    return seen.flatMap((one, n) => seen.slice(n + 1)
        .filter(other => meet(box(one), box(other)))
        .map(other => `${one.outerHTML.slice(0, 150)} ${other.outerHTML.slice(0, 150)}`));
}"""


@pytest.fixture(scope="module")
def staffed(start_once: StartApp, slapd: SlapdServer) -> AppProcess:
    """A product over the directory; ivanov administers it."""
    return start_once(**as_environment(slapd.settings(ldap_contact="help@corp.test")))


async def open_admin(page: Page) -> None:
    await page.goto("/admin")
    await Tab(page).ready()
    await expect(page.get_by_test_id("directory-check")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_directory_is_checked(
    theme: Any, staffed: AppProcess, browse: Browse, slapd: SlapdServer
):
    """Each step as it ends, and the role that somebody would get; then with a fault."""
    page = await (await browse(IVANOV, at=staffed, color_scheme=theme)).new_page()
    await page.goto("/")
    await page.get_by_test_id("admin-link").click()
    await page.wait_for_url("**/admin")
    await has_theme(page, theme)
    await expect(page.get_by_role("heading", name="Каталог сотрудников")).to_be_visible()
    await page.get_by_test_id("directory-user").fill("smirnova")
    await page.get_by_test_id("directory-check").click()
    await expect(page.get_by_test_id("verdict")).to_contain_text("Каталог готов")
    steps = page.get_by_test_id("directory-step")
    await expect(steps.last).to_contain_text("роль: user")
    await page.get_by_test_id("recheck").click()
    await expect(page.get_by_text("Сверяем учётные записи: 1")).to_be_visible()
    await assert_accessible(page)

    slapd.stop()
    try:
        await page.get_by_test_id("directory-check").click()
        await expect(page.get_by_test_id("verdict")).to_contain_text("Каталог не готов")
        failed = steps.filter(has_text="порт закрыт")
        await expect(failed).to_contain_text("GENAI_LDAP_URLS")
        await assert_accessible(page)
    finally:
        slapd.start()


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_every_sentence_is_of_one_language(locale: str, staffed: AppProcess, browse: Browse):
    page = await (await browse(IVANOV, at=staffed, locale=locale)).new_page()
    await open_admin(page)
    await page.get_by_test_id("directory-check").click()
    verdict = "Каталог готов" if locale == "ru" else "The directory is ready"
    await expect(page.get_by_test_id("verdict")).to_contain_text(verdict)
    await assert_language(page, locale, "Проверить" if locale == "ru" else "Check")


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_is_wider_than_the_screen(width: int, staffed: AppProcess, browse: Browse):
    context = await browse(IVANOV, at=staffed, viewport={"width": width, "height": 740})
    page = await context.new_page()
    await open_admin(page)
    await page.get_by_test_id("directory-check").click()
    await expect(page.get_by_test_id("verdict")).to_contain_text("Каталог готов")
    main = page.locator("main")
    assert await main.evaluate("node => node.scrollWidth <= node.clientWidth + 1")


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_lies_upon_a_field(width: int, browse: Browse):
    tab = Tab(await (await browse("carol", viewport={"width": width, "height": 740})).new_page())
    for path in routes():
        await tab.open(path)
        await expect(tab.page.get_by_role("heading").first).to_be_visible()
        assert await tab.page.evaluate(OVERLAPS) == [], path


async def test_who_is_no_administrator_sees_none_of_it(browse: Browse):
    page = await (await browse("alice")).new_page()
    await page.goto("/admin")
    await page.wait_for_url("**/")
    await Tab(page).ready()
    await expect(page.get_by_test_id("admin-link")).to_have_count(0)


async def test_without_a_directory_it_says_so(browse: Browse):
    page = await (await browse("carol")).new_page()
    await page.goto("/admin")
    await Tab(page).ready()
    await expect(page.get_by_text("GENAI_LDAP_URLS")).to_be_visible()


async def test_who_may_not_enter_is_told_whom_to_ask(staffed: AppProcess, browse: Browse):
    page = await (await browse(at=staffed)).new_page()
    await page.goto("/login")
    await page.get_by_test_id("login-username").fill("outsider")
    await page.get_by_test_id("login-password").fill(PASSWORD)
    await page.get_by_test_id("login-submit").click()
    await expect(page.get_by_role("alert")).to_contain_text("help@corp.test")
    await assert_accessible(page)
