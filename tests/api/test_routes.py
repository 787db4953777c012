"""All routes of the product, from its own table. A new one is tested too."""

import re
import uuid
from collections import defaultdict

import httpx
import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent, Dialog, Message
from tests.conftest import OpenApi
from tests.fakes.api_client import checked_error, client_of
from tests.fakes.app_process import AppProcess
from tests.fakes.handlers import OPEN_PATHS, http_paths
from tests.fakes.questions import question

ROUTES = [
    (method, path)
    for path, methods in http_paths()
    for method in sorted(methods - {"HEAD", "OPTIONS"})
    if path not in OPEN_PATHS
]
OF_SOMEBODY = [
    each
    for each in ROUTES
    if re.search(r"{(dialog|message|export|file)_id}", each[1])
    and not each[1].startswith("/admin/")
]
# another role's, whoever the rows belong to
OF_REVIEWERS = [each for each in ROUTES if each[1].startswith("/admin/api/")]
BODIES: dict[str, dict[str, object]] = {
    "/dialogs/{dialog_id}": {"title": "taken over"},
    "/ask": {"prompt": "into your dialog"},
    "/messages/{message_id}/feedback": {"rating": "down"},
}


def test_the_table_is_whole() -> None:
    """What these tests speak of is there."""
    assert ("POST", "/ask") in ROUTES
    assert ("POST", "/v1/chat/completions") in ROUTES
    assert len(OF_SOMEBODY) >= 11
    assert ("POST", "/admin/api/messages/{message_id}/verdict") in OF_REVIEWERS


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_nobody_is_let_in(method: str, path: str, app: AppProcess) -> None:
    """Without a bearer, or with a wrong one: 401 in the shape, whatever else is wrong."""
    path = re.sub(r"{[\w:]+}", str(uuid.uuid4()), path)
    for token in ("", "nonsense", "x" * 5000):
        async with client_of(app, token) as client:
            answer = await client.request(method, path)
        error = checked_error(answer, 401, "not_authenticated")
        assert error["type"] == "authentication_error"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), [r for r in ROUTES if r[0] in ("POST", "PATCH")])
async def test_malformed_bodies(method: str, path: str, open_api: OpenApi) -> None:
    """No 500, no page, no trace."""
    api = await open_api("bob")
    path = re.sub(r"{[\w:]+}", str(uuid.uuid4()), path)
    headers = {"content-type": "application/json"}
    for body in (b"{", b"[1]", b'"x"', b"\xff", b'{"a":1}'):
        answer = await api.request(method, path, content=body, headers=headers)
        # a route without a body does not look at it
        checked_error(answer, answer.status_code)
        assert 400 <= answer.status_code < 500


@pytest.fixture
async def of_alice(open_api: OpenApi) -> dict[str, str]:
    """The ids of a dialog of hers, of the answer in it, of an export and of a file."""
    api = await open_api()
    answer = (await api.post("/ask", json={"prompt": question("tokens=2")})).json()
    order = {"kind": "dialog", "format": "md", "dialog_id": answer["dialog_id"]}
    export = (await api.post("/exports", json=order)).json()
    file = (await api.post("/files", files={"file": ("a.txt", b"hers")})).json()
    return {
        "dialog_id": answer["dialog_id"],
        "message_id": answer["message_id"],
        "export_id": export["id"],
        "file_id": file["id"],
    }


async def _rows(db: Database, dialog_id: str) -> list[dict[str, object]]:
    """All that the database knows of a dialog."""
    key = uuid.UUID(dialog_id)
    found: list[dict[str, object]] = []
    async with db.read() as session:
        for query in (
            sa.select(Dialog).where(col(Dialog.id) == key),
            sa.select(Message).where(col(Message.dialog_id) == key).order_by(col(Message.id)),
        ):
            found += [row.model_dump() for row in await session.scalars(query)]
    return found


def _told(answer: httpx.Response) -> dict[str, object]:
    error = dict(checked_error(answer, 404))
    del error["request_id"]
    return error


@pytest.mark.parametrize(("method", "path"), OF_SOMEBODY)
async def test_what_is_alices_is_not_there_for_bob(
    method: str, path: str, of_alice: dict[str, str], open_api: OpenApi, app_db: Database
) -> None:
    """Her id, an id of nobody and no id at all: the same 404, and her rows as they were."""
    bob = await open_api()
    before = await _rows(app_db, of_alice["dialog_id"])
    answers: list[dict[str, object]] = []
    for ids in (
        of_alice,
        dict.fromkeys(of_alice, str(uuid.uuid4())),
        dict.fromkeys(of_alice, "no-id"),
    ):
        body = BODIES.get(path) if method in ("POST", "PATCH") else None
        answers.append(_told(await bob.request(method, path.format(**ids), json=body)))
    assert answers[0] == answers[1] == answers[2]
    assert await _rows(app_db, of_alice["dialog_id"]) == before


@pytest.mark.parametrize(("method", "path"), OF_REVIEWERS)
async def test_what_is_reviewers_is_refused_to_users(
    method: str, path: str, of_alice: dict[str, str], open_api: OpenApi, app_db: Database
) -> None:
    """Her id or nobody's: the same 403, audited, and her rows as they were."""
    bob = await open_api()
    name = (await bob.get("/me")).json()["username"]
    before = await _rows(app_db, of_alice["dialog_id"])
    unknown: defaultdict[str, str] = defaultdict(lambda: str(uuid.uuid4()))
    for ids in (unknown | of_alice, unknown):
        answer = await bob.request(method, path.format_map(ids))
        checked_error(answer, 403, "forbidden")
    assert await _rows(app_db, of_alice["dialog_id"]) == before
    async with app_db.read() as session:
        refused = await session.scalars(
            sa.select(AuditEvent).where(
                col(AuditEvent.action) == "access", col(AuditEvent.actor_name) == name
            )
        )
        assert {event.outcome for event in refused} == {"refused"}


async def test_bob_cannot_ask_into_alices_dialog(
    of_alice: dict[str, str], open_api: OpenApi, app_db: Database
) -> None:
    """Her dialog in a body: as an id of nobody."""
    bob = await open_api()
    before = await _rows(app_db, of_alice["dialog_id"])
    answers = [
        _told(await bob.post("/ask", json={"prompt": "x", "dialog_id": each}))
        for each in (of_alice["dialog_id"], str(uuid.uuid4()))
    ]
    assert answers[0] == answers[1]
    assert await _rows(app_db, of_alice["dialog_id"]) == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_no_cache_keeps_an_answer(method: str, path: str, open_api: OpenApi) -> None:
    """Good or bad, every answer of the API says no-store, and what is left of the limit."""
    api = await open_api("carol")
    path = re.sub(r"{[\w:]+}", str(uuid.uuid4()), path)
    answer = await api.request(method, path)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-ratelimit-limit-requests"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/png"])
async def test_programs_get_no_pages(accept: str, app: AppProcess) -> None:
    """A path that is nothing: HTML for a browser, the one shape for all others."""
    async with client_of(app) as client:
        for path in ("/nothing", "/nothing/here", "/admin/api/x", "/me/nothing", "/metrics/x"):
            answer = await client.get(path, headers={"accept": accept})
            checked_error(answer, 404, "not_found")
        page = await client.get("/nothing", headers={"accept": "text/html,*/*"})
        assert page.headers["content-type"].startswith("text/html")


async def test_a_line_break_in_a_path(app: AppProcess) -> None:
    """Reflex's own server lets such a path through to nobody: it must come to us."""
    for path in ("/dialogs/a%0Ab", "/v1/a%0Ab", "/a%0Ab", "/%0A/%0D%0A"):
        async with client_of(app) as client:
            answer = await client.get(path)
        checked_error(answer, 401 if path == "/dialogs/a%0Ab" else 404)
        assert "content-security-policy" in answer.headers
