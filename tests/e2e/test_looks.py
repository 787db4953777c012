"""Whoever looks, and however: by keyboard, by screen reader, on a phone, in either language."""

import contextlib
import re
import uuid
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.cast import PASSWORDS
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say, Status

pytestmark = E2E

RICH = """# Заголовок

Абзац с `кодом`, **жирным**, *курсивом* и [ссылкой](https://docs.example/).

1. первый
2. второй
   - вложенный

> Цитата из документа.

| Сервер | Назначение | Состояние | Владелец | Последняя проверка | Замечания к проверке |
|---|---|---|---|---|---|
| srv-01 | база данных | работает | отдел хранения | 2026-10-01 | замечаний нет |

```python
def a_function_with_a_rather_long_name(argument, another_argument, and_one_more_argument):
    return argument  # комментарий, который не помещается в строку на телефоне
```

ОченьДлинноеСловоБезПробеловКотороеНикакНеПереноситсяПоСлогамИПоэтомуЛомаетВёрстку
"""


async def assert_accessible(page: Page) -> None:
    """axe-core finds nothing serious."""
    found = await Axe().run(page)
    worst = [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in found.response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert worst == []


async def has_theme(page: Page, theme: str) -> None:
    await expect(page.locator("html")).to_have_class(re.compile(rf"\b{theme}\b"))


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_has_no_objection(theme: Any, browse: Browse, stored: Stored):
    strangers = await (await browse(color_scheme=theme)).new_page()
    await strangers.goto("/login?error=wrong_credentials")
    await expect(strangers.get_by_role("alert")).to_be_visible()
    await has_theme(strangers, theme)
    await assert_accessible(strangers)

    tab = Tab(await (await browse("alice", color_scheme=theme)).new_page())
    await tab.open()
    await has_theme(tab.page, theme)
    await assert_accessible(tab.page)
    dialog_id = stored.add_dialog("alice", f"axe {theme}", [("Вопрос", RICH)])
    await tab.open(f"/c/{dialog_id}")
    await expect(tab.answer.locator("pre")).to_be_visible()
    await assert_accessible(tab.page)


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_has_no_objection_when_something_is_wrong(
    theme: Any, browse: Browse, model: ModelServer
):
    """Notes and the offer to undo a deletion have colours of their own."""
    tab = Tab(await (await browse("alice", color_scheme=theme)).new_page())
    await tab.open("/c/" + str(uuid.uuid4()))
    await expect(tab.error).to_be_visible()
    await has_theme(tab.page, theme)
    await assert_accessible(tab.page)
    await tab.open()
    title = f"Неудача {theme}"
    model.script_once(Status(400))
    await tab.ask_and_read(title, "failed")
    await tab.choose(title, "delete")
    await expect(tab.page.get_by_test_id("undo")).to_be_visible()
    await assert_accessible(tab.page)


async def test_the_theme_is_there_before_the_scripts(browse: Browse):
    """Who has a dark desktop is not dazzled at every load."""
    context = await browse(color_scheme="dark", java_script_enabled=False)
    page = await context.new_page()
    await page.goto("/login")
    assert (
        await page.evaluate("getComputedStyle(document.body).backgroundColor")
        != "rgb(255, 255, 255)"
    )


async def test_the_chosen_theme_stays(browse: Browse):
    tab = Tab(await (await browse("alice", color_scheme="light")).new_page())
    await tab.open()
    await has_theme(tab.page, "light")
    await tab.page.get_by_test_id("theme").click()
    await has_theme(tab.page, "dark")
    await tab.reload()
    await has_theme(tab.page, "dark")


@pytest.mark.parametrize("width", [360, 768, 1280])
async def test_nothing_is_wider_than_the_screen(width: int, browse: Browse, stored: Stored):
    tab = Tab(await (await browse("alice", viewport={"width": width, "height": 740})).new_page())
    long_word = "Слово" * 60
    dialog_id = stored.add_dialog("alice", long_word, [(long_word, RICH)])
    for path in ("/login", "/", f"/c/{dialog_id}"):
        await tab.page.goto(path)
        await expect(tab.page.get_by_role("main")).to_be_visible()
        if path != "/login":
            await tab.ready()
        if path.startswith("/c/"):
            await expect(tab.answer.locator("pre")).to_be_visible()
        over: list[str] = await tab.page.evaluate(
            """() => {
                const wide = node => node.scrollWidth > node.clientWidth + 1;
                const places = [document.scrollingElement, document.body,
                    ...document.querySelectorAll('main, .scroll, .dock, .sidebar, .sidebar nav')];
                return places.filter(node => node && node.clientWidth && wide(node))
                    .map(node => `${node.tagName}.${node.className}`);
            }"""
        )
        assert over == [], path
    await expect(tab.send_button).to_be_in_viewport(ratio=1)


async def test_the_menu_of_a_phone(browse: Browse, stored: Stored):
    stored.add_dialog("carol", "Телефонный", [("Вопрос", "Ответ")])
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    tab = Tab(await (await browse("carol", is_mobile=True, **phone)).new_page())
    await tab.open()
    await expect(tab.item("Телефонный")).not_to_be_visible()
    await tab.page.get_by_role("button", name="Меню", exact=True).tap()
    await tab.item("Телефонный").get_by_role("link").tap()
    await expect(tab.questions).to_have_count(1)
    await expect(tab.item("Телефонный")).not_to_be_visible()
    await expect(tab.page.locator(".bar-title")).to_have_text("Телефонный")

    await tab.page.get_by_role("button", name="Меню", exact=True).tap()
    menu_button = tab.item("Телефонный").get_by_test_id("dialog-menu")
    await expect(menu_button).to_be_visible()  # no hover here
    await menu_button.tap()
    await expect(tab.page.get_by_test_id("pin")).to_be_in_viewport(ratio=1)
    await tab.page.keyboard.press("Escape")
    await tab.page.locator(".shade").tap(position={"x": 370, "y": 400})
    await expect(tab.item("Телефонный")).not_to_be_visible()

    # nothing of the page stands above the shade
    above = await tab.page.locator(".dialog-export").bounding_box()
    assert above is not None
    await tab.page.get_by_role("button", name="Меню", exact=True).tap()
    await tab.page.locator(".shade").tap(position={"x": above["x"] + 20, "y": above["y"] + 20})
    await expect(tab.item("Телефонный")).not_to_be_visible()


# everything that is seen or read aloud, but for what users and models wrote
CHROME = """() => {
    const written = '.bubble, .markdown, .dialog-link, .bar-title, .user, .visually-hidden, '
        + '[data-testid=language], .dialog-edit input, .written, .other-language';
    const found = [document.title];
    for (const node of document.querySelectorAll('body *')) {
        if (node.closest(written) || !node.checkVisibility({visibilityProperty: true})) continue;
        if (['SCRIPT', 'STYLE'].includes(node.tagName)) continue;
        for (const name of ['aria-label', 'title', 'placeholder', 'alt']) {
            const value = node.getAttribute(name);
            if (value) found.push(value);
        }
        for (const child of node.childNodes) {
            const text = child.nodeType === Node.TEXT_NODE ? child.data.trim() : '';
            if (text) found.push(text);
        }
    }
    return found;
}"""
RUSSIAN = re.compile("[а-яё]", re.IGNORECASE)
LATIN = re.compile("[a-z]{2,}", re.IGNORECASE)
# what Russian sentences keep: names, keys, the short name of the other language, and the words in
# which the model server refused
KEPT = re.compile(
    r"\b(GenAI|Enter|Shift|Esc|Ctrl|fake-model|EN|API|OpenAI|GENAI_[A-Z_]+|refused by the script"
    r"|ChatGPT|Open WebUI|ZIP|JSON|conversations\.json)\b"
)


async def assert_language(page: Page, locale: str, expected: str) -> None:
    """`expected` is there, and no sentence of the other language."""
    foreign = RUSSIAN if locale == "en" else LATIN

    async def wrong_texts() -> list[str]:
        found: list[str] = await page.evaluate(CHROME)
        missing = [] if expected in found else [f"missing: {expected}"]
        return missing + [text for text in found if foreign.search(KEPT.sub("", text))]

    async def all_right() -> bool:
        return not await wrong_texts()

    with contextlib.suppress(TimeoutError):  # the document's title follows the page by a moment
        await eventually(all_right, within_s=5)
    assert await wrong_texts() == []


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_every_sentence_is_of_one_language(
    locale: str, browse: Browse, model: ModelServer, app: AppProcess
):
    russian = locale == "ru"
    stranger = await (await browse(locale=locale)).new_page()
    await stranger.goto("/login?error=session_ended")
    await expect(stranger.get_by_role("alert")).to_be_visible()
    await expect(stranger.get_by_role("heading")).to_have_text("Вход" if russian else "Log in")
    await assert_language(stranger, locale, "Войти" if russian else "Log in")

    tab = Tab(await (await browse("bob", locale=locale)).new_page())
    await tab.open("/c/" + str(uuid.uuid4()))
    await expect(tab.error).to_be_visible()
    await assert_language(tab.page, locale, "Новый диалог" if russian else "New dialog")
    await tab.open()
    await assert_language(tab.page, locale, "Чем помочь?" if russian else "How can I help?")

    hold = uuid.uuid4().hex
    model.script_once(Hold(hold), Say(("```python\nx = 1\n```",)), End("length"))
    await tab.ask("1 + 1")
    await expect(tab.answer.get_by_role("status")).to_be_visible()
    await assert_language(tab.page, locale, "Остановить ответ" if russian else "Stop the answer")
    model.release(hold)
    await tab.ends("truncated")
    await tab.answer.get_by_test_id("regenerate").click()
    await tab.ends()
    await assert_language(tab.page, locale, "модель" if russian else "model")
    for status in ("cut=2", "status=401", "status=404", "status=400"):
        await tab.ask(f"fake:{status}")
        await expect(tab.answer).to_have_attribute("data-status", re.compile("failed|interrupted"))
        await assert_language(tab.page, locale, "Скопировать" if russian else "Copy")
    await tab.items.first.hover()
    await tab.items.first.get_by_test_id("dialog-menu").click()
    await tab.page.get_by_test_id("rename").click()
    await expect(tab.items.first.locator(".dialog-edit")).to_be_visible()
    await assert_language(tab.page, locale, "Отмена" if russian else "Cancel")
    await tab.page.keyboard.press("Escape")


async def test_switching_the_language(browse: Browse):
    tab = Tab(await (await browse("bob")).new_page())
    await tab.open()
    await expect(tab.page.get_by_role("heading", name="Чем помочь?")).to_be_visible()
    await tab.composer.fill("не пропади")
    await tab.page.get_by_test_id("language").click()
    await expect(tab.page.get_by_role("heading", name="How can I help?")).to_be_visible()
    await expect(tab.composer).to_have_value("не пропади")
    await expect(tab.page.locator("[lang=en]").first).to_be_visible()
    await tab.reload()
    await expect(tab.page.get_by_role("heading", name="How can I help?")).to_be_visible()


FOCUSED = """() => {
    const focused = document.activeElement;
    // a hidden field is seen as its label
    const node = focused.matches('label > .visually-hidden') ? focused.parentElement : focused;
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    const frame = node.closest('.composer') ?? node;
    return {
        id: focused.dataset.testid ?? '',
        name: node.getAttribute('aria-label') ?? node.textContent.trim(),
        tag: node.tagName,
        seen: box.width > 1 && box.height > 1 && style.visibility === 'visible'
            && Number(style.opacity) > 0.9,
        marked: (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0)
            || getComputedStyle(frame).borderTopColor === getComputedStyle(frame).outlineColor
            || (frame !== node && frame.matches(':focus-within')),
    };
}"""


async def tab_to(page: Page, *, test_id: str = "", name: str = "", back: bool = False) -> None:
    """Press Tab until that element has the focus; every stop on the way must be seen and marked."""
    for _ in range(60):
        await page.keyboard.press("Shift+Tab" if back else "Tab")
        stop: dict[str, Any] = await page.evaluate(FOCUSED)
        if stop["tag"] == "BODY":
            continue
        assert stop["seen"], stop
        assert stop["marked"], stop
        if (test_id and stop["id"] == test_id) or (name and stop["name"] == name):
            return
    raise AssertionError(f"the keyboard does not reach {test_id or name}")


async def test_logging_in_and_asking_by_keyboard(browse: Browse, model: ModelServer):
    page = await (await browse()).new_page()
    await page.goto("/login")
    await expect(page.get_by_test_id("login-username")).to_be_focused()
    await page.keyboard.type("bob")
    await tab_to(page, test_id="login-password")
    await page.keyboard.type(PASSWORDS["bob"])
    await tab_to(page, test_id="login-submit")
    await page.keyboard.press("Enter")
    tab = Tab(page)
    await tab.ready()
    await expect(tab.composer).to_be_focused()

    hold = uuid.uuid4().hex
    model.script_once(Say(("half ",)), Hold(hold), End())
    await page.keyboard.type("Без мыши")
    await page.keyboard.press("Enter")
    await tab.shows("half")
    await tab_to(page, test_id="stop")
    await page.keyboard.press("Enter")
    await tab.ends("stopped")
    await tab_to(page, test_id="regenerate", back=True)
    await page.keyboard.press("Enter")
    await tab.ends()
    await expect(tab.answer.locator(".branch-place")).to_have_text("2 / 2")


async def test_deleting_by_keyboard(browse: Browse, stored: Stored):
    stored.add_dialog("carol", "Клавишами")
    tab = Tab(await (await browse("carol")).new_page())
    await tab.open()
    await expect(tab.composer).to_be_focused()
    await tab_to(tab.page, name="Клавишами", back=True)
    await tab_to(tab.page, test_id="dialog-menu")
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_test_id("rename")).to_be_focused()
    await tab.page.keyboard.press("ArrowUp")
    await expect(tab.page.get_by_test_id("delete")).to_be_focused()
    await tab.page.keyboard.press("Enter")
    await expect(tab.item("Клавишами")).to_have_count(0)
    await tab_to(tab.page, test_id="undo")
    await tab.page.keyboard.press("Enter")
    await expect(tab.item("Клавишами")).to_have_count(1)


async def test_renaming_by_keyboard(browse: Browse, stored: Stored):
    stored.add_dialog("carol", "Старое", [("Вопрос", "Ответ")])
    tab = Tab(await (await browse("carol")).new_page())
    await tab.open()
    await tab_to(tab.page, name="Старое", back=True)
    await tab_to(tab.page, test_id="dialog-menu")
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_test_id("rename")).to_be_focused()
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_label("Название диалога")).to_be_focused()
    await tab.page.keyboard.press("Control+A")
    await tab.page.keyboard.type("Переименованное")
    await tab.page.keyboard.press("Enter")
    await expect(tab.item("Переименованное")).to_have_count(1)


async def test_escape_leaves_the_field_and_the_menu(browse: Browse, stored: Stored):
    """And the focus comes back to where it was, not to the top of the page."""
    stored.add_dialog("carol", "Передумала")
    tab = Tab(await (await browse("carol")).new_page())
    await tab.open()
    menu_button = tab.item("Передумала").get_by_test_id("dialog-menu")
    await tab.choose("Передумала", "rename")
    await expect(tab.item("Передумала")).to_have_count(0)
    await tab.page.keyboard.press("Escape")
    await expect(menu_button).to_be_focused()
    await tab.choose("Передумала", "folder")
    for open_menu in ("move-menu", "dialog-menu"):
        await expect(tab.page.locator(f"#{open_menu}")).to_be_visible()
        await tab.page.keyboard.press("Escape")
        await expect(tab.page.locator(f"#{open_menu}")).not_to_be_visible()
    await expect(menu_button).to_be_focused()


LINES = tuple(f"строка {number}\n\n" for number in range(240))
FROM_END = "() => { const s = document.querySelector('.scroll'); return Math.abs(s.scrollTop); }"


async def test_the_list_follows_the_answer(tab: Tab, model: ModelServer):
    """The end stays in sight while the answer grows past the screen."""
    model.script_once(Say(LINES, 0.004), End())
    await tab.ask("Прокрутка")
    for number in (40, 120, 200):
        await expect(tab.answer).to_contain_text(f"строка {number}\n")
        assert await tab.page.evaluate(FROM_END) < 2
    await tab.ends()
    await expect(tab.answer.get_by_test_id("source")).to_be_in_viewport()
    assert await tab.page.evaluate(FROM_END) < 2


async def test_a_reader_who_scrolled_up_stays_there(tab: Tab, model: ModelServer):
    """What he reads does not move, neither while the answer grows nor when it is whole."""
    hold = uuid.uuid4().hex
    model.script_once(Say(LINES[:80]), Hold(hold), Say(LINES[80:], 0.002), End())
    await tab.ask("Чтение")
    await expect(tab.answer).to_contain_text("строка 79")
    await tab.page.evaluate(
        """() => { window.settled = new Promise(done =>
            document.querySelector('.scroll').addEventListener('scrollend', () => done())); }"""
    )
    await tab.answer.hover()
    await tab.page.mouse.wheel(0, -1200)
    await tab.page.evaluate("window.settled")
    box = await tab.page.locator(".scroll").bounding_box()
    assert box is not None
    line: str = await tab.answer.locator("p").evaluate_all(
        "(lines, y) => lines.find(each => each.getBoundingClientRect().bottom > y).textContent",
        box["y"] + box["height"] / 2,
    )
    read = tab.answer.get_by_text(line, exact=True)
    before = await read.bounding_box()
    model.release(hold)
    await expect(tab.answer).to_contain_text("строка 150\n")
    during = await read.bounding_box()
    await tab.ends()
    after = await read.bounding_box()
    assert before is not None
    assert during is not None
    assert after is not None
    assert abs(during["y"] - before["y"]) < 4
    assert abs(after["y"] - before["y"]) < 4


async def test_who_scrolled_up_and_asks_sees_the_question(browse: Browse, stored: Stored):
    turns = [(f"вопрос {number}", "\n\n".join(LINES[:10])) for number in range(8)]
    dialog_id = stored.add_dialog("alice", "Вверху", turns)
    tab = Tab(await (await browse("alice")).new_page())
    await tab.open(f"/c/{dialog_id}")
    await tab.questions.first.scroll_into_view_if_needed()
    await expect(tab.questions.first).to_be_in_viewport()
    await tab.ask_and_read("Новый вопрос")
    await expect(tab.questions.last).to_be_in_viewport()
    await expect(tab.answer.get_by_test_id("source")).to_be_in_viewport()
