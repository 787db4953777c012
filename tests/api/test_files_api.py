"""`/files`: what may be uploaded, by whom, and what comes back."""

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from genai_app.db.database import Database
from genai_app.models import Message, MessageAttachment
from genai_app.web.body_limit import form_bytes
from tests.conftest import OpenApi, StartApp
from tests.fakes.api_client import checked_error, client_of
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.log_lines import LogMark
from tests.fakes.questions import question
from tests.fakes.raw_http import ask

DOCUMENTS = Path(__file__).parents[1] / "corpora" / "documents" / "files"
CANARY = "canary-file"
TEXT = f"Договор поставки № 15\n{CANARY}\n".encode()
IN_FORM = "multipart/form-data; boundary=x"
MB = 1024**2


def form(content: bytes, name: str = "Договор.txt") -> dict[str, tuple[str, bytes]]:
    return {"file": (name, content)}


def part(fields: str, content: bytes, end: bytes = b"\r\n--x--\r\n") -> bytes:
    return f"--x\r\nContent-Disposition: form-data; {fields}\r\n\r\n".encode() + content + end


def left(app: AppProcess) -> list[Path]:
    """What uploads left behind."""
    return list((app.data_dir / "files" / "parts").iterdir())


async def read(api: httpx.AsyncClient, file_id: str) -> dict[str, object]:
    async def has_ended() -> bool:
        item = (await api.get(f"/files/{file_id}")).json()
        return item["state"] in ("ready", "failed")

    await eventually(has_ended, within_s=60)
    return (await api.get(f"/files/{file_id}")).json()


async def test_upload_read_download_and_delete(open_api: OpenApi, app: AppProcess) -> None:
    api = await open_api()
    log = LogMark(app)
    before = (await api.get("/me/limits")).json()["remaining"]
    sent = await api.post("/files", files=form(TEXT, "../Папка/Договор.txt"))
    assert sent.status_code == 201
    item = sent.json()
    assert (item["name"], item["media_type"], item["bytes"]) == (
        *("Договор.txt", "text/plain"),
        len(TEXT),
    )
    assert item["state"] in ("queued", "reading")
    assert (item["error"], item["pages"], item["tokens"]) == (None, None, None)
    item = await read(api, item["id"])
    assert (item["state"], item["error"], item["kind"]) == ("ready", None, "text")
    assert isinstance(item["tokens"], int)
    assert item["tokens"] > 0
    text = (await api.get(f"/files/{item['id']}/text")).json()
    assert CANARY in text["text"]
    assert (text["first"], text["truncated"]) == (1, False)
    content = await api.get(f"/files/{item['id']}/content")
    assert content.content == TEXT
    assert content.headers["content-type"] == "application/octet-stream"
    assert content.headers["content-disposition"].startswith("attachment; ")
    assert content.headers["x-content-type-options"] == "nosniff"
    assert content.headers["content-security-policy"] == "default-src 'none'; sandbox"
    checked_error(await api.get(f"/files/{item['id']}/content?thumbnail=true"), 404)
    assert [each["id"] for each in (await api.get("/files")).json()["items"]] == [item["id"]]
    assert (await api.get("/me/limits")).json()["remaining"] == before
    assert (await api.delete(f"/files/{item['id']}")).status_code == 204
    for path in ("", "/text", "/content"):
        checked_error(await api.get(f"/files/{item['id']}{path}"), 404, "not_found")
    assert (await api.get("/files")).json() == {"items": [], "next_cursor": None}
    assert CANARY not in log.text()
    assert log.bugs() == []


async def test_several_files_in_one_form(open_api: OpenApi, app: AppProcess) -> None:
    """All of them, or none."""
    api = await open_api()
    several = [("file", (f"{n}.txt", b"text %d" % n)) for n in range(3)]
    sent = await api.post("/files", files=several)
    assert sent.status_code == 201
    assert [each["name"] for each in sent.json()["items"]] == ["0.txt", "1.txt", "2.txt"]
    refused = await api.post("/files", files=[*several, ("file", ("empty.txt", b""))])
    checked_error(refused, 422, "file_empty")
    many = [("file", (f"{n}.txt", b"x")) for n in range(11)]
    assert checked_error(await api.post("/files", files=many), 422, "too_many_files")["message"]
    assert len((await api.get("/files")).json()["items"]) == 3
    assert left(app) == []


async def test_the_list_has_pages(open_api: OpenApi) -> None:
    api, bob = await open_api(), await open_api()
    for n in range(3):
        await api.post("/files", files=form(b"%d" % n, f"{n}.txt"))
    first = (await api.get("/files?limit=2")).json()
    assert [each["name"] for each in first["items"]] == ["2.txt", "1.txt"]
    second = (await api.get("/files", params={"cursor": first["next_cursor"]})).json()
    assert ([each["name"] for each in second["items"]], second["next_cursor"]) == (["0.txt"], None)
    foreign = await bob.get("/files", params={"cursor": first["next_cursor"]})
    checked_error(foreign, 400, "bad_cursor")


async def test_others_find_nothing(open_api: OpenApi) -> None:
    """Neither a stranger nor an administrator, by any route and any key."""
    alice, bob, carol = await open_api(), await open_api(), await open_api("carol")
    item = (await alice.post("/files", files=form(TEXT))).json()
    await read(alice, item["id"])
    for api in (bob, carol):
        assert (await api.get("/files")).json()["items"] == []
        for path in ("", "/text", "/content", "/content?thumbnail=true", "/content?picture=0"):
            checked_error(await api.get(f"/files/{item['id']}{path}"), 404, "not_found")
        checked_error(await api.delete(f"/files/{item['id']}"), 404, "not_found")
    assert (await alice.get(f"/files/{item['id']}/content")).content == TEXT


async def test_an_api_key_is_enough(open_api: OpenApi, app: AppProcess) -> None:
    api = await open_api()
    made = (await api.post("/me/keys", json={"name": "script"})).json()
    async with client_of(app, made["key"]) as by_key:
        item = (await by_key.post("/files", files=form(TEXT))).json()
        assert (await by_key.get(f"/files/{item['id']}/content")).content == TEXT


async def test_a_browser_needs_its_cookie_and_its_own_site(
    app: AppProcess, newcomer: tuple[str, str]
) -> None:
    name, password = newcomer
    async with httpx.AsyncClient(base_url=app.url) as browser:
        checked_error(await browser.post("/files", files=form(TEXT)), 401)
        await browser.post("/login", data={"username": name, "password": password})
        own = {"sec-fetch-site": "same-origin", "origin": app.url}
        for foreign in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
        ):
            checked_error(await browser.post("/files", files=form(TEXT), headers=foreign), 401)
        taken = await browser.post("/files", files=form(TEXT), headers=own)
        assert taken.status_code == 201
        shown = await browser.get(f"/files/{taken.json()['id']}/content", headers=own)
        assert shown.content == TEXT
    assert left(app) == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"[]"),
        ("multipart/form-data", b"--x\r\n"),
        (f"multipart/form-data; boundary={'x' * 1000}", b"--x\r\n"),
        ("multipart/form-data; boundary=", b"--x\r\n"),
        (IN_FORM, b""),
        (IN_FORM, b"nothing of the kind"),
        (IN_FORM, b"--x--\r\n"),
        (IN_FORM, part('name="file"', b"text")),
        (IN_FORM, part('name="other"; filename="a"', b"b")),
        (IN_FORM, part('name="file"; filename="a"', b"broken off", b"")),
        (IN_FORM, part('name="file"; filename="a"', b"a", b"\r\n") + b"--x\r\nContent-Dispos"),
        (IN_FORM, b"--x\r\n" + b"X-Long: " + b"y" * 100_000 + b"\r\n\r\ntext\r\n--x--\r\n"),
        (IN_FORM, b"--x\r\n" + b"X-Many: y\r\n" * 1000 + b"\r\ntext\r\n--x--\r\n"),
        (IN_FORM, part('name="a"', b"b", b"\r\n") * 200 + b"--x--\r\n"),
    ],
)
async def test_what_is_no_form_with_a_file(
    open_api: OpenApi, app: AppProcess, kind: str, body: bytes
) -> None:
    api = await open_api()
    log = LogMark(app)
    refused = await api.post("/files", content=body, headers={"content-type": kind})
    assert checked_error(refused, 422, "no_file")["message"]
    assert (await api.get("/files")).json()["items"] == []
    assert left(app) == []
    assert log.bugs() == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a/../../b.txt", "b.txt"),
        ("%2e%2e%2f.txt", "%2e%2e%2f.txt"),
        ("фото\u202egnp.exe", "фото gnp.exe"),
        ("x" * 1000 + ".pdf", "x" * 295 + "….pdf"),
        ("CON", "CON"),
    ],
)
async def test_names_are_shown_and_no_paths(open_api: OpenApi, name: str, shown: str) -> None:
    api = await open_api()
    body = part(f'name="file"; filename="{name}"', b"text")
    sent = await api.post("/files", content=body, headers={"content-type": IN_FORM})
    assert (sent.status_code, sent.json()["name"]) == (201, shown)
    content = await api.get(f"/files/{sent.json()['id']}/content")
    assert re.fullmatch(r"[\x20-\x7e]+", content.headers["content-disposition"])


async def test_a_byte_at_a_time(open_api: OpenApi, app: AppProcess) -> None:
    api = await open_api()

    async def bytewise() -> AsyncGenerator[bytes]:
        for each in part('name="file"; filename="a.txt"', b"slow \r\n--y but whole"):
            yield bytes([each])

    sent = await api.post("/files", content=bytewise(), headers={"content-type": IN_FORM})
    assert sent.status_code == 201
    content = await api.get(f"/files/{sent.json()['id']}/content")
    assert content.content == b"slow \r\n--y but whole"


async def test_files_that_are_too_large(start_app: StartApp, open_api: OpenApi) -> None:
    """Refused by what is announced, and by what comes; nothing of it stays."""
    app = start_app(file_max_mb=2)
    api = await open_api("alice", at=app)
    whole = await api.post("/files", files=form(b"a" * (2 * MB)))
    assert whole.status_code == 201
    for over in (b"b" * (2 * MB + 1), b"b" * (20 * MB)):
        error = checked_error(await api.post("/files", files=form(over)), 413, "file_too_large")
        assert "2" in str(error["message"])
    together = [("file", (f"{n}.txt", b"c" * (MB * 3 // 2))) for n in range(2)]
    checked_error(await api.post("/files", files=together), 413, "file_too_large")

    async def endless() -> AsyncGenerator[bytes]:
        yield part('name="file"; filename="a"', b"", b"")
        for _ in range(50):
            yield b" " * MB

    headers = {"content-type": IN_FORM}
    refused = await api.post("/files", content=endless(), headers=headers, timeout=60)
    checked_error(refused, 413, "file_too_large")
    announced = {**headers, "content-length": str(form_bytes(2) + 1)}
    announced["authorization"] = api.headers["authorization"]
    assert (await ask(app, "POST", "/files", announced)).status == 413
    assert left(app) == []
    assert len((await api.get("/files")).json()["items"]) == 1


async def test_a_user_has_so_much_room(start_app: StartApp, open_api: OpenApi) -> None:
    app = start_app(file_max_mb=2, files_per_user_mb=3)
    api = await open_api("alice", at=app)
    sent = await asyncio.gather(
        *(api.post("/files", files=form(bytes([n]) * (MB * 9 // 10))) for n in range(5))
    )
    assert sorted(each.status_code for each in sent) == [201, 201, 201, 409, 409]
    for each in sent:
        if each.status_code == 409:
            assert "3" in str(checked_error(each, 409, "files_full")["message"])
    kept = [each for each in sent if each.status_code == 201]
    assert (await api.delete(f"/files/{kept[0].json()['id']}")).status_code == 204
    assert (await api.post("/files", files=form(b"z" * (MB // 2)))).status_code == 201
    assert left(app) == []


async def test_a_client_that_goes_away_leaves_nothing(open_api: OpenApi, app: AppProcess) -> None:
    api = await open_api()
    async with client_of(app, api.headers["authorization"].removeprefix("Bearer ")) as leaving:
        begun = asyncio.Event()

        async def body() -> AsyncGenerator[bytes]:
            yield part('name="file"; filename="a"', b"x" * (2 * MB), b"")
            begun.set()
            await asyncio.Event().wait()

        headers = {"content-type": IN_FORM}
        sending = asyncio.create_task(leaving.post("/files", content=body(), headers=headers))
        await begun.wait()

        async def is_received() -> bool:
            return bool(left(app))

        await eventually(is_received)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    async def is_gone() -> bool:
        return not left(app)

    await eventually(is_gone)
    assert (await api.get("/files")).json()["items"] == []


async def test_a_reviewer_opens_a_file_and_its_user_sees_it(
    open_api: OpenApi, app_db: Database
) -> None:
    """Only one that was sent in that dialog, and never without a trace."""
    alice, bob, rita = await open_api(), await open_api(), await open_api("rita")
    file_id = (await alice.post("/files", files=form(TEXT))).json()["id"]
    await read(alice, file_id)
    asked = (await alice.post("/ask", json={"prompt": question("tokens=2")})).json()
    other = (await alice.post("/ask", json={"prompt": question("tokens=2")})).json()
    at = f"/admin/api/dialogs/{asked['dialog_id']}/files/{file_id}"
    checked_error(await rita.get(f"{at}/content"), 404)  # it was not sent yet
    async with app_db.write() as session:
        answer = await session.get_one(Message, uuid.UUID(asked["message_id"]))
        assert answer.parent_id is not None
        session.add(
            MessageAttachment(message_id=answer.parent_id, attachment_id=uuid.UUID(file_id))
        )
    checked_error(await bob.get(f"{at}/content"), 403)
    elsewhere = f"/admin/api/dialogs/{other['dialog_id']}/files/{file_id}/content"
    checked_error(await rita.get(elsewhere), 404)
    checked_error(await rita.get(f"/files/{file_id}/content"), 404)
    assert (await alice.get("/me/readers")).json()["items"] == []
    content = await rita.get(f"{at}/content")
    assert (content.content, content.headers["content-type"]) == (TEXT, "application/octet-stream")
    assert CANARY in (await rita.get(f"{at}/text")).json()["text"]
    seen = (await alice.get("/me/readers")).json()["items"]
    assert [each["action"] for each in seen] == ["file_read"] * 2
    assert {each["dialog_id"] for each in seen} == {asked["dialog_id"]}


async def test_a_picture_comes_in_two_sizes(open_api: OpenApi) -> None:
    """Made anew by the reader of the file, under a type that a browser shows and never runs."""
    api = await open_api()
    content = (DOCUMENTS / "screen.png").read_bytes()
    sent = await api.post("/files", files=form(content, "screen.png"))
    item = await read(api, sent.json()["id"])
    for query, media_types in (
        ("thumbnail=true", ("image/webp",)),
        ("picture=0", ("image/png", "image/jpeg")),
    ):
        shown = await api.get(f"/files/{item['id']}/content?{query}")
        assert shown.headers["content-type"] in media_types
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert shown.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert shown.content != content
    checked_error(await api.get(f"/files/{item['id']}/content?picture=1"), 404, "not_found")
