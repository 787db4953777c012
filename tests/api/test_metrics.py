"""Who may read /metrics, and what stands there."""

import re

import httpx

from tests.conftest import OpenPage, StartApp
from tests.fakes.app_process import AppProcess
from tests.fakes.raw_http import ask

TOKEN = "bench-of-prometheus-7"
NAMES = (
    *("genai_requests_total", "genai_request_seconds_bucket", "genai_first_token_seconds_bucket"),
    *("genai_cache_lookups_total", "genai_limit_hits_total", "genai_tokens_total"),
    *("genai_answers_running", "genai_followers", "genai_event_sockets"),
    *("genai_database_connections", "genai_event_loop_lag_seconds_bucket"),
    *("process_resident_memory_bytes", "python_gc_collections_total"),
)


async def direct(app: AppProcess) -> httpx.Response:
    """Past any proxy; `ask` looks as if it came through one."""
    async with httpx.AsyncClient() as client:
        return await client.get(f"{app.url}/metrics")


async def read(app: AppProcess) -> str:
    answer = await direct(app)
    assert answer.status_code == 200
    return answer.text


def value(text: str, series: str) -> float:
    """The value of a series, 0 when it is not there yet."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


async def test_this_machine_reads_without_a_token(app: AppProcess) -> None:
    """Prometheus beside the product needs no secret."""
    answer = await direct(app)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"
    assert [name for name in NAMES if not re.search(rf"^{name}\b", answer.text, re.M)] == []


async def test_what_a_proxy_sends_on_comes_from_elsewhere(app: AppProcess) -> None:
    """The proxy is on this machine; who asked it is not. The same answer as for no such page."""
    for name in ("x-forwarded-for", "forwarded", "x-real-ip"):
        answer = await ask(app, "GET", "/metrics", {name: "127.0.0.1"})
        assert answer.status == 404
        assert '"not_found"' in answer.text


async def test_a_port_that_others_reach_needs_a_token(start_app: StartApp) -> None:
    """Also from this machine: a program on it, or a proxy that says nothing, is no operator."""
    assert (await direct(start_app(host="0.0.0.0"))).status_code == 404
    app = start_app(host="0.0.0.0", metrics_token=TOKEN)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        assert (await client.get(f"{app.url}/metrics")).status_code == 200


async def test_with_a_token_nothing_else_opens_it(start_app: StartApp) -> None:
    """From this machine or past a proxy: the bearer alone decides."""
    app = start_app(metrics_token=TOKEN)
    for given in ("", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", TOKEN, "Bearer \xff"):
        assert (await ask(app, "GET", "/metrics", {"authorization": given})).status == 401
    headers = {"authorization": f"Bearer {TOKEN}", "x-forwarded-for": "203.0.113.7"}
    answer = await ask(app, "GET", "/metrics", headers)
    assert answer.status == 200
    assert TOKEN not in answer.text


async def test_requests_are_counted_by_route(app: AppProcess) -> None:
    """What a client makes up, path or method, gives no new series."""
    before = await read(app)
    for method, path in (
        *(("GET", "/healthz"), ("POST", "/healthz"), ("GET", "/"), ("GET", "/login")),
        *(("GET", "/assets/made-up-1.js"), ("GET", "/made-up-2"), ("MADEUP", "/made-up-3")),
    ):
        assert (await ask(app, method, path)).status
    after = await read(app)

    def more(series: str) -> float:
        return value(after, series) - value(before, series)

    total = "genai_requests_total"
    assert more(f'{total}{{method="GET",route="/healthz",status="200"}}') == 1
    assert more(f'{total}{{method="GET",route="page",status="303"}}') == 1
    assert more(f'{total}{{method="GET",route="page",status="200"}}') == 1
    assert more(f'{total}{{method="GET",route="asset",status="404"}}') == 1
    assert more('genai_request_seconds_count{method="GET",route="/healthz"}') == 1
    assert "made-up" not in after
    assert "MADEUP" not in after


async def test_an_open_page_is_counted_and_not_named(app: AppProcess, open_page: OpenPage) -> None:
    """N7. Figures about everybody tell of nobody."""
    page = await open_page("alice")
    text = await read(app)
    assert value(text, "genai_event_sockets") >= 1
    assert value(text, 'genai_database_connections{state="most"}') > 0
    assert "alice" not in text
    await page.aclose()
