"""The list of dialogs as people keep it: pins, folders, the archive, undo, and the palette."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.held import Held
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_language

pytestmark = E2E

FOLLOWED_MS = 5_000
TEXTS: dict[str, dict[str, str]] = {
    "ru": {
        "folder": "Договоры",
        "renamed": "Поставщики",
        "deleted": "Диалог удалён",
        "archived": "Диалог в архиве",
        "settings": "настр",
        "layout": "yfcnhjqrb",  # «настройки» on the English layout
    },
    "en": {
        "folder": "Contracts",
        "renamed": "Suppliers",
        "deleted": "Dialog deleted",
        "archived": "Dialog archived",
        "settings": "sett",
        "layout": "ыуеештпы",  # "settings" on the Russian layout
    },
}


async def new_tab(browse: Browse, locale: str, who: str | tuple[str, str] = "bob") -> Tab:
    tab = Tab(await (await browse(who, locale=locale)).new_page())
    await tab.open()
    return tab


def in_folder(tab: Tab, folder: str) -> Locator:
    """The dialogs of an open folder."""
    row = tab.page.get_by_test_id("folder-item").filter(has_text=folder)
    return row.get_by_test_id("dialog-item")


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_a_dialog_in_its_sections(locale: str, browse: Browse, stored: Stored):
    """Pinned, in a folder, in the archive and back; another tab follows."""
    words, title = TEXTS[locale], f"Sections {locale}"
    stored.add_dialog("bob", title)
    tab, other = [await new_tab(browse, locale) for _ in range(2)]
    page = tab.page
    pinned = page.get_by_test_id("pinned")

    await tab.choose(title, "pin")
    await expect(pinned.locator(tab.item(title))).to_be_visible()
    await expect(other.page.get_by_test_id("pinned")).to_be_visible(timeout=FOLLOWED_MS)
    await tab.choose(title, "unpin")
    await expect(pinned).to_have_count(0)

    await tab.choose(title, "folder")
    await page.get_by_test_id("new-folder").fill(words["folder"])
    await page.keyboard.press("Enter")
    await expect(in_folder(tab, words["folder"])).to_have_count(1)
    folded = other.page.get_by_test_id("folder-fold").filter(has_text=words["folder"])
    await expect(folded).to_have_text(re.compile("1$"), timeout=FOLLOWED_MS)
    await expect(other.item(title)).to_have_count(0)
    await folded.click()
    await expect(in_folder(other, words["folder"])).to_have_count(1)
    await tab.choose(title, "folder")
    option = page.get_by_test_id("folder-option").filter(has_text=words["folder"])
    await expect(option).to_have_attribute("aria-pressed", "true")
    await page.get_by_test_id("no-folder").click()
    await expect(in_folder(tab, words["folder"])).to_have_count(0)

    await tab.choose(title, "archive")
    await expect(page.locator(".toast")).to_contain_text(words["archived"])
    await expect(tab.item(title)).to_have_count(0)
    await page.get_by_test_id("undo").click()
    await expect(tab.item(title)).to_have_count(1)
    await tab.choose(title, "archive")
    await page.get_by_test_id("archive-list").click()
    await tab.choose(title, "unarchive")
    await expect(page.get_by_test_id("archive-list")).to_have_count(0)
    await expect(tab.item(title)).to_have_count(1)


async def test_a_folder_is_renamed_and_deleted(browse: Browse, stored: Stored):
    """Its dialogs go back to their days; a name that is taken is refused with the reason."""
    words, title = TEXTS["ru"], "Останется"
    stored.add_dialog("carol", title)
    tab = await new_tab(browse, "ru", "carol")
    page = tab.page
    await tab.choose(title, "folder")
    await page.get_by_test_id("new-folder").fill(words["folder"])
    await page.keyboard.press("Enter")
    await expect(in_folder(tab, words["folder"])).to_have_count(1)
    await tab.choose(title, "folder")
    await page.get_by_test_id("new-folder").fill(words["folder"].upper())
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Папка с таким названием уже есть.")).to_be_visible()

    await page.get_by_test_id("folder-menu").click()
    await page.get_by_test_id("folder-rename").click()
    field = page.get_by_label("Название папки", exact=True)
    await expect(field).to_be_focused()
    await field.fill(words["renamed"])
    await field.press("Enter")
    await expect(in_folder(tab, words["renamed"])).to_have_count(1)
    await page.get_by_test_id("folder-menu").click()
    await page.get_by_test_id("folder-delete").click()
    await expect(page.get_by_test_id("confirm-folder-delete")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("folder-menu")).to_be_focused()
    await page.get_by_test_id("folder-menu").click()
    await page.get_by_test_id("folder-delete").click()
    await page.get_by_test_id("confirm-folder-delete").click()
    await expect(page.get_by_test_id("folder-item")).to_have_count(0)
    await expect(tab.item(title)).to_have_count(1)


async def test_a_menu_leaves_the_focus_to_who_is_quick(tab: Tab, stored: Stored):
    """The browser says late that a menu is open: what is typed till then goes where it began."""
    title, page = "Наперегонки", tab.page
    stored.add_dialog("alice", title)
    await tab.reload()
    await tab.choose(title, "folder")  # the folder's entry stands above the field
    await page.get_by_test_id("new-folder").fill("Раньше")
    await page.keyboard.press("Enter")
    await expect(in_folder(tab, "Раньше")).to_have_count(1)
    await tab.item(title).hover()
    await tab.item(title).get_by_test_id("dialog-menu").click()
    entry = page.get_by_test_id("folder")
    await expect(entry).to_be_visible()
    focused = await entry.evaluate("""async (entry) => {
        const field = document.querySelector('[data-testid=new-folder]');
        const menu = document.getElementById(entry.getAttribute('popovertarget'));
        const opened = new Promise((seen) => menu.addEventListener('toggle', seen, { once: true }));
        entry.click();
        field.focus();
        await opened;
        return document.activeElement === field;
    }""")
    assert focused


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_a_deletion_is_undone(locale: str, browse: Browse, stored: Stored):
    """The dialog on the screen, and it is on the screen again."""
    title = f"Undone {locale}"
    dialog_id = stored.add_dialog("bob", title, [("Вопрос", "Ответ")])
    tab = await new_tab(browse, locale)
    await tab.open(f"/c/{dialog_id}")
    await tab.choose(title, "delete")
    await tab.page.wait_for_url(re.compile(r"/$"))
    await expect(tab.page.locator(".toast")).to_contain_text(TEXTS[locale]["deleted"])
    await expect(tab.item(title)).to_have_count(0)
    await assert_language(tab.page, locale, TEXTS[locale]["deleted"])
    await tab.page.get_by_test_id("undo").click()
    await tab.page.wait_for_url(re.compile(f"/c/{dialog_id}$"))
    await expect(tab.questions).to_have_count(1)
    await expect(tab.item(title)).to_have_count(1)
    await expect(tab.page.get_by_test_id("undo")).to_have_count(0)


async def test_the_offer_to_undo_ends(tab: Tab, stored: Stored):
    """After ten seconds on the page, and with the page."""
    for title in ("Удалён навсегда", "Удалён до перезагрузки"):
        stored.add_dialog("alice", title)
    await tab.reload()
    await tab.choose("Удалён навсегда", "delete")
    undo = tab.page.get_by_test_id("undo")
    await expect(undo).to_be_visible()
    await tab.page.evaluate("document.getAnimations().forEach((each) => each.finish())")
    await expect(undo).not_to_be_visible()
    await tab.choose("Удалён до перезагрузки", "delete")
    await expect(undo).to_be_visible()
    await tab.reload()
    await expect(undo).to_have_count(0)


async def test_a_dialog_is_saved_as_a_file_from_its_menu(tab: Tab, stored: Stored):
    """One that is not on the screen."""
    stored.add_dialog("alice", "Скачивается", [("Вопрос", "Ответ")])
    await tab.reload()
    async with tab.page.expect_download() as downloading:
        await tab.choose("Скачивается", "export")
    assert (await downloading.value).suggested_filename.endswith(".pdf")


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_the_palette(locale: str, browse: Browse, stored: Stored):
    """By keys alone, on any layout; the focus comes back."""
    words, title = TEXTS[locale], f"Палитра {locale}"
    dialog_id = stored.add_dialog("bob", title, [("Где лежит мольберт?", "Ответ")])
    tab = await new_tab(browse, locale)
    page = tab.page
    box, field = page.get_by_test_id("palette"), page.get_by_test_id("palette-input")
    chosen = page.locator("[role=option][aria-selected=true]")
    await expect(tab.composer).to_be_focused()
    await page.keyboard.press("Control+KeyK")
    await expect(field).to_be_focused()
    await expect(page.get_by_test_id("palette-dialog").first).to_contain_text(title)
    await expect(chosen).to_contain_text(title)
    await assert_language(page, locale, "Команды" if locale == "ru" else "Commands")
    await page.keyboard.press("Escape")
    await expect(box).not_to_be_visible()
    await expect(tab.composer).to_be_focused()

    for typed in ("мольберты", "vjkm,thns"):
        await page.keyboard.press("Control+KeyK")
        await page.keyboard.type(typed)
        await expect(page.locator(".palette-option mark").first).to_have_text("мольберт")
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile(f"/c/{dialog_id}"))
        await expect(box).not_to_be_visible()
        await tab.open()

    for typed in (words["settings"], words["layout"]):
        await page.keyboard.press("Control+KeyK")
        await page.keyboard.type(typed)
        await page.keyboard.press("Enter")  # before the list has come: its first row is meant
        await page.wait_for_url(re.compile("/settings$"))
        await expect(box).not_to_be_visible()
        await tab.open()

    await page.keyboard.press("Control+KeyK")
    await expect(page.get_by_test_id("palette-dialog").first).to_be_visible()
    await expect(page.get_by_test_id("palette-command").first).to_be_visible()
    count = await page.get_by_role("option").count()
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_role("option").nth(count - 1)).to_have_attribute(
        "aria-selected", "true"
    )
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("option").first).to_have_attribute("aria-selected", "true")


async def test_the_palette_shows_nothing_of_other_words(browse: Browse, stored: Stored):
    """While the server has not answered: opened again, or typed on."""
    stored.add_dialog("bob", "Подрамник в мастерской")
    page, held = await (await browse("bob")).new_page(), Held()
    held.release()
    await held.words(page)
    await Tab(page).open()
    field, listed = page.get_by_test_id("palette-input"), page.locator(".palette-list")
    await page.keyboard.press("Control+KeyK")
    await page.keyboard.type("подрамник")
    found = page.get_by_test_id("palette-dialog").filter(has_text="Подрамник")
    await expect(page.locator(".palette-option mark")).to_have_count(1)
    await page.keyboard.press("Escape")
    held.hold()
    await page.keyboard.press("Control+KeyK")
    await expect(field).to_have_value("")
    await expect(found).to_be_hidden()
    held.release()
    await expect(page.get_by_test_id("palette-command").first).to_be_visible()
    held.hold()
    await page.keyboard.type("нигде")
    await expect(listed).to_have_attribute("data-of", "words-before")
    held.release()
    await expect(listed).to_have_attribute("data-of", "field")
    await expect(page.locator(".palette-status")).to_contain_text("Ничего не найдено.")


@pytest.mark.parametrize("who", ["bob", "carol"])
async def test_commands_of_the_role(who: str, browse: Browse):
    """Nobody is offered a page that would be refused."""
    tab = await new_tab(browse, "ru", who)
    await tab.page.locator("[data-palette]").click()
    commands = tab.page.get_by_test_id("palette-command")
    await expect(commands.filter(has_text="Настройки")).to_be_visible()
    await expect(commands.filter(has_text="Журнал")).to_have_count(int(who == "carol"))
    await commands.filter(has_text="Сменить тему").click()
    await expect(tab.page.locator("html")).to_have_class(re.compile("dark"))


async def test_thousands_of_dialogs(browse: Browse, stored: Stored, newcomer: tuple[str, str]):
    """They come while the list is scrolled, and those far from the screen are not drawn."""
    stored.add_dialogs(newcomer[0], [f"Из многих {number}" for number in range(450)])
    tab = await new_tab(browse, "ru", newcomer)
    page = tab.page
    oldest = tab.item("Из многих 449")
    await page.evaluate(
        """async () => {
            const list = document.getElementById('dialog-list');
            while (!list.textContent.includes('Из многих 449')) {
                list.scrollTop = list.scrollHeight;
                await new Promise(requestAnimationFrame);
            }
            list.scrollTop = list.scrollHeight;
        }"""
    )
    await expect(oldest).to_be_in_viewport()
    await expect(tab.item("Из многих 0")).to_have_count(0)
    assert await tab.items.count() < 300
    await page.evaluate("document.getElementById('dialog-list').scrollTop = 0")
    await expect(tab.item("Из многих 0")).to_be_in_viewport()
    await expect(oldest).to_have_count(0)
    titles: list[Any] = await page.locator(".dialog-link").all_text_contents()
    assert titles[:50] == [f"Из многих {number}" for number in range(50)]
