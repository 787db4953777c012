"""The door of scripts: tokens and keys over HTTP."""

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent
from genai_app.services.accounts.users import Users
from tests.cast import PASSWORDS
from tests.conftest import StartApp
from tests.fakes.app_process import AppProcess
from tests.fakes.log_lines import LogMark
from tests.fakes.raw_http import Answer, ask, new_address, post_form

Newcomer = tuple[str, str]


async def post(app: AppProcess, path: str, body: object, **headers: str) -> Answer:
    told = {"content-type": "application/json", **headers}
    return await ask(app, "POST", path, told, json.dumps(body).encode())


async def token_of(app: AppProcess, name: str, password: str, **headers: str) -> dict[str, Any]:
    answer = await post(app, "/token", {"username": name, "password": password}, **headers)
    assert answer.status == 200, answer.text
    return json.loads(answer.body)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def status(app: AppProcess, token: str) -> int:
    return (await ask(app, "GET", "/me/keys", bearer(token))).status


def code_of(answer: Answer) -> str:
    return json.loads(answer.body)["error"]["code"]


async def test_form_and_json(app: AppProcess) -> None:
    form = {"username": "alice", "password": PASSWORDS["alice"]}
    oauth = form | {"grant_type": "password", "scope": "", "client_id": "x"}
    answers = [
        await post_form(app, "/token", urlencode(form).encode()),
        await post_form(app, "/token", urlencode(oauth).encode()),
        await post(app, "/token", form),
        await post(app, "/token", form | {"grant_type": "password"}),
    ]
    for answer in answers:
        assert answer.status == 200, answer.text
        told = json.loads(answer.body)
        assert set(told) == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert (told["token_type"], told["expires_in"]) == ("bearer", 900)
        assert answer.header("cache-control") == "no-store"
        assert answer.header("set-cookie") == ""
        assert await status(app, told["access_token"]) == 200


async def test_refusals(app: AppProcess) -> None:
    """401 for whoever is not let in, 422 for what is no login."""
    for name, password in (("alice", "wrong one"), ("dan", PASSWORDS["dan"]), ("nobody-x", "x")):
        answer = await post(app, "/token", {"username": name, "password": password})
        assert (answer.status, code_of(answer)) == (401, "wrong_credentials")
        assert answer.header("www-authenticate") == "Bearer"
    form = {"username": "alice", "password": PASSWORDS["alice"]}
    odd: list[object] = [{}, [], None, "x", form | {"x": 1}, form | {"password": None}]
    for body in (*odd, form | {"grant_type": "client_credentials"}):
        answer = await post(app, "/token", body)
        assert (answer.status, code_of(answer)) == (422, "invalid_input")
        assert PASSWORDS["alice"] not in answer.text
    for raw in (b"{", b"\xff", b"[" * 10_000):
        answer = await ask(app, "POST", "/token", {"content-type": "application/json"}, raw)
        assert answer.status == 422
    assert (await post_form(app, "/token", b"username=alice")).status == 422


async def test_refresh_and_replay(app: AppProcess) -> None:
    first = await token_of(app, "bob", PASSWORDS["bob"])
    answer = await post(app, "/token/refresh", {"refresh_token": first["refresh_token"]})
    second = json.loads(answer.body)
    assert answer.status == 200
    assert await status(app, second["access_token"]) == 200
    assert await status(app, first["refresh_token"]) == 401
    again = await post(app, "/token/refresh", {"refresh_token": first["refresh_token"]})
    assert (again.status, json.loads(again.body)) == (200, second)
    await post(app, "/token/refresh", {"refresh_token": second["refresh_token"]})
    replay = await post(app, "/token/refresh", {"refresh_token": first["refresh_token"]})
    assert (replay.status, code_of(replay)) == (401, "not_authenticated")
    assert await status(app, first["access_token"]) == 401
    assert await status(app, second["access_token"]) == 401
    for body in ({}, {"refresh_token": 1}, {"refresh_token": "x", "y": 1}):
        assert (await post(app, "/token/refresh", body)).status == 422
    assert (await post(app, "/token/refresh", {"refresh_token": "x"})).status == 401


async def test_logout_is_at_once(app: AppProcess) -> None:
    """Its token is refused from then on; that of another login is not."""
    mine, other = [await token_of(app, "alice", PASSWORDS["alice"]) for _ in range(2)]
    done = await ask(app, "POST", "/logout", bearer(mine["access_token"]))
    assert (done.status, done.body) == (204, b"")
    assert await status(app, mine["access_token"]) == 401
    refresh = {"refresh_token": mine["refresh_token"]}
    assert (await post(app, "/token/refresh", refresh)).status == 401
    assert (await ask(app, "POST", "/logout", bearer(mine["access_token"]))).status == 401
    assert await status(app, other["access_token"]) == 200
    assert (await post_form(app, "/logout", b"")).status == 303


async def test_disabled_is_at_once(app: AppProcess, app_db: Database, newcomer: Newcomer) -> None:
    """Tokens and keys."""
    told = await token_of(app, *newcomer)
    made = await post(app, "/me/keys", {"name": "k"}, **bearer(told["access_token"]))
    key = json.loads(made.body)["key"]
    assert [await status(app, each) for each in (told["access_token"], key)] == [200, 200]
    await Users(app_db).disable(newcomer[0])
    assert [await status(app, each) for each in (told["access_token"], key)] == [401, 401]


async def test_the_life_of_a_key(app: AppProcess) -> None:
    told = await token_of(app, "carol", PASSWORDS["carol"])
    head = bearer(told["access_token"])
    made = await post(app, "/me/keys", {"name": "ночная сборка"}, **head)
    assert made.status == 201
    new = json.loads(made.body)
    listed = json.loads((await ask(app, "GET", "/me/keys", head)).body)["items"]
    assert new["key"] not in str(listed)
    assert {name: new[name] for name in new if name != "key"} in listed

    assert await status(app, new["key"]) == 200
    by_key = await post(app, "/me/keys", {"name": "child"}, **bearer(new["key"]))
    assert (by_key.status, code_of(by_key)) == (403, "login_needed")
    strangers = bearer((await token_of(app, "bob", PASSWORDS["bob"]))["access_token"])
    path = f"/me/keys/{new['id']}"
    assert (await ask(app, "DELETE", path, strangers)).status == 404
    assert (await ask(app, "DELETE", path, head)).status == 204
    assert (await ask(app, "DELETE", path, head)).status == 404
    assert await status(app, new["key"]) == 401
    for body in (
        {},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "x", "user_id": "y"},
        {"name": "x", "expires_at": "2030-01-01T00:00:00"},
        {"name": "x", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "a\x1bb"},
    ):
        assert (await post(app, "/me/keys", body, **head)).status == 422, body


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x y", "bearer gk_x", "Token x", "\xff"]
)
async def test_nobody(app: AppProcess, value: str) -> None:
    answer = await ask(app, "GET", "/me/keys", {"authorization": value} if value else {})
    assert (answer.status, code_of(answer)) == (401, "not_authenticated")
    assert answer.header("www-authenticate") == "Bearer"


async def test_the_cookie_is_no_bearer(app: AppProcess) -> None:
    """The API acts for no browser: what it sends by itself opens nothing here."""
    form = urlencode({"username": "alice", "password": PASSWORDS["alice"]}).encode()
    cookie = (await post_form(app, "/login", form)).header("set-cookie").partition(";")[0]
    assert (await ask(app, "GET", "/me/keys", {"cookie": cookie})).status == 401
    assert await status(app, cookie.partition("=")[2]) == 401


async def test_huge_headers_are_refused_fast(app: AppProcess) -> None:
    """A token of 100 KB, a thousand cookies: 4xx, and next to no work."""
    huge = "A" * 50_000 + "." + "A" * 50_000 + "." + "A" * 43
    cookies = "; ".join(f"c{n}=v" for n in range(1000))
    for headers in (bearer(huge), bearer("gk_" + "x" * 100_000), {"cookie": cookies}):
        begun, cpu = time.monotonic(), app.cpu_s()
        answer = await ask(app, "GET", "/me/keys", headers)
        assert 400 <= answer.status < 500
        assert app.cpu_s() - cpu < 0.3
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("door", ["form", "token"])
async def test_guessing_is_throttled(app: AppProcess, newcomer: Newcomer, door: str) -> None:
    """Fifty at once from one address: five are looked at, at both doors."""
    name, password = newcomer
    here = {"x-forwarded-for": new_address()}

    async def guess(word: str, headers: dict[str, str]) -> Answer:
        fields = {"username": name, "password": word}
        if door == "form":
            return await post_form(app, "/login", urlencode(fields).encode(), headers)
        return await post(app, "/token", fields, **headers)

    answers = await asyncio.gather(*(guess(f"wrong {n}", here) for n in range(50)))
    answers = [*answers, await guess(password, here)]
    if door == "form":
        places = [answer.header("location") for answer in answers]
        assert places.count("/login?error=wrong_credentials") == 5
        limited = [each for each in places if each.startswith("/login?error=too_many_logins&wait=")]
        assert len(limited) == 46
    else:
        assert [answer.status for answer in answers].count(401) == 5
        limited = [answer for answer in answers if answer.status == 429]
        assert len(limited) == 46
        assert {code_of(answer) for answer in limited} == {"too_many_logins"}
        assert all(1 <= int(answer.header("retry-after")) <= 600 for answer in limited)
        assert name not in limited[0].text
    there = await guess(password, {"x-forwarded-for": new_address()})
    assert there.status == (303 if door == "form" else 200)


async def test_the_victim_of_a_lockout_comes_in(app: AppProcess, newcomer: Newcomer) -> None:
    """A stranger fails on purpose from many addresses; the user's own one still works, and
    the session that is open goes on."""
    name, password = newcomer
    home = {"x-forwarded-for": new_address()}
    open_already = await token_of(app, name, password, **home)
    for _ in range(12):
        await post(app, "/token", {"username": name, "password": "wrong"})
    away = await post(app, "/token", {"username": name, "password": password})
    assert away.status == 429
    assert await status(app, open_already["access_token"]) == 200
    assert await token_of(app, name, password, **home)


async def test_no_token_is_logged(app: AppProcess) -> None:
    """Neither a token, nor a key, nor a password."""
    log = LogMark(app)
    told = await token_of(app, "carol", PASSWORDS["carol"])
    made = await post(app, "/me/keys", {"name": "logged"}, **bearer(told["access_token"]))
    new = json.loads(made.body)
    await status(app, new["key"])
    await post(app, "/token/refresh", {"refresh_token": told["refresh_token"]})
    await post(app, "/token/refresh", {"refresh_token": told["refresh_token"]})
    text = log.text()
    for secret in (*(told[k] for k in ("access_token", "refresh_token")), new["key"]):
        assert secret not in text
    assert PASSWORDS["carol"] not in text
    assert log.bugs() == []


async def test_one_event_for_each_deed(
    app: AppProcess, app_db: Database, newcomer: Newcomer
) -> None:
    """Who, what, from where, in which request; no password and no token."""
    name, password = newcomer
    here = {"x-forwarded-for": "203.0.113.77"}
    await post(app, "/token", {"username": name, "password": "wrong one"}, **here)
    told = await token_of(app, name, password, **here)
    head = bearer(told["access_token"]) | here
    key = json.loads((await post(app, "/me/keys", {"name": "k"}, **head)).body)
    await ask(app, "DELETE", f"/me/keys/{key['id']}", head)
    old = {"refresh_token": told["refresh_token"]}
    new = json.loads((await post(app, "/token/refresh", old, **here)).body)
    await post(app, "/token/refresh", {"refresh_token": new["refresh_token"]}, **here)
    await post(app, "/token/refresh", old, **here)
    again = await token_of(app, name, password, **here)
    await ask(app, "POST", "/logout", bearer(again["access_token"]) | here)
    async with app_db.read() as session:
        query = sa.select(AuditEvent).order_by(col(AuditEvent.id))
        rows = [row for row in await session.scalars(query) if row.actor_name == name]
    hint = f"key={key['hint']}"
    assert [(row.action, row.outcome, row.target, row.details) for row in rows] == [
        ("login", "refused", "", "reason=wrong_password"),
        ("login", "done", "", ""),
        ("key_create", "done", "k", hint),
        ("key_revoke", "done", "k", hint),
        ("token_refresh", "done", "", ""),
        ("token_refresh", "done", "", ""),
        ("token_refresh", "refused", "", "reason=refresh_replayed"),
        ("login", "done", "", ""),
        ("logout", "done", "", ""),
    ]
    assert {(row.channel, row.address) for row in rows} == {("api", "203.0.113.77")}
    assert len({row.request_id for row in rows}) == len(rows)
    assert all(row.actor_id for row in rows)


async def test_without_redis_the_doors_stay_open(start_app: StartApp, redis_server: Any) -> None:
    """Redis dies: logins go on, under the stricter count of this process."""
    app = start_app(redis_url=redis_server.url, trusted_proxy_hops=1)
    await token_of(app, "alice", PASSWORDS["alice"])
    redis_server.kill()
    here = {"x-forwarded-for": new_address()}
    await token_of(app, "alice", PASSWORDS["alice"], **here)
    wrong = {"username": "bob", "password": "wrong one"}
    answers = [(await post(app, "/token", wrong, **here)).status for _ in range(4)]
    assert answers == [401, 401, 429, 429]
    assert "Traceback" not in app.log_text()
