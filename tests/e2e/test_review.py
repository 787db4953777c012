"""A reviewer's work at `/admin/dialogs`, and what its user learns of it."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, assert_language, has_theme
from tests.fakes.app_process import AppProcess

pytestmark = E2E

REASON = "Жалоба на грубый ответ"


def rows(page: Page) -> Locator:
    return page.get_by_test_id("admin-dialog-row")


async def open_review(page: Page, query: str = "") -> None:
    await page.goto(f"/admin/dialogs{query}")
    await Tab(page).ready()


async def find(page: Page, words: str) -> None:
    await page.get_by_test_id("filter-query").fill(words)
    await page.get_by_test_id("filter-query").press("Enter")


@pytest.mark.parametrize(("theme", "locale"), [("light", "ru"), ("dark", "en")])
async def test_a_dialog_is_found_judged_and_closed(
    theme: Any, locale: str, browse: Browse, stored: Stored
):
    """By mouse: from the sidebar to the closed review; then its user sees who read it."""
    word = f"командировка{theme}"
    title = f"Командировка {theme}"
    stored.add_dialog("alice", title, [(f"Как оформить {word}?", "Напишите **заявление**.")])
    page = await (await browse("rita", color_scheme=theme, locale=locale)).new_page()
    await page.goto("/")
    await page.get_by_test_id("admin-link").click()
    await page.wait_for_url("**/admin/dialogs")
    await has_theme(page, theme)
    await expect(rows(page).first).to_be_visible()
    await find(page, word)
    await expect(rows(page)).to_have_count(1)
    await expect(rows(page).locator("mark")).to_have_text(word)
    await assert_accessible(page)

    await rows(page).first.click()
    dialog = page.get_by_test_id("review-dialog")
    await expect(dialog.get_by_role("heading", name=title)).to_be_visible()
    await expect(dialog.get_by_test_id("person")).to_have_text("Алиса Петрова")
    await expect(dialog.locator(".markdown strong")).to_have_text("заявление")
    await page.get_by_test_id("review-take").click()
    await page.get_by_test_id("verdict-wrong").click()
    await expect(page.get_by_test_id("verdict-wrong")).to_have_attribute("aria-pressed", "true")
    await page.get_by_test_id("review-note").fill("Проверить приказ")
    await page.get_by_test_id("add-note").click()
    await expect(page.get_by_test_id("review-note-row")).to_contain_text("Проверить приказ")
    await expect(page.get_by_test_id("review-note")).to_have_value("")
    await assert_accessible(page)
    await page.get_by_test_id("review-close").click()
    await expect(page.get_by_test_id("review-reopen")).to_be_visible()
    await expect(rows(page).locator(".badge").first).to_have_text(
        "закрыт" if locale == "ru" else "closed"
    )

    hers = await (await browse("alice", color_scheme=theme, locale=locale)).new_page()
    await hers.goto("/settings")
    row = hers.get_by_test_id("reader-row").filter(has_text=title)
    await expect(row.first).to_contain_text("Рита Орлова")
    await assert_accessible(hers)


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("/admin/dialogs", "filter-query"),
        ("/admin/users", "people-search"),
        ("/admin/audit", "audit-actor"),
    ],
)
async def test_words_typed_while_a_page_opens_stay(address: str, field: str, browse: Browse):
    page = await (await browse("carol")).new_page()
    await page.goto(address, wait_until="commit")
    await page.get_by_test_id(field).fill("Петров", timeout=20_000)
    await Tab(page).ready()
    await page.wait_for_timeout(500)  # what fills the fields may come after
    await expect(page.get_by_test_id(field)).to_have_value("Петров")


async def test_the_keyboard_is_enough(browse: Browse, stored: Stored):
    """Down, open, take, judge, note, back; and what is typed into a field is no command."""
    stored.add_dialog("bob", "Клавиши", [("Вопрос", "клавиатурный ответ")])
    page = await (await browse("rita")).new_page()
    await open_review(page)
    await find(page, "клавиатурный")
    await expect(rows(page)).to_have_count(1)
    await page.get_by_test_id("filter-query").press("j")
    await expect(page.get_by_test_id("filter-query")).to_have_value("клавиатурныйj")
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("?")
    await expect(page.get_by_test_id("shortcuts")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("shortcuts")).to_have_count(0)
    await page.keyboard.press("j")
    await expect(rows(page).first).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("review-dialog")).to_be_visible()
    # T of a Russian keyboard, which Playwright has not
    await page.evaluate(
        "document.dispatchEvent(new KeyboardEvent('keydown', {key: '\\u0435', bubbles: true}))"
    )
    await expect(page.get_by_test_id("review-dialog")).to_contain_text("в работе")
    await page.keyboard.press("1")
    await expect(page.get_by_test_id("verdict-good")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("n")
    note = page.get_by_test_id("review-note")
    await expect(note).to_be_focused()
    await page.keyboard.type("tc1")
    await expect(note).to_have_value("tc1")
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("Control+c")
    await expect(page.get_by_test_id("review-close")).to_be_visible()
    await page.keyboard.press("c")
    await expect(page.get_by_test_id("review-reopen")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("review-dialog")).to_have_count(0)


@pytest.fixture
def hidden(start_app: StartApp) -> AppProcess:
    """A product where names are hidden from reviewers."""
    return start_app(review_mode="pseudonymous")


@pytest.mark.parametrize(("theme", "locale"), [("light", "ru"), ("dark", "en")])
async def test_a_name_is_told_for_a_reason(
    theme: Any, locale: str, hidden: AppProcess, browse: Browse
):
    with Stored(hidden.database_url) as stored:
        dialog_id = stored.add_dialog("alice", "Больничный", [("Вопрос", "Ответ")])
    context = await browse("rita", at=hidden, color_scheme=theme, locale=locale)
    page = await context.new_page()
    await open_review(page, f"?dialog={dialog_id}")
    pseudonym = re.compile(("Сотрудник" if locale == "ru" else "Person") + " [0-9A-F]{8}$")
    person = page.get_by_test_id("person")
    await expect(person).to_have_text(pseudonym)
    await expect(page.locator("main")).not_to_contain_text("Алиса")
    await page.get_by_test_id("ask-reveal").click()
    await page.get_by_test_id("reveal-reason").fill("надо")
    await page.get_by_test_id("reveal").click()
    await expect(page.get_by_test_id("review-error")).to_be_visible()
    await has_theme(page, theme)
    await assert_accessible(page)
    await page.get_by_test_id("reveal-reason").fill(REASON)
    await page.get_by_test_id("reveal").click()
    await expect(person).to_have_text("Алиса Петрова")
    await expect(rows(page).first).not_to_contain_text("Алиса")

    hers = await (await browse("alice", at=hidden, locale=locale)).new_page()
    await hers.goto("/settings")
    await expect(hers.get_by_test_id("reader-row").first).to_contain_text(REASON)


async def test_where_review_is_off_the_page_says_so(start_app: StartApp, browse: Browse):
    app = start_app(review_mode="off")
    page = await (await browse("carol", at=app)).new_page()
    await open_review(page)
    await expect(page.get_by_test_id("review-off")).to_contain_text("GENAI_REVIEW_MODE")
    await expect(rows(page)).to_have_count(0)


@pytest.fixture(scope="module")
def blank(start_once: StartApp) -> AppProcess:
    """A product without dialogs, in which nothing is written."""
    return start_once()


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_every_sentence_is_of_one_language(locale: str, blank: AppProcess, browse: Browse):
    page = await (await browse("rita", at=blank, locale=locale)).new_page()
    await open_review(page)
    empty = "Диалоги появятся здесь" if locale == "ru" else "Dialogs will appear here"
    await expect(page.locator(".nothing").first).to_contain_text(empty)
    await page.get_by_test_id("filter-more").click()
    await page.get_by_test_id("keys-help").click()
    await assert_language(page, locale, "Найти" if locale == "ru" else "Find")
    await find(page, "нетничего")
    nothing = "Ничего не найдено" if locale == "ru" else "Nothing found"
    await expect(page.locator(".nothing").first).to_contain_text(nothing)
    await page.get_by_test_id("filter-clear").click()
    await expect(page.get_by_test_id("filter-query")).to_have_value("")
    await expect(page.locator(".nothing").first).to_contain_text(empty)


@pytest.mark.parametrize("width", [360, 1280])
async def test_nothing_is_wider_than_the_screen(width: int, browse: Browse, stored: Stored):
    """On a phone the list and the dialog come one after the other."""
    long_word = "Слово" * 40
    text = f"{long_word}\n\n```\n{'x' * 300}\n```"
    dialog_id = stored.add_dialog("alice", long_word, [(long_word, text)])
    context = await browse("rita", viewport={"width": width, "height": 740})
    page = await context.new_page()
    await open_review(page)
    await expect(rows(page).first).to_be_visible()
    fits = "node => node.scrollWidth <= node.clientWidth + 1"
    main = page.locator("main")
    assert await main.evaluate(fits)
    await open_review(page, f"?dialog={dialog_id}")
    await expect(page.get_by_test_id("review-dialog")).to_be_visible()
    assert await main.evaluate(fits)
    listed = page.get_by_test_id("review-list")
    if width < 1000:
        await expect(listed).to_be_hidden()
        await page.get_by_test_id("back").click()
    await expect(listed).to_be_visible()


async def test_filters_narrow_the_list(start_app: StartApp, browse: Browse):
    app = start_app()
    with Stored(app.database_url) as stored:
        stored.add_dialog("alice", "Дом", [("a", "b")])
        stored.add_dialog("bob", "Office", [("a", "b")])
    page = await (await browse("rita", at=app)).new_page()
    await open_review(page)
    await expect(rows(page)).to_have_count(2)
    await page.get_by_test_id("filter-user").fill("smith")
    await page.get_by_test_id("filter-find").click()
    await expect(rows(page)).to_have_count(1)
    await expect(rows(page)).to_contain_text("Office")
    await page.get_by_test_id("filter-state").select_option("closed")
    await expect(rows(page)).to_have_count(0)
    await page.get_by_test_id("filter-clear").click()
    await expect(rows(page)).to_have_count(2)
    await page.get_by_test_id("filter-mine").click()
    await expect(rows(page)).to_have_count(0)
    await page.get_by_test_id("filter-mine").click()
    await page.get_by_test_id("filter-more").click()
    await page.get_by_test_id("filter-since").fill("2999-01-01")
    await expect(rows(page)).to_have_count(0)


async def test_who_is_no_reviewer_sees_none_of_it(browse: Browse):
    page = await (await browse("alice")).new_page()
    await page.goto("/admin/dialogs")
    await page.wait_for_url("**/")
    await Tab(page).ready()
    await expect(page.get_by_test_id("admin-link")).to_have_count(0)


async def test_a_review_has_an_address(browse: Browse, stored: Stored):
    """Filters and the opened dialog: after a reload, back and forward, and for a colleague."""
    word = "адресная"
    first, second = [
        stored.add_dialog("alice", f"Адрес {n}", [(f"{word} проверка", "да")]) for n in (1, 2)
    ]
    page = await (await browse("rita")).new_page()
    await open_review(page)
    await find(page, word)
    await expect(rows(page)).to_have_count(2)
    await page.wait_for_url("**/admin/dialogs?query=*")
    await rows(page).filter(has_text="Адрес 1").click()
    opened = page.get_by_test_id("review-dialog")
    await expect(opened.get_by_role("heading", name="Адрес 1")).to_be_visible()
    await page.wait_for_url(f"**/admin/dialogs/{first}?query=*")
    await rows(page).filter(has_text="Адрес 2").click()
    await expect(opened.get_by_role("heading", name="Адрес 2")).to_be_visible()
    for step, title in ((page.go_back, "Адрес 1"), (page.go_forward, "Адрес 2")):
        await step()
        await expect(opened.get_by_role("heading", name=title)).to_be_visible()
    await page.reload()
    await expect(opened.get_by_role("heading", name="Адрес 2")).to_be_visible()
    await expect(rows(page)).to_have_count(2)
    await expect(page.get_by_test_id("filter-query")).to_have_value(word)
    address = page.url
    await page.get_by_test_id("filter-state").select_option("closed")
    await page.wait_for_url(f"**/admin/dialogs/{second}?*state=closed")
    await page.go_back()
    await expect(page.get_by_test_id("filter-state")).to_have_value("")
    await expect(rows(page)).to_have_count(2)

    hers = await (await browse("carol")).new_page()
    await hers.goto(address)
    await expect(hers.get_by_test_id("review-dialog")).to_contain_text(word)
    await expect(hers.get_by_test_id("filter-query")).to_have_value(word)
    stranger = await (await browse("bob")).new_page()
    await stranger.goto(address)
    await stranger.wait_for_url(lambda url: "/admin" not in url)
    await expect(stranger.locator("body")).not_to_contain_text(word)
    gone = address.replace(str(second), "01a20915-1c28-7661-bc06-a2be6ac9cb6a")
    await page.goto(gone)
    await expect(page.get_by_test_id("review-error")).to_be_visible()


async def test_what_an_administrator_looks_at_has_an_address(browse: Browse):
    page = await (await browse("carol")).new_page()
    await page.goto("/admin/users?search=ali&role=user")
    await expect(page.get_by_test_id("people-search")).to_have_value("ali")
    await page.get_by_test_id("person-open").click()
    await page.wait_for_url("**/admin/users/*?search=ali&role=user")
    await page.reload()
    await expect(page.get_by_role("heading", name="Алиса Петрова")).to_be_visible()
    await page.get_by_test_id("person-close").click()
    await expect(page.get_by_test_id("people-role")).to_have_value("user")
    await page.get_by_test_id("people-search").fill("rita")
    await page.wait_for_url("**/admin/users?search=rita&role=user")

    await page.goto("/admin/audit")
    await page.get_by_test_id("audit-action").select_option("login")
    await page.get_by_test_id("audit-actor").fill("carol")
    await page.wait_for_url("**/admin/audit?action=login&actor=carol")
    await page.reload()
    await expect(page.get_by_test_id("audit-actor")).to_have_value("carol")
    await expect(page.get_by_test_id("audit-action")).to_have_value("login")
    await page.goto("/admin?period=week")
    await expect(page.locator(".choice button").nth(1)).to_have_attribute("aria-pressed", "true")
    await page.goto("/admin/verified?which=retired")
    await expect(page.get_by_test_id("verified-which")).to_have_value("retired")
