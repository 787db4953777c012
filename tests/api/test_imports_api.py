"""`/imports`: who may upload, what is refused, and what comes."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest

from genai_app.web.body_limit import LARGER
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import checked_error, client_of
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.log_lines import LogMark
from tests.fakes.raw_http import ask
from tests.unit.importing import as_json, as_zip, plain

CANARY = "canary-import"


def form(content: bytes, name: str = "Экспорт.json") -> dict[str, tuple[str, bytes]]:
    return {"file": (name, content)}


async def ended(api: httpx.AsyncClient, import_id: str) -> dict[str, object]:
    async def is_over() -> bool:
        item = (await api.get(f"/imports/{import_id}")).json()
        return item["state"] not in ("queued", "running")

    await eventually(is_over, within_s=60)
    return (await api.get(f"/imports/{import_id}")).json()


async def test_upload_read_and_forget(open_api: OpenApi, app: AppProcess) -> None:
    """By a bearer; the dialogs are there as all others, and no unit is taken."""
    api = await open_api()
    log = LogMark(app)
    before = (await api.get("/me/limits")).json()["remaining"]
    content = as_zip(conversations_json=as_json(plain(1, CANARY, "ответ"), plain(2)))
    started = await api.post("/imports", files=form(content, "../Мой экспорт.zip"))
    assert started.status_code == 202
    item = await ended(api, started.json()["id"])
    assert (item["state"], item["name"], item["percent"]) == ("done", "Мой экспорт.zip", 100)
    result = item["result"]
    assert isinstance(result, dict)
    assert (result["imported"], result["messages"], result["repeated"]) == (2, 4, 0)
    dialogs = (await api.get("/dialogs")).json()["items"]
    assert [each["title"] for each in dialogs] == ["Диалог 2", "Диалог 1"]
    messages = (await api.get(f"/dialogs/{dialogs[1]['id']}/messages")).json()["items"]
    assert [each["source"] for each in messages] == [None, None]
    assert (await api.get("/me/limits")).json()["remaining"] == before
    pairs = (await api.get("/history")).json()["items"]
    assert [each["prompt"] for each in pairs] == ["Вопрос 2?", CANARY]
    going_on = await api.post("/ask", json={"prompt": "а теперь?", "dialog_id": dialogs[1]["id"]})
    assert going_on.status_code == 200

    again = await api.post("/imports", files=form(content))
    item = await ended(api, again.json()["id"])
    assert isinstance(item["result"], dict)
    assert (item["result"]["imported"], item["result"]["repeated"]) == (0, 2)
    assert len((await api.get("/imports")).json()["items"]) == 2
    assert (await api.delete(f"/imports/{item['id']}")).status_code == 204
    checked_error(await api.get(f"/imports/{item['id']}"), 404)
    assert len((await api.get("/dialogs")).json()["items"]) == 2
    assert CANARY not in log.text()
    assert log.bugs() == []


async def test_others_find_nothing(open_api: OpenApi) -> None:
    alice, bob = await open_api(), await open_api()
    key = (await alice.post("/imports", files=form(as_json(plain(1))))).json()["id"]
    await ended(alice, key)
    assert (await bob.get("/imports")).json()["items"] == []
    for call in (bob.get, bob.delete):
        checked_error(await call(f"/imports/{key}"), 404)
        checked_error(await call("/imports/x"), 404)


async def test_a_browser_needs_its_cookie_and_its_own_site(
    app: AppProcess, open_api: OpenApi, newcomer: tuple[str, str]
) -> None:
    name, password = newcomer
    async with httpx.AsyncClient(base_url=app.url) as browser:
        checked_error(await browser.post("/imports", files=form(as_json(plain(1)))), 401)
        await browser.post("/login", data={"username": name, "password": password})
        own = {"sec-fetch-site": "same-origin", "origin": app.url}
        for foreign in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
        ):
            refused = await browser.post("/imports", files=form(as_json()), headers=foreign)
            checked_error(refused, 401)
        taken = await browser.post("/imports", files=form(as_json(plain(1))), headers=own)
        assert taken.status_code == 202
    assert list((app.data_dir / "imports").glob("*.part")) == []


IN_FORM = "multipart/form-data; boundary=x"


def part(fields: str, content: bytes, end: bytes = b"\r\n--x--\r\n") -> bytes:
    return f"--x\r\nContent-Disposition: form-data; {fields}\r\n\r\n".encode() + content + end


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"[]"),
        ("multipart/form-data", b"--x\r\n"),
        (IN_FORM, b"nothing of the kind"),
        (IN_FORM, b"--x--\r\n"),
        (IN_FORM, part('name="file"', b"text")),
        (IN_FORM, part('name="other"; filename="a"', b"b")),
        (IN_FORM, part('name="file"; filename="a"', b"")),
        (IN_FORM, part('name="file"; filename="a"', b"broken off", b"")),
    ],
)
async def test_what_is_no_form_with_a_file(
    open_api: OpenApi, app: AppProcess, kind: str, body: bytes
) -> None:
    api = await open_api()
    refused = await api.post("/imports", content=body, headers={"content-type": kind})
    error = checked_error(refused, 422, "no_file")
    assert error["message"]
    assert (await api.get("/imports")).json()["items"] == []
    assert list((app.data_dir / "imports").glob("*.part")) == []


async def test_a_file_that_is_too_large(open_api: OpenApi, app: AppProcess) -> None:
    """Refused by what it announces, and by what comes; nothing of it stays."""
    api = await open_api()

    async def endless() -> AsyncGenerator[bytes]:
        yield part('name="file"; filename="a"', b"", b"")
        for _ in range(220):
            yield b" " * 2**20

    headers = {"content-type": IN_FORM}
    refused = await api.post("/imports", content=endless(), headers=headers, timeout=120)
    checked_error(refused, 413)
    announced = {**headers, "content-length": str(max(LARGER.values()) + 1)}
    announced["authorization"] = api.headers["authorization"]
    assert (await ask(app, "POST", "/imports", announced)).status == 413
    assert list((app.data_dir / "imports").glob("*.part")) == []
    elsewhere = await api.post("/ask", content=b"x" * 1_000_001)
    checked_error(elsewhere, 413)


async def test_one_upload_at_a_time(start_app: StartApp, open_api: OpenApi) -> None:
    """Of a user; the second is told at once, before its file is read."""
    app = start_app()
    api = await open_api("alice", at=app)
    slow = client_of(app, api.headers["authorization"].removeprefix("Bearer "))
    goes_on, begun = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncGenerator[bytes]:
        yield part('name="file"; filename="a"', b"", b"")
        yield as_json(plain(1))
        begun.set()
        await goes_on.wait()
        yield b"\r\n--x--\r\n"

    headers = {"content-type": IN_FORM}
    first = asyncio.create_task(slow.post("/imports", content=body(), headers=headers))
    await begun.wait()

    async def is_received() -> bool:
        return any((app.data_dir / "imports").glob("*.part"))

    await eventually(is_received)
    refused = await api.post("/imports", files=form(as_json(plain(2))))
    assert checked_error(refused, 409, "import_running")["message"]
    goes_on.set()
    assert (await first).status_code == 202
    await slow.aclose()
