"""The door of the web."""

from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from tests.cast import PASSWORDS
from tests.conftest import OpenPage, StartApp
from tests.fakes.app_process import AppProcess
from tests.fakes.log_lines import LogMark
from tests.fakes.raw_http import Answer, ask, post_form

REFUSED = "/login?error=wrong_credentials"


async def log_in(app: AppProcess, username: str, password: str, **more: str) -> Answer:
    form = urlencode({"username": username, "password": password, **more})
    return await post_form(app, "/login", form.encode())


def cookie_of(answer: Answer) -> str:
    return answer.header("set-cookie").partition(";")[0].partition("=")[2]


@pytest.mark.parametrize("password", ["", " ", "\t", "\u00a0\u3000", "\x00"])
async def test_blank_passwords_are_refused(app: AppProcess, password: str) -> None:
    """In the words of any other refusal, without a cookie."""
    answer = await log_in(app, "alice", password)
    assert (answer.status, answer.header("location")) == (303, REFUSED)
    assert answer.header("set-cookie") == ""


@pytest.mark.parametrize(
    "name",
    [
        *("*", "*)(uid=*", "admin)(|(objectClass=*", "\\2a", "alice\x00", "\x00", "", " ", "'--"),
        *(
            "a" * 10_000,
            "a" * 200_000,
            "alice\u200b",
            "\u202ealice",
            "al\u00adice",
            "\ufdfa" * 60,
        ),
        *("dan", "nobody", "alice, bob", "CORP\\alice", "\U0001f600"),
    ],
)
async def test_odd_names_are_names_of_nobody(app: AppProcess, name: str) -> None:
    """Taken literally: one refusal for all, no trace in the log."""
    log = LogMark(app)
    answer = await log_in(app, name, PASSWORDS["alice"])
    assert answer.status in (303, 400, 413)
    assert answer.header("location") in (REFUSED, "")
    assert answer.header("set-cookie") == ""
    assert log.bugs() == []


@pytest.mark.parametrize("name", ["alice", "ALICE", " alice ", "Ａｌｉｃｅ"])
async def test_one_account_under_all_spellings(app: AppProcess, name: str) -> None:
    """Case, outer spaces and wide letters are no other account."""
    answer = await log_in(app, name, PASSWORDS["alice"])
    assert (answer.status, answer.header("location")) == (303, "/")
    assert cookie_of(answer)


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"username=%ff%fe&password=%ed%a0%80",
        b"username[]=alice&password[]=x",
        b"username=alice&username=bob&password=x&password=y",
        b"&&&===",
        b"%",
        b"username=alice;password=x",
        b'{"username": "alice", "password": "x"}',
    ],
)
async def test_broken_forms_are_refusals(app: AppProcess, form: bytes) -> None:
    """Whatever stands in the body: no 500, no cookie."""
    log = LogMark(app)
    answer = await post_form(app, "/login", form)
    assert (answer.status, answer.header("location")) == (303, REFUSED)
    assert answer.header("set-cookie") == ""
    assert log.bugs() == []


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b'{"username": "alice"}'),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"--x\r\njunk"),
        ("text/plain", b"username=alice"),
        ("", b"x"),
    ],
)
async def test_other_bodies_are_refusals(app: AppProcess, kind: str, body: bytes) -> None:
    """Other content types than a form's."""
    log = LogMark(app)
    answer = await post_form(app, "/login", body, {"content-type": kind})
    assert answer.status in (303, 400, 415, 422)
    assert answer.header("set-cookie") == ""
    assert log.bugs() == []


async def test_a_huge_body_is_refused_before_it_is_read(app: AppProcess) -> None:
    """8 MB announced for two short fields: 413 without waiting for them."""
    answer = await post_form(app, "/login", b"", {"content-length": "8000000"})
    assert answer.status == 413


async def test_the_cookie_is_for_http_alone(app: AppProcess) -> None:
    """HttpOnly, SameSite, the whole site, no Domain; Secure is for https."""
    answer = await log_in(app, "alice", PASSWORDS["alice"])
    name, *flags = answer.header("set-cookie").lower().split("; ")
    assert name.startswith("genai_session=")
    assert {"httponly", "samesite=lax", "path=/"} <= set(flags)
    assert not any(flag.startswith("domain") for flag in flags)
    assert "secure" not in flags
    assert len(cookie_of(answer)) == 43


async def test_behind_https_the_cookie_is_secure(start_app: StartApp) -> None:
    """With an https address: Secure, HSTS, and only its own origin."""
    app = start_app(public_url="https://chat.example.com")
    form = urlencode({"username": "alice", "password": PASSWORDS["alice"]}).encode()
    answer = await post_form(app, "/login", form, {"origin": "https://chat.example.com"})
    assert "secure" in answer.header("set-cookie").lower().split("; ")
    assert answer.header("strict-transport-security").startswith("max-age=")
    foreign = await post_form(app, "/login", form, {"origin": app.url})
    assert foreign.header("location") == "/login?error=foreign_origin"


async def test_every_login_is_a_new_token(app: AppProcess) -> None:
    """A cookie that somebody planted before the login is not the one after it."""
    planted = "A" * 43
    form = urlencode({"username": "alice", "password": PASSWORDS["alice"]}).encode()
    headers = {"cookie": f"genai_session={planted}"}
    first, second = [await post_form(app, "/login", form, headers) for _ in range(2)]
    assert len({planted, cookie_of(first), cookie_of(second)}) == 3


async def test_token_and_password_are_nowhere_else(app: AppProcess, open_page: OpenPage) -> None:
    """Not in an address, a page, the log, or the database."""
    answer = await log_in(app, "alice", PASSWORDS["alice"])
    token = cookie_of(answer)
    assert token not in answer.header("location")
    page = await ask(app, "GET", "/", {"cookie": f"genai_session={token}"})
    assert page.status == 200
    wrong = "canary-wrong-password"
    await log_in(app, "alice", wrong)
    stored = b"".join(path.read_bytes() for path in app.data_dir.glob("genai.sqlite3*"))
    for secret in (token, PASSWORDS["alice"], wrong):
        assert secret not in page.text
        assert secret not in app.log_text()
        assert secret.encode() not in stored


@pytest.mark.parametrize(
    "header",
    ["X-Remote-User", "Remote-User", "X-User-Email", "X-Forwarded-User", "X-Forwarded-Email"],
)
async def test_identity_headers_are_ignored(
    app: AppProcess, open_page: OpenPage, header: str
) -> None:
    """A header that names a user is nobody's login."""
    answer = await ask(app, "GET", "/", {header: "carol", "authorization": "Basic Y2Fyb2w6eA=="})
    assert (answer.status, answer.header("location")) == (303, "/login")


@pytest.mark.parametrize(
    "target",
    [
        *("//evil.example", "///evil.example", "\\\\evil.example", "/\\evil.example", "\\evil"),
        *("/%5cevil.example", "/%2fevil.example", "https://evil.example", "https:evil.example"),
        *("javascript:alert(1)", "data:text/html,x", "/c/x\r\nSet-Cookie: a=b", "/\tevil", "/\x00"),
        *(
            "/c/../../evil",
            "/c/%2e%2e",
            "//",
            "",
            "evil",
            "/login",
            "/logout",
            "/c/",
            "@evil",
            "?x",
        ),
        *("/c/" + "a" * 5_000, "/\u2025", "https://127.0.0.1@evil.example/", " //evil", "/c/a/b"),
    ],
)
async def test_next_leads_nowhere_else(app: AppProcess, target: str) -> None:
    """What is no page of ours falls back to home, and splits no header."""
    answer = await log_in(app, "alice", PASSWORDS["alice"], next=target)
    assert (answer.status, answer.header("location")) == (303, "/")
    assert not any(value == "a=b" for _, value in answer.headers)


@pytest.mark.parametrize("target", ["/", "/c/01a20915-1c28-7661-bc06-a2be6ac9cb6a"])
async def test_next_leads_back_to_the_page(app: AppProcess, target: str) -> None:
    """The page that asked for the login is where it leads, after a wrong password too."""
    bare = await ask(app, "GET", target)
    assert bare.status == 303
    assert parse_qs(urlsplit(bare.header("location")).query).get("next", ["/"]) == [target]
    wrong = await log_in(app, "alice", "wrong password", next=target)
    query = parse_qs(urlsplit(wrong.header("location")).query)
    assert query == {"error": ["wrong_credentials"]} | ({"next": [target]} if target != "/" else {})
    right = await log_in(app, "alice", PASSWORDS["alice"], next=target)
    assert right.header("location") == target


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": ""},
    ],
    ids=str,
)
async def test_a_foreign_page_logs_nobody_in_or_out(
    app: AppProcess, headers: dict[str, str]
) -> None:
    """Login CSRF and logout CSRF: refused by Origin and by Sec-Fetch-Site, each alone."""
    form = urlencode({"username": "alice", "password": PASSWORDS["alice"]}).encode()
    answer = await post_form(app, "/login", form, headers)
    assert answer.header("set-cookie") == ""
    assert answer.status == 303
    assert answer.header("location") == "/login?error=foreign_origin"

    token = cookie_of(await log_in(app, "alice", PASSWORDS["alice"]))
    cookie = {"cookie": f"genai_session={token}"}
    await post_form(app, "/logout", b"", cookie | headers)
    assert (await ask(app, "GET", "/", cookie)).status == 200


async def test_logout_by_address_does_nothing(app: AppProcess) -> None:
    """A picture with the address of the logout logs nobody out."""
    token = cookie_of(await log_in(app, "alice", PASSWORDS["alice"]))
    cookie = {"cookie": f"genai_session={token}"}
    assert (await ask(app, "GET", "/logout", cookie)).status in (404, 405)
    assert (await ask(app, "GET", "/", cookie)).status == 200


async def test_logout_takes_the_cookie(app: AppProcess) -> None:
    """The browser forgets it, the server refuses it; twice is harmless."""
    token = cookie_of(await log_in(app, "alice", PASSWORDS["alice"]))
    cookie = {"cookie": f"genai_session={token}"}
    for _ in range(2):
        answer = await post_form(app, "/logout", b"", cookie)
        assert (answer.status, answer.header("location")) == (303, "/login")
        assert "max-age=0" in answer.header("set-cookie").lower()
    assert (await ask(app, "GET", "/", cookie)).status == 303


@pytest.mark.parametrize("error", ["<script>alert(1)</script>", "x" * 5_000, "nothing_we_know"])
async def test_the_error_in_the_address_is_only_a_code(
    app: AppProcess, open_page: OpenPage, error: str
) -> None:
    """Whatever the address claims: the page's HTML does not repeat it."""
    answer = await ask(app, "GET", f"/login?error={quote(error)}")
    assert answer.status == 200
    assert error not in answer.text
