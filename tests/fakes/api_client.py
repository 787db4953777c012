"""The HTTP API as a script uses it: logged in by POST /token, then a bearer."""

import json
import uuid
from typing import Any

import httpx

from tests.fakes.app_process import AppProcess
from tests.fakes.raw_http import new_address

ERROR_KEYS = {"code", "message", "type", "param", "request_id"}
LIMIT_HEADERS = (
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)


def client_of(app: AppProcess, token: str = "") -> httpx.AsyncClient:
    """A client of that bearer; of nobody without one."""
    headers = {"x-forwarded-for": new_address()}
    if token:
        headers["authorization"] = f"Bearer {token}"
    return httpx.AsyncClient(base_url=app.url, headers=headers, timeout=60)


async def new_token(app: AppProcess, username: str, password: str) -> str:
    async with client_of(app) as client:
        answer = await client.post("/token", json={"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


def checked_error(answer: httpx.Response, status: int, code: str = "") -> dict[str, Any]:
    """The error of an answer, its shape checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == ERROR_KEYS
    assert error["message"]
    assert error["request_id"] == answer.headers["x-request-id"]
    assert not code or error["code"] == code
    return error


def events_of(text: str) -> list[Any]:
    """The JSON of each event of a stream that ended properly."""
    *events, done, rest = text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(event.startswith("data: ") for event in events)
    return [json.loads(event.removeprefix("data: ")) for event in events]


def a_uuid() -> str:
    return str(uuid.uuid4())
