"""The link with a messenger on the settings page: what it shows of a code follows by itself."""

from typing import Any

import sqlalchemy as sa

from genai_app import clock
from genai_app.db.database import Database
from genai_app.models import MessengerCode
from tests.conftest import OpenPage, StartApp
from tests.fakes.page_client import PageClient
from tests.fakes.telegram_server import TOKEN, TelegramServer


async def offered(page: PageClient) -> str:
    """The code that the page shows once it is asked for one."""
    await page.send_event("messengers_state.link", messenger="telegram")
    url = await page.wait_for(lambda: view(page).get("link_url"))
    return url.rpartition("=")[2]


def view(page: PageClient) -> dict[str, Any]:
    return page.view("messengers_state")


async def test_the_page_follows_its_code(start_app: StartApp, open_page: OpenPage) -> None:
    """Used, void by a code of another tab, and too old: without a click."""
    with TelegramServer() as telegram:
        app = start_app(telegram_token=TOKEN, telegram_api_url=telegram.url)
        page = await open_page("alice", "/settings", at=app)
        first = await offered(page)
        tab = await open_page("", "/settings", at=app, jar=page.jar)
        second = await offered(tab)
        assert first != second
        await page.wait_for(lambda: view(page)["expired"] == "telegram")
        assert (view(page)["link_url"], view(page)["linked"]) == ("", "")
        telegram.says(f"/start {second}")
        await tab.wait_for(lambda: view(tab)["linked"] == "telegram")
        assert (view(tab)["link_url"], view(tab)["link_qr"], view(tab)["expired"]) == ("", "", "")
        assert [row["title"] for row in view(tab)["links"]] == ["@user1001"]
        await offered(tab)
        assert view(tab)["linked"] == ""
        db = Database(app.database_url)
        async with db.write() as session:
            await session.execute(sa.update(MessengerCode).values(expires_at=clock.now()))
        await db.close()
        await tab.wait_for(lambda: view(tab)["expired"] == "telegram")
        assert view(tab)["link_url"] == ""
