"""The model's reasoning on the page: live, folded, opened, and turned off."""

import re
import uuid
from typing import Any

import pytest
from playwright.async_api import expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say, Think
from tests.fakes.questions import asked

pytestmark = E2E

WORDS = {"ru": ("Думает…", r"Думал \d+ с"), "en": ("Thinking…", r"Thought for \d+ s")}


@pytest.mark.parametrize(("locale", "theme"), [("ru", "light"), ("en", "dark")])
async def test_the_story_of_a_thought(
    locale: str, theme: Any, browse: Browse, model: ModelServer
) -> None:
    """Live in two tabs and after a reload; folded when the answer begins; opened on a click."""
    context = await browse("alice", locale=locale, color_scheme=theme)
    tab = Tab(await context.new_page())
    await tab.open()
    thinks, thought = WORDS[locale]
    a, b, c = (uuid.uuid4().hex for _ in range(3))
    model.script_once(
        *(Think(("1 + 1\n", "= 2")), Hold(a), Think((", **not** 3",)), Hold(b)),
        *(Say(("2", " + 0")), Hold(c), End()),
    )
    await tab.ask(f"1 + 1 {uuid.uuid4()}")
    reasoning = tab.answer.get_by_test_id("reasoning")
    await expect(reasoning.locator("summary")).to_contain_text(thinks)
    await expect(reasoning.locator(".newest")).to_have_text("= 2")
    await expect(reasoning.locator(".thoughts")).to_be_hidden()
    await tab.reload()
    await expect(reasoning.locator(".newest")).to_have_text("= 2")
    other = Tab(await context.new_page())
    await other.open(f"/c/{tab.dialog_id}")
    model.release(a)
    for each in (tab, other):
        await expect(each.answer.locator(".newest")).to_have_text("= 2, **not** 3")
    await reasoning.locator("summary").click()
    await expect(reasoning.locator(".thoughts")).to_have_text("1 + 1 = 2, **not** 3")
    model.release(b)
    for each in (tab, other):
        await each.shows("2 + 0")
        summary = each.answer.get_by_test_id("reasoning").locator("summary")
        await expect(summary).to_have_text(re.compile(thought))
    model.release(c)
    await tab.ends()
    await expect(reasoning.locator(".thoughts")).to_be_hidden()
    await reasoning.locator("summary").click()
    await expect(reasoning.locator(".thoughts")).to_have_text("1 + 1 = 2, **not** 3")
    await expect(tab.answer_text).to_have_count(1)
    await assert_accessible(tab.page)


async def test_thinking_turned_off(tab: Tab, model: ModelServer) -> None:
    """The switch comes once the model has thought, holds over a reload, and is sent."""
    model.script_once(Think(("hm",)), Say(("2",)), End())
    await tab.ask_and_read(f"1 + 1 {uuid.uuid4()}")
    await tab.reload()
    switch = tab.page.get_by_test_id("reasoning-toggle")
    await expect(switch).to_have_attribute("aria-pressed", "true")
    await switch.click()
    await expect(switch).to_have_attribute("aria-pressed", "false")
    await tab.reload()
    await expect(switch).to_have_attribute("aria-pressed", "false")
    text = f"2 + 2 {uuid.uuid4()}"
    await tab.ask_and_read(text)
    sent = asked(model, text)[0].parameters
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    await switch.click()
    await expect(switch).to_have_attribute("aria-pressed", "true")
    text = f"3 + 3 {uuid.uuid4()}"
    await tab.ask_and_read(text)
    assert "chat_template_kwargs" not in asked(model, text)[0].parameters
