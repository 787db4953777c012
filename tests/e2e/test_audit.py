"""`/admin/audit`: an administrator looks for what happened, and has the record checked."""

from typing import Any

import pytest
import sqlalchemy as sa
from playwright.async_api import expect

from genai_app.db.database import Database
from genai_app.services.accounts.users import Users
from tests.conftest import StartApp
from tests.e2e.chromium import E2E
from tests.e2e.conftest import Browse
from tests.e2e.tab import Tab
from tests.e2e.test_looks import assert_accessible, assert_language, has_theme

pytestmark = E2E


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_an_administrator_reads_and_checks_the_record(
    theme: Any, start_app: StartApp, browse: Browse
) -> None:
    app = start_app()
    database = Database(app.database_url)
    await Users(database, by="the night shift").set_limit("alice", "7/minute")
    page = await (await browse("carol", at=app, color_scheme=theme)).new_page()
    await page.goto("/admin/audit")
    await Tab(page).ready()
    await has_theme(page, theme)
    rows = page.get_by_test_id("audit-row")
    changed = rows.filter(has_text="the night shift")
    await expect(changed).to_contain_text("Изменён лимит: alice")
    await expect(changed).to_contain_text("лимит: 7 вопросов в минуту")
    await expect(changed.get_by_text("limit=7/minute")).to_be_hidden()
    await changed.get_by_test_id("audit-codes").click()
    await expect(changed.get_by_text("limit=7/minute")).to_be_visible()
    await assert_language(page, "ru", "Просмотрен раздел")
    await page.get_by_test_id("audit-action").select_option("limit_change")
    await expect(rows).to_have_count(1)
    await page.get_by_test_id("audit-actor").fill("somebody else")
    await expect(page.get_by_text("Событий не найдено")).to_be_visible()
    await page.get_by_test_id("audit-actor").fill("The Night Shift")
    await expect(rows).to_have_count(1)
    await page.get_by_test_id("audit-actor").fill("")
    await changed.get_by_test_id("audit-of-actor").click()  # a name narrows the list to its own
    await expect(page.get_by_test_id("audit-actor")).to_have_value("the night shift")
    await page.get_by_test_id("audit-verify").click()
    await expect(page.get_by_test_id("audit-verdict")).to_contain_text("Журнал цел")
    await assert_accessible(page)

    await expect(rows.first).not_to_contain_text("…")
    async with database.write() as session:
        await session.execute(sa.text("DROP TRIGGER audit_sealed_update"))
        await session.execute(
            sa.text(
                "UPDATE audit_events SET details = 'limit=9/minute' WHERE action = 'limit_change'"
            )
        )
    await database.close()
    await page.get_by_test_id("audit-verify").click()
    await expect(page.get_by_test_id("audit-verdict")).to_contain_text("изменено после записи")
