"""One browser for all, a new context for each test, and a watch over every page of it.

The tests here run in one event loop for the whole session, because the browser lives in it:
`pytestmark = E2E` in each module.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    StorageState,
    expect,
)

from tests.cast import PASSWORDS
from tests.e2e.chromium import launched
from tests.e2e.stored import Stored
from tests.e2e.tab import Tab
from tests.fakes.app_process import AppProcess

TIMEOUT_MS = 30_000  # only ends what hangs
OWN_SCHEMES = ("data", "blob", "about")


class Watch:
    """Notes what no page of ours may ever do; the test that made it do so fails at its end.

    A console error, an error that no script caught, a request to another host, a message box.
    `allow` is for tests that take the network away: what it matches is expected.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._problems: list[str] = []
        self._allowed: list[re.Pattern[str]] = []

    def allow(self, pattern: str) -> None:
        self._allowed.append(re.compile(pattern))

    @property
    def problems(self) -> list[str]:
        """All that was noted and not allowed."""
        return [each for each in self._problems if not any(a.search(each) for a in self._allowed)]

    def over(self, context: BrowserContext, origin: str) -> None:
        """Watch every page of `context`; everything it asks for must be of `origin`."""
        own = urlsplit(origin).netloc

        def requested(request: Request) -> None:
            self._asked(request.url, own)

        def opened(page: Page) -> None:
            page.on("websocket", lambda socket: self._asked(socket.url, own))
            page.on("dialog", boxed)

        async def boxed(dialog: Dialog) -> None:
            self._problems.append(f"message box: {dialog.type} {dialog.message}")
            await dialog.dismiss()

        def said(message: ConsoleMessage) -> None:
            if message.type == "error":
                where = message.location.get("url", "")
                self._problems.append(f"console {message.type}: {message.text} at {where}")

        context.on("request", requested)
        context.on("page", opened)
        context.on("console", said)
        context.on("weberror", lambda error: self._problems.append(f"page error: {error.error}"))

    def _asked(self, url: str, own: str) -> None:
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme not in OWN_SCHEMES and parts.netloc != own:
            self._problems.append(f"foreign request: {url}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncGenerator[Browser]:
    expect.set_options(timeout=TIMEOUT_MS)
    async with launched() as running:
        yield running


@pytest.fixture
def watch() -> Generator[Watch]:
    watching = Watch()
    yield watching
    assert watching.problems == []


Browse = Callable[..., Awaitable[BrowserContext]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def logins() -> dict[tuple[AppProcess, str], StorageState]:
    """What the browser keeps of a login, by product and person. Each logs in once.

    By the product itself: the address of one that has ended may be another's by now.
    """
    return {}


@pytest_asyncio.fixture(loop_scope="session")
async def browse(
    browser: Browser,
    watch: Watch,
    logins: dict[tuple[AppProcess, str], StorageState],
    request: pytest.FixtureRequest,
) -> AsyncGenerator[Browse]:
    """Opens contexts of `app`, or of the process given: `await browse("bob", locale="en")`.

    `who`: one of the cast, or a name and its password; without it nobody is logged in. `locale` is
    the language that was chosen before.
    """
    contexts: list[BrowserContext] = []

    async def browse_as(
        who: str | tuple[str, str] = "",
        *,
        at: AppProcess | None = None,
        locale: str = "",
        **options: Any,
    ) -> BrowserContext:
        name, password = (who, PASSWORDS.get(who, "")) if isinstance(who, str) else who
        process: AppProcess = at or request.getfixturevalue("app")
        kept = logins.get((process, name))
        context = await browser.new_context(base_url=process.url, storage_state=kept, **options)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        watch.over(context, process.url)
        if name and kept is None:
            page = await context.new_page()
            await log_in(page, name, password)
            await page.close()
            logins[process, name] = await context.storage_state()
        if locale:
            await context.add_cookies(
                [{"name": "genai_locale", "value": locale, "url": process.url}]
            )
        return context

    yield browse_as
    for context in contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tab(browse: Browse) -> Tab:
    """Alice's tab at a new dialog."""
    opened = Tab(await (await browse("alice")).new_page())
    await opened.open()
    return opened


@pytest.fixture
def stored(app: AppProcess) -> Generator[Stored]:
    """What the database of `app` holds."""
    with Stored(app.database_url) as reading:
        yield reading


async def log_in(page: Page, name: str, password: str = "") -> None:
    """By the real form, to the empty chat. The cast's passwords are known."""
    await page.goto("/login")
    await page.get_by_test_id("login-username").fill(name)
    await page.get_by_test_id("login-password").fill(password or PASSWORDS[name])
    await page.get_by_test_id("login-submit").click()
    await page.wait_for_url("**/")
    await Tab(page).ready()
