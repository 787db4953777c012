"""N7: a cursor goes on with one list, its filters and its user; anything else is refused. Every
list of others' data is in the audit, page by page."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.models import AuditEvent
from tests.conftest import OpenApi
from tests.fakes.api_client import checked_error
from tests.fakes.rows import put_history

MADE_UP = [
    *("", "x", "/", "999999999999999999", "-1", "local:alice", "' OR 1=1 --", "\x00", "é", "٣"),
    *("a" * 300, "A" * 5_000, "MjAyNi0wMy0wMVQxMjowMDowMCswMDowMC8wMTlkMDAwMC0wMDAw"),
]


@dataclass(frozen=True)
class CursorCase:
    """A list: who asks, what narrows it, and the events that each of its pages is to leave."""

    who: str = ""
    params: Mapping[str, str] | None = None
    events: tuple[str, str] | None = None  # action, target


def cases(dialog_id: str) -> dict[str, list[CursorCase]]:
    """By the path of the route; a list with a cursor that is not here fails the test."""
    reading = ("dialog_list", dialog_id)
    listing = ("dialog_list", "dialogs")
    return {
        "/dialogs": [CursorCase(), CursorCase(params={"q": "secret"})],
        "/dialogs/{dialog_id}/messages": [CursorCase()],
        "/history": [CursorCase()],
        "/files": [CursorCase()],
        "/me/readers": [CursorCase()],
        "/admin/api/dialogs": [
            CursorCase("rita", events=listing),
            CursorCase("rita", {"state": "new"}, listing),
            CursorCase("rita", {"q": "secret"}, listing),
        ],
        "/admin/api/dialogs/{dialog_id}/messages": [CursorCase("rita", events=reading)],
        "/admin/api/verified": [CursorCase("rita", events=("admin_view", "verified"))],
        "/admin/api/users": [
            CursorCase("carol", events=("admin_view", "users")),
            CursorCase("carol", {"role": "user"}, ("admin_view", "users")),
        ],
        "/admin/api/audit": [
            CursorCase("carol", events=("admin_view", "audit")),
            CursorCase("carol", {"outcome": "done"}, ("admin_view", "audit")),
        ],
    }


async def test_every_list(open_api: OpenApi, app_db: Database) -> None:
    me, other = await open_api(), await open_api()
    rita, carol = await open_api("rita"), await open_api("carol")
    username = (await me.get("/me")).json()["username"]
    dialog_id, *_ = [
        str(await put_history(app_db, username, [("secret", "secret")])) for _ in range(3)
    ]
    for n in range(2):
        for each in (me, other):
            sent = await each.post("/files", files={"file": (f"{n}.txt", f"secret {n}")})
            assert sent.status_code == 201
        body = {"question": f"cursor question {n}", "answer": "secret"}
        assert (await rita.post("/admin/api/verified", json=body)).status_code == 201
    for reader in (rita, carol):
        assert (await reader.get(f"/admin/api/dialogs/{dialog_id}")).status_code == 200

    schema = (await me.get("/openapi.json")).json()
    routes = {
        path
        for path, methods in schema["paths"].items()
        if any(each["name"] == "cursor" for each in methods.get("get", {}).get("parameters", ()))
    }
    listed = cases(dialog_id)
    assert routes == set(listed)

    clients = {"": (me, other), "rita": (rita, carol), "carol": (carol, None)}
    given_out: dict[tuple[str, int], str] = {}
    for path, several in listed.items():
        address = path.replace("{dialog_id}", dialog_id)
        for number, case in enumerate(several):
            client, stranger = clients[case.who]
            params = {**(case.params or {}), "limit": "1"}
            answer = await client.get(address, params=params)
            assert answer.status_code == 200, (path, answer.text)
            page = answer.json()
            cursor = page["next_cursor"]
            assert cursor, (path, case)
            before = await _count(app_db, case)
            following = await client.get(address, params={**params, "cursor": cursor})
            assert following.status_code == 200, following.text
            assert following.json()["items"] != page["items"]
            assert await _count(app_db, case) == before + (case.events is not None)
            given_out[path, number] = cursor
            await _refused(client, address, params, [*MADE_UP, *_changed(cursor)])
            if stranger is not None:
                answer = await stranger.get(address, params={**params, "cursor": cursor})
                assert answer.status_code in (400, 404), (path, answer.text)
            assert await _count(app_db, case) == before + (case.events is not None)
    for path, several in listed.items():  # those of another list, or of other filters
        address = path.replace("{dialog_id}", dialog_id)
        for number, case in enumerate(several):
            foreign = [each for key, each in given_out.items() if key != (path, number)]
            await _refused(clients[case.who][0], address, case.params or {}, foreign)


def _changed(cursor: str) -> list[str]:
    """The cursor with one letter changed, at its beginning, in its middle and at its end; cut, and
    longer."""
    changed: list[str] = []
    for at in (0, len(cursor) // 2, len(cursor) - 2):
        letter = "A" if cursor[at] != "A" else "B"
        changed.append(cursor[:at] + letter + cursor[at + 1 :])
    return [*changed, cursor[:-4], cursor + "AAAA", cursor[4:]]


async def _refused(
    client: httpx.AsyncClient, address: str, params: Mapping[str, str], cursors: list[str]
) -> None:
    for cursor in cursors:
        answer = await client.get(address, params={**params, "cursor": cursor})
        checked_error(answer, 400, "bad_cursor")


async def _count(db: Database, case: CursorCase) -> int:
    if case.events is None:
        return 0
    action, target = case.events
    query = sa.select(sa.func.count()).where(
        col(AuditEvent.action) == action, col(AuditEvent.target) == target
    )
    async with db.read() as session:
        return await session.scalar(query) or 0
