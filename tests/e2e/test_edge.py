"""The product as deploy/ puts it into service: nginx with TLS before two processes, PostgreSQL and
two Redis, each with the configuration that is shipped. One of each for all tests here."""

import asyncio
import json
import ssl
import sys
import uuid
import warnings
from collections.abc import Generator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg2
import pytest
import redis
from playwright.async_api import Browser, expect
from redis import exceptions

from genai_app import migrations
from tests.cast import PASSWORDS
from tests.conftest import put_cast
from tests.e2e.chromium import E2E
from tests.e2e.conftest import TIMEOUT_MS, Watch, log_in
from tests.e2e.tab import Tab
from tests.fakes.app_process import AppProcess, poll
from tests.fakes.child import search_path
from tests.fakes.edge import Nginx, deployed_postgres, deployed_redis, make_secrets
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import End, Hold, Say
from tests.fakes.services import free_port

pytestmark = E2E

TIMEOUT_S = 30.0
ONCE = (
    "strict-transport-security",
    "content-security-policy",
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "cache-control",
    "x-request-id",
)
SOCKET = "/_event/?EIO=4&transport=websocket&token="


@dataclass
class Edge:
    """All of it together. `cache`, `state`: the two Redis, as the product is told of them."""

    nginx: Nginx
    products: tuple[AppProcess, AppProcess]
    database_url: str
    state: str
    cache: str

    @property
    def url(self) -> str:
        return self.nginx.url

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, verify=self.nginx.trust, timeout=TIMEOUT_S)

    def logs(self) -> str:
        return self.nginx.logs() + "".join(each.log_text() for each in self.products)


@pytest.fixture(scope="module")
def edge(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Edge]:
    home = tmp_path_factory.mktemp("edge")
    home.chmod(0o755)
    with ExitStack() as stack:
        secrets = home / "secrets"
        make_secrets(secrets)
        postgres = deployed_postgres(secrets / "postgres_password")
        stack.callback(postgres.remove)
        stores = {}
        for name in ("state", "cache"):
            stores[name] = deployed_redis(name, secrets / f"redis_{name}_acl")
            stack.callback(stores[name].remove)
            stores[name].start()
        urls = {}
        for name, host, port in (
            ("database_url", "postgres", postgres.port),
            ("redis_url", "redis-state", stores["state"].port),
            ("cache_redis_url", "redis-cache:6380", stores["cache"].port),
        ):
            told = (secrets / name).read_text()
            assert f"@{host}/" in told
            urls[name] = told.replace(f"@{host}/", f"@127.0.0.1:{port}/")
        migrations.upgrade(urls["database_url"])
        put_cast(urls["database_url"])
        port = free_port()
        settings = {
            "public_url": f"https://localhost:{port}",
            "trusted_proxy_hops": 1,
            "cache_scope": "company",
            "redis_url": urls["redis_url"],
            "cache_redis_url": urls["cache_redis_url"],
            "secret_key": (secrets / "secret_key").read_text(),
            "metrics_token": (secrets / "metrics_token").read_text(),
        }
        products = tuple(
            AppProcess(
                home / name, llm_url=model.url, database_url=urls["database_url"], **settings
            )
            for name in ("first", "second")
        )
        for each in products:
            each.start()
            stack.callback(each.kill)
        for each in products:
            each.wait_ready()
        nginx = stack.enter_context(
            Nginx(
                home / "nginx",
                port,
                *(each.port for each in products),
                changes={"client_header_timeout 10s": "client_header_timeout 1s"},
            )
        )
        yield Edge(
            nginx,
            (products[0], products[1]),
            urls["database_url"],
            urls["redis_url"],
            urls["cache_redis_url"],
        )


async def say(nginx: Nginx, request: bytes, *, tls: bool = True) -> httpx.Response:
    """What it answers to these bytes: the head, and the body if that has a length."""
    trust = ssl.create_default_context(cafile=str(nginx.ca_file)) if tls else None
    reader, writer = await asyncio.open_connection("localhost", nginx.port, ssl=trust)
    try:
        writer.write(request)
        async with asyncio.timeout(TIMEOUT_S):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = [(name.strip(), value.strip()) for name, _, value in map(_halves, lines)]
            length = int(dict(headers).get("Content-Length", "0"))
            body = await reader.readexactly(length)
    finally:
        writer.close()
    return httpx.Response(int(first.split(" ")[1]), headers=headers, content=body)


def _halves(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def get(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def handshake(nginx: Nginx, *headers: str, token: str = "") -> bytes:
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key)
    host = f"Host: localhost:{nginx.port}"
    head = [f"GET {SOCKET}{token or uuid.uuid4()} HTTP/1.1", host, *upgrade, *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n"


KINDS: dict[str, tuple[bytes, int]] = {
    "page": (get("/login", "Accept: text/html"), 200),
    "redirect": (get("/", "Accept: text/html"), 303),
    "asset": (get("/styles.css"), 200),
    "health": (get("/healthz"), 200),
    "refused by the product": (get("/me"), 401),
    "nothing there": (get("/dialogs/1/2/3"), 404),
    "a method of nobody": (get("/healthz", method="TRACE"), 405),
    "socket of a foreign page": (get(SOCKET, "Origin: https://evil.example"), 403),
    "metrics": (get("/metrics"), 404),
    "too large": (get("/ask", "Content-Length: 10000000", method="POST"), 413),
    "too large by its parts": (
        get("/ask", "Transfer-Encoding: chunked", method="POST", body=b"989680\r\n" + b"x" * 2**20),
        413,
    ),
    "head too large": (get("/", f"Cookie: a={'x' * 70_000}"), 400),
    "no HTTP": (b"GET / HTTP/1.1 and more\r\n\r\n", 400),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_answer_has_each_header_once(kind: str, edge: Edge) -> None:
    """Whoever answers, a replica or the edge: none is missing, none is there twice."""
    request, status = KINDS[kind]
    answer = await say(edge.nginx, request)
    assert answer.status_code == status
    for name in ONCE:
        assert len(answer.headers.get_list(name)) == 1, name
    assert "unsafe-eval" not in answer.headers["content-security-policy"]
    assert "server" not in answer.headers or answer.headers["server"] == "nginx"  # no version


async def test_plain_http_on_the_port_of_tls_is_refused(edge: Edge) -> None:
    answer = await say(edge.nginx, get("/login"), tls=False)
    assert answer.status_code == 400
    assert len(answer.headers.get_list("content-security-policy")) == 1


async def test_port_80_leads_to_tls(edge: Edge) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://localhost:{edge.nginx.plain_port}/c/1?q=x")
    assert answer.status_code == 308
    assert answer.headers["location"] == "https://localhost/c/1?q=x"


async def test_strangers_names_are_refused(edge: Edge) -> None:
    """At both ports, before anything reaches the product; no redirect leads there."""
    async with httpx.AsyncClient(verify=edge.nginx.trust) as client:
        for url in (f"http://localhost:{edge.nginx.plain_port}/", f"{edge.nginx.url}/login"):
            for host in ("evil.example", "localhost.evil.example", "10.0.0.7"):
                answer = await client.get(url, headers={"host": host})
                assert answer.status_code == 421, url
                assert "location" not in answer.headers
                assert "evil" not in answer.text
        assert (await client.get(f"{edge.nginx.url}/login")).status_code == 200


async def test_old_tls_is_refused(edge: Edge) -> None:
    trust = ssl.create_default_context(cafile=str(edge.nginx.ca_file))
    trust.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        trust.minimum_version = ssl.TLSVersion.TLSv1
        trust.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", edge.nginx.port, ssl=trust)


async def test_a_refusal_of_the_edge_has_the_shape_of_all_errors(edge: Edge) -> None:
    """Programs read JSON, people a page; the product was not troubled."""
    async with edge.client() as client:
        answer = await client.post("/ask?e1-canary", content=b"x" * 1_000_001)
        assert answer.status_code == 413
        error = answer.json()["error"]
        assert error["code"] == "too_large"
        assert set(error) == {"code", "message", "type", "param", "request_id"}
        answer = await client.post("/ask", content=b"x" * 10**7, headers={"accept": "text/html"})
        assert answer.status_code == 413
        assert "Слишком большой запрос" in answer.text
    for product in edge.products:
        assert '"status": 413' not in product.log_text()


async def test_while_no_replica_answers_people_and_programs_are_told(tmp_path: Path) -> None:
    """Both ports are dead: a page that comes back by itself, JSON with Retry-After; the
    query is in no log of that either."""
    canary = uuid.uuid4().hex
    with Nginx(tmp_path / "nginx", free_port(), free_port(), free_port()) as nginx:
        page = await say(nginx, get(f"/?q={canary}", "Accept: text/html,*/*"))
        program = await say(nginx, get(f"/dialogs?q={canary}"))
        origin = f"Origin: {nginx.url}"
        await say(nginx, handshake(nginx, origin, token=canary))
        assert (page.status_code, program.status_code) == (502, 502)
        assert "http-equiv" in page.text
        assert program.json()["error"]["code"] == "unavailable"
        for answer in (page, program):
            assert answer.headers["retry-after"] == "5"
            assert all(len(answer.headers.get_list(name)) == 1 for name in ONCE)
        assert poll(lambda: nginx.logs().count('"status":502') == 3)
        assert '"path":"/_event/"' in nginx.logs()
        assert canary not in nginx.logs()


async def test_no_log_has_a_query(edge: Edge) -> None:
    """Searches are private and the socket's token is a secret; the path is told."""
    canary = uuid.uuid4().hex
    async with edge.client() as client:
        await client.get("/dialogs", params={"q": canary}, headers={"referer": f"/?q={canary}"})
        await client.get("/login", params={"next": f"/c/{canary}"})
    for origin in (edge.url, "https://evil.example"):
        await say(edge.nginx, handshake(edge.nginx, f"Origin: {origin}", token=canary))
    assert poll(lambda: edge.nginx.logs().count('"path":"/_event/"') >= 2)
    assert canary not in edge.logs()
    for line in (edge.nginx.home / "genai.log").read_text().splitlines():
        assert set(json.loads(line)) >= {"path", "status", "client", "upstream_status"}


async def test_a_socket_is_opened_by_our_own_pages(edge: Edge) -> None:
    """At the edge already; the same holds in the product."""
    for headers, status in (
        ([f"Origin: {edge.url}"], 101),
        ([], 403),
        (["Origin: https://evil.example"], 403),
        ([f"Origin: {edge.url}.evil.example"], 403),
        (["Origin: null"], 403),
    ):
        answer = await say(edge.nginx, handshake(edge.nginx, *headers))
        assert answer.status_code == status, headers


async def test_the_address_of_a_client_is_what_the_edge_saw(edge: Edge) -> None:
    """What a client writes into X-Forwarded-For does not reach the audit."""
    name = f"nobody-{uuid.uuid4().hex}"
    async with edge.client() as client:
        answer = await client.post(
            "/token",
            json={"username": name, "password": "wrong"},
            headers={"x-forwarded-for": "6.6.6.6, 7.7.7.7", "forwarded": "for=6.6.6.6"},
        )
    assert answer.status_code == 401
    link = psycopg2.connect(edge.database_url)
    with link.cursor() as cursor:
        cursor.execute("SELECT address FROM audit_events WHERE address <> ''")
        found = {row[0] for row in cursor.fetchall()}
    link.close()
    assert found == {"127.0.0.1"}


async def test_a_head_that_never_ends_is_not_waited_for(edge: Edge) -> None:
    """Ten seconds in the shipped file, one here."""
    trust = ssl.create_default_context(cafile=str(edge.nginx.ca_file))
    reader, writer = await asyncio.open_connection("localhost", edge.nginx.port, ssl=trust)
    writer.write(b"GET / HTTP/1.1\r\nHost: local")
    async with asyncio.timeout(TIMEOUT_S):
        with suppress(ConnectionError):
            assert b" 200 " not in await reader.read()
    writer.close()


async def test_one_address_has_so_many_connections(edge: Edge, tmp_path: Path) -> None:
    """512 in the shipped file, three here: one more socket is refused, others go on."""
    ports = [each.port for each in edge.products]
    changes = {"genai_address 512": "genai_address 3"}
    port = free_port()
    with Nginx(tmp_path / "nginx", port, ports[0], ports[1], changes) as nginx:
        trust = ssl.create_default_context(cafile=str(nginx.ca_file))
        opened: list[asyncio.StreamWriter] = []
        statuses: list[bytes] = []
        for _ in range(4):
            reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
            opened.append(writer)
            # the port that the product knows, so that the socket stays open
            writer.write(handshake(edge.nginx, f"Origin: {edge.url}"))
            async with asyncio.timeout(TIMEOUT_S):
                statuses.append((await reader.readline()).split()[1])
        for writer in opened:
            writer.close()
    assert statuses == [b"101", b"101", b"101", b"429"]


async def test_an_answer_comes_through_as_it_is_written(edge: Edge, model: ModelServer) -> None:
    """The stream's first words are here while the model still holds the rest."""
    model.script_once(
        Say(("first ", "words ")), Hold("edge: stream"), Say(("and the rest",)), End()
    )
    async with edge.client() as client:
        client.headers["authorization"] = f"Bearer {await token_of(client, 'bob')}"
        body = {"prompt": f"stream {uuid.uuid4()}", "stream": True}
        async with client.stream("POST", "/ask", json=body) as answer:
            lines = answer.aiter_lines()
            said = ""
            async with asyncio.timeout(TIMEOUT_S):
                while "words" not in said:
                    said += await anext(lines)
                assert "rest" not in said
                model.release("edge: stream")
                said += "".join([line async for line in lines])
    assert "and the rest" in said
    assert said.endswith("data: [DONE]")


async def token_of(client: httpx.AsyncClient, name: str) -> str:
    answer = await client.post("/token", json={"username": name, "password": PASSWORDS[name]})
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


async def test_answers_are_kept_in_the_redis_that_may_evict(edge: Edge) -> None:
    """Counters in the one that refuses when it is full, answers in the other; both are seen."""
    async with edge.client() as client:
        client.headers["authorization"] = f"Bearer {await token_of(client, 'rita')}"
        prompt = f"keep this {uuid.uuid4()}"
        sources = [(await client.post("/ask", json={"prompt": prompt})).json()["source"]]
        sources.append((await client.post("/ask", json={"prompt": prompt})).json()["source"])
        checks = (await client.get("/readyz")).json()["checks"]
    assert sources == ["model", "cache"]
    assert checks["redis"] == checks["cache"] == "up"
    with redis.Redis.from_url(edge.state) as state, redis.Redis.from_url(edge.cache) as cache:
        assert list(cache.scan_iter("genai:answer:*"))
        assert not list(state.scan_iter("genai:answer*"))
        assert list(state.scan_iter("*genai:limits*"))
        assert list(cache.scan_iter("*limits*")) == []


async def test_redis_lets_nobody_in_but_the_product(edge: Edge) -> None:
    """Who can write there gives others their answers. No user, no entry; ours has its own keys
    and channels, and cannot turn the server into something else."""
    for url in (edge.state, edge.cache):
        open_door = url.replace(url[url.index("//") + 2 : url.index("@") + 1], "")
        stranger = redis.Redis.from_url(open_door)
        with stranger, pytest.raises(exceptions.AuthenticationError):
            stranger.set("genai:x", "1")
        with redis.Redis.from_url(url) as ours:
            for command in (
                ("CONFIG", "SET", "dir", "/tmp"),
                ("FLUSHALL",),
                ("MODULE", "LIST"),
                ("ACL", "LIST"),
                ("REPLICAOF", "evil", "1"),
                ("SAVE",),
            ):
                with pytest.raises(exceptions.NoPermissionError):
                    ours.execute_command(*command)
            with pytest.raises(exceptions.NoPermissionError):
                ours.set("another:key", "1")
            with pytest.raises(exceptions.NoPermissionError):
                ours.publish("another", "1")
    # what replicas tell each other
    with redis.Redis.from_url(edge.state) as ours, ours.pubsub() as mail:
        mail.subscribe("genai:process:edge")
        assert mail.get_message(timeout=TIMEOUT_S)
        assert ours.publish("genai:process:edge", "hello") == 1


@pytest.mark.parametrize("name", ["state", "cache"])
async def test_a_full_redis(name: str, tmp_path: Path) -> None:
    """The state's refuses what is new and keeps what it has; the cache's makes room."""
    secrets = make_secrets(tmp_path / "secrets")
    acl = tmp_path / "secrets" / f"redis_{name}_acl"
    server = deployed_redis(name, acl, "--maxmemory", "4mb")
    try:
        server.start()
        password = secrets[f"redis_{name}_password"]
        with redis.Redis(port=server.port, username="genai", password=password) as client:
            client.set("genai:first", "kept")
            refused = False
            for number in range(80):
                try:
                    client.set(f"genai:{number}", "x" * 100_000)
                except exceptions.OutOfMemoryError:
                    refused = True
            assert refused is (name == "state")
            assert (client.get("genai:79") is not None) is (name == "cache")
            assert (client.get("genai:first") == b"kept") or name == "cache"
    finally:
        server.remove()


async def test_postgresql_lets_in_by_password_and_logs_no_text(edge: Edge) -> None:
    """The role is no superuser; a statement that fails is not written down, it holds questions."""
    wrong = edge.database_url.replace("genai:", "genai:not-", 1)
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(wrong)
    link = psycopg2.connect(edge.database_url)
    with link.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False, False)
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name LIKE 'log_%'")
        told = dict(cursor.fetchall())
    link.close()
    assert told["log_statement"] == "none"
    assert told["log_min_error_statement"] == "panic"
    assert told["log_error_verbosity"] == "terse"


async def test_a_backup_is_made_and_restored_on_trial(edge: Edge, tmp_path: Path) -> None:
    """The role may make the drill's database, and PostgreSQL's doors let it in there."""
    product = edge.products[0]
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "genai_app", "backup", "--drill"),
        cwd=tmp_path,
        env={
            "PATH": search_path(),
            "PYTHONPATH": str(product.root),
            **{f"GENAI_{name.upper()}": value for name, value in product.settings.items()},
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await done.communicate()
    assert done.returncode == 0, told.decode()
    assert list((product.data_dir / "backups").glob("*.zip"))


async def test_metrics_of_each_replica_by_token_and_never_by_the_edge(edge: Edge) -> None:
    token = edge.products[0].settings["metrics_token"]
    headers = {"authorization": f"Bearer {token}"}
    async with edge.client() as client, httpx.AsyncClient(headers=headers) as inside:
        assert (await client.get("/metrics", headers=headers)).status_code == 404
        for product in edge.products:
            assert (await inside.get(f"{product.url}/metrics")).status_code == 200


async def test_a_day_over_tls(
    edge: Edge, browser: Browser, watch: Watch, model: ModelServer
) -> None:
    """Log in, ask, see the answer grow, load the page again: through the edge, to any process."""
    model.script_once(Say(("**Пер", "вая** часть. ")), Hold("edge: page"), Say(("Конец.",)), End())
    context = await browser.new_context(base_url=edge.url, ignore_https_errors=True)
    context.set_default_timeout(TIMEOUT_MS)
    watch.over(context, edge.url)
    page = await context.new_page()
    await log_in(page, "alice")
    kept = next(each for each in await context.cookies() if each.get("name") == "genai_session")
    assert kept.get("secure")
    assert kept.get("httpOnly")
    tab = Tab(page)
    await tab.ask(f"Вопрос по TLS {uuid.uuid4()}")
    await expect(tab.answer.locator("strong")).to_have_text("Первая")
    await expect(tab.answer).to_have_attribute("data-status", "running")
    model.release("edge: page")
    await tab.ends()
    await tab.shows("Первая часть. Конец.")
    await tab.reload()
    await tab.shows("Первая часть. Конец.")
    await context.close()


async def test_one_replica_is_enough(edge: Edge) -> None:
    """While one is replaced, nobody is told so, and a question is asked once."""
    first, second = edge.products
    first.stop()
    try:
        async with edge.client() as client:
            client.headers["authorization"] = f"Bearer {await token_of(client, 'carol')}"
            for _ in range(6):
                assert (await client.get("/healthz")).status_code == 200
                answer = await client.post("/ask", json={"prompt": f"once {uuid.uuid4()}"})
                assert answer.status_code == 200
        assert second.alive
    finally:
        first.restart()
