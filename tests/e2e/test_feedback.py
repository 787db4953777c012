"""What a user says of an answer, and how an answer that a colleague wrote looks."""

import uuid
from typing import Any

import pytest
from playwright.async_api import Page, expect

from genai_app.models import Role
from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, assert_language, has_theme, tab_to
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say

pytestmark = E2E


async def test_a_thumb_and_its_reason_survive_a_reload(tab: Tab, stored: Stored):
    await tab.ask_and_read("Оценить ответ")
    up, down = tab.answer.get_by_test_id("thumb-up"), tab.answer.get_by_test_id("thumb-down")
    await expect(up).to_have_attribute("aria-pressed", "false")
    await up.click()
    await expect(up).to_have_attribute("aria-pressed", "true")
    await down.click()
    await expect(down).to_have_attribute("aria-pressed", "true")
    await expect(up).to_have_attribute("aria-pressed", "false")
    form = tab.answer.get_by_test_id("feedback")
    await form.get_by_test_id("reason-outdated").click()
    await expect(form.get_by_test_id("reason-outdated")).to_have_attribute("aria-pressed", "true")
    await form.get_by_test_id("comment").fill("С мая иначе.")
    await form.get_by_test_id("save-comment").click()
    await expect(form).to_have_count(0)
    await expect(tab.answer.get_by_test_id("reason")).to_have_text("Устарело")

    await tab.reload()
    await expect(down).to_have_attribute("aria-pressed", "true")
    await tab.answer.get_by_test_id("reason").click()
    await expect(form.get_by_test_id("comment")).to_have_value("С мая иначе.")
    await expect(form.get_by_test_id("reason-outdated")).to_have_attribute("aria-pressed", "true")
    kept = stored.feedback(stored.answer(tab.dialog_id).id)
    assert kept is not None
    assert (kept.rating, kept.reason, kept.comment) == ("down", "outdated", "С мая иначе.")

    await tab.page.keyboard.press("Escape")
    await expect(form).to_have_count(0)
    await down.click()
    await expect(down).to_have_attribute("aria-pressed", "false")
    await tab.reload()
    await expect(down).to_have_attribute("aria-pressed", "false")
    await expect(tab.answer.get_by_test_id("reason")).to_have_count(0)
    assert stored.feedback(stored.answer(tab.dialog_id).id) is None


async def test_each_answer_has_its_own(tab: Tab):
    await tab.ask_and_read("Первый из двух")
    await tab.ask_and_read("Второй из двух")
    first, second = tab.answers.nth(0), tab.answers.nth(1)
    await first.get_by_test_id("thumb-down").click()
    await expect(first.get_by_test_id("feedback")).to_be_visible()
    await second.get_by_test_id("thumb-down").click()
    await expect(first.get_by_test_id("feedback")).to_have_count(0)
    await second.get_by_test_id("comment").fill("ко второму")
    await second.get_by_test_id("save-comment").click()
    await first.get_by_test_id("thumb-up").click()
    await expect(first.get_by_test_id("thumb-up")).to_have_attribute("aria-pressed", "true")
    await tab.reload()
    await second.get_by_test_id("reason").click()
    await expect(second.get_by_test_id("comment")).to_have_value("ко второму")
    await expect(first.get_by_test_id("thumb-up")).to_have_attribute("aria-pressed", "true")


async def test_what_is_being_written_is_not_judged(tab: Tab, model: ModelServer):
    hold = uuid.uuid4().hex
    model.script_once(Say(("half ",)), Hold(hold), End())
    await tab.ask("Ещё пишется")
    await tab.shows("half")
    await expect(tab.answer.get_by_test_id("thumb-up")).to_have_count(0)
    model.release(hold)
    await tab.ends()
    await expect(tab.answer.get_by_test_id("thumb-up")).to_be_visible()


async def test_by_keyboard(tab: Tab):
    await tab.ask_and_read("Оценить без мыши")
    await expect(tab.composer).to_be_focused()
    await tab_to(tab.page, test_id="thumb-down", back=True)
    await tab.page.keyboard.press("Enter")
    reason = tab.answer.get_by_test_id("reason-wrong")
    await expect(reason).to_be_visible()  # the keys would else run past where it will be
    await tab_to(tab.page, test_id="reason-wrong")
    await tab.page.keyboard.press("Space")
    await expect(reason).to_have_attribute("aria-pressed", "true")
    await expect(tab.answer.get_by_test_id("comment")).to_be_visible()
    await tab_to(tab.page, test_id="comment")
    await tab.page.keyboard.type("коротко")
    await tab_to(tab.page, test_id="save-comment")
    await tab.page.keyboard.press("Enter")
    await expect(tab.answer.get_by_test_id("reason")).to_have_text("Неверно")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_looks(theme: Any, locale: str, browse: Browse, stored: Stored):
    """Both languages and themes, on a phone too."""
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}}
    context = await browse("bob", locale=locale, color_scheme=theme, **phone)
    tab = Tab(await context.new_page())
    dialog_id = stored.add_dialog("bob", "1 + 1", [("1 + 1", "2")])  # no words of any language
    await tab.open(f"/c/{dialog_id}")
    await has_theme(tab.page, theme)
    await tab.answer.get_by_test_id("thumb-down").click()
    await tab.answer.get_by_test_id("reason-unsafe").click()
    await assert_accessible(tab.page)
    await assert_language(tab.page, locale, "Опасно" if locale == "ru" else "Unsafe")
    main = tab.page.get_by_role("main")
    assert await main.evaluate("node => node.scrollWidth <= node.clientWidth + 1")


def bob_reviews(app: AppProcess) -> AppProcess:
    with Stored(app.database_url.replace("postgresql://", "postgresql+psycopg2://")) as stored:
        stored.set_role("bob", Role.REVIEWER)
    return app


@pytest.fixture(scope="module")
def reviewed(start_once: StartApp) -> AppProcess:
    """A product in which bob reviews. Whoever writes into its list retires that again."""
    return bob_reviews(start_once("postgresql"))


async def _write(page: Page, question: str, answer: str) -> None:
    await page.get_by_test_id("verified-new").click()
    await page.get_by_test_id("verified-question").fill(question)
    await page.get_by_test_id("verified-answer").fill(answer)
    await page.get_by_test_id("verified-save").click()


async def test_a_reviewer_writes_and_a_user_reads(start_app: StartApp, browse: Browse):
    """From the page of the list to the answer of a colleague; corrected, then retired."""
    reviewed = bob_reviews(start_app("postgresql"))
    page = await (await browse("bob", at=reviewed)).new_page()
    await page.goto("/admin/verified")
    await Tab(page).ready()
    await expect(page.get_by_text("Проверенных ответов пока нет.")).to_be_visible()
    await _write(page, "Сколько дней отпуска?", "**28** календарных дней.")
    row = page.get_by_test_id("verified-row")
    await expect(row).to_contain_text("Сколько дней отпуска?")
    await expect(page.get_by_text("Сохранено. Теперь на этот вопрос")).to_be_visible()

    tab = Tab(await (await browse("alice", at=reviewed)).new_page())
    await tab.open()
    await tab.ask_and_read("сколько дней ОТПУСКА")
    await tab.shows("28 календарных дней.")
    for _ in range(2):
        await expect(tab.answer.get_by_test_id("source")).to_have_text("проверено")
        await expect(tab.answer.get_by_test_id("verified-by")).to_contain_text("Bob Smith")
        await expect(tab.answer.locator(".meta")).to_contain_text("до ")
        await tab.reload()

    await row.get_by_test_id("verified-edit").click()
    await expect(row.get_by_test_id("verified-answer")).to_have_value("**28** календарных дней.")
    await row.get_by_test_id("verified-answer").fill("31 день.")
    await row.get_by_test_id("verified-save").click()
    await expect(row).to_contain_text("31 день.")
    await tab.page.get_by_test_id("new-dialog").click()
    await expect(tab.questions).to_have_count(0)
    await tab.ask_and_read("Сколько дней отпуска?")
    await tab.shows("31 день.")

    await row.get_by_test_id("verified-retire").click()
    await row.get_by_test_id("confirm-retire").click()
    await expect(row).to_have_count(0)
    await page.get_by_test_id("verified-which").select_option("retired")
    await expect(row).to_have_count(2)
    await tab.page.get_by_test_id("new-dialog").click()
    await expect(tab.questions).to_have_count(0)
    await tab.ask_and_read("Сколько дней отпуска?")
    await expect(tab.answer.get_by_test_id("source")).to_have_text("модель")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_the_list_looks(theme: Any, locale: str, reviewed: AppProcess, browse: Browse):
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}}
    context = await browse("bob", at=reviewed, locale=locale, color_scheme=theme, **phone)
    page = await context.new_page()
    await page.goto("/admin/verified")
    await Tab(page).ready()
    await has_theme(page, theme)
    russian = locale == "ru"
    await page.get_by_test_id("verified-new").click()
    await expect(page.get_by_test_id("verified-answer")).to_be_focused()
    await assert_accessible(page)
    await page.get_by_test_id("verified-review-by").fill("2020-01-01")
    await page.get_by_test_id("verified-question").fill("123456 " * 20)
    await page.get_by_test_id("verified-answer").fill("42")
    await page.get_by_test_id("verified-save").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await assert_language(page, locale, "Правильный ответ" if russian else "Correct answer")
    await page.get_by_test_id("verified-review-by").fill("")
    await page.get_by_test_id("verified-save").click()
    await expect(page.get_by_test_id("verified-row")).to_be_visible()
    await assert_accessible(page)
    await assert_language(page, locale, "действует" if russian else "active")
    main = page.get_by_role("main")
    assert await main.evaluate("node => node.scrollWidth <= node.clientWidth + 1")
    await page.get_by_test_id("verified-retire").click()
    await page.get_by_test_id("confirm-retire").click()
    await expect(page.get_by_test_id("verified-row")).to_have_count(0)


async def test_a_user_is_sent_home(browse: Browse):
    page = await (await browse("alice")).new_page()
    await page.goto("/admin/verified")
    await page.wait_for_url("**/")
    await Tab(page).ready()
    await expect(page.get_by_test_id("verified-new")).to_have_count(0)
