"""One shape of every error: `{"error": {"code", "message", "type", "param", "request_id"}}`."""

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
import psycopg2
import pytest
from fastapi import FastAPI, Query

from genai_app import errors as tree
from genai_app.api import errors
from genai_app.errors import AppError, NotFound, RateLimited, TooLarge, Unavailable
from genai_app.services import use
from genai_app.services.stopping import Stopping
from genai_app.web.headers import SecurityHeaders
from tests.cast import PASSWORDS
from tests.conftest import OpenPage, StartApp
from tests.fakes.app_process import AppProcess
from tests.fakes.handlers import http_paths
from tests.fakes.log_lines import LogMark
from tests.fakes.raw_http import ask

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
KEYS = {"code", "message", "type", "param", "request_id"}


def all_errors(kind: type[AppError] = AppError) -> Iterator[type[AppError]]:
    for each in kind.__subclasses__():
        if each.__module__ == tree.__name__:  # adapters have private ones beside
            yield each
        yield from all_errors(each)


@pytest.fixture
def client() -> Iterator[httpx.AsyncClient]:
    """Our error handlers over routes that fail in every way."""
    api = FastAPI()
    errors.install(api)

    @api.get("/fail/{name}")
    async def fail(name: str) -> None:
        if name == "bug":
            raise ZeroDivisionError("canary-trace")
        raise getattr(tree, name)("canary-detail")

    @api.get("/typed")
    async def typed(n: Annotated[int, Query(le=3)]) -> int:
        return n

    @api.get("/limited")
    async def limited() -> None:
        raise RateLimited(retry_after_s=7)

    use(
        SimpleNamespace(settings=SimpleNamespace(locale="en"), stopping=Stopping())  # type: ignore[arg-type]
    )
    transport = httpx.ASGITransport(
        SecurityHeaders(api, csp="", https=False), raise_app_exceptions=False
    )
    yield httpx.AsyncClient(transport=transport, base_url="http://test")
    use(None)


def checked(answer: httpx.Response, code: str) -> dict[str, Any]:
    """The error of an answer, its shape and its request id checked."""
    body = answer.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == KEYS
    assert error["code"] == code
    assert error["message"]
    assert error["request_id"] == answer.headers["x-request-id"]
    assert error["type"] == errors.error_type(answer.status_code)
    assert answer.headers["cache-control"] == "no-store"
    return error


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
async def test_every_expected_error_has_its_status_and_sentence(
    kind: type[AppError], client: httpx.AsyncClient
) -> None:
    """What was expected says so in a sentence, and keeps its detail for the log."""
    answer = await client.get(f"/fail/{kind.__name__}")
    assert answer.status_code == kind.status
    error = checked(answer, kind.default_code)
    assert error["message"] == kind().api_text("en")
    assert "canary" not in answer.text
    if kind.status == Unavailable.status:
        assert int(answer.headers["retry-after"]) > 0


async def test_a_bug_is_a_plain_500(client: httpx.AsyncClient) -> None:
    """No trace, no text of the exception, no name of a file."""
    answer = await client.get("/fail/bug")
    assert answer.status_code == 500
    checked(answer, "internal")
    for word in ("canary", "Zero", "Traceback", ".py"):
        assert word not in answer.text


async def test_retry_after_is_said(client: httpx.AsyncClient) -> None:
    """429 carries the seconds."""
    answer = await client.get("/limited")
    checked(answer, "rate_limited")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


async def test_a_wrong_argument_is_named(client: httpx.AsyncClient) -> None:
    """422 says which one."""
    for query in ("", "?n=x", "?n=9"):
        answer = await client.get(f"/typed{query}")
        assert answer.status_code == 422
        assert checked(answer, "invalid_input")["param"] == "n"


async def test_frameworks_own_errors_have_the_shape(client: httpx.AsyncClient) -> None:
    """404 and 405 of the router."""
    checked(await client.get("/nowhere"), NotFound.default_code)
    checked(await client.post("/typed"), "method_not_allowed")
    assert TooLarge.status == 413


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "server_error"),
    ],
)
def test_types_are_those_of_openai(status: int, kind: str) -> None:
    assert errors.error_type(status) == kind


@pytest.mark.parametrize(("path", "allowed"), http_paths())
async def test_every_path_refuses_other_methods_in_the_shape(
    path: str, allowed: frozenset[str], app: AppProcess
) -> None:
    """Each path of the API by each method it does not know."""
    path = re.sub(r"{[\w:]+}", "x", path)
    for method in METHODS:
        if method in allowed or (method == "GET" and path in ("/login", "/logout")):
            continue  # a person's address: a page answers
        answer = await ask(app, method, path, {"origin": app.url})
        assert answer.status == 405, method
        assert answer.header("allow")
        error = json.loads(answer.body)["error"]
        assert set(error) == KEYS
        assert error["request_id"] == answer.header("x-request-id")


async def test_a_bug_in_the_running_product(start_app: StartApp, open_page: OpenPage) -> None:
    """A table is gone: 500 over HTTP and a sentence on the socket, no trace to anybody, one
    error line with the trace and the request id."""
    app = start_app("postgresql")
    page = await open_page("alice", at=app)
    log = LogMark(app)
    connection = psycopg2.connect(app.database_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE dialogs RENAME TO canary_table")
    await page.send("hello")
    await page.wait_for(lambda: page.error_code)
    assert page.error_code == "internal"
    with connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sessions RENAME TO canary_sessions")
    connection.close()
    async with page.http("GET", "/") as answer:
        body = await answer.text()
        assert answer.status == 500
        request_id = answer.headers["x-request-id"]
        assert json.loads(body)["error"]["request_id"] == request_id
    async with page.http(
        "POST", "/login", data={"username": "alice", "password": PASSWORDS["alice"]}
    ) as answer:
        assert answer.status == 500
        body += await answer.text()
    body += "".join(frame.text for frame in page.frames)
    for word in ("Traceback", "sqlalchemy", "asyncpg", "canary", "sessions"):
        assert word not in body
    about = [event for event in log.events() if event.get("request_id") == request_id]
    assert sum("exception" in event for event in about) == 1
    assert PASSWORDS["alice"] not in log.text()


@pytest.mark.parametrize("target", ["/" + "x" * 70_000, "/\0", "/a b c"])
async def test_what_is_no_http_is_refused_in_the_shape(app: AppProcess, target: str) -> None:
    """The server's parser answers, before any of our own code."""
    answer = await ask(app, "GET", target)
    assert answer.status == 400
    assert answer.header("content-type") == "application/json"
    assert set(json.loads(answer.body)["error"]) == KEYS
