"""The built front end and nothing else of the disk."""

import re
from urllib.parse import quote

import pytest

from genai_app.web.frontend import built_directory
from tests import corpora
from tests.fakes.app_process import AppProcess
from tests.fakes.raw_http import ask

SECRETS = ("root:x:", "SQLite format", "import structlog", "GENAI_", "[core]", "BEGIN ")
PREFIXES = ("/", "/assets/", "/login/", "/c/", "/assets/../", "/_event/../", "//")
PRIVATE = [
    *("/.env", "/.git/config", "/.web/env.json", "/pyproject.toml", "/rxconfig.py", "/alembic.ini"),
    *("/genai_app/app.py", "/data/genai.sqlite3", "/genai.sqlite3", "/secret.key", "/log"),
    *("/data/secret.key", "/../data/secret.key", "/%2e%2e/data/secret.key", "/env.json"),
    *("/assets/../../../env.json", "/assets/%2e%2e/%2e%2e/%2e%2e/env.json", "/routes.json"),
    *("/assets/..%2f..%2f..%2fenv.json", "/..%5c..%5cenv.json", "/assets/%252e%252e/env.json"),
    *("/_upload", "/_health", "/ping", "/_all_routes", "/auth-codespace", "/assets", "/assets/"),
    *(
        "/__spa-fallback.html.map",
        "/node_modules/react/package.json",
        "/backend/stateful_pages.json",
    ),
]


def a_template() -> str:
    """The name of a script that holds the page's own address."""
    directory = built_directory()
    assert directory is not None
    found = [p for p in directory.glob("assets/*.js") if b"origin.invalid" in p.read_bytes()]
    assert found
    return f"/assets/{found[0].name}"


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_no_path_leads_out_of_the_build(app: AppProcess, prefix: str) -> None:
    """The whole corpus, raw and encoded, under each prefix: never a file of the disk."""
    (app.data_dir / "genai.env").write_text("GENAI_SECRET_KEY=canary-dotenv\n")
    own = (app.data_dir / "secret.key").read_text()
    for sample in corpora.load("paths"):
        spelled = sample.encode("utf-8", "surrogatepass")
        encoded = quote(spelled, safe="").encode()
        raw = b"" if re.search(rb"[\x00-\x20\x7f]", spelled) else spelled
        for name in filter(None, (encoded, raw)):
            answer = await ask(app, "GET", prefix.encode() + name)
            page = answer.status == 200 and "__reactRouterContext" in answer.text
            assert page or answer.status in (303, 307, 400, 404), (prefix, sample, answer.status)
            assert not any(secret in answer.text for secret in (*SECRETS, own, "canary-dotenv"))
            leads = answer.header("location").removeprefix(app.url)
            assert not leads.startswith(("//", "/\\", "http"))


@pytest.mark.parametrize("path", PRIVATE)
async def test_what_is_ours_is_not_served(app: AppProcess, path: str) -> None:
    """Source, data, settings, the build's own notes, and Reflex's routes."""
    answer = await ask(app, "GET", path)
    assert answer.status in (303, 400, 404), (path, answer.status)
    assert not any(secret in answer.text for secret in SECRETS)


async def test_an_unknown_address_is_a_404_page(app: AppProcess) -> None:
    """The status says it, the page says it to people, and it is not kept."""
    for path in ("/nothing", "/c", "/c/", "/c/x/y", "/admin/x", "/login/x"):
        answer = await ask(app, "GET", path, {"accept": "text/html"})
        assert answer.status == 404, path
        assert answer.header("content-type").startswith("text/html")
        assert "no-" in answer.header("cache-control")


async def test_hashed_files_are_kept_for_ever_and_others_are_not(app: AppProcess) -> None:
    """A name with a hash never changes; pages and a missing file may be there tomorrow."""
    script = await ask(app, "GET", a_template())
    assert script.status == 200
    assert "immutable" in script.header("cache-control")
    assert script.header("content-type").startswith("text/javascript")
    for path in ("/assets/nothing-00000000.js", "/styles.css", "/login"):
        answer = await ask(app, "GET", path)
        assert "immutable" not in answer.header("cache-control"), path


@pytest.mark.parametrize(
    "host", ["localhost:8000", "localhost", "127.0.0.1:1", "[::1]:8000", "LOCALHOST:1"]
)
async def test_scripts_name_the_origin_they_came_from(app: AppProcess, host: str) -> None:
    """One build serves any host: the socket's address is the page's own."""
    answer = await ask(app, "GET", a_template(), {"host": host})
    assert answer.status == 200
    assert f"ws://{host}" in answer.text
    assert "origin.invalid" not in answer.text
    assert "host" in answer.header("vary").lower()


@pytest.mark.parametrize(
    "host",
    [
        *("", "a b", 'x"onload="y', "x/../y", "evil.example:999999", "x\\y", "<x>", "x'y", "x;y"),
        *("user@host", "x?y", "x#y", "`x`", "${x}", "x\ty", "é", "[x]:1", "x:", "x:y"),
    ],
)
async def test_odd_hosts_are_written_into_no_script(app: AppProcess, host: str) -> None:
    """What is no host name is refused, not repeated."""
    answer = await ask(app, "GET", a_template(), {"host": host})
    assert answer.status in (400, 421)
    assert not host.strip() or host not in answer.text


async def test_a_client_without_gzip_can_read_the_scripts(app: AppProcess) -> None:
    """Packed only for whom asks for it; and no method but GET and HEAD."""
    plain = await ask(app, "GET", a_template(), {"accept-encoding": "identity"})
    assert plain.header("content-encoding") in ("", "identity")
    packed = await ask(app, "GET", a_template(), {"accept-encoding": "gzip, br"})
    assert packed.header("content-encoding") in ("gzip", "br")
    assert (await ask(app, "POST", a_template())).status == 405
    head = await ask(app, "HEAD", a_template())
    assert (head.status, head.body) == (200, b"")


async def test_pages_need_a_login_and_files_do_not(app: AppProcess) -> None:
    """Without a session a page of ours is the login; its scripts hold nothing of anybody."""
    for path in ("/", "/c/01a20915-1c28-7661-bc06-a2be6ac9cb6a"):
        answer = await ask(app, "GET", path)
        assert answer.status == 303
        assert answer.header("location").startswith("/login")
    assert (await ask(app, "GET", "/styles.css")).status == 200
