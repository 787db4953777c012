"""Dialogs of another chat, from its file to the list, as users meet them."""

from typing import Any

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, has_theme
from tests.unit.importing import AT, as_json, as_zip, chatgpt, node, open_webui, plain, said, wrote

pytestmark = E2E

BRANCHED = chatgpt(
    node("q", None, said("user", "Сколько дней отпуска?", AT)),
    node("a", "q", said("assistant", "Не знаю", AT + 5)),
    node("b", "q", said("assistant", "**28** дней", AT + 9)),
    current="b",
    key="branched",
)


def file(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


async def send(page: Page, name: str, content: bytes, state: str = "done") -> None:
    """Choose a file, and wait for the end of its import."""
    rows = page.get_by_test_id("import-row")
    count = await rows.count()
    await page.get_by_test_id("import-file").set_input_files(file(name, content))
    await expect(rows).to_have_count(count + 1)
    await expect(rows.first).to_have_attribute("data-state", state, timeout=60_000)


@pytest.mark.parametrize(
    ("locale", "theme", "first", "second", "unknown", "label"),
    [
        (
            *(
                "ru",
                "light",
                "Перенесено 4 диалога, 1 не прочитан.",
                "Новых диалогов нет, 2 уже были.",
            ),
            *("Проверьте, тот ли это файл", "перенесён"),
        ),
        (
            *(
                "en",
                "dark",
                "4 dialogs imported, 1 couldn't be read.",
                "No new dialogs, 2 were here",
            ),
            *("Check that it is the right file", "imported"),
        ),
    ],
)
async def test_sent_read_opened_and_gone_on_with(
    browse: Browse,
    newcomer: tuple[str, str],
    locale: str,
    theme: Any,
    first: str,
    second: str,
    unknown: str,
    label: str,
):
    page = await (await browse(newcomer, locale=locale, color_scheme=theme)).new_page()
    tab = Tab(page)
    await page.goto("/settings")
    await tab.ready()
    await has_theme(page, theme)
    webui = open_webui(wrote("q", None, "user", "Договор?"), wrote("a", "q", "assistant", "Вот"))
    dialogs = as_json(plain(1), plain(2), {"x": 1}, BRANCHED, webui)
    await send(page, "../Мой экспорт.zip", as_zip(conversations_json=dialogs))
    results = page.get_by_test_id("import-result")
    await expect(results.first).to_have_text(first)
    await expect(page.get_by_test_id("import-row").first).to_contain_text("Мой экспорт.zip")
    await expect(page.get_by_test_id("dialog-item")).to_have_count(4)  # the list follows by itself
    await assert_accessible(page)
    await send(page, "again.json", as_json(plain(1), plain(2)))
    await expect(results.first).to_contain_text(second)
    await send(page, "letter.json", b"<html>", "failed")
    await expect(page.get_by_test_id("import-row").first).to_contain_text(unknown)
    await page.get_by_test_id("import-remove").first.click()
    await expect(page.get_by_test_id("import-row")).to_have_count(2)
    await page.get_by_test_id("import-where").click()
    await expect(page.locator("#import")).to_contain_text("conversations.json")
    await page.reload()
    await expect(page.get_by_test_id("import-row")).to_have_count(2)

    await page.get_by_test_id("dialog-item").filter(has_text="Отпуск").click()
    await expect(tab.answer).to_contain_text("28 дней")
    await expect(tab.answer.get_by_test_id("source")).to_have_text(label)
    await expect(tab.answer.locator(".branch-place")).to_have_text("2 / 2")
    await tab.ask_and_read("А в Москве?")
    await expect(tab.questions).to_have_count(2)


async def test_sending_is_stopped_and_a_large_file_refused(
    browse: Browse, newcomer: tuple[str, str], watch: Watch
):
    """The file never arrives, the page says nothing wrong, and the next one does."""
    watch.allow("ERR_FAILED|ERR_ABORTED")
    page = await (await browse(newcomer, locale="ru")).new_page()
    await page.goto("/settings")
    await Tab(page).ready()
    stopped: list[str] = []

    async def hold(route: Any) -> None:
        stopped.append(route.request.method)  # no answer: it is on its way

    await page.route("**/imports", hold)
    await page.get_by_test_id("import-file").set_input_files(file("x.json", as_json(plain(1))))
    await page.get_by_test_id("import-stop").click()
    await expect(page.get_by_test_id("import-file")).to_be_attached()
    await expect(page.locator("#import").get_by_role("alert")).to_have_count(0)
    assert stopped == ["POST"]
    await page.unroute("**/imports", hold)
    await page.get_by_test_id("import-file").evaluate(
        """(field) => {
          const large = new File(['x'], 'large.zip');
          Object.defineProperty(large, 'size', { value: 300 * 1024 * 1024 });
          Object.defineProperty(field, 'files', { value: [large], configurable: true });
          field.dispatchEvent(new Event('change', { bubbles: true }));
          delete field.files;
        }"""
    )
    await expect(page.locator("#import").get_by_role("alert")).to_contain_text("больше 200 МБ")
    await send(page, "x.json", as_json(plain(1)))
    await expect(page.locator("#import").get_by_role("alert")).to_have_count(0)
