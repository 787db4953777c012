"""Exports over HTTP, and the browser's way to a file."""

import asyncio
import json
import re
import uuid
from urllib.parse import unquote

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent
from genai_app.web.attachments import disposition, file_name
from genai_app.web.cookies import COOKIE
from tests.cast import PASSWORDS
from tests.conftest import OpenApi
from tests.corpora import load
from tests.fakes.api_client import checked_error, client_of
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.page_client import PageClient
from tests.fakes.questions import question


async def made(api: httpx.AsyncClient, order: dict[str, object], path: str = "/exports") -> str:
    """Order an export and wait until it is done. Returns its id."""
    answer = await api.post(path, json=order)
    assert answer.status_code == 202, answer.text
    key = answer.json()["id"]

    async def done() -> bool:
        state = (await api.get(f"/exports/{key}")).json()["state"]
        assert state in ("queued", "running", "done")
        return state == "done"

    await eventually(done, within_s=60)
    return key


async def asked(api: httpx.AsyncClient, words: str = "") -> str:
    answer = await api.post("/ask", json={"prompt": question("tokens=3", words=words)})
    return answer.json()["dialog_id"]


@pytest.mark.parametrize(
    ("format_", "media_type"),
    [
        ("md", "text/markdown; charset=utf-8"),
        ("json", "application/json"),
        ("pdf", "application/pdf"),
    ],
)
async def test_my_dialog(open_api: OpenApi, format_: str, media_type: str) -> None:
    api = await open_api()
    dialog = await asked(api, "отпуск")
    await api.patch(f"/dialogs/{dialog}", json={"title": "Отпуск/2026: \u202e«дни»"})
    key = await made(api, {"kind": "dialog", "format": format_, "dialog_id": dialog})
    told = (await api.get(f"/exports/{key}")).json()
    assert (told["done"], told["total"], told["file"]) == (2, 2, f"/exports/{key}/file")
    answer = await api.get(told["file"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == told["size"] == len(answer.content)
    assert named(answer.headers["content-disposition"]) == f"Отпуск 2026 «дни».{format_}"
    if format_ == "json":
        assert json.loads(answer.content)["id"] == dialog
    listed = (await api.get("/exports")).json()["items"]
    assert [each["id"] for each in listed] == [key]
    assert (await api.delete(f"/exports/{key}")).status_code == 204
    checked_error(await api.get(told["file"]), 404, "not_found")


def named(header: str) -> str:
    """The name of the file, as browsers read it (RFC 6266)."""
    found = re.fullmatch(r"""attachment; filename="[^"]*"; filename\*=UTF-8''([\w.~%-]+)""", header)
    assert found is not None, header
    return unquote(found[1])


async def test_of_its_owner_alone(open_api: OpenApi, app: AppProcess) -> None:
    """Others, an administrator, nobody, a guess: as if it were not there."""
    api = await open_api()
    key = await made(api, {"kind": "mine", "format": "json"})
    for who in ("bob", "carol"):
        other = await open_api(who)
        for path in (f"/exports/{key}/file", f"/exports/{uuid.uuid4()}/file", "/exports/x/file"):
            checked_error(await other.get(path), 404, "not_found")
    async with client_of(app) as nobody:
        checked_error(await nobody.get(f"/exports/{key}/file"), 401, "not_authenticated")


async def test_the_browser_fetches_by_its_cookie(open_api: OpenApi, app: AppProcess) -> None:
    """A link of the page has no bearer; another site cannot have it followed."""
    page = PageClient(app.url)
    await page.log_in("alice", PASSWORDS["alice"])
    api = await open_api("alice")
    key = await made(api, {"kind": "mine", "format": "json"})
    url = f"{app.url}/exports/{key}/file"
    async with httpx.AsyncClient() as browser:
        for site, status in (("same-origin", 200), ("none", 200), ("cross-site", 401)):
            headers = {"cookie": f"{COOKIE}={page.cookie}", "sec-fetch-site": site}
            assert (await browser.get(url, headers=headers)).status_code == status
        evil = {"cookie": f"{COOKIE}={page.cookie}", "origin": "https://evil.test"}
        assert (await browser.get(url, headers=evil)).status_code == 401
    await page.aclose()


@pytest.mark.parametrize("kind", ["dialogs", "verified"])
async def test_a_user_gets_nothing_of_others(
    open_api: OpenApi, app_db: Database, kind: str
) -> None:
    """Refused and audited."""
    api = await open_api()
    name = (await api.get("/me")).json()["username"]
    answer = await api.post("/admin/api/exports", json={"kind": kind, "format": "csv"})
    checked_error(answer, 403, "forbidden")
    checked_error(await api.post("/exports", json={"kind": kind, "format": "csv"}), 422)
    async with app_db.read() as session:
        found = await session.scalars(
            sa.select(AuditEvent).where(col(AuditEvent.actor_name) == name)
        )
        refused = [row for row in found if row.outcome == "refused"]
    assert [(row.action, row.target) for row in refused] == [("access", "POST /admin/api/exports")]


async def test_everybodys_dialogs_for_a_reviewer(open_api: OpenApi, app_db: Database) -> None:
    """The order and the download, with whose dialogs it is about."""
    api, carol = await open_api(), await open_api("carol")
    name = (await api.get("/me")).json()["username"]
    await asked(api, "canary-export")
    key = await made(
        carol, {"kind": "dialogs", "format": "csv", "user": name}, "/admin/api/exports"
    )
    answer = await carol.get(f"/exports/{key}/file")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert "canary-export" in answer.text
    assert re.fullmatch(
        r"Диалоги \d{4}-\d\d-\d\d\.csv", named(answer.headers["content-disposition"])
    )
    async with app_db.read() as session:
        found = await session.scalars(
            sa.select(AuditEvent).where(col(AuditEvent.target) == name).order_by(col(AuditEvent.id))
        )
        told = [(row.action, row.actor_name, row.subject_id is not None) for row in found]
    exported = [each for each in told if each[0].startswith("export")]
    assert exported == [("export", "carol", True), ("export_download", "carol", True)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/exports", {"kind": "dialog", "format": "exe"}),
        ("/exports", {"kind": "mine", "format": "pdf"}),
        ("/exports", {"kind": "mine", "format": "json", "user": "bob"}),
        ("/admin/api/exports", {"kind": "dialogs", "format": "csv", "since": "soon"}),
        ("/admin/api/exports", {"kind": "dialogs", "format": "csv", "state": "odd"}),
        ("/admin/api/exports", {"kind": "verified", "format": "pdf"}),
        ("/admin/api/exports", {"kind": "dialogs", "format": "csv", "since": "x" * 99}),
    ],
)
async def test_what_is_no_export(open_api: OpenApi, path: str, body: dict[str, object]) -> None:
    carol = await open_api("carol")
    checked_error(await carol.post(path, json=body), 422)


@pytest.mark.parametrize("title", [*load("paths"), *load("unicode"), "a\r\nSet-Cookie: x=1", '"'])
def test_names_of_files_are_safe(title: str) -> None:
    """No path, no control, nothing that ends the header; the name comes back whole."""
    name = file_name(title, "md")
    assert name.endswith(".md")
    assert len(name.encode()) <= 255
    assert not re.search(r'[\x00-\x1f\x7f/\\:*?"<>|\u202a-\u202e\u2066-\u2069]', name)
    assert not name.startswith((".", " "))
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert named(header) == name


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("../../etc/passwd", "etc passwd.md"),
        ("CON", "export CON.md"),
        ("...", "export.md"),
        ("", "export.md"),
        ("я" * 500, "я" * 89 + ".md"),
        ("С:\\dir\\file", "С dir file.md"),
    ],
)
def test_names_as_they_become(title: str, name: str) -> None:
    assert file_name(title, "md") == name


async def test_many_at_once_are_refused(open_api: OpenApi) -> None:
    api = await open_api()
    answers = await asyncio.gather(
        *(api.post("/exports", json={"kind": "mine", "format": "json"}) for _ in range(30))
    )
    assert {each.status_code for each in answers} <= {202, 409}
    for each in answers:
        if each.status_code == 409:
            checked_error(each, 409, "too_many_exports")
