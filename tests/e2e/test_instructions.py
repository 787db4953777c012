"""A user's own instructions, from the field of the settings to the model and the reviewer."""

from typing import Any

import pytest
from playwright.async_api import expect

from genai_app.services.generation.context import OWN_HEADING
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, has_theme
from tests.fakes.model_server import ModelServer

pytestmark = E2E


@pytest.mark.parametrize(
    ("locale", "theme", "saved", "cleared", "now"),
    [
        ("ru", "light", "Указания сохранены", "Указания удалены", "Так они выглядят сейчас"),
        ("en", "dark", "Saved.", "are removed", "This is how they read now"),
    ],
)
async def test_written_followed_reviewed_and_cleared(
    browse: Browse,
    newcomer: tuple[str, str],
    model: ModelServer,
    locale: str,
    theme: Any,
    saved: str,
    cleared: str,
    now: str,
):
    page = await (await browse(newcomer, locale=locale, color_scheme=theme)).new_page()
    tab, field = Tab(page), page.get_by_test_id("instructions")
    confirmation, save = page.get_by_test_id("instructions-saved"), "instructions-save"
    await page.goto("/settings")
    await tab.ready()
    await has_theme(page, theme)
    section = page.locator("#instructions")
    await expect(section).to_contain_text("0 / 1500")
    await field.fill("<b>кратко</b> 😀")
    await expect(section).to_contain_text("15 / 1500")
    await page.get_by_test_id(save).click()
    await expect(confirmation).to_contain_text(saved)
    await assert_accessible(page)
    await field.press_sequentially("!")
    await expect(confirmation).to_be_hidden()  # what is in the field is not saved
    await page.reload()
    await expect(field).to_have_value("<b>кратко</b> 😀")
    await expect(section).to_contain_text("15 / 1500")

    await field.fill("я" * 1501)
    await page.get_by_test_id(save).click()
    await expect(section.get_by_role("alert")).to_contain_text("1500")
    await expect(field).to_have_value("я" * 1501)

    await tab.open()
    await tab.ask_and_read(f"Что дальше? {newcomer[0]}")
    assert model.answers[-1].messages[0]["content"] == f"{OWN_HEADING}\n<b>кратко</b> 😀"
    dialog_id = page.url.rpartition("/")[2]
    reviewer = await (await browse("rita", locale=locale, color_scheme=theme)).new_page()
    await reviewer.goto(f"/admin/dialogs/{dialog_id}")
    await reviewer.get_by_test_id("review-instructions").click()
    opened = reviewer.get_by_test_id("review-dialog")
    await expect(opened).to_contain_text("<b>кратко</b> 😀")
    await expect(opened).to_contain_text(now)
    await assert_accessible(reviewer)

    await page.goto("/settings")
    await tab.ready()
    await field.fill("")
    await page.get_by_test_id(save).click()
    await expect(confirmation).to_contain_text(cleared)
    await tab.open()
    await tab.ask_and_read(f"А теперь? {newcomer[0]}")
    assert [each["role"] for each in model.answers[-1].messages] == ["user"]
