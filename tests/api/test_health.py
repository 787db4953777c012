"""What a load balancer asks: /healthz and /readyz."""

import json

from tests.conftest import StartApp
from tests.fakes.app_process import AppProcess
from tests.fakes.raw_http import ask
from tests.fakes.services import RedisServer


async def test_healthz_says_that_the_process_runs(app: AppProcess) -> None:
    """No dependency is asked, no login is needed."""
    answer = await ask(app, "GET", "/healthz")
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})


async def test_readyz_names_each_dependency(app: AppProcess) -> None:
    """Up or down, and nothing about where they are."""
    answer = await ask(app, "GET", "/readyz")
    assert answer.status == 200
    assert json.loads(answer.body) == {
        "status": "ready",
        "checks": {"database": "up", "model": "up"},
        "clock": {"state": "ok", "offset_s": 0.0},
    }
    assert answer.header("cache-control") == "no-store"


async def test_health_is_not_asked_by_other_methods(app: AppProcess) -> None:
    """A wrong method is a plain 405."""
    for path in ("/healthz", "/readyz"):
        assert (await ask(app, "POST", path)).status == 405


async def test_redis_is_named_and_not_needed(
    start_app: StartApp, redis_server: RedisServer
) -> None:
    """It comes and goes; the process stays in service and says what it sees."""
    app = start_app(redis_url=redis_server.url)

    async def seen() -> tuple[int, str]:
        answer = await ask(app, "GET", "/readyz")
        return answer.status, json.loads(answer.body)["checks"]["redis"]

    assert await seen() == (200, "up")
    redis_server.freeze()
    assert await seen() == (200, "down")
    redis_server.thaw()
    assert await seen() == (200, "up")
    redis_server.kill()
    assert await seen() == (200, "down")
    redis_server.start()
    assert await seen() == (200, "up")
