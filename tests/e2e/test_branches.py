"""Branches in the browser: edit a question, vary an answer, continue a cut one."""

import uuid

import pytest
from playwright.async_api import expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say

pytestmark = E2E

WORDS = {
    "ru": ("Изменить вопрос", "Предыдущий вариант вопроса", "короче", "Продолжить"),
    "en": ("Edit question", "Previous version of the question", "shorter", "Continue"),
}


def says(model: ModelServer, text: str, reason: str = "stop") -> None:
    model.script_once(Say((text,)), End(reason))


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_a_question_is_edited_in_place(
    locale: str, browse: Browse, model: ModelServer, stored: Stored
):
    """Esc leaves all as it was; what is typed outlives a reload; Enter makes a branch beside."""
    edit, previous, *_ = WORDS[locale]
    tab = Tab(await (await browse("alice", locale=locale)).new_page())
    await tab.open()
    says(model, "first answer")
    old, new = f"old {uuid.uuid4()}", f"new {uuid.uuid4()}"
    await tab.ask_and_read(old)
    field = tab.page.get_by_test_id("edit-field")
    question = tab.questions.first
    await question.hover()
    await question.get_by_role("button", name=edit).click()
    await expect(field).to_be_focused()
    await expect(field).to_have_value(old)
    await field.fill("no")
    await field.press("Escape")
    await expect(field).to_have_count(0)
    await expect(question).to_contain_text(old)

    await question.get_by_test_id("edit").focus()
    await tab.page.keyboard.press("Enter")
    await expect(field).to_have_value(old)
    await field.fill(new)
    await field.press("Control+Enter")
    await field.press_sequentially("second line")
    await field.press("Shift+Enter")
    await field.press_sequentially("third")
    text = f"{new}\nsecond line\nthird"
    await expect(field).to_have_value(text)
    await tab.reload()
    await expect(field).to_have_value(text)
    says(model, "second answer")
    await field.press("Enter")
    await tab.shows("second answer")
    await tab.ends()
    await expect(field).to_have_count(0)
    await expect(tab.answers).to_have_count(1)
    await expect(question.locator(".branch-place")).to_have_text("2 / 2")
    assert len(stored.questions(text)) == 1

    await question.get_by_role("button", name=previous).click()
    await tab.shows("first answer")
    await question.get_by_test_id("branch-next").click()
    await tab.shows("second answer")


async def test_an_edit_waits_for_the_connection(
    browse: Browse, watch: Watch, model: ModelServer, stored: Stored
):
    """N1, N4. Sent while the line is dead: the text stays in its field and arrives once."""
    watch.allow(r"WebSocket|ERR_INTERNET_DISCONNECTED")
    context = await browse("alice")
    tab = Tab(await context.new_page())
    await tab.open()
    says(model, "first answer")
    await tab.ask_and_read(f"old {uuid.uuid4()}")
    await tab.questions.first.hover()
    await tab.page.get_by_test_id("edit").click()
    field = tab.page.get_by_test_id("edit-field")
    new = f"new {uuid.uuid4()}"
    await field.fill(new)
    says(model, "second answer")
    await context.set_offline(True)
    await tab.page.get_by_test_id("edit-send").click()
    await expect(field).to_have_value(new)
    await context.set_offline(False)
    await tab.shows("second answer")
    await expect(field).to_have_count(0)
    assert len(stored.questions(new)) == 1


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_an_answer_is_asked_for_shorter(locale: str, browse: Browse, model: ModelServer):
    """By the menu and by the keyboard; the answer says what was wished."""
    shorter = WORDS[locale][2]
    tab = Tab(await (await browse("alice", locale=locale)).new_page())
    await tab.open()
    says(model, "a long answer")
    await tab.ask_and_read(f"question {uuid.uuid4()}")
    menu = tab.page.get_by_test_id("variants-menu")
    await tab.answer.get_by_test_id("variants").click()
    await expect(menu).to_be_visible()
    await tab.page.keyboard.press("Escape")
    await expect(menu).to_be_hidden()
    await expect(tab.answer.get_by_test_id("variants")).to_be_focused()
    await tab.page.keyboard.press("Enter")
    await expect(menu).to_be_visible()
    says(model, "short")
    await menu.get_by_test_id("variant-shorter").click()
    await tab.shows("short")
    await tab.ends()
    await expect(menu).to_be_hidden()
    await expect(tab.answer.locator(".branch-place")).to_have_text("2 / 2")
    await expect(tab.answer.locator(".meta")).to_contain_text(shorter)


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_a_cut_answer_is_continued(locale: str, browse: Browse, model: ModelServer):
    button = WORDS[locale][3]
    context = await browse("alice", locale=locale)
    tab, other = [Tab(await context.new_page()) for _ in range(2)]
    await tab.open()
    says(model, "The first part of", "length")
    await tab.ask_and_read(f"question {uuid.uuid4()}", "truncated")
    await other.open(f"/c/{tab.dialog_id}")
    await expect(other.page.get_by_test_id("continue")).to_be_visible()
    says(model, " an answer.")
    await tab.answer.get_by_role("button", name=button).click()
    for each in (tab, other):
        await each.shows("The first part of an answer.")
        await each.ends()
        await expect(each.page.get_by_test_id("continue")).to_have_count(0)


async def test_a_long_question_folds(tab: Tab, model: ModelServer):
    says(model, "yes")
    lines = "\n".join(f"line {n}" for n in range(40))
    await tab.ask_and_read(f"{uuid.uuid4()}\n{lines}")
    text = tab.questions.first.locator(".bubble-text")
    unfold = tab.page.get_by_test_id("unfold")
    folded = await text.evaluate("node => node.clientHeight")
    await unfold.click()
    assert await text.evaluate("node => node.clientHeight") > 3 * folded
    await unfold.locator("input").press("Space")
    assert await text.evaluate("node => node.clientHeight") == folded
