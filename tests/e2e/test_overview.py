"""`/admin` and `/admin/users`, as an administrator meets them."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from genai_app import clock
from genai_app.db.database import Database
from genai_app.models import Dialog, Message, User, new_id
from genai_app.services.accounts.users import Users
from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, has_theme
from tests.fakes.app_process import AppProcess

pytestmark = E2E


async def put_answer(database: Database, user: User, source: str) -> None:
    """One whole answer: its first word after 0.4 s, its last after 2."""
    moment = clock.now()
    dialog = Dialog(user_id=user.id, title="A dialog")
    answer = Message(
        id=new_id(),
        dialog_id=dialog.id,
        user_id=user.id,
        author="assistant",
        text="An answer",
        source=source,
        model="saiga",
        prompt_tokens=1000,
        completion_tokens=234,
        created_at=moment,
        first_token_at=moment + timedelta(milliseconds=400),
        finished_at=moment + timedelta(seconds=2),
    )
    async with database.write() as session:
        session.add(dialog)
        await session.flush()
        session.add(answer)


@pytest.fixture
async def shown(start_app: StartApp) -> AsyncGenerator[tuple[AppProcess, Database]]:
    """A product of the test's own, and our way into its database."""
    app = start_app()
    database = Database(app.database_url)
    yield app, database
    await database.close()


async def alice_of(database: Database) -> User:
    user = await Users(database).find("alice")
    assert user is not None
    return user


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_figures_are_drawn_and_follow(
    theme: Any, shown: tuple[AppProcess, Database], browse: Browse
) -> None:
    app, database = shown
    alice = await alice_of(database)
    await put_answer(database, alice, "model")
    page = await (await browse("carol", at=app, color_scheme=theme)).new_page()
    await page.goto("/admin")
    await Tab(page).ready()
    await has_theme(page, theme)
    tiles = page.get_by_test_id("overview-tiles")
    await expect(tiles).to_contain_text("1\u202f234")
    await expect(tiles).to_contain_text("0,4")
    await expect(page.get_by_test_id("health").first).to_contain_text("мс")
    await expect(page.get_by_test_id("overview-models")).to_contain_text("saiga")
    await assert_accessible(page)
    await put_answer(database, alice, "cache")
    await expect(tiles).to_contain_text("50", timeout=30_000)
    await page.get_by_role("button", name="Месяц").click()
    await expect(page.get_by_test_id("overview-chart").locator("g")).to_have_count(30)
    await page.get_by_test_id("overview-model").select_option("saiga")
    await expect(tiles).to_contain_text("50")


async def test_an_account_is_changed_and_shut(
    shown: tuple[AppProcess, Database], browse: Browse
) -> None:
    """Her page is shut at once; her card says what holds."""
    app, _ = shown
    hers = await (await browse("alice", at=app)).new_page()
    await hers.goto("/")
    await Tab(hers).ready()
    page = await (await browse("carol", at=app)).new_page()
    await page.goto("/admin/users")
    await Tab(page).ready()
    await page.get_by_test_id("people-search").fill("петрова")
    await expect(page.get_by_test_id("person-row")).to_have_count(1)
    await page.get_by_test_id("person-open").click()
    card = page.get_by_test_id("person")
    await expect(card).to_contain_text("alice")
    await page.get_by_test_id("person-limit").fill("many")
    await page.get_by_test_id("person-limit-save").click()
    await expect(page.get_by_role("alert")).to_contain_text("30/minute")
    await page.get_by_test_id("person-limit").fill("7/minute")
    await page.get_by_test_id("person-limit-save").click()
    await expect(card).to_contain_text("7 вопросов в минуту")
    await page.get_by_role("button", name="Проверяющий").click()
    await expect(card).to_contain_text("Проверяющий")
    await assert_accessible(page)
    await page.get_by_test_id("person-disable").click()
    await expect(card).to_contain_text("Отключён")
    await hers.wait_for_url("**/login**")
    await page.get_by_test_id("person-enable").click()
    await expect(page.get_by_test_id("person-disable")).to_be_visible()
