"""Typing and sending before the page is ready: nothing of it is lost, nothing is sent twice."""

import uuid

import pytest
from playwright.async_api import expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.held import Held
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab

pytestmark = E2E


async def sent_once(tab: Tab, stored: Stored, text: str) -> None:
    await expect(tab.questions.locator(".bubble")).to_have_text(text)
    await tab.ends()
    await expect(tab.composer).to_have_value("")
    assert len(stored.questions(text)) == 1
    await tab.reload()
    await expect(tab.questions).to_have_count(1)
    await expect(tab.composer).to_have_value("")


@pytest.mark.parametrize("way", ["Enter", "button"])
@pytest.mark.parametrize("late", ["scripts", "words"])
async def test_a_question_that_is_sent_at_once(late: str, way: str, browse: Browse, stored: Stored):
    page, held, text = await (await browse("alice")).new_page(), Held(), f"Рано {uuid.uuid4()}"
    tab = Tab(page)
    await (held.scripts(page) if late == "scripts" else held.words(page))
    await page.goto("/", wait_until="commit" if late == "scripts" else "load")
    await tab.composer.press_sequentially(text)
    if way == "Enter":
        await page.keyboard.press("Enter")
    else:
        await tab.send_button.click(force=True)
    await expect(tab.composer).to_have_value(text)
    held.release()
    await sent_once(tab, stored, text)
    assert "?" not in page.url


@pytest.mark.parametrize("throttle", [1, 8])
async def test_on_a_slow_machine(throttle: int, browse: Browse, stored: Stored):
    page, text = await (await browse("alice")).new_page(), f"Сразу {uuid.uuid4()}"
    session = await page.context.new_cdp_session(page)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
    await page.goto("/", wait_until="commit")
    await Tab(page).composer.press_sequentially(text)
    await page.keyboard.press("Enter")
    await sent_once(Tab(page), stored, text)


async def test_what_is_typed_after_enter_stays(browse: Browse, stored: Stored):
    page, held, text = await (await browse("alice")).new_page(), Held(), f"Первый {uuid.uuid4()}"
    tab = Tab(page)
    await held.words(page)
    await page.goto("/")
    await tab.composer.press_sequentially(text)
    await page.keyboard.press("Enter")
    await page.keyboard.type(" и второй")
    held.release()
    await expect(tab.questions.locator(".bubble")).to_have_text(text)
    await expect(tab.composer).to_have_value(" и второй")
    assert len(stored.questions(text)) == 1


async def test_a_draft_of_the_dialog_stays(browse: Browse, stored: Stored):
    """It comes back after the question that was sent before it was shown."""
    page, held, text = await (await browse("alice")).new_page(), Held(), f"Срочно {uuid.uuid4()}"
    dialog_id = stored.add_dialog("alice", "С черновиком", [("Вопрос", "Ответ")])
    tab = Tab(page)
    await tab.open(f"/c/{dialog_id}")
    await tab.composer.press_sequentially("черновик ")
    await held.words(page)
    await page.reload()
    await tab.composer.press_sequentially(text)
    await page.keyboard.press("Enter")
    held.release()
    await expect(tab.questions.locator(".bubble").last).to_have_text(text)
    await expect(tab.composer).to_have_value("черновик ")
    assert len(stored.questions(text)) == 1
