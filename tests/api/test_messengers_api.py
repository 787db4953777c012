"""`/me/messenger`: codes for a messenger, and the links that they made."""

from collections.abc import Generator

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent, MessengerCode
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import a_uuid, checked_error, client_of
from tests.fakes.app_process import AppProcess
from tests.fakes.telegram_server import TOKEN, TelegramServer

CHOICE = {"messenger": "telegram"}


@pytest.fixture
def telegram() -> Generator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
def bot_app(start_app: StartApp, telegram: TelegramServer) -> AppProcess:
    """A product with the bot for Telegram, and room for one question a minute."""
    return start_app(
        telegram_token=TOKEN,
        telegram_api_url=telegram.url,
        rate_limit="1/minute",
        trusted_proxy_hops=1,
    )


async def events(app: AppProcess) -> list[tuple[str, str, str, str]]:
    """The audit's events of messengers, oldest first."""
    db = Database(app.database_url)
    async with db.read() as session:
        query = sa.select(AuditEvent).where(col(AuditEvent.action).startswith("messenger_"))
        rows = list(await session.scalars(query.order_by(col(AuditEvent.at))))
        codes = [each.code_hash for each in await session.scalars(sa.select(MessengerCode))]
    await db.close()
    assert len(codes) <= 1  # an earlier code is void
    return [(each.action, each.actor_name, each.target, each.details) for each in rows]


async def test_link_list_and_unlink(
    open_api: OpenApi, bot_app: AppProcess, telegram: TelegramServer
) -> None:
    """Each step audited under the user's name; no step takes a question of the limit."""
    alice, bob = await open_api("alice", at=bot_app), await open_api("bob", at=bot_app)
    assert (await alice.get("/me/messenger")).json() == {"items": []}
    made = [(await alice.post("/me/messenger", json=CHOICE)).json() for _ in range(2)]
    assert all(set(each) == {"code", "url", "expires_at"} for each in made)
    telegram.says(f"/start {made[0]['code']}", 1)
    await telegram.wait(lambda: telegram.texts(1))
    assert (await alice.get("/me/messenger")).json() == {"items": []}
    telegram.says(f"/start {made[1]['code']}", 1001)
    await telegram.wait(lambda: telegram.texts(1001))
    (link,) = (await alice.get("/me/messenger")).json()["items"]
    assert (link["messenger"], link["title"]) == ("telegram", "@user1001")

    path = f"/me/messenger/{link['id']}"
    checked_error(await bob.delete(path), 404)
    assert (await bob.get("/me/messenger")).json() == {"items": []}
    for wrong in (a_uuid(), "x"):
        checked_error(await alice.delete(f"/me/messenger/{wrong}"), 404)
    assert (await alice.delete(path)).status_code == 204
    checked_error(await alice.delete(path), 404)
    assert (await alice.get("/me/messenger")).json() == {"items": []}
    assert await events(bot_app) == [
        ("messenger_code", "alice", "telegram", ""),
        ("messenger_code", "alice", "telegram", ""),
        ("messenger_link", "", "telegram", "reason=wrong_code"),
        ("messenger_link", "alice", "telegram", ""),
        ("messenger_unlink", "alice", "telegram", "reason=unlinked"),
    ]
    assert (await alice.post("/ask", json={"prompt": "q"})).status_code == 200


async def test_who_may_ask_for_a_code(open_api: OpenApi, bot_app: AppProcess) -> None:
    """Who is logged in, for a messenger that is set up. A key lists and unlinks, and links none:
    whoever stole it must not get a way in that outlives it."""
    alice = await open_api("alice", at=bot_app)
    checked_error(await alice.post("/me/messenger", json={"messenger": "mattermost"}), 404)
    for wrong in ({}, {"messenger": "icq"}, {"messenger": 1}, {**CHOICE, "user": "bob"}):
        checked_error(await alice.post("/me/messenger", json=wrong), 422)
    key = (await alice.post("/me/keys", json={"name": "k"})).json()["key"]
    async with client_of(bot_app, key) as program:
        checked_error(await program.post("/me/messenger", json=CHOICE), 403, "login_needed")
        assert (await program.get("/me/messenger")).json() == {"items": []}
        checked_error(await program.delete(f"/me/messenger/{a_uuid()}"), 404)
    async with client_of(bot_app) as nobody:
        checked_error(await nobody.post("/me/messenger", json=CHOICE), 401)
        checked_error(await nobody.get("/me/messenger"), 401)
        checked_error(await nobody.delete(f"/me/messenger/{a_uuid()}"), 401)
    assert await events(bot_app) == []


async def test_a_messenger_that_is_away(
    open_api: OpenApi, bot_app: AppProcess, telegram: TelegramServer
) -> None:
    """Its bot's address is not known yet: no code is made that nobody could use."""
    alice = await open_api("alice", at=bot_app)
    telegram.fails("getMe", 502, "Bad Gateway")
    refused = checked_error(await alice.post("/me/messenger", json=CHOICE), 503)
    assert refused["code"] == "messenger_unavailable"
    assert TOKEN not in refused["message"]
    assert await events(bot_app) == []
    assert (await alice.post("/me/messenger", json=CHOICE)).status_code == 200
