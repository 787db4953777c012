"""What network and server do to an open page, and what the page does then."""

import json
import re
import uuid
from typing import Any

import pytest
from playwright.async_api import Page, expect

from genai_app.models import MAX_PROMPT_CHARS
from genai_app.text import clean_text
from tests import corpora
from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.app_process import AppProcess, poll
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say

pytestmark = E2E

FIRST = tuple(f"first{number} " for number in range(80))
SECOND = tuple(f"second{number} " for number in range(80))
HALF, WHOLE = "".join(FIRST), "".join(FIRST + SECOND)

# what the browser itself says when there is nobody to connect to
NO_CONNECTION = r"^console error: (WebSocket connection to|Failed to load resource: net::ERR_)"


@pytest.fixture
def hold() -> str:
    """A name for `Hold` that no other test has released."""
    return uuid.uuid4().hex


async def set_text(page: Page, text: str) -> None:
    """Put any UTF-16 into the composer, also what no protocol on the way would carry."""
    await page.get_by_test_id("composer").evaluate(
        """(field, json) => {
            const value = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value');
            value.set.call(field, JSON.parse(json));
            field.dispatchEvent(new Event('input', {bubbles: true}));
        }""",
        json.dumps(text),
    )


async def test_reload_in_the_middle_of_an_answer(
    tab: Tab, model: ModelServer, stored: Stored, hold: str
):
    """The text from its start, then what comes, nothing twice; a second tab sees the same."""
    model.script_once(Say(FIRST, 0.002), Hold(hold), Say(SECOND, 0.002), End())
    await tab.ask("Перезагрузка")
    await tab.shows(HALF)
    await tab.reload()
    await tab.shows(HALF)
    other = Tab(await tab.page.context.new_page())
    await other.open(f"/c/{tab.dialog_id}")
    await other.shows(HALF)
    await expect(other.stop_button).to_be_visible()

    model.release(hold)
    for each in (tab, other):
        await each.ends()
        await each.shows(WHOLE)
        await expect(each.questions).to_have_count(1)
        await expect(each.answers).to_have_count(1)
    assert stored.answer(tab.dialog_id).text == WHOLE


async def test_reload_while_the_words_are_coming(tab: Tab, model: ModelServer, stored: Stored):
    """Without a pause: the seam between what was and what comes moves all the time."""
    words = tuple(f"w{number} " for number in range(400))
    model.script_once(Say(words, 0.005), End())
    await tab.ask("Перезагрузки подряд")
    for number in (50, 150, 250):
        await expect(tab.answer).to_contain_text(f"w{number} ")
        await tab.reload()
        shown = (await tab.words()).split()
        assert shown == [word.strip() for word in words[: len(shown)]]
    await tab.ends()
    await tab.shows("".join(words))
    assert stored.answer(tab.dialog_id).text == "".join(words)


async def test_the_tab_is_closed_and_opened_again(
    browse: Browse, model: ModelServer, stored: Stored, hold: str
):
    context = await browse("alice")
    tab = Tab(await context.new_page())
    await tab.open()
    model.script_once(Say(FIRST), Hold(hold), Say(SECOND), End())
    await tab.ask("Закрыть вкладку")
    dialog_id = tab.dialog_id
    await tab.page.close()
    model.release(hold)
    assert poll(lambda: stored.answer(dialog_id).status == "complete")

    again = Tab(await context.new_page())
    await again.open()
    await again.item("Закрыть вкладку").get_by_role("link").click()
    await again.ends()
    await again.shows(WHOLE)
    assert stored.answer(dialog_id).text == WHOLE


async def test_the_network_is_away_during_an_answer(
    tab: Tab, model: ModelServer, stored: Stored, watch: Watch, hold: str
):
    """It says so, loses no typed text, and catches up by itself."""
    watch.allow(NO_CONNECTION)
    model.script_once(Say(FIRST), Hold(hold), Say(SECOND), End())
    await tab.ask("Обрыв сети")
    await tab.shows(HALF)
    await tab.page.context.set_offline(True)
    await expect(tab.connection_lost).to_contain_text("Нет связи с сервером")
    await tab.composer.fill("набрано без сети")
    model.release(hold)
    assert poll(lambda: stored.answer(tab.dialog_id).status == "complete")
    await tab.shows(HALF)  # what was there stays on the screen

    await tab.page.context.set_offline(False)
    await tab.ends()
    await tab.shows(WHOLE)
    await expect(tab.connection_lost).to_have_count(0)
    await expect(tab.composer).to_have_value("набрано без сети")
    assert stored.answer(tab.dialog_id).text == WHOLE


@pytest.mark.parametrize("where", ["new", "old"])
async def test_enter_while_the_network_is_away_and_again_after_it(
    where: str, tab: Tab, model: ModelServer, stored: Stored, watch: Watch
):
    """N4: one message, whichever of the two was heard. In a new dialog, and in an old one."""
    watch.allow(NO_CONNECTION)
    before = 0
    if where == "old":
        await tab.ask_and_read("Было раньше")
        before = 1
    text = f"Вопрос без сети {uuid.uuid4()}"
    asked = len(model.answers)
    await tab.composer.fill(text)
    await tab.page.context.set_offline(True)
    await expect(tab.connection_lost).to_be_visible()
    await tab.composer.press("Enter")
    await expect(tab.composer).to_have_value(text)

    await tab.page.context.set_offline(False)
    await expect(tab.connection_lost).to_have_count(0)
    await tab.composer.press("Enter")
    await expect(tab.composer).to_have_value("")
    await expect(tab.questions).to_have_count(before + 1)
    await tab.ends()
    await expect(tab.send_button).to_be_visible()
    await tab.ask_and_read("И ещё один")  # an echo of the first Enter would have come by now
    await expect(tab.questions).to_have_count(before + 2)
    assert len(stored.questions(text)) == 1
    assert len(model.answers) == asked + 2


async def test_the_server_is_killed_and_started_again(
    browse: Browse, start_app: StartApp, model: ModelServer, watch: Watch, hold: str
):
    """The page comes back by itself; half an answer is kept and says what became of it."""
    watch.allow(NO_CONNECTION)
    process = start_app()
    tab = Tab(await (await browse("alice", at=process)).new_page())
    await tab.open()
    await tab.ask_and_read("До перезапуска fake:tokens=5")
    model.script_once(Say(FIRST), Hold(hold), Say(SECOND), End())
    await tab.ask("Прерванный")
    await tab.shows(HALF)
    with Stored(process.database_url) as stored:
        assert poll(lambda: stored.answer(tab.dialog_id).text == HALF)
        process.kill()
        await expect(tab.connection_lost).to_be_visible()
        await tab.composer.fill("черновик")
        process.restart()
        await expect(tab.connection_lost).to_have_count(0, timeout=20_000)
        await tab.ends("interrupted")
        await tab.shows(HALF)
        await expect(tab.answer.locator(".note[role=status]")).to_contain_text(
            "Сервер перезапустился"
        )
        await expect(tab.questions).to_have_count(2)
        await expect(tab.item("До перезапуска fake:tokens=5")).to_have_count(1)
        await expect(tab.composer).to_have_value("черновик")

        await tab.answer.get_by_test_id("regenerate").click()
        await tab.ends()
        await expect(tab.composer).to_have_value("черновик")
        await tab.composer.press("Enter")
        await expect(tab.questions).to_have_count(3)
        await tab.ends()
        assert stored.answer(tab.dialog_id).text == "Hello, this is the scripted model."


async def test_a_dialog_of_ten_thousand_messages(
    browse: Browse, stored: Stored, model: ModelServer
):
    """The newest are shown, the model gets what fits, the page says what was left out."""
    turns = [(f"question {i}", f"answer {i} " + "x" * 200) for i in range(5000)]
    dialog_id = stored.add_dialog("alice", "Длинный", turns)
    tab = Tab(await (await browse("alice")).new_page())
    await tab.open(f"/c/{dialog_id}")
    await expect(tab.questions).to_have_count(25)
    await tab.composer.fill("Что я спрашивал?")
    await tab.composer.press("Enter")
    await expect(tab.questions.last).to_have_text(re.compile(r"Что я спрашивал\?"))
    await tab.ends()
    note = tab.answer.locator(".trimmed")
    await expect(note).to_contain_text("ранние сообщения она уже не видит")
    left_out = int(re.sub(r"\D", "", await note.inner_text()))
    sent = model.answers[-1].messages
    assert left_out + len(sent) == 10_001
    assert len(sent) > 20
    assert sent[-1]["content"] == "Что я спрашивал?"
    assert len(stored.messages(dialog_id)) == 10_002

    shown = await tab.questions.count()
    await tab.page.get_by_role("button", name="Показать более ранние сообщения").click()
    await expect(tab.questions).to_have_count(shown + 25)
    await expect(tab.questions.last).to_contain_text("Что я спрашивал?")


async def test_every_sort_of_text_is_shown_as_it_is_kept(
    browse: Browse, model: ModelServer, stored: Stored, app: AppProcess
):
    """Typed, kept and drawn again. What no database can hold is replaced, visibly."""
    context = await browse("alice")
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    tab = Tab(await context.new_page())
    await tab.open()
    samples = [sample for sample in corpora.load("unicode") if sample.strip()]
    whole = "\n".join(samples)
    # a text field of a browser knows one sort of line break
    typed = clean_text(whole.replace("\r\n", "\n").replace("\r", "\n"))
    fenced = ["```text\n", *samples, "\n```\n"]
    model.script_once(Say(fenced, 0.01), End())

    await set_text(tab.page, whole)
    await tab.composer.press("Enter")
    await expect(tab.questions).to_have_count(1)
    await tab.ends()
    for _ in range(2):
        question, answer = stored.messages(tab.dialog_id)
        assert question.text == typed
        assert answer.text == clean_text("".join(fenced))
        shown = await tab.questions.locator(".bubble-text").text_content()
        assert shown == typed
        await tab.answer.get_by_test_id("copy").click()
        await expect(tab.answer.locator("[data-copied]")).to_have_count(1)
        copied: str = await tab.page.evaluate("navigator.clipboard.readText()")
        assert copied == answer.text
        await tab.reload()
    code = await tab.answer.locator("pre code").text_content()
    lines = re.compile(r"\r\n|\r")
    expected = lines.sub("\n", clean_text("".join(samples)))
    assert lines.sub("\n", code or "").rstrip("\n") == expected.rstrip("\n")


async def test_a_pasted_book(tab: Tab, model: ModelServer, app: AppProcess, stored: Stored):
    """As text and not as the file that it becomes: the page says by how much it is too long, keeps
    the text, and goes on."""
    await tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    book = ("Очень длинный документ. " * 50_000)[:1_000_000]
    await tab.page.evaluate("text => navigator.clipboard.writeText(text)", book)
    await tab.composer.press("Control+V")
    await tab.page.get_by_test_id("file-as-text").click()
    await expect(tab.composer).to_have_value(book)
    await tab.composer.press("Enter")
    await expect(tab.error).to_contain_text(re.compile(r"Сократите его на 900.?000 зн"))
    assert await tab.composer.input_value() == book
    await expect(tab.questions).to_have_count(0)

    await tab.error.get_by_role("button", name="Закрыть сообщение").click()
    await expect(tab.error).to_have_count(0)
    await tab.ask_and_read("Коротко")
    assert not stored.questions(book[:MAX_PROMPT_CHARS])


async def test_the_longest_text_that_may_be_sent(tab: Tab, stored: Stored):
    """Counted in characters, as the server counts and as the message says: not in UTF-16 units."""
    await set_text(tab.page, "😀" * MAX_PROMPT_CHARS)
    await tab.composer.press("Enter")
    await expect(tab.questions).to_have_count(1)
    await expect(tab.error).to_have_count(0)
    text: Any = await tab.questions.locator(".bubble-text").text_content()
    assert text == "😀" * MAX_PROMPT_CHARS


async def test_the_second_answer_waits_in_line(
    browse: Browse, start_app: StartApp, model: ModelServer, watch: Watch, hold: str
):
    """Bob sees his place, in either language, and then the answer; nothing of the place is left."""
    watch.allow(NO_CONNECTION)  # the product ends before the tabs
    app = start_app(llm_max_concurrency=1)
    model.script_once(Say(FIRST), Hold(hold), End())
    hers = Tab(await (await browse("alice", at=app)).new_page())
    await hers.open()
    await hers.ask("Первый вопрос")
    await hers.shows(HALF)
    his = Tab(await (await browse("bob", at=app)).new_page())
    await his.open()
    await his.ask("Второй вопрос")
    line = his.page.get_by_test_id("in-line")
    await expect(line).to_contain_text("Вы 1-й в очереди")
    await expect(line).to_have_attribute("aria-live", "polite")
    await his.reload()
    await expect(line).to_contain_text("Вы 1-й в очереди")
    await his.page.get_by_role("button", name="Switch to English").click()
    await expect(line).to_contain_text("You are number 1 in the queue")

    model.release(hold)

    await hers.ends()
    await his.ends()
    await expect(line).to_have_count(0)
    await expect(his.answer_text).not_to_be_empty()
