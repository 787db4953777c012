"""No secret is found anywhere but where it belongs, whatever has been done and gone wrong."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest
from redis.asyncio import Redis

from tests.cast import PASSWORDS
from tests.conftest import OpenPage, StartApp
from tests.fakes.api_client import client_of
from tests.fakes.app_process import AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.questions import question
from tests.fakes.raw_http import ask
from tests.fakes.services import RedisServer

SETTINGS = ("secret_key", "llm_api_key", "metrics_token", "admin_password")


@dataclass(frozen=True, slots=True)
class Product:
    """A product whose every secret is a canary."""

    app: AppProcess
    canaries: dict[str, str]
    redis: Redis


@pytest.fixture
async def product(start_app: StartApp, redis_server: RedisServer) -> AsyncIterator[Product]:
    canaries = {name: f"canary-{name}-{uuid.uuid4().hex}" for name in (*SETTINGS, "redis")}
    redis_server.command("CONFIG", "SET", "requirepass", canaries["redis"])
    url = redis_server.url.replace("://", f"://:{canaries['redis']}@")
    redis = Redis.from_url(url)  # pyright: ignore[reportUnknownMemberType]
    try:
        settings = {name: canaries[name] for name in SETTINGS}
        app = start_app(
            "postgresql", redis_url=url, cache_scope="company", rate_limit="4/minute", **settings
        )
        yield Product(app, canaries, redis)
    finally:
        await redis.config_set("requirepass", "")
        await redis.aclose()


async def test_canaries(product: Product, open_page: OpenPage, model: ModelServer) -> None:
    app, canaries = product.app, dict(product.canaries)
    canaries |= {"password": PASSWORDS["alice"], "wrong password": f"wrong-{uuid.uuid4().hex}"}
    pages: list[str] = []

    # every door, well and badly
    page = await open_page("alice", at=app)
    canaries["session cookie"] = page.cookie
    await page.ask(question("tokens=3"))
    await page.ask(question("status=500"))
    wrong = await page.log_in("alice", canaries["wrong password"])
    pages.append(wrong)
    async with client_of(app) as api:
        for body in (
            {"username": "alice", "password": canaries["wrong password"]},
            {"username": canaries["wrong password"], "password": "x"},
            {"username": "alice", "password": PASSWORDS["alice"]},
        ):
            answer = await api.post("/token", json=body)
            if answer.status_code != 200:
                pages.append(answer.text)
        told = answer.json()
        canaries |= {name: told[name] for name in ("access_token", "refresh_token")}
        api.headers["authorization"] = f"Bearer {told['access_token']}"
        made = (await api.post("/me/keys", json={"name": "nightly"})).json()
        canaries["api key"] = made["key"]
        told = (
            await api.post("/token/refresh", json={"refresh_token": told["refresh_token"]})
        ).json()
        canaries |= {f"new {name}": told[name] for name in ("access_token", "refresh_token")}
        api.headers["authorization"] = f"Bearer {made['key']}"
        for _ in range(4):  # the last ones meet the limit
            pages.append((await api.post("/ask", json={"prompt": question("tokens=2")})).text)
        for path in ("/nothing", "/v1/nothing", "/me/keys/x", "/readyz", "/openapi.json", "/me"):
            pages.append((await api.get(path)).text)
    for target in ("/?token=", "/metrics?token="):  # in the address, where it does not belong
        pages.append((await ask(app, "GET", target + canaries["metrics_token"])).text)
    # everything that is needed goes away
    await product.redis.config_set("requirepass", "another")
    pages.append((await ask(app, "GET", "/readyz")).text)
    await page.send(question("tokens=2"))
    await page.wait_for(lambda: page.error_code)
    await product.redis.config_set("requirepass", canaries["redis"])

    frames = "".join(frame.text for frame in page.frames)
    found = {
        "log": app.log_text(),
        "pages": "".join(pages),
        "frames": frames,
        "database": _dump(app.database_url),
        "redis": await _contents(product.redis),
        "files": _files(app.data_dir),
    }
    assert len(found["database"]) > 2000
    assert "genai:" in found["redis"]
    for where, text in found.items():
        leaks = [name for name, value in canaries.items() if value in text or quote(value) in text]
        assert leaks == [], where


def _dump(url: str) -> str:
    """Every row of every table."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            tables = [name for (name,) in cursor.fetchall()]
            rows: list[str] = []
            for table in tables:
                cursor.execute(f'SELECT t::text FROM "{table}" t')
                rows += [text for (text,) in cursor.fetchall()]
    finally:
        connection.close()
    return "\n".join(rows)


async def _contents(redis: Redis) -> str:
    """Every key with its value as Redis would write it to disk."""
    parts: list[str] = []
    async for key in redis.scan_iter():
        value = await redis.dump(key) or b""
        parts.append(f"{key.decode()} {value.decode('utf-8', 'replace')}")
    return "\n".join(parts)


def _files(directory: Path) -> str:
    return "".join(
        path.read_text("utf-8", "replace") for path in directory.rglob("*") if path.is_file()
    )
