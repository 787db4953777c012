"""The search field of the sidebar."""

import uuid
from typing import Any

import pytest
from playwright.async_api import expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, assert_language, has_theme, tab_to

pytestmark = E2E


async def test_words_are_found_and_marked(tab: Tab, stored: Stored):
    """In any form, in titles and messages; the way into the dialog; Esc shows all again."""
    stored.add_dialog("alice", "О саде", [("Когда сажать яблони?", "Весной или **осенью**.")])
    stored.add_dialog("alice", "Яблоня у дома", [("Вопрос", "Ответ")])
    stored.add_dialog("bob", "Чужие яблони", [("яблони", "яблони")])
    await tab.reload()
    field = tab.page.get_by_test_id("search")
    await field.press_sequentially("яблоней")
    await expect(tab.items).to_have_count(1)  # to the letter in a title, by words in messages
    await field.fill("яблон")
    await expect(tab.items).to_have_count(2)
    found = tab.items.filter(has_text="О саде")
    await expect(found.locator("mark")).to_have_text(["яблони"])
    await expect(tab.items.filter(has_text="у дома").locator("mark")).to_have_text(["Яблоня"])
    await found.get_by_role("link").click()
    await expect(tab.questions.locator(".bubble")).to_have_text("Когда сажать яблони?")
    await expect(field).to_have_value("яблон")
    await field.fill("такого слова нет")
    await expect(tab.page.get_by_text("Ничего не найдено.")).to_be_visible()
    await expect(tab.items).to_have_count(0)
    await field.press("Escape")
    await expect(field).to_have_value("")
    await expect(tab.item("О саде")).to_have_count(1)
    await expect(tab.page.get_by_text("Ничего не найдено.")).to_have_count(0)


async def test_a_page_that_is_loaded_anew_shows_all_dialogs(tab: Tab, stored: Stored):
    stored.add_dialog("alice", "Видно всегда", [("Вопрос", "Ответ")])
    await tab.reload()
    await tab.page.get_by_test_id("search").fill("нигде")
    await expect(tab.page.get_by_text("Ничего не найдено.")).to_be_visible()
    await tab.reload()
    await expect(tab.item("Видно всегда")).to_have_count(1)
    await expect(tab.page.get_by_test_id("search")).to_have_value("")


MARKED = "[...(CSS.highlights.get('searched') ?? [])].map(range => range.toString())"


async def test_the_words_are_marked_in_the_message_and_in_sight(tab: Tab, stored: Stored):
    """In any form, also when typed on the other keyboard layout; by the address alone, too."""
    long_text = "строка\n\n" * 200
    text = f"{long_text}Яблоню и **яблони** сажают `осенью`, а не яблочко.\n\n{long_text}"
    dialog_id = stored.add_dialog(
        "alice", "О посадке", [("Вопрос", text), ("Ещё", "яблоня"), ("И ещё", "нет")]
    )
    await tab.reload()
    await tab.page.get_by_test_id("search").fill("z,kjyb jctym.")
    hit = tab.items.filter(has_text="О посадке")
    await expect(hit.locator("mark")).to_have_text(["Яблоню", "яблони", "осенью"])
    await hit.get_by_role("link").click()
    await expect(tab.questions).to_have_count(3)
    for _ in range(2):
        await tab.page.wait_for_function(f"() => {MARKED}.length")
        assert await tab.page.evaluate(MARKED) == ["Яблоню", "яблони", "осенью"]
        await expect(tab.answers.first.get_by_text("сажают")).to_be_in_viewport()
        await tab.reload()
    await tab.page.get_by_test_id("new-dialog").click()
    await expect(tab.questions).to_have_count(0)
    assert await tab.page.evaluate(MARKED) == []
    await tab.open(f"/c/{dialog_id}?at={uuid.uuid4()}")
    await expect(tab.error).to_contain_text("больше нет в этом диалоге")


@pytest.mark.parametrize("text", ["' OR 1=1 --", "%", "_", "\\", '"', "<mark>x</mark>"])
async def test_signs_are_only_signs(text: str, tab: Tab):
    """Nothing is found by them alone, and nothing breaks."""
    await tab.page.get_by_test_id("search").fill(text + " нигде")
    await expect(tab.page.get_by_text("Ничего не найдено.")).to_be_visible()
    await expect(tab.page.get_by_role("alert")).to_have_count(0)


async def test_by_keyboard(browse: Browse, stored: Stored):
    stored.add_dialog("carol", "Найти клавишами", [("редкостный", "Ответ")])
    tab = Tab(await (await browse("carol")).new_page())
    await tab.open()
    await tab_to(tab.page, test_id="search", back=True)
    await tab.page.keyboard.type("редкостн")
    await expect(tab.items.locator("mark")).to_have_count(1)
    await tab_to(tab.page, name="Найти клавишамиредкостный")
    await tab.page.keyboard.press("Enter")
    await expect(tab.questions).to_have_count(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_looks(theme: Any, locale: str, browse: Browse, stored: Stored):
    stored.add_dialog("bob", f"Contrast {theme} {locale}", [("wheelbarrow", "wheelbarrow " * 99)])
    tab = Tab(await (await browse("bob", locale=locale, color_scheme=theme)).new_page())
    await tab.open()
    await has_theme(tab.page, theme)
    await tab.page.get_by_test_id("search").fill("wheelbarrows")
    await expect(tab.items.locator("mark").first).to_be_visible()
    await assert_accessible(tab.page)
    await assert_language(tab.page, locale, "Найдено" if locale == "ru" else "Found")
    await tab.page.get_by_test_id("search").fill("nothing like it")
    await expect(tab.page.locator(".sidebar .nothing")).to_be_visible()
    await assert_accessible(tab.page)
