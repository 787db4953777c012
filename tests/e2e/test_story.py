"""One person's day, as told: from the first visit to the logout."""

import re

import pytest
from playwright.async_api import expect

from tests.cast import PASSWORDS
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, log_in
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.app_process import AppProcess, poll
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say

pytestmark = E2E

HALF = "# Сортировка\n\nВот **пример**:\n\n"
CODE = "```python\ndef order(items):\n    return sorted(items)\n```\n\nГотово.\n"


async def test_a_stranger_is_sent_to_the_login_and_told_what_was_wrong(browse: Browse):
    page = await (await browse()).new_page()
    await page.goto("/")
    await page.wait_for_url("**/login")
    await expect(page.get_by_test_id("login-username")).to_be_focused()

    await page.get_by_test_id("login-username").fill("alice")
    await page.get_by_test_id("login-password").fill("not her password")
    await page.get_by_test_id("login-submit").click()
    await expect(page.get_by_role("alert")).to_have_text("Неверное имя пользователя или пароль.")
    assert "password" not in page.url.replace("login-password", "")

    await page.get_by_test_id("login-username").fill("alice")
    await page.get_by_test_id("login-password").fill(PASSWORDS["alice"])
    await page.get_by_test_id("login-password").press("Enter")
    await page.wait_for_url(re.compile(r"/$"))
    await expect(page.get_by_role("heading", name="Чем помочь?")).to_be_visible()
    await expect(page.get_by_test_id("composer")).to_be_focused()


@pytest.mark.parametrize("socket", ["open", "not yet open"])
async def test_the_login_leads_to_the_page_that_was_asked_for(
    socket: str, browse: Browse, stored: Stored
):
    """A password manager is faster than the page's socket: the form must know where to go alone."""
    dialog_id = stored.add_dialog("alice", "По ссылке", [("Вопрос по ссылке", "Ответ")])
    page = await (await browse()).new_page()
    if socket != "open":
        await page.route_web_socket(re.compile("/_event"), lambda socket: None)
    await page.goto(f"/c/{dialog_id}")
    await page.wait_for_url(re.compile(r"/login\?next=%2Fc%2F"))
    if socket == "open":
        await expect(page.locator("input[name=next]")).to_have_value(f"/c/{dialog_id}")
    await page.get_by_test_id("login-username").fill("alice")
    await page.get_by_test_id("login-password").fill(PASSWORDS["alice"])
    await page.get_by_test_id("login-submit").click()
    await page.wait_for_url(re.compile(r"^[^?]+(?<!login)$"))
    assert page.url.endswith(f"/c/{dialog_id}")


async def test_an_answer_is_drawn_while_it_comes_and_is_there_after_a_reload(
    tab: Tab, model: ModelServer
):
    model.script_once(Say((HALF, CODE[:30])), Hold("story: code"), Say((CODE[30:],)), End())
    await tab.composer.press_sequentially("Первая строка")
    await tab.composer.press("Shift+Enter")
    await tab.composer.press_sequentially("вторая строка")
    await expect(tab.composer).to_have_value("Первая строка\nвторая строка")
    await expect(tab.questions).to_have_count(0)
    await tab.composer.press("Enter")

    await expect(tab.questions).to_have_count(1)
    await expect(tab.questions.locator(".bubble")).to_have_text("Первая строка\nвторая строка")
    await expect(tab.composer).to_have_value("")
    await expect(tab.composer).to_be_focused()
    await expect(tab.answer.get_by_role("heading", name="Сортировка")).to_be_visible()
    await expect(tab.answer.locator("strong")).to_have_text("пример")
    await expect(tab.answer.locator("pre")).to_contain_text("def order")
    await expect(tab.answer).to_have_attribute("data-status", "running")
    await expect(tab.stop_button).to_be_visible()

    model.release("story: code")
    await tab.ends()
    for _ in range(2):
        keyword = tab.answer.locator("pre span", has_text=re.compile("^def$"))
        await expect(keyword).to_have_count(1)  # highlighted: a word is an element of its own
        plain, coloured = await keyword.evaluate(
            "word => [getComputedStyle(word.closest('pre')).color, getComputedStyle(word).color]"
        )
        assert plain != coloured
        await expect(tab.answer.get_by_test_id("source")).to_have_text("модель")
        await expect(tab.answer.locator("pre")).to_contain_text("return sorted(items)")
        await expect(tab.item("Первая строка вторая строка")).to_have_count(1)
        await expect(tab.stop_button).to_have_count(0)
        await tab.reload()


async def test_the_list_of_dialogs(tab: Tab):
    await tab.ask_and_read("Диалог для списка")
    await tab.page.get_by_test_id("new-dialog").click()
    await tab.page.wait_for_url(re.compile(r"/$"))
    await expect(tab.questions).to_have_count(0)

    await tab.item("Диалог для списка").get_by_role("link").click()
    await expect(tab.questions).to_have_count(1)

    gone = tab.page.url
    await tab.choose("Диалог для списка", "delete")
    await tab.page.wait_for_url(re.compile(r"/$"))
    await expect(tab.item("Диалог для списка")).to_have_count(0)
    await expect(tab.questions).to_have_count(0)

    await tab.page.goto(gone)
    await expect(tab.error).to_contain_text("Диалог не найден")


async def test_renaming(tab: Tab):
    await tab.ask_and_read("Старое имя")
    await tab.choose("Старое имя", "rename")
    title = tab.page.get_by_label("Название диалога")
    await expect(title).to_be_focused()
    await expect(title).to_have_value("Старое имя")
    await title.fill("Новое имя")
    await title.press("Enter")
    await expect(tab.item("Новое имя")).to_have_count(1)
    await expect(tab.item("Старое имя")).to_have_count(0)
    await tab.reload()
    await expect(tab.item("Новое имя")).to_have_count(1)


async def test_a_title_that_is_refused_is_told_why(tab: Tab):
    await tab.ask_and_read("Без имени")
    await tab.choose("Без имени", "rename")
    title = tab.page.get_by_label("Название диалога")
    await title.fill("   ")
    await title.press("Enter")
    await expect(tab.page.get_by_text("Название — от 1 до 200 знаков.")).to_be_visible()
    await expect(title).to_be_visible()


async def test_asking_in_a_dialog_that_was_deleted_elsewhere(tab: Tab):
    await tab.ask_and_read("Удалят в другой вкладке")
    other = Tab(await tab.page.context.new_page())
    await other.open()
    await other.choose("Удалят в другой вкладке", "delete")
    await expect(other.item("Удалят в другой вкладке")).to_have_count(0)

    await tab.composer.fill("Ещё вопрос")
    await tab.composer.press("Enter")
    await expect(tab.error).to_contain_text("Диалог не найден. Возможно, он удалён.")
    await expect(tab.composer).to_have_value("Ещё вопрос")


async def test_a_new_dialog_waits_for_typing(tab: Tab):
    await tab.ask_and_read("До нового диалога")
    await tab.page.get_by_test_id("new-dialog").click()
    await tab.page.wait_for_url(re.compile(r"/$"))
    await expect(tab.composer).to_be_focused()


async def test_a_stopped_answer_keeps_its_text(tab: Tab, model: ModelServer, stored: Stored):
    model.script_once(Say(("one ", "two ", "three ")), Hold("never"), End())
    await tab.ask("Остановить")
    await tab.shows("one two three")
    await tab.stop_button.click()
    await tab.ends("stopped")
    await tab.shows("one two three")
    await expect(tab.answer.locator(".note[role=status]")).to_have_text("Ответ остановлен.")
    await expect(tab.send_button).to_be_visible()
    assert stored.answer(tab.dialog_id).text == "one two three "
    assert poll(lambda: model.answers[-1].aborted_at is not None), "the model was not told"


async def test_regenerating_keeps_both_answers(tab: Tab, model: ModelServer):
    model.script_once(Say(("first answer",)), End())
    await tab.ask_and_read("Ответить дважды")
    model.script_once(Say(("second answer",)), End())
    await tab.answer.get_by_test_id("regenerate").click()
    await tab.shows("second answer")
    await tab.ends()
    await expect(tab.answers).to_have_count(1)
    place = tab.answer.locator(".branch-place")
    before = tab.answer.get_by_role("button", name="Предыдущий вариант ответа")
    after = tab.answer.get_by_role("button", name="Следующий вариант ответа")
    await expect(place).to_have_text("2 / 2")
    await expect(after).to_be_disabled()

    await before.click()
    await tab.shows("first answer")
    await expect(place).to_have_text("1 / 2")
    await expect(before).to_be_disabled()
    await after.click()
    await tab.shows("second answer")
    await expect(place).to_have_text("2 / 2")
    await before.click()
    await tab.shows("first answer")
    await tab.reload()
    await tab.shows("first answer")


async def test_copying_gives_the_answer_to_the_letter(
    browse: Browse, model: ModelServer, app: AppProcess
):
    context = await browse("alice")
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    tab = Tab(await context.new_page())
    await tab.open()
    model.script_once(Say((HALF, CODE)), End())
    await tab.ask_and_read("Скопировать")
    await tab.answer.get_by_test_id("copy").click()
    await expect(tab.answer.locator("[data-copied]")).to_have_count(1)
    assert await tab.page.evaluate("navigator.clipboard.readText()") == HALF + CODE
    await expect(tab.answer.locator("[data-copied]")).to_have_count(0)
    await tab.answer.get_by_role("button", name="Скопировать код").click()
    await expect(tab.answer.locator("[data-copied]")).to_have_count(1)
    copied = await tab.page.evaluate("navigator.clipboard.readText()")
    assert copied == "def order(items):\n    return sorted(items)"


async def test_after_the_logout_nothing_is_to_be_seen(browse: Browse, app: AppProcess):
    context = await browse()  # a session of its own: the others' must outlive it
    first = Tab(await context.new_page())
    await log_in(first.page, "alice")
    await first.ready()
    await first.ask_and_read("Тайна отдела fake:tokens=3")
    second = Tab(await context.new_page())
    await second.open(first.page.url.removeprefix(app.url))
    await expect(second.questions).to_have_count(1)

    await first.page.get_by_test_id("logout").click()
    await first.page.wait_for_url("**/login")
    await second.page.wait_for_url(re.compile(r"/login(\?|$)"), timeout=5_000)
    for page in (first.page, second.page):
        await page.go_back()
        await page.wait_for_url(re.compile(r"/login(\?|$)"))
        await expect(page.get_by_test_id("login-username")).to_be_visible()
        await expect(page.get_by_text("Тайна отдела")).to_have_count(0)
        await expect(page.get_by_text("w0 w1 w2")).to_have_count(0)
    assert [each.get("name") for each in await context.cookies()] == ["genai_zone"]
