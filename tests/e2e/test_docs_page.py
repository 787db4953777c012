"""/docs in a real browser: drawn wholly from our own files, under our own policy."""

from playwright.async_api import Locator, Page, expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.fakes.app_process import AppProcess

pytestmark = E2E


def operation(page: Page, path: str) -> Locator:
    return page.locator(f'.opblock-summary-path[data-path="{path}"]').first


async def test_the_page_is_drawn_from_our_own_files(browse: Browse, app: AppProcess) -> None:
    """Every operation is on it; nothing foreign is asked for, nothing is refused by the
    policy, and no script complains (the watch of every page sees that)."""
    page = await (await browse()).new_page()
    await page.goto("/docs")
    await expect(page.get_by_role("heading", name="GenAI assistant")).to_be_visible()
    for path in ("/ask", "/v1/chat/completions", "/dialogs", "/token"):
        await expect(
            page.locator(f'.opblock-summary-path[data-path="{path}"]').first
        ).to_be_visible()
    await page.locator('.opblock-summary-path[data-path="/ask"]').click()
    await expect(page.get_by_text("What is our holiday policy?").first).to_be_visible()
