"""A reviewer looks into the files of a question, and its user learns of each look."""

import pytest
from playwright.async_api import expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.tab import Tab
from tests.e2e.test_files import READING_MS, Files
from tests.e2e.test_looks import assert_accessible
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say

pytestmark = E2E


async def test_a_file_is_opened_in_review(
    browse: Browse, newcomer: tuple[str, str], model: ModelServer, monkeypatch: pytest.MonkeyPatch
):
    """From the chip, from what the answer was made with, and from where it names a page."""
    tab = Tab(await (await browse(newcomer, locale="ru")).new_page())
    await tab.open()
    files = Files(tab)
    await files.choose("contract.pdf")
    await files.are_ready("contract.pdf")
    model.script_once(Say(("0,1 % [contract.pdf, стр. 2].",)), End())
    await tab.ask_and_read("Какая неустойка?")
    monkeypatch.setattr(model, "sees", True)
    await files.choose("screen.png")
    await files.are_ready("screen.png")
    await tab.ask_and_read("Что на снимке?")
    dialog_id = tab.page.url.rsplit("/", 1)[1]

    page = await (await browse("rita", locale="ru")).new_page()
    await page.goto(f"/admin/dialogs?dialog={dialog_id}")
    dialog, preview = page.get_by_test_id("review-dialog"), page.get_by_test_id("file-preview")
    chips = dialog.get_by_test_id("attachment")
    await expect(chips).to_have_count(2)
    await expect(chips.first).to_contain_text("3 стр.")
    await expect(dialog.get_by_test_id("source-card")).to_have_count(3)
    await assert_accessible(page)

    await chips.first.get_by_test_id("file-open").click()
    await expect(page.get_by_test_id("preview-page")).to_contain_text("1")
    await assert_accessible(page)
    await page.keyboard.press("c")  # no key of the page behind
    await page.get_by_test_id("page-after").click()
    await expect(preview).to_contain_text("НЦ-118")
    async with page.expect_download() as downloading:
        await page.get_by_test_id("file-download").click()
    assert (await downloading.value).suggested_filename == "contract.pdf"
    await page.keyboard.press("Escape")
    await expect(preview).to_be_hidden()
    await expect(dialog).to_be_visible()

    await dialog.get_by_test_id("citation").click()
    await expect(page.get_by_test_id("preview-page")).to_contain_text("2")
    await page.get_by_test_id("file-close").click()
    await chips.nth(1).get_by_test_id("file-open").click()
    await expect(preview.locator(".preview-picture")).to_be_visible()
    loaded = "picture => picture.complete && picture.naturalWidth > 0"
    assert await preview.locator(".preview-picture").evaluate(loaded)

    await tab.page.goto("/settings")
    looks = tab.page.get_by_test_id("reader-row").filter(has_text="Рита Орлова")
    await expect(looks).to_have_count(5, timeout=READING_MS)
    await expect(looks.filter(has_text="файл")).to_have_count(4)
