"""Drafts, sessions that end, several tabs, a frozen line, and where in a dialog the reader is."""

import re
import uuid
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from tests.cast import PASSWORDS
from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse, Watch, log_in
from tests.e2e.held import Held
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.services import free_port
from tests.fakes.weak_line import WeakLine

pytestmark = E2E

FOLLOWED_MS = 2_000
NOTICED_MS = 10_000
LOST = r"^console error: (WebSocket connection to|Failed to load resource: net::ERR_)"


async def new_tab(context: BrowserContext, path: str = "/") -> Tab:
    tab = Tab(await context.new_page())
    await tab.open(path)
    return tab


async def sign_in_again(page: Page, name: str) -> None:
    """On the login page as it stands, and back to where it leads."""
    await page.get_by_test_id("login-username").fill(name)
    await page.get_by_test_id("login-password").fill(PASSWORDS[name])
    await page.get_by_test_id("login-submit").click()
    await Tab(page).ready()


async def test_no_dialog_is_shown_at_the_address_of_another_one(app: AppProcess, browse: Browse):
    """From the click on, however late the server answers. A first question stays on the screen."""
    with Stored(app.database_url) as stored:
        first, second = (
            stored.add_dialog("alice", each, [(f"{each}?", "b")]) for each in ("Первый", "Второй")
        )
        context = await browse("alice")
        tab, held = Tab(await context.new_page()), Held()
        await held.words(tab.page)
        held.release()
        await tab.open(f"/c/{first}")
        await expect(tab.questions).to_contain_text("Первый?")
        link = tab.item("Второй").get_by_role("link")
        new = tab.page.get_by_test_id("new-dialog")
        for go, dialog in (
            (link.click, second),
            (tab.page.go_back, first),
            (tab.page.go_forward, second),
            (new.click, None),
            (tab.page.go_back, second),
        ):
            held.hold()
            await go()
            await tab.page.wait_for_url(f"**/c/{dialog}" if dialog else "**/")
            await expect(tab.page.locator(".message:visible")).to_have_count(0)
            held.release()
            if dialog:
                words = "Первый?" if dialog == first else "Второй?"
                await expect(tab.questions).to_contain_text(words)
                await expect(tab.questions).to_be_visible()
            else:
                await expect(tab.page.locator(".greeting")).to_be_visible()
        await new.click()
        await expect(tab.page.locator(".greeting")).to_be_visible()
        await tab.page.evaluate("""() => {
            window.turned = 0;
            new MutationObserver(() => { turned += 1; }).observe(
                document.getElementById('content'), { attributeFilter: ['data-turning'] });
        }""")
        await tab.ask_and_read("Новый вопрос")
        await expect(tab.questions).to_be_visible()
        assert await tab.page.evaluate("turned") == 0


async def test_a_draft_is_of_one_dialog_and_outlives_reload_and_session(
    start_app: StartApp, browse: Browse
):
    """Also one of 100 kB. It is gone when it was sent, and after a logout."""
    app = start_app()
    with Stored(app.database_url) as stored:
        first, second = (stored.add_dialog("alice", each, [("a", "b")]) for each in ("Один", "Два"))
        context = await browse("alice", at=app)
        tab = await new_tab(context, f"/c/{first}")
        long_draft = "Ж" * 50_000
        await tab.composer.fill(long_draft)
        await tab.item("Два").get_by_role("link").click()
        await expect(tab.composer).to_have_value("")
        await tab.composer.fill("второй")
        await tab.page.get_by_test_id("new-dialog").click()
        await expect(tab.composer).to_have_value("")
        await tab.composer.fill("новый")
        await tab.page.get_by_test_id("settings-link").click()
        await tab.page.wait_for_url("**/settings")
        await tab.page.go_back()
        await expect(tab.composer).to_have_value("новый")
        await tab.open(f"/c/{second}")
        await expect(tab.composer).to_have_value("второй")
        await tab.page.go_back()
        await tab.open(f"/c/{first}")
        await expect(tab.composer).to_have_value(long_draft)

        await tab.composer.fill("недописанный вопрос")
        stored.end_sessions("alice")
        await tab.page.wait_for_url("**/login?**")
        await expect(tab.page.get_by_role("alert")).to_contain_text("Сеанс завершён")
        await sign_in_again(tab.page, "alice")
        await expect(tab.page).to_have_url(re.compile(rf"/c/{first}$"))
        await expect(tab.composer).to_have_value("недописанный вопрос")
        await tab.composer.press("Enter")
        await tab.ends()
        await expect(tab.composer).to_have_value("")
        await tab.reload()
        await expect(tab.composer).to_have_value("")

        stored.end_sessions("alice")
        await tab.page.wait_for_url("**/login?**")
        await sign_in_again(tab.page, "bob")
        await tab.open("/")
        await expect(tab.composer).to_have_value("")
        await tab.page.get_by_test_id("logout").click()
        await tab.page.wait_for_url("**/login")
        await log_in(tab.page, "alice")
        await expect(tab.composer).to_have_value("")


@pytest.mark.parametrize("how", ["blocked", "full"])
async def test_a_browser_that_keeps_nothing(how: str, browse: Browse):
    """The page works as without drafts, and the draft stays while the page does."""
    context = await browse("alice")
    thrown = "throw new DOMException('no', 'QuotaExceededError')"
    refused = {
        "blocked": f"for (const a of ['setItem', 'getItem', 'removeItem']) Storage.prototype[a] = "
        f"function (key) {{ if (key.startsWith('genai_draft')) {thrown}; return null; }};",
        "full": f"const set = Storage.prototype.setItem; Storage.prototype.setItem = function (key,"
        f" text) {{ if (key.startsWith('genai_draft')) {thrown}; set.call(this, key, text); }};",
    }
    await context.add_init_script(refused[how])
    tab = await new_tab(context)
    await tab.composer.fill("черновик")
    await tab.page.get_by_test_id("settings-link").click()
    await tab.page.wait_for_url("**/settings")
    await tab.page.go_back()
    await expect(tab.composer).to_have_value("черновик")
    await tab.composer.press("Enter")
    await tab.ends()
    await expect(tab.composer).to_have_value("")


async def test_all_tabs_of_a_user_follow_a_dialog(browse: Browse, model: ModelServer):
    """A question, its answer while it grows, stop, another answer, a name, the dialog's end."""
    context = await browse("alice")
    tab, other, idle = [await new_tab(context) for _ in range(3)]
    name = f"Две вкладки {uuid.uuid4()}"
    await tab.ask_and_read(name)
    await expect(idle.item(name)).to_be_visible(timeout=FOLLOWED_MS)
    await other.open(f"/c/{tab.dialog_id}")

    hold = uuid.uuid4().hex
    model.script_once(Say(("сло", "во ")), Hold(hold), End())
    await tab.ask("Второй вопрос")
    await expect(other.questions).to_have_count(2, timeout=FOLLOWED_MS)
    await expect(other.answer_text.first).to_contain_text("слово")
    await other.stop_button.click()
    for each in (tab, other):
        await each.ends("stopped")
    model.release(hold)
    await other.answer.get_by_test_id("regenerate").click()
    await expect(other.answer.locator(".branch-place")).to_have_text("2 / 2")
    await expect(tab.answer.locator(".branch-place")).to_have_text("2 / 2", timeout=FOLLOWED_MS)
    await tab.ends()

    new_name = f"Новое имя {uuid.uuid4()}"
    await idle.choose(name, "rename")
    await idle.page.locator(".dialog-edit input").fill(new_name)
    await idle.page.locator(".dialog-edit input").press("Enter")
    await expect(other.item(new_name)).to_be_visible(timeout=FOLLOWED_MS)
    await idle.choose(new_name, "delete")
    await expect(tab.error).to_be_visible(timeout=FOLLOWED_MS)
    await expect(other.item(new_name)).to_have_count(0, timeout=FOLLOWED_MS)


Line = tuple[AppProcess, WeakLine, str]


@pytest_asyncio.fixture(loop_scope="session")
async def line(start_app: StartApp) -> AsyncGenerator[Line]:
    """A product behind a line that may freeze, and the address to open."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = start_app(public_url=url)
    async with WeakLine(app.port, port) as weak:
        yield app, weak, url


@pytest.mark.parametrize("end", ["thaw", "cut"])
async def test_a_question_on_a_frozen_line_waits_and_is_sent_once(
    end: str, line: Line, browse: Browse, watch: Watch, model: ModelServer
):
    """It says so within ten seconds; reload and other dialogs do not lose the question."""
    watch.allow(LOST)
    app, weak, url = line
    direct_url, app.url = app.url, url
    try:
        tab = await new_tab(await browse("alice", at=app))
        await tab.ask_and_read("До сбоя")
        asked = len(model.answers)
        text = f"Вопрос при сбое {uuid.uuid4()}"
        weak.freeze()
        offline = tab.page.get_by_test_id("offline")
        await tab.composer.fill(text)
        await tab.composer.press("Enter")
        queued = tab.page.get_by_test_id("queued")
        await expect(queued).to_contain_text(text)
        await expect(tab.composer).to_have_value(text)
        await expect(offline).to_be_visible(timeout=NOTICED_MS)
        await tab.composer.press("Enter")
        getattr(weak, end)()
        await expect(tab.questions.last).to_have_text(re.compile(text), timeout=20_000)
        await expect(queued).to_have_count(0)
        await expect(offline).to_have_count(0)
        await expect(tab.composer).to_have_value("")
        await tab.ends()
        await tab.ask_and_read("После сбоя")
        with Stored(app.database_url) as stored:
            assert len(stored.questions(text)) == 1
        assert len(model.answers) == asked + 2
    finally:
        app.url = direct_url
