"""A user changes the password: by the API and by the form of the settings page."""

import httpx
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent, Origin, User
from tests.conftest import OpenApi
from tests.fakes.api_client import checked_error, client_of, new_token
from tests.fakes.app_process import AppProcess
from tests.fakes.log_lines import LogMark

OLD = "somebody: who asks by scripts 6"
NEW = "Новый пароль: 9 лошадей"
ADDRESS = "/me/password"


def body(current: str = OLD, new: str = NEW) -> dict[str, str]:
    return {"current_password": current, "new_password": new}


async def events_of(db: Database, name: str) -> list[tuple[str, str]]:
    query = sa.select(AuditEvent).where(
        col(AuditEvent.action) == "user_password", col(AuditEvent.actor_name) == name
    )
    async with db.read() as session:
        rows = await session.scalars(query.order_by(col(AuditEvent.id)))
        return [(row.outcome, row.details) for row in rows]


async def test_by_the_api(open_api: OpenApi, app: AppProcess, app_db: Database) -> None:
    """The new one holds, the old one does not; other logins end, this one and keys go on."""
    api = await open_api()
    name = (await api.get("/me")).json()["username"]
    key = (await api.post("/me/keys", json={"name": "k"})).json()["key"]
    other, by_key = client_of(app, await new_token(app, name, OLD)), client_of(app, key)
    log = LogMark(app)
    checked_error(await by_key.post(ADDRESS, json=body()), 403, "login_needed")
    wrong = checked_error(await api.post(ADDRESS, json=body("x")), 403, "wrong_current_password")
    assert wrong["message"]
    for weak in ("short", " " * 12, "я" * 600):
        checked_error(await api.post(ADDRESS, json=body(new=weak)), 422, "weak_password")
    for malformed in ({}, {"current_password": OLD}, {**body(), "more": 1}):
        checked_error(await api.post(ADDRESS, json=malformed), 422)
    assert (await other.get("/me")).status_code == 200

    assert (await api.post(ADDRESS, json=body())).status_code == 204
    assert (await api.get("/me")).status_code == 200
    assert (await by_key.get("/me")).status_code == 200
    checked_error(await other.get("/me"), 401)
    assert await new_token(app, name, NEW)
    old = await other.post("/token", json={"username": name, "password": OLD})
    checked_error(old, 401, "wrong_credentials")
    assert await events_of(app_db, name) == [("refused", "reason=wrong_password"), ("done", "")]
    assert not any(each in log.text() for each in (OLD, NEW))
    for client in (other, by_key):
        await client.aclose()


async def test_wrong_ones_are_counted(open_api: OpenApi) -> None:
    """Whoever finds a page open guesses no password at it."""
    api = await open_api()
    for _ in range(5):
        checked_error(await api.post(ADDRESS, json=body("guess")), 403)
    answer = await api.post(ADDRESS, json=body())
    checked_error(answer, 429, "too_many_logins")
    assert int(answer.headers["retry-after"]) > 0


async def test_of_the_directory_it_is_changed_elsewhere(
    open_api: OpenApi, app_db: Database
) -> None:
    api = await open_api()
    name = (await api.get("/me")).json()["username"]
    async with app_db.write() as session:
        await session.execute(
            sa.update(User).where(col(User.username) == name).values(origin=Origin.DIRECTORY)
        )
    checked_error(await api.post(ADDRESS, json=body()), 409, "password_elsewhere")


async def test_by_the_form(open_api: OpenApi, app: AppProcess) -> None:
    """The cookie of this login stays good; nothing of a password is in the address."""
    name = (await (await open_api()).get("/me")).json()["username"]
    async with httpx.AsyncClient(base_url=app.url) as browser:

        async def post(current: str, new: str, repeat: str, **headers: str) -> str:
            form = {"current": current, "new": new, "repeat": repeat}
            answer = await browser.post("/settings/password", data=form, headers=headers)
            assert answer.status_code == 303
            return answer.headers["location"]

        assert await post(OLD, NEW, NEW) == "/login?next=%2Fsettings"
        login = await browser.post("/login", data={"username": name, "password": OLD})
        cookie = {"cookie": login.headers["set-cookie"].partition(";")[0]}
        browser.cookies.clear()
        there = "/settings?password={}#password"
        foreign = await post(OLD, NEW, NEW, **cookie, origin="https://evil.example")
        assert foreign == "/settings?password=foreign_origin"
        assert await post(OLD, NEW, NEW + "x", **cookie) == there.format("passwords_differ")
        assert await post("x", NEW, NEW, **cookie) == there.format("wrong_current_password")
        assert await post(OLD, "x", "x", **cookie) == there.format("weak_password")
        assert await post(OLD, NEW, NEW, **cookie) == there.format("changed")
        assert await post(NEW, OLD, OLD, **cookie) == there.format("changed")
    assert await new_token(app, name, OLD)
