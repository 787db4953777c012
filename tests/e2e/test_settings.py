"""The settings page, cached answers and the limit, as users meet them."""

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from genai_app import clock
from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, log_in
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, assert_language, has_theme, tab_to
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Say

pytestmark = E2E

Newcomer = tuple[str, str]


async def open_settings(page: Page) -> None:
    await page.goto("/settings")
    await Tab(page).ready()
    await expect(page.get_by_test_id("login-row").first).to_be_visible()


async def make_key(page: Page, name: str, days: str = "90") -> str:
    """By the form. Returns the key's text."""
    await page.get_by_test_id("key-name").fill(name)
    await page.get_by_test_id("key-days").select_option(days)
    await page.get_by_test_id("key-create").click()
    await expect(page.get_by_test_id("new-key")).to_be_visible()
    return await page.get_by_test_id("new-key").inner_text()


def key_row(page: Page, name: str) -> Locator:
    return page.get_by_test_id("key-row").filter(has_text=name)


async def test_a_key_is_made_copied_and_gone(browse: Browse, newcomer: Newcomer, app: AppProcess):
    """Shown once: neither a reload nor a way back brings it again."""
    context = await browse(newcomer)
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=app.url)
    tab = Tab(await context.new_page())
    page = tab.page
    await tab.open()
    await page.get_by_test_id("settings-link").click()
    await page.wait_for_url("**/settings")
    await expect(page.get_by_role("heading", name="Ключи API")).to_be_visible()

    key = await make_key(page, "Ночной отчёт")
    assert len(key) > 40
    await expect(page.get_by_test_id("base-url")).to_have_text(f"{app.url}/v1")
    await expect(page.get_by_test_id("example")).to_contain_text(f"Bearer {key}")
    await expect(page.get_by_test_id("key-name")).to_have_value("")
    await page.get_by_test_id("copy-new-key").click()
    assert await page.evaluate("navigator.clipboard.readText()") == key
    row = key_row(page, "Ночной отчёт")
    await expect(row).to_contain_text(key[:5])
    await expect(row).to_contain_text("ещё не использовался")
    await expect(row).to_contain_text(re.compile(r"до \d+ [а-я]+ \d{4}"))

    await page.get_by_test_id("new-dialog").click()
    await page.wait_for_url(re.compile(r"/$"))
    await expect(tab.composer).to_be_visible()
    await page.go_back()
    await page.wait_for_url("**/settings")
    await expect(row).to_be_visible()
    await expect(page.get_by_test_id("new-key")).to_have_count(0)
    await page.reload()
    await expect(row).to_be_visible()
    assert key not in await page.content()

    other = await make_key(page, "Второй", "none")
    await expect(key_row(page, "Второй")).to_contain_text("бессрочный")
    await page.get_by_test_id("key-done").click()
    await expect(page.get_by_test_id("new-key")).to_have_count(0)
    assert other not in await page.content()
    assert key not in app.log_text()
    assert other not in app.log_text()


async def test_a_key_is_revoked_after_a_question(browse: Browse, newcomer: Newcomer):
    page = await (await browse(newcomer)).new_page()
    await open_settings(page)
    await make_key(page, "Лишний")
    row = key_row(page, "Лишний")
    await row.get_by_role("button", name="Отозвать ключ «Лишний»").click()
    await expect(page.get_by_test_id("new-key")).to_have_count(0)
    await expect(page.get_by_test_id("confirm-revoke")).to_be_focused()
    await row.get_by_text("Отмена").click()
    await expect(page.get_by_role("alertdialog")).to_have_count(0)
    await row.get_by_test_id("revoke").click()
    await page.get_by_test_id("confirm-revoke").click()
    await expect(row).to_have_count(0)
    await page.reload()
    await expect(page.get_by_test_id("login-row").first).to_be_visible()
    await expect(row).to_have_count(0)


async def test_a_name_that_is_refused_is_told_why(browse: Browse, newcomer: Newcomer):
    page = await (await browse(newcomer)).new_page()
    await open_settings(page)
    await expect(page.get_by_text("Ключей пока нет.")).to_be_visible()
    await page.get_by_test_id("key-name").fill("   ")
    await page.get_by_test_id("key-create").click()
    await expect(page.get_by_role("alert")).to_contain_text("от 1 до 100")
    await expect(page.get_by_test_id("key-name")).to_have_value("   ")


async def test_a_key_by_keyboard(browse: Browse, newcomer: Newcomer):
    page = await (await browse(newcomer)).new_page()
    await open_settings(page)
    await tab_to(page, test_id="key-name")
    await page.keyboard.type("Клавишами")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("new-key")).to_be_visible()
    await tab_to(page, test_id="key-done", back=True)
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("new-key")).to_have_count(0)
    await tab_to(page, test_id="revoke")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("confirm-revoke")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(key_row(page, "Клавишами")).to_have_count(0)


async def test_other_logins_are_ended(start_app: StartApp, browse: Browse):
    process = start_app()
    pages: list[Page] = []
    for _ in range(4):
        page = await (await browse(at=process)).new_page()
        await log_in(page, "alice")
        pages.append(page)
    here, *others = pages
    await open_settings(here)
    rows = here.get_by_test_id("login-row")
    await expect(rows).to_have_count(4)
    await expect(rows.first).to_contain_text("Этот сеанс")
    await expect(rows.first).to_contain_text("127.0.0.1")
    await expect(rows.first.get_by_test_id("end-login")).to_have_count(0)

    await here.get_by_test_id("end-login").first.click()
    await expect(rows).to_have_count(3)
    await here.get_by_test_id("end-others").click()
    await expect(rows).to_have_count(1)
    await expect(here.get_by_test_id("end-others")).to_have_count(0)
    for page in others:
        await page.wait_for_url(re.compile(r"/login(\?|$)"))
    await here.reload()
    await expect(rows).to_have_count(1)


async def test_a_stranger_to_the_house_sees_no_settings(browse: Browse):
    page = await (await browse()).new_page()
    await page.goto("/settings")
    await page.wait_for_url(re.compile(r"/login\?next=%2Fsettings$"))


async def test_a_cached_answer_says_so_and_can_be_asked_again(
    start_app: StartApp, browse: Browse, model: ModelServer
):
    tab = Tab(await (await browse("alice", at=start_app(cache_scope="company"))).new_page())
    await tab.open()
    await tab.ask_and_read("Первый вопрос")  # with it the process learns the model's name
    await tab.open()
    model.script_once(Say(("the first",)), End())
    await tab.ask_and_read("Что в кэше?")
    await expect(tab.answer.get_by_test_id("source")).to_have_text("модель")
    await tab.page.get_by_test_id("new-dialog").click()
    await tab.page.wait_for_url(re.compile(r"/$"))
    await expect(tab.questions).to_have_count(0)

    await tab.ask_and_read("Что в кэше?")
    await tab.shows("the first")
    await expect(tab.answer.get_by_test_id("source")).to_have_text("из кэша")
    await expect(tab.answer.get_by_test_id("age")).to_have_text("только что")
    await tab.reload()
    await expect(tab.answer.get_by_test_id("source")).to_have_text("из кэша")

    model.script_once(Say(("the second",)), End())
    await tab.answer.get_by_role("button", name="Спросить модель").click()
    await tab.shows("the second")
    await tab.ends()
    await expect(tab.answer.get_by_test_id("source")).to_have_text("модель")
    await expect(tab.answer.locator(".branch-place")).to_have_text("2 / 2")


async def test_the_limit_is_told_when_it_is_near_and_comes_back_by_itself(
    start_app: StartApp, browse: Browse
):
    tab = Tab(await (await browse("alice", at=start_app(rate_limit="2 per 10 seconds"))).new_page())
    await tab.open()
    line = tab.page.get_by_test_id("limit")
    await expect(line).to_have_count(0)
    await tab.ask_and_read("Раз")
    await expect(line).to_have_count(0)
    await tab.ask_and_read("Два")
    await expect(line).to_contain_text("Лимит вопросов исчерпан, следующий через")
    await tab.composer.fill("Три")
    await tab.composer.press("Enter")
    await expect(tab.error).to_contain_text(re.compile(r"через \d+ с"))
    await expect(tab.composer).to_have_value("Три")
    await assert_accessible(tab.page)

    await expect(line).to_have_count(0, timeout=20_000)
    await expect(tab.error).to_have_count(0)
    await tab.composer.press("Enter")
    await expect(tab.questions).to_have_count(3)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_has_no_objection(theme: Any, browse: Browse, newcomer: Newcomer):
    page = await (await browse(newcomer, color_scheme=theme)).new_page()
    await open_settings(page)
    await has_theme(page, theme)
    await assert_accessible(page)
    await make_key(page, f"axe {theme}")
    await assert_accessible(page)
    await page.get_by_test_id("revoke").first.click()
    await expect(page.get_by_role("alertdialog")).to_be_visible()
    await assert_accessible(page)


@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_nothing_is_wider_than_the_screen(width: int, browse: Browse, newcomer: Newcomer):
    page = await (await browse(newcomer, viewport={"width": width, "height": 740})).new_page()
    await open_settings(page)
    await make_key(page, "Слово" * 20)
    over: list[str] = await page.evaluate(
        """() => {
            const wide = node => node.scrollWidth > node.clientWidth + 1;
            const places = [document.scrollingElement, document.body,
                ...document.querySelectorAll('main, .page-scroll, .settings, section')];
            return places.filter(node => node && node.clientWidth && wide(node))
                .map(node => `${node.tagName}.${node.className}`);
        }"""
    )
    assert over == []


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_every_sentence_is_of_one_language(locale: str, browse: Browse, newcomer: Newcomer):
    russian = locale == "ru"
    page = await (await browse(newcomer, locale=locale)).new_page()
    await open_settings(page)
    await make_key(page, "7")
    await assert_language(page, locale, "Ключи API" if russian else "API keys")
    await page.get_by_test_id("revoke").first.click()
    await expect(page.get_by_role("alertdialog")).to_be_visible()
    await assert_language(page, locale, "Отмена" if russian else "Cancel")
    await page.get_by_test_id("confirm-revoke").click()
    await expect(page.get_by_test_id("key-row")).to_have_count(0)


async def test_language_and_theme_are_chosen_here_too(browse: Browse, newcomer: Newcomer):
    page = await (await browse(newcomer, color_scheme="light")).new_page()
    await open_settings(page)
    await page.get_by_role("button", name="English", exact=True).click()
    await expect(page.get_by_role("heading", name="API keys")).to_be_visible()
    await expect(page.get_by_role("button", name="English", exact=True)).to_be_focused()
    dark = page.get_by_role("button", name="Dark", exact=True)
    await expect(dark).to_have_attribute("aria-pressed", "false")
    await dark.click()
    await has_theme(page, "dark")
    await expect(dark).to_have_attribute("aria-pressed", "true")
    await expect(dark).to_be_focused()
    await page.get_by_role("button", name="Русский", exact=True).click()
    await expect(page.get_by_role("heading", name="Ключи API")).to_be_visible()


@pytest.mark.parametrize(
    ("minutes", "expected"), [(5, "5 мин назад"), (130, "2 ч назад"), (3000, "2 дн. назад")]
)
async def test_the_age_of_a_cached_answer(
    minutes: int, expected: str, browse: Browse, stored: Stored
):
    made_at = clock.now() - timedelta(minutes=minutes)
    dialog_id = stored.add_dialog("alice", "Старый ответ", cached_at=made_at)
    tab = Tab(await (await browse("alice")).new_page())
    await tab.open(f"/c/{dialog_id}")
    await expect(tab.answer.get_by_test_id("age")).to_have_text(expected)
    await assert_accessible(tab.page)


async def test_the_password_is_changed(browse: Browse, newcomer: Newcomer, app: AppProcess):
    """By labels, in both languages; what went wrong is told beside the form, and so is the end."""
    name, password = newcomer
    page = await (await browse(newcomer)).new_page()
    await open_settings(page)

    async def change(current: str, new: str, repeat: str) -> None:
        await page.get_by_label("Текущий пароль").fill(current)
        await page.get_by_label("Новый пароль", exact=True).fill(new)
        await page.get_by_label("Новый пароль ещё раз").fill(repeat)
        await page.get_by_test_id("password-submit").click()
        await Tab(page).ready()

    await change("wrong one", "brand new 77", "brand new 77")
    await expect(page.get_by_role("alert")).to_contain_text("Текущий пароль неверен")
    await change(password, "brand new 77", "brand new 78")
    await expect(page.get_by_role("alert")).to_contain_text("по-разному")
    await assert_accessible(page)
    await change(password, "brand new 77", "brand new 77")
    await expect(page.get_by_test_id("password-changed")).to_be_visible()
    await assert_accessible(page)
    other = await (await browse()).new_page()
    await log_in(other, name, "brand new 77")
