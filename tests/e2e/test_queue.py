"""Questions that wait for the end of an answer, as their user sees them."""

import re
import uuid
from dataclasses import dataclass

import pytest
from playwright.async_api import Locator, expect

from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, assert_language, has_theme
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say

pytestmark = E2E


@dataclass(frozen=True)
class Queue:
    """The cards above the composer of a tab."""

    tab: Tab

    @property
    def cards(self) -> Locator:
        return self.tab.page.get_by_test_id("queued")

    def card(self, text: str) -> Locator:
        return self.cards.filter(has_text=text)

    async def put(self, text: str) -> None:
        """Types a question and presses Enter, until it waits."""
        await self.tab.composer.fill(text)
        await self.tab.composer.press("Enter")
        await expect(self.card(text)).to_be_visible()
        await expect(self.tab.composer).to_have_value("")

    async def texts(self, *texts: str) -> None:
        """These wait, in this order."""
        await expect(self.cards.locator(".queued-text")).to_have_text([*texts])


async def test_waiting_changing_deleting_and_being_sent(
    tab: Tab, model: ModelServer, stored: Stored
):
    """In all tabs, over a reload; and then one after another, when the answer ends."""
    hold, queue = uuid.uuid4().hex, Queue(tab)
    model.script_once(Say(("первый ",)), Hold(hold), End())
    await tab.ask("Вопрос 1")
    await tab.shows("первый")
    await expect(tab.send_button).to_be_hidden()
    await tab.composer.fill("второй")
    await tab.send_button.click()
    await queue.texts("второй")
    await expect(queue.cards).to_contain_text("Ждёт. Отправится после ответа.")
    await queue.put("третий")
    await queue.put("четвёртый")

    other = Queue(Tab(await tab.page.context.new_page()))
    await other.tab.open(f"/c/{tab.dialog_id}")
    await other.texts("второй", "третий", "четвёртый")
    await other.card("третий").get_by_test_id("queued-delete").click()
    await queue.texts("второй", "четвёртый")

    await queue.card("второй").get_by_test_id("queued-edit").click()
    field = tab.page.get_by_test_id("queued-field")
    await expect(field).to_be_focused()
    await expect(other.card("второй")).to_contain_text("Не отправлен.")
    await tab.page.keyboard.type(", но точнее")
    await tab.page.keyboard.press("Enter")
    await queue.texts("второй, но точнее", "четвёртый")
    await other.texts("второй, но точнее", "четвёртый")

    await tab.reload()
    await queue.texts("второй, но точнее", "четвёртый")
    model.release(hold)
    for each in (tab, other.tab):
        await expect(each.questions).to_have_count(3)
        await each.ends()
        await expect(each.page.get_by_test_id("queued")).to_have_count(0)
        await expect(each.questions.locator(".bubble")).to_have_text(
            ["Вопрос 1", "второй, но точнее", "четвёртый"]
        )
    for text in ("второй, но точнее", "четвёртый"):
        assert len(stored.questions(text)) == 1


async def test_the_answer_that_follows_is_drawn_while_it_grows(tab: Tab, model: ModelServer):
    """In the page that asked and in one that only looks."""
    first, second = uuid.uuid4().hex, uuid.uuid4().hex
    other = Tab(await tab.page.context.new_page())
    model.script_once(Say(("раз ",)), Hold(first), End())
    await tab.ask("Первый")
    await other.open(f"/c/{tab.dialog_id}")
    await Queue(tab).put("Второй")
    model.script_once(Say(("два ",)), Hold(second), Say(("три",)), End())
    model.release(first)
    for each in (tab, other):
        await each.shows("два")
    model.release(second)
    for each in (tab, other):
        await each.shows("два три")
        await each.ends()


async def test_stop_and_send_now(tab: Tab, model: ModelServer):
    queue = Queue(tab)
    model.script_once(Say(("начало ",)), Hold("never"), End())
    await tab.ask("Долгий вопрос")
    await tab.shows("начало")
    await queue.put("потом")
    await queue.put("срочно")
    await queue.card("срочно").get_by_test_id("queued-send").click()
    await expect(tab.questions.locator(".bubble")).to_have_text(
        ["Долгий вопрос", "срочно", "потом"]
    )
    await tab.ends()
    await expect(tab.answers.first).to_have_attribute("data-status", "stopped")


async def test_it_is_sent_when_no_page_is_open(tab: Tab, model: ModelServer):
    hold = uuid.uuid4().hex
    model.script_once(Say(("один",)), Hold(hold), End())
    await tab.ask("Уйду")
    await Queue(tab).put("и вернусь")
    address = f"/c/{tab.dialog_id}"
    page = await tab.page.context.new_page()
    await tab.page.close()
    asked = len(model.answers)
    model.release(hold)
    assert model.wait_answers(asked + 1)
    back = Tab(page)
    await back.open(address)
    await expect(back.questions).to_have_count(2)
    await back.ends()


async def test_arrow_up_in_the_empty_composer(tab: Tab, model: ModelServer):
    """The last one that waits; Esc leaves it as it was, and the focus comes back."""
    hold, queue = uuid.uuid4().hex, Queue(tab)
    model.script_once(Hold(hold), Say(), End())
    await tab.ask("Идёт ответ")
    await queue.put("раз")
    await queue.put("два")
    await tab.composer.press("ArrowUp")
    field = tab.page.get_by_test_id("queued-field")
    await expect(field).to_have_value("два")
    await tab.page.keyboard.type(" три")
    await tab.page.keyboard.press("Escape")
    await queue.texts("раз", "два")
    await expect(tab.composer).to_be_focused()
    await tab.composer.fill("набрано")
    await tab.composer.press("ArrowUp")
    await expect(field).to_have_count(0)
    await tab.composer.fill("")
    model.release(hold)
    await expect(tab.questions).to_have_count(3)
    await tab.ends()
    await expect(queue.cards).to_have_count(0)
    await tab.composer.press("ArrowUp")
    await expect(tab.page.get_by_test_id("edit-field")).to_have_value("два")


async def test_a_used_up_limit_is_told_on_the_card(
    start_app: StartApp, browse: Browse, model: ModelServer
):
    """And by the field, when more wait already than may."""
    app = start_app(rate_limit="1/hour")
    hold = uuid.uuid4().hex
    tab = Tab(await (await browse("alice", at=app)).new_page())
    await tab.open()
    queue = Queue(tab)
    model.script_once(Hold(hold), Say(), End())
    await tab.ask("Последний вопрос")
    for number in range(5):
        await queue.put(f"вопрос {number}")
    await tab.composer.fill("шестой")
    await tab.composer.press("Enter")
    await expect(tab.error).to_contain_text("уже ждут пять вопросов")
    await expect(tab.composer).to_have_value("шестой")
    model.release(hold)
    await tab.ends()
    await expect(queue.cards.first).to_contain_text("Лимит вопросов исчерпан")
    await expect(tab.questions).to_have_count(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_looks(theme: str, locale: str, browse: Browse, model: ModelServer):
    """Both languages and themes, as a card and as a field, on a phone too."""
    russian = locale == "ru"
    options = {"color_scheme": theme, "viewport": {"width": 390, "height": 844}}
    tab = Tab(await (await browse("bob", locale=locale, **options)).new_page())
    await tab.open()
    await has_theme(tab.page, theme)
    hold, queue = uuid.uuid4().hex, Queue(tab)
    model.script_once(Hold(hold), Say(), End())
    await tab.ask("1 + 1")
    await queue.put("2 + 2")
    await queue.put("3 + 3")
    await assert_language(tab.page, locale, "Ждёт." if russian else "Waiting.")
    await assert_accessible(tab.page)
    await queue.card("2 + 2").get_by_test_id("queued-edit").click()
    await expect(tab.page.get_by_test_id("queued-field")).to_be_focused()
    await assert_language(tab.page, locale, "Сохранить" if russian else "Save")
    await assert_accessible(tab.page)
    await tab.page.get_by_test_id("queued-cancel").click()
    model.release(hold)
    await expect(tab.questions).to_have_count(3)
    await expect(tab.answer).to_have_attribute("data-status", re.compile("complete"))
