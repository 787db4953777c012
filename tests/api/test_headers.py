"""What stands on every answer, whoever makes it."""

import base64
import hashlib
import re
from urllib.parse import urlencode

import pytest

from genai_app.web.frontend import built_directory
from genai_app.web.headers import is_long
from tests.cast import PASSWORDS
from tests.fakes.app_process import AppProcess
from tests.fakes.raw_http import Answer, ask, post_form

ASKED = [
    ("GET", "/"),
    ("GET", "/login"),
    ("GET", "/c/01a20915-1c28-7661-bc06-a2be6ac9cb6a"),
    ("GET", "/nothing/here"),
    ("GET", "/assets/nothing.js"),
    ("GET", "/styles.css"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/_event/"),
    ("POST", "/_event/"),
    ("GET", "/logout"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("POST", "/nothing"),
    ("PUT", "/"),
    ("HEAD", "/login"),
    ("OPTIONS", "/login"),
    ("TRACE", "/"),
    ("GET", "/%00"),
    ("GET", "/%2e%2e/%2e%2e/etc/passwd"),
]


def directives(answer: Answer) -> dict[str, set[str]]:
    parts = (part.split() for part in answer.header("content-security-policy").split(";"))
    return {name: set(values) for name, *values in parts}


@pytest.mark.parametrize(("method", "path"), ASKED)
async def test_every_answer_carries_the_headers(app: AppProcess, method: str, path: str) -> None:
    """Pages, files, redirects, errors, refused methods."""
    answer = await ask(app, method, path)
    assert answer.status
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("x-frame-options") == "DENY"
    assert answer.header("referrer-policy") == "same-origin"
    assert answer.header("cross-origin-opener-policy") == "same-origin"
    assert "camera=()" in answer.header("permissions-policy")
    policy = directives(answer)
    assert policy["default-src"] == {"'none'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == {"'none'"}
    assert policy["connect-src"] == policy["form-action"] == {"'self'"}
    assert policy["img-src"] == {"'self'", "data:"}
    assert {"'unsafe-inline'", "'unsafe-eval'", "*", "https:"}.isdisjoint(policy["script-src"])
    assert answer.header("strict-transport-security") == ""  # plain http says nothing of https
    assert re.fullmatch("[0-9a-f]{32}", answer.header("x-request-id"))
    assert answer.header("access-control-allow-origin") == ""
    names = [name for name, _ in answer.headers]
    assert len(set(names) - {"set-cookie"}) == len([n for n in names if n != "set-cookie"])


async def test_the_policy_names_the_scripts_of_the_build(app: AppProcess) -> None:
    """Each inline script of each page is allowed by its hash, and no other."""
    directory = built_directory()
    assert directory is not None
    found: set[str] = set()
    for page in directory.glob("**/*.html"):
        for script in re.findall(
            r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", page.read_text(), re.S
        ):
            digest = hashlib.sha256(script.encode()).digest()
            found.add(f"'sha256-{base64.b64encode(digest).decode()}'")
    answer = await ask(app, "GET", "/login")
    assert directives(answer)["script-src"] == found | {"'self'"}


async def test_pages_load_nothing_from_elsewhere(app: AppProcess) -> None:
    """No address of another host in the HTML that is served."""
    answer = await ask(app, "GET", "/login")
    addresses = re.findall(r"""(?:src|href)=["']([^"']+)""", answer.text)
    assert addresses
    assert all(address.startswith(("/", "data:")) for address in addresses)


async def test_foreign_origins_read_nothing(app: AppProcess) -> None:
    """No CORS, with or without credentials, preflight or not."""
    for method in ("GET", "OPTIONS"):
        headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        answer = await ask(app, method, "/readyz", headers)
        assert answer.header("access-control-allow-origin") == ""


async def test_request_ids_are_our_own(app: AppProcess) -> None:
    """A client's own id is not taken over; each answer has another one."""
    answers = [await ask(app, "GET", "/healthz", {"x-request-id": "evil"}) for _ in range(3)]
    ids = {answer.header("x-request-id") for answer in answers}
    assert len(ids) == 3
    assert "evil" not in ids


@pytest.mark.parametrize(
    ("status", "size", "closes"),
    [
        *((200, None, True), (200, 1_000_001, True), (200, 1_000_000, False)),
        *((204, None, False), (304, None, False), (404, 90, False)),
    ],
)
def test_what_takes_long_closes_its_connection(status: int, size: int | None, closes: bool) -> None:
    """Streams and large files, which may end when their process stops."""
    headers = [] if size is None else [(b"content-length", str(size).encode())]
    assert is_long(status, headers) == closes


async def test_nothing_personal_is_kept_by_caches(app: AppProcess) -> None:
    """Pages, redirects and cookies are no matter for a proxy or the back button."""
    form = urlencode({"username": "alice", "password": PASSWORDS["alice"]}).encode()
    login = await post_form(app, "/login", form)
    cookie = {"cookie": login.header("set-cookie").partition(";")[0]}
    assert login.header("cache-control") == "no-store"
    for path in ("/", "/login"):
        for headers in ({}, cookie):
            assert (await ask(app, "GET", path, headers)).header("cache-control") == "no-store", (
                path
            )
