"""`/admin/api/audit`: administrators read who did what, and that they did."""

from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.models import AuditEvent
from genai_app.services.accounts.users import Users
from tests.conftest import OpenApi
from tests.fakes.app_process import AppProcess

PATH = "/admin/api/audit"


async def listed(client: httpx.AsyncClient, **query: object) -> list[dict[str, object]]:
    answer = await client.get(PATH, params={key: str(value) for key, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def events_of(db: Database, name: str) -> list[tuple[str, str, str]]:
    async with db.read() as session:
        found = await session.scalars(
            sa.select(AuditEvent)
            .where(col(AuditEvent.actor_name) == name)
            .order_by(col(AuditEvent.id))
        )
        return [(row.action, row.outcome, row.target) for row in found]


async def test_events_by_who_what_and_when(
    open_api: OpenApi, app_db: Database, newcomer: tuple[str, str]
) -> None:
    name, _ = newcomer
    await Users(app_db, by="the test").set_limit(name, "5/minute")
    await Users(app_db, by="the test").disable(name)
    carol = await open_api("carol")
    found = await listed(carol, target=name.upper())
    assert [item["action"] for item in found] == ["user_disable", "limit_change", "user_add"]
    assert found[1]["details"] == "limit=5/minute"
    assert [item["id"] for item in await listed(carol, target=name, action="limit_change")] == [
        found[1]["id"]
    ]
    assert await listed(carol, target=name, who="nobody") == []
    assert await listed(carol, target=name, outcome="refused") == []
    tomorrow = (clock.now() + timedelta(days=1)).isoformat()
    assert await listed(carol, target=name, since=tomorrow) == []
    assert len(await listed(carol, target=name, until=tomorrow)) == 3


async def test_pages(open_api: OpenApi, app_db: Database, newcomer: tuple[str, str]) -> None:
    """Every event once, also where many have the same moment."""
    name, _ = newcomer
    moment = clock.now()
    async with app_db.write() as session:
        session.add_all(
            AuditEvent(at=moment, action="login", outcome="done", target=name) for _ in range(7)
        )
    carol = await open_api("carol")
    seen: list[str] = []
    cursor = None
    while True:
        query = {"target": name, "limit": "3", **({"cursor": cursor} if cursor else {})}
        page = (await carol.get(PATH, params=query)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 8


async def test_reading_the_audit_is_an_event(open_api: OpenApi, app_db: Database) -> None:
    carol = await open_api("carol")
    await listed(carol, action="login", who="bob")
    assert ("admin_view", "done", "audit") in await events_of(app_db, "carol")


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", f"{PATH}/verify")])
async def test_users_are_refused_and_audited(
    method: str, path: str, open_api: OpenApi, app_db: Database
) -> None:
    someone = await open_api()
    name = (await someone.get("/me")).json()["username"]
    answer = await someone.request(method, path)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"
    assert ("access", "refused", f"{method} {path}") in await events_of(app_db, name)


async def test_the_chain_is_checked(open_api: OpenApi, app: AppProcess) -> None:
    """The running product has sealed what happened, and signed the end."""
    carol = await open_api("carol")
    found = (await carol.post(f"{PATH}/verify")).json()
    assert found["holds"] is True
    assert found["count"] >= found["head"] > 0  # events go on while it is checked
    assert (app.data_dir / "audit.anchor").exists()


@pytest.mark.parametrize("odd", ["x", "' OR 1=1", "%", "\\", "\x00"])
async def test_odd_filters_are_answered(odd: str, open_api: OpenApi) -> None:
    """Text stands for itself, and what is no date or action is a clear error."""
    carol = await open_api("carol")
    assert await listed(carol, who=odd, target=odd) == []
    for name in ("since", "action"):
        assert (await carol.get(PATH, params={name: odd})).status_code == 422
