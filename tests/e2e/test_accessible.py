"""Every page in every state that a user can open: axe finds nothing, and nothing is wider than the
screen, in both themes and languages, from a phone to a wide screen."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import axe_playwright_python
import pytest
from playwright.async_api import Page, expect

from tests.conftest import OpenApi
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.e2e.test_looks import RICH
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say, Status

pytestmark = E2E

UNBROKEN = "ж" * 200  # one word, wider than any screen
AXE = next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text()
Theme = Literal["light", "dark"]
WIDTHS = (1440, 1024, 768, 390, 360)
HEIGHT = 900
# each theme and each language at every width
LOOKS: dict[str, tuple[tuple[Theme, int], ...]] = {
    "ru": (("light", 1440), ("dark", 1024), ("light", 768), ("dark", 390), ("light", 360)),
    "en": (("dark", 1440), ("light", 1024), ("dark", 768), ("light", 390), ("dark", 360)),
}
FINDINGS = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations.map(each => [each.id, ...each.nodes.map(node => node.html.slice(0, 160))]);
}"""
WIDE = """() => [document.scrollingElement, document.body,
    ...document.querySelectorAll('main, .page-scroll, .settings, .settings > section, .scroll')]
    .filter(node => node.clientWidth && node.scrollWidth > node.clientWidth + 1)
    .map(node => `${node.tagName}.${node.className} ${node.scrollWidth} > ${node.clientWidth}`)"""
# the document itself does not scroll down: its parts do
TALL = "() => Math.max(0, document.scrollingElement.scrollHeight - innerHeight)"
SKIP = {"ru": "К полю вопроса", "en": "Skip to the question"}
TASKS = "\n\n- [x] сделано\n- [ ] не сделано\n"


class Looker:
    """Looks at a page as it stands, in every theme and width of the language."""

    def __init__(self, page: Page, locale: str) -> None:
        self.page = page
        self.locale = locale
        self.faults: list[str] = []

    async def look(self, state: str, widths: Sequence[int] = WIDTHS) -> None:
        for theme, width in LOOKS[self.locale]:
            if width not in widths:
                continue
            await self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            await self.page.set_viewport_size({"width": width, "height": HEIGHT})
            found = [*await self.page.evaluate(FINDINGS), *await self.page.evaluate(WIDE)]
            self.faults += [f"{state}, {theme} {width}: {each}" for each in found]
        await self.page.set_viewport_size({"width": WIDTHS[0], "height": HEIGHT})


async def chat_states(looker: Looker, tab: Tab, stored: Stored, model: ModelServer) -> None:
    page = tab.page
    await tab.open()
    await looker.look("new dialog")
    await page.get_by_role("link", name=SKIP[looker.locale]).focus()
    await looker.look("skip link")

    for title in ("Первый", "Второй"):
        stored.add_dialog("alice", f"{title} {looker.locale}", days_ago=1)
    title = f"Всё сразу {looker.locale}"
    dialog_id = stored.add_dialog("alice", title, [("Вопрос", RICH + TASKS)])
    await tab.open(f"/c/{dialog_id}")
    await expect(tab.answer.locator("pre")).to_be_visible()
    await looker.look("dialog")
    await page.get_by_test_id("export-menu").click()
    await looker.look("export menu")
    await page.keyboard.press("Escape")
    await tab.answer.get_by_test_id("thumb-down").click()
    await expect(page.get_by_test_id("feedback")).to_be_visible()
    await looker.look("feedback")
    await page.keyboard.press("Escape")
    await sidebar_states(looker, tab, title)
    for words in ("вопрос", "ничегошеньки"):
        await page.get_by_test_id("search").fill(words)
        await expect(page.locator(".sidebar .hit, .sidebar .nothing").first).to_be_visible()
        await looker.look(f"search {words}")

    await tab.open()
    hold = uuid.uuid4().hex
    model.script_once(
        Hold(hold), Say(("# Половина\n\n- [ ] ответа\n",)), Hold(hold + "b"), End("length")
    )
    await tab.ask(f"Медленно {looker.locale}")
    await expect(tab.answer.get_by_role("status")).to_be_visible()
    await looker.look("waiting")
    model.release(hold)
    await expect(tab.answer).to_contain_text("Половина")
    await looker.look("streaming")
    model.release(hold + "b")
    await tab.ends("truncated")
    await looker.look("truncated")
    model.script_once(Status(400))
    await tab.ask_and_read("Неудача", "failed")
    await looker.look("failed")
    await page.goto(f"/c/{uuid.uuid4()}")
    await expect(tab.error).to_be_visible()
    await looker.look("no such dialog")
    await page.set_viewport_size({"width": 390, "height": HEIGHT})
    await page.locator(".bar button").first.click()
    await expect(page.locator(".sidebar.open")).to_be_visible()
    await looker.look("sidebar of a phone", widths=(390, 360))


async def sidebar_states(looker: Looker, tab: Tab, title: str) -> None:
    page = tab.page
    await tab.choose(title, "rename")
    await expect(page.locator(".dialog-edit")).to_be_visible()
    await looker.look("rename")
    await page.keyboard.press("Escape")
    await tab.choose(title, "folder")
    await page.get_by_test_id("new-folder").fill(f"Папка {looker.locale} {UNBROKEN[:40]}")
    await page.keyboard.press("Enter")
    await expect(page.get_by_test_id("folder-item").locator(tab.item(title))).to_be_visible()
    await tab.choose(title, "folder")
    await looker.look("menu of a dialog")
    for _ in range(2):
        await page.keyboard.press("Escape")
    await page.get_by_test_id("folder-menu").first.click()
    await page.get_by_test_id("folder-delete").click()
    await expect(page.get_by_test_id("confirm-folder-delete")).to_be_focused()
    await looker.look("question about a folder")
    await page.keyboard.press("Escape")
    await tab.choose(f"Первый {looker.locale}", "pin")
    await tab.choose(f"Второй {looker.locale}", "archive")
    await expect(page.get_by_test_id("undo")).to_be_visible()
    await page.get_by_test_id("undo").hover()  # it stays until the pointer leaves it
    await page.get_by_test_id("archive-list").press("Enter")
    await looker.look("pinned, archived, undo")
    for words in ("", "всё", "ничегошеньки"):
        await page.keyboard.press("Control+k")
        await page.get_by_test_id("palette-input").fill(words)
        shown = page.locator(".palette-status" if len(words) > 5 else ".palette-option")
        await expect(shown.first).to_be_visible()
        await looker.look(f"palette {words}")
        await page.keyboard.press("Escape")


async def settings_states(looker: Looker, tab: Tab) -> None:
    page = tab.page
    await tab.open("/settings")
    await expect(page.get_by_test_id("login-row").first).to_be_visible()
    await page.get_by_test_id("key-name").fill(f"Ночной отчёт {looker.locale}")
    await page.get_by_test_id("key-create").click()
    await expect(page.get_by_test_id("new-key")).to_be_visible()
    await page.get_by_test_id("revoke").first.click()
    await expect(page.get_by_test_id("confirm-revoke")).to_be_focused()
    await looker.look("settings with a new key")
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("revoke").first).to_be_focused()


async def review_states(looker: Looker, tab: Tab) -> None:
    page = tab.page
    await tab.open("/admin/dialogs")
    await expect(page.get_by_test_id("admin-dialog-row").first).to_be_visible()
    await page.get_by_test_id("filter-more").click()
    await looker.look("review")
    await page.get_by_test_id("admin-dialog-row").first.click()
    await expect(page.get_by_test_id("review-dialog")).to_be_visible()
    await page.keyboard.press("?")
    await expect(page.get_by_test_id("shortcuts")).to_be_visible()
    await looker.look("opened review")
    await page.keyboard.press("Escape")
    await tab.open("/admin/dialogs")
    await expect(page.get_by_test_id("admin-dialog-row").first).to_be_visible()
    await page.get_by_test_id("filter-query").fill("ничегошеньки")
    await page.get_by_test_id("filter-query").press("Enter")
    await expect(page.get_by_test_id("admin-dialog-row")).to_have_count(0)
    await looker.look("review without a hit")


async def verified_states(looker: Looker, tab: Tab) -> None:
    page = tab.page
    await tab.open("/admin/verified")
    await page.get_by_test_id("verified-new").click()
    await looker.look("new verified answer")
    await page.get_by_test_id("verified-question").fill(f"Сколько дней отпуска, {looker.locale}?")
    await page.get_by_test_id("verified-answer").fill("28 дней.")
    await page.get_by_test_id("verified-save").click()
    row = page.get_by_test_id("verified-row").first
    await row.get_by_test_id("verified-edit").click()
    await looker.look("a verified answer is edited")
    await page.keyboard.press("Escape")
    await row.get_by_test_id("verified-retire").click()
    await looker.look("a verified answer is withdrawn")
    await page.keyboard.press("Escape")
    await expect(row.get_by_test_id("verified-retire")).to_be_focused()


async def admin_states(looker: Looker, tab: Tab) -> None:
    page = tab.page
    await tab.open("/admin")
    await expect(page.locator(".tile").first).to_be_visible()
    await looker.look("overview")
    await tab.open("/admin/users")
    await expect(page.get_by_test_id("person-row").first).to_be_visible()
    await looker.look("people")
    opener = page.get_by_test_id("person-open").filter(has_text="Алиса")
    await opener.click()
    await expect(page.get_by_test_id("person-close")).to_be_focused()
    await looker.look("person")
    await page.keyboard.press("Escape")
    await expect(opener).to_be_focused()
    await page.get_by_test_id("people-search").fill("ничегошеньки")
    await expect(page.get_by_test_id("person-row")).to_have_count(0)
    await looker.look("no such person")
    await tab.open("/admin/audit")
    await expect(page.get_by_test_id("audit-row").first).to_be_visible()
    await page.get_by_test_id("audit-verify").click()
    await expect(page.get_by_test_id("audit-verdict").locator("p")).to_be_visible()
    await page.get_by_test_id("audit-codes").first.click()
    await looker.look("audit")
    await tab.open("/admin/exports")
    await page.get_by_test_id("export-start").click()
    await expect(page.get_by_test_id("export-row").first).to_have_attribute("data-state", "done")
    await looker.look("exports")


@pytest.mark.parametrize("locale", ["ru", "en"])
async def test_axe_finds_nothing_in_any_state(
    locale: str, browse: Browse, stored: Stored, model: ModelServer, watch: Watch
) -> None:
    """Each state is opened once and looked at in all its themes and widths; on the way Esc closes
    what was opened, and the focus is back at what opened it."""

    async def looker_of(who: str) -> tuple[Looker, Tab]:
        context = await browse(who, locale=locale, viewport={"width": 1440, "height": HEIGHT})
        await context.add_init_script(AXE)
        page = await context.new_page()
        return Looker(page, locale), Tab(page)

    stranger, _ = await looker_of("")
    await stranger.page.goto("/login?error=wrong_credentials")
    await expect(stranger.page.get_by_role("alert")).to_be_visible()
    await stranger.look("login")
    watch.allow("status of 404 .*far/away")  # the console says it of a page
    await stranger.page.goto("/far/away/from/here")
    await expect(stranger.page.get_by_role("heading")).to_be_visible()
    await stranger.look("no such page")
    user, tab = await looker_of("alice")
    await chat_states(user, tab, stored, model)
    await settings_states(user, tab)
    admin, tab = await looker_of("carol")
    await review_states(admin, tab)
    await verified_states(admin, tab)
    await admin_states(admin, tab)
    assert stranger.faults + user.faults + admin.faults == []


async def test_a_word_that_is_wider_than_the_screen_widens_no_page(
    browse: Browse, stored: Stored, open_api: OpenApi
) -> None:
    """Wherever somebody may write one: in titles, messages, names, comments, notes."""
    alice, rita = await open_api("alice"), await open_api("rita")
    dialog_id = stored.add_dialog("alice", UNBROKEN, [(UNBROKEN, UNBROKEN)])
    answer = stored.answer(dialog_id).id
    comment = {"rating": "down", "reason": "wrong", "comment": UNBROKEN}
    verified = {"question": UNBROKEN, "answer": UNBROKEN}
    for client, path, body in (
        (alice, f"/messages/{answer}/feedback", comment),
        (alice, "/me/keys", {"name": UNBROKEN[:60]}),
        (rita, f"/admin/api/dialogs/{dialog_id}/notes", {"text": UNBROKEN}),
        (rita, "/admin/api/verified", verified),
    ):
        done = await client.post(path, json=body)
        assert done.is_success, done.text
    assert (await rita.get(f"/admin/api/dialogs/{dialog_id}/messages")).is_success

    wide: list[str] = []
    for who, address, part in (
        ("alice", f"/c/{dialog_id}", "message-assistant"),
        ("alice", "/settings", "reader-row"),
        ("carol", f"/admin/dialogs/{dialog_id}", "review-dialog"),
        ("carol", "/admin/verified", "verified-row"),
        ("carol", "/admin/users", "person-row"),
        ("carol", "/admin/audit", "audit-row"),
        ("carol", "/admin/exports", "export-start"),
    ):
        page = await (await browse(who, viewport={"width": 1440, "height": HEIGHT})).new_page()
        await Tab(page).open(address)
        await expect(page.get_by_test_id(part).first).to_be_visible()
        for width in (1440, 360):
            await page.set_viewport_size({"width": width, "height": HEIGHT})
            wide += [f"{address} {width}: {each}" for each in await page.evaluate(WIDE)]
            if too_tall := await page.evaluate(TALL):
                wide.append(f"{address} {width}: the page scrolls by {too_tall} px")
        await page.close()
    assert wide == []
