"""Exports as people meet them: the menu of a dialog, all of one's own, everybody's."""

from pathlib import Path
from typing import Any

import pypdf
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from genai_app.db.database import Database
from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, assert_language, has_theme
from tests.fakes.app_process import AppProcess
from tests.fakes.rows import put_history

pytestmark = E2E


async def saved(page: Page, testid: str, directory: Path) -> Path:
    """Click, and keep what the browser downloads."""
    async with page.expect_download() as loading:
        await page.get_by_test_id(testid).first.click()
    download = await loading.value
    path = directory / download.suggested_filename
    await download.save_as(path)
    return path


@pytest.mark.parametrize("format_", ["md", "pdf", "json"])
async def test_the_dialog_on_the_screen(tab: Tab, format_: str, tmp_path: Path):
    """Two clicks, and the file is there; the page stays where it is."""
    await tab.ask_and_read("Выгрузка: сколько дней отпуска?")
    url = tab.page.url
    await tab.page.get_by_test_id("export-menu").click()
    path = await saved(tab.page, f"export-{format_}", tmp_path)
    assert path.suffix == f".{format_}"
    assert path.stem.startswith("Выгрузка")
    assert tab.page.url == url
    if format_ == "pdf":
        text = "".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    else:
        text = path.read_text(encoding="utf-8")
    assert "сколько дней отпуска?" in text
    await assert_accessible(tab.page)


async def test_all_of_ones_own(browse: Browse, tmp_path: Path):
    page = await (await browse("bob", locale="en")).new_page()
    tab = Tab(page)
    await tab.open()
    await tab.ask_and_read("What is to be exported?")
    await page.goto("/settings")
    await tab.ready()
    await page.get_by_test_id("export-mine").click()
    await expect(page.get_by_test_id("export-row").first).to_have_attribute("data-state", "done")
    path = await saved(page, "export-download", tmp_path)
    assert "What is to be exported?" in path.read_text(encoding="utf-8")
    await assert_accessible(page)
    await page.get_by_test_id("export-remove").first.click()
    await expect(page.get_by_test_id("export-row")).to_have_count(0)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def full(start_once: StartApp) -> AppProcess:
    """A product with so many messages that an export of them can be watched."""
    app = start_once()
    database = Database(app.database_url)
    await put_history(database, "alice", [("canary-question", "ответ " * 100)] * 20_000)
    await database.close()
    return app


@pytest.mark.parametrize(("theme", "who"), [("light", "carol"), ("dark", "rita")])
async def test_a_reviewer_exports_everybodys(
    theme: Any, who: str, full: AppProcess, browse: Browse, tmp_path: Path
):
    """The story: choose, watch the bar, cancel one, download the other."""
    page = await (await browse(who, at=full, color_scheme=theme)).new_page()
    await page.goto("/admin/exports")
    await Tab(page).ready()
    await has_theme(page, theme)
    await expect(page.get_by_text("Здесь появятся ваши выгрузки")).to_be_visible()
    await assert_accessible(page)

    await page.get_by_test_id("export-user").fill("nobody-of-that-name")
    await page.get_by_test_id("export-start").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_test_id("export-user").fill("alice")
    await page.get_by_test_id("export-format").select_option("xlsx")
    await page.get_by_test_id("export-start").click()
    bar = page.get_by_test_id("export-progress")
    await expect(bar).to_have_attribute("value", "0")
    await expect(bar).not_to_have_attribute("value", "0")
    await page.get_by_test_id("export-cancel").click()
    rows = page.get_by_test_id("export-row")
    await expect(rows.first).to_have_attribute("data-state", "cancelled")

    await page.get_by_test_id("export-format").select_option("csv")
    await page.get_by_test_id("export-start").click()
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_have_attribute("data-state", "done", timeout=60_000)
    path = await saved(page, "export-download", tmp_path)
    assert path.read_text(encoding="utf-8-sig").count("canary-question") == 20_000
    await assert_accessible(page)


@pytest.fixture(scope="module")
def empty(start_once: StartApp) -> AppProcess:
    """A product with no exports of other tests, whose titles are of no language."""
    return start_once()


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_every_sentence_is_of_one_language(locale: str, empty: AppProcess, browse: Browse):
    page = await (await browse("carol", at=empty, locale=locale)).new_page()
    await page.goto("/admin/exports")
    await Tab(page).ready()
    words = "Выгрузить" if locale == "ru" else "Export"
    await expect(page.get_by_test_id("export-start")).to_have_text(words)
    await assert_language(page, locale, words)


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_is_wider_than_the_screen(width: int, browse: Browse):
    context = await browse("carol", viewport={"width": width, "height": 740})
    page = await context.new_page()
    await page.goto("/admin/exports")
    await Tab(page).ready()
    main = page.locator("main")
    assert await main.evaluate("node => node.scrollWidth <= node.clientWidth + 1")


async def test_who_is_no_reviewer_sees_none_of_it(browse: Browse):
    page = await (await browse("alice")).new_page()
    await page.goto("/admin/exports")
    await page.wait_for_url("**/")
    await Tab(page).ready()
