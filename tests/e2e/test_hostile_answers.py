"""No answer, however it is made, freezes or breaks a page that shows it."""

from playwright.async_api import expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.long_tasks import FROZEN_MS, blocked_ms, watched
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say

pytestmark = E2E


async def test_a_reviewer_opens_them_too(browse: Browse, stored: Stored):
    """The same renderer, the same bounds; what was left plain is said, and the whole is there."""
    text = "Начало **ответа**.\n\n" + ">" * 5000
    title = "Враждебный ответ"
    stored.add_dialog("alice", title, [("Q", text), ("Q", "- " * 4000 + "a"), ("Q", "**ок**")])
    page = await (await browse("rita", locale="ru")).new_page()
    session = await watched(page)
    await page.goto("/admin/dialogs")
    await page.get_by_test_id("admin-dialog-row").filter(has_text=title).first.click()
    answers = page.get_by_test_id("review-answer")
    await expect(answers).to_have_count(3)
    assert await blocked_ms(page, session) < FROZEN_MS
    first = answers.first
    await expect(first.get_by_test_id("left-plain")).to_contain_text("без оформления")
    await first.get_by_test_id("source-text").locator("summary").click()
    assert await first.get_by_test_id("source-text").locator("pre").text_content() == text
    await expect(answers.last.locator("strong")).to_have_text("ок")
    await expect(answers.last.get_by_test_id("left-plain")).to_have_count(0)


async def test_while_it_is_written(tab: Tab, model: ModelServer):
    """A growing answer is bounded at each flush, and the page goes on to work."""
    session = await watched(tab.page)
    await tab.reload()
    hostile = "Начало **ответа**. " * 60 + "\n\n" + "> " * 9000 + "конец\n\n" + "*a **b " * 2000
    pieces = [hostile[place : place + 400] for place in range(0, len(hostile), 400)]
    model.script_once(Say(pieces, 0.01), End())
    await tab.ask_and_read("Напиши вложенные цитаты")
    assert await blocked_ms(tab.page, session) < FROZEN_MS
    await expect(tab.answer_text.locator("strong").first).to_have_text("ответа")
    await expect(tab.answer.get_by_test_id("left-plain")).to_be_visible()
    assert await tab.ask_and_read("Ещё раз")
