"""`/admin/api/users`: administrators see accounts and change them."""

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent
from genai_app.services.accounts.users import Users
from tests.conftest import OpenApi
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import AppProcess
from tests.fakes.questions import question
from tests.fakes.raw_http import new_address

PATH = "/admin/api/users"
NOBODY = "00000000-0000-7000-8000-000000000000"


async def find(client: httpx.AsyncClient, name: str) -> dict[str, object]:
    found = (await client.get(PATH, params={"q": name})).json()["items"]
    assert len(found) == 1
    return found[0]


async def events_on(db: Database, name: str) -> list[tuple[str, str, str]]:
    async with db.read() as session:
        found = await session.scalars(
            sa.select(AuditEvent)
            .where(col(AuditEvent.target) == name, col(AuditEvent.actor_name) == "carol")
            .order_by(col(AuditEvent.id))
        )
        return [(row.action, row.outcome, row.details) for row in found]


async def test_an_account_is_found_and_changed(
    open_api: OpenApi, app_db: Database, newcomer: tuple[str, str]
) -> None:
    """Each change holds at once and is one event."""
    name, _ = newcomer
    carol = await open_api("carol")
    row = await find(carol, name.upper())
    assert (row["role"], row["origin"], row["disabled_at"]) == ("user", "local", None)
    path = f"{PATH}/{row['id']}"
    change = {"role": "reviewer", "rate_limit": "7/minute", "department": "Связь"}
    changed = (await carol.patch(path, json=change)).json()
    assert (changed["role"], changed["limit"], changed["department"]) == (
        *("reviewer", "7/minute"),
        "Связь",
    )
    assert (await find(carol, "связь"))["id"] == row["id"]
    assert (await carol.patch(path, json={"rate_limit": ""})).json()["rate_limit"] is None
    assert (await carol.patch(path, json={"disabled": True})).json()["disabled_at"]
    assert (await carol.patch(path, json={"disabled": False})).json()["disabled_at"] is None
    assert await events_on(app_db, name) == [
        ("role_change", "done", "before=user role=reviewer"),
        ("limit_change", "done", "limit=7/minute"),
        ("setting_change", "done", "department=Связь"),
        ("limit_change", "done", "limit=default"),
        ("user_disable", "done", ""),
        ("user_enable", "done", ""),
    ]


async def test_a_pause_after_wrong_passwords_is_lifted(
    open_api: OpenApi, app: AppProcess, app_db: Database, newcomer: tuple[str, str]
) -> None:
    """The text names the wait; only an administrator lifts it; one event tells who did."""
    name, password = newcomer
    carol = await open_api("carol")
    path = f"{PATH}/{(await find(carol, name))['id']}/unlock"
    async with client_of(app) as client:
        client.headers["x-forwarded-for"] = new_address()

        async def log_in(secret: str) -> httpx.Response:
            return await client.post("/token", json={"username": name, "password": secret})

        for _ in range(5):
            assert (await log_in("no: such key 1")).status_code == 401
        refused = await log_in(password)
        assert refused.status_code == 429
        minutes = -(-int(refused.headers["retry-after"]) // 60)
        assert refused.json()["error"]["message"].endswith(f"через {minutes} мин.")
        alice = await open_api("alice")
        assert (await alice.post(path)).status_code == 403
        assert (await carol.post(f"{PATH}/{NOBODY}/unlock")).status_code == 404
        assert (await carol.post(path)).status_code == 204
        assert (await log_in(password)).status_code == 200
    assert await events_on(app_db, name) == [("user_unlock", "done", "")]


async def test_logins_and_keys_are_ended(
    open_api: OpenApi, app: AppProcess, newcomer: tuple[str, str]
) -> None:
    """What was ended opens nothing any more."""
    name, password = newcomer
    carol = await open_api("carol")
    async with client_of(app, await new_token(app, name, password)) as erin:
        made = (await erin.post("/me/keys", json={"name": "nightly"})).json()
        async with client_of(app, made["key"]) as script:
            assert (await script.get("/me")).status_code == 200
            path = f"{PATH}/{(await find(carol, name))['id']}"
            shown = (await carol.get(path)).json()
            assert [each["name"] for each in shown["keys"]] == ["nightly"]
            assert (await carol.delete(f"{path}/keys/{made['id']}")).status_code == 204
            assert (await carol.delete(f"{path}/keys/{made['id']}")).status_code == 404
            assert (await script.get("/me")).status_code == 401
        session = shown["sessions"][0]["id"]
        assert (await carol.delete(f"{path}/sessions/{session}")).status_code == 204
        assert (await erin.get("/me")).status_code == 401
        assert (await carol.delete(f"{path}/sessions/{session}")).status_code == 404
        assert (await carol.delete(f"{path}/sessions")).status_code == 204


async def test_nobody_changes_their_own_rights(open_api: OpenApi) -> None:
    carol = await open_api("carol")
    path = f"{PATH}/{(await find(carol, 'carol'))['id']}"
    for change in ({"role": "user"}, {"disabled": True}):
        answer = await carol.patch(path, json=change)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "own_account")
    assert (await carol.get("/me")).json()["role"] == "admin"


async def test_a_limit_that_is_none(open_api: OpenApi, newcomer: tuple[str, str]) -> None:
    carol = await open_api("carol")
    path = f"{PATH}/{(await find(carol, newcomer[0]))['id']}"
    for text in ("many", "0/minute", "5/fortnight"):
        answer = await carol.patch(path, json={"rate_limit": text})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_limit")


async def test_pages_and_filters(open_api: OpenApi, app_db: Database) -> None:
    """Everybody once, by name; text stands for itself."""
    for n in range(5):
        await Users(app_db).add(f"paged_{n}", "paged: somebody of a list 7")
    carol = await open_api("carol")
    seen: list[str] = []
    query = {"q": "PAGED_", "limit": "2"}
    while True:
        page = (await carol.get(PATH, params=query)).json()
        seen += [each["username"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [f"paged_{n}" for n in range(5)]
    for odd in ("' OR 1=1", "%", "\\", "paged%", "\x00"):
        assert (await carol.get(PATH, params={"q": odd})).json()["items"] == []
    disabled = (await carol.get(PATH, params={"disabled": "true", "q": "dan"})).json()["items"]
    assert "dan" in {each["username"] for each in disabled}
    admins = (await carol.get(PATH, params={"role": "admin"})).json()["items"]
    assert {each["role"] for each in admins} == {"admin"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", PATH, None),
        ("GET", f"{PATH}/{NOBODY}", None),
        ("PATCH", f"{PATH}/{NOBODY}", {"role": "admin"}),
        ("PATCH", f"{PATH}/{NOBODY}", {"rate_limit": "9/second"}),
        ("DELETE", f"{PATH}/{NOBODY}/sessions", None),
        ("DELETE", f"{PATH}/{NOBODY}/sessions/{NOBODY}", None),
        ("DELETE", f"{PATH}/{NOBODY}/keys/{NOBODY}", None),
    ],
)
async def test_users_are_refused_and_administrators_find_nobody(
    method: str, path: str, body: object, open_api: OpenApi, app_db: Database
) -> None:
    """The refusal is in the audit."""
    someone, carol = await open_api(), await open_api("carol")
    name = (await someone.get("/me")).json()["username"]
    assert (await someone.request(method, path, json=body)).status_code == 403
    async with app_db.read() as session:
        told = await session.scalars(
            sa.select(col(AuditEvent.target)).where(
                col(AuditEvent.actor_name) == name, col(AuditEvent.outcome) == "refused"
            )
        )
    assert [target.split()[0] for target in told] == [method]
    if path != PATH:
        assert (await carol.request(method, path, json=body)).status_code == 404


async def test_questions_that_a_program_brings_along_are_not_counted(
    open_api: OpenApi, app: AppProcess, newcomer: tuple[str, str]
) -> None:
    """Its own history was answered elsewhere; only the last question was asked here."""
    name, password = newcomer
    history = [("user", question("tokens=1")), ("assistant", "elsewhere")] * 3
    messages = [*history, ("user", question("tokens=1"))]
    body = {
        "model": "fake-model",
        "messages": [{"role": role, "content": text} for role, text in messages],
    }
    async with client_of(app, await new_token(app, name, password)) as erin:
        assert (await erin.post("/v1/chat/completions", json=body)).status_code == 200
    carol = await open_api("carol")
    shown = (await carol.get(f"{PATH}/{(await find(carol, name))['id']}")).json()
    assert shown["questions"] == 1
