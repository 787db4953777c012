"""The whole product behind a real PgBouncer in transaction mode, where nothing outlives a
transaction, and over TLS: it migrates, serves many at once, backs up, tries that, restores.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psycopg2

from genai_app.db.database import Database
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import ROOT, AppProcess
from tests.fakes.model_server import ModelServer
from tests.fakes.pgbouncer import PgBouncer
from tests.fakes.services import PostgresServer

pytest_plugins = ("tests.fakes.postgres_tls_fixtures",)
POOL = 4


def _genai(app: AppProcess, home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = {f"GENAI_{name.upper()}": value for name, value in app.settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "genai_app", *command],
        cwd=home,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _spoil_sessions(url: str) -> None:
    """What a client of the pool leaves behind that sets something and goes: pg_dump does."""
    links = [psycopg2.connect(url) for _ in range(POOL - 1)]  # the product holds one
    for link in links:
        with link.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.set_config('search_path', '', false)")
    for link in links:
        link.commit()
        link.close()


async def _ask_at_once(app: AppProcess, token: str, count: int) -> None:
    async with client_of(app, token) as client:
        answers = await asyncio.gather(
            *(client.post("/ask", json={"prompt": f"question {n}"}) for n in range(count))
        )
        assert [answer.status_code for answer in answers] == [200] * count
        for path in ("/dialogs?q=question", "/history", "/me/limits", "/admin/api/users"):
            answer = await client.get(path)
            assert answer.status_code == 200, path


async def test_behind_a_pooler(
    postgres: PostgresServer, model: ModelServer, tmp_path: Path
) -> None:
    postgres.create_database("pooled")
    with PgBouncer(postgres, pool_size=POOL) as pooler:
        url = pooler.url("pooled")
        options = {
            "llm_url": model.url,
            "database_url": url,
            "locale": "en",
            "max_parallel_answers": 100,
            "backup_dir": tmp_path / "backups",
        }
        with AppProcess(tmp_path / "app", **options) as app:
            token = await new_token(app, "admin", app.settings["admin_password"])
            await _ask_at_once(app, token, 20)
            _spoil_sessions(url)
            await _ask_at_once(app, token, 20)

            done = _genai(app, tmp_path, "backup", "--drill")
            assert done.returncode == 0, done.stderr
            await _ask_at_once(app, token, 5)
            assert "Traceback" not in app.log_text()

            second = AppProcess(tmp_path / "second", **options)
            second.settings |= {"secret_key": app.settings["secret_key"]}
            refused = await asyncio.to_thread(_genai, second, tmp_path, "serve")
            assert refused.returncode == 2
            assert "GENAI_REDIS_URL" in refused.stderr
            (backup,) = (tmp_path / "backups").glob("*.zip")
            refused = _genai(app, tmp_path, "restore", str(backup), "--replace")
            assert refused.returncode == 1

            app.stop()
            done = _genai(app, tmp_path, "restore", str(backup), "--replace")
            assert done.returncode == 0, done.stderr
            app.restart()
            token = await new_token(app, "admin", app.settings["admin_password"])
            async with client_of(app, token) as client:
                pairs = (await client.get("/history?limit=100")).json()["items"]
            assert len(pairs) == 40
    postgres.drop_database("pooled")


async def test_a_pooler_is_noticed(postgres: PostgresServer, postgres_template: str) -> None:
    """By itself, and a server is not taken for one."""
    name = "noticed"
    direct = postgres.create_database(name, template=postgres_template)
    with PgBouncer(postgres) as pooler:
        for url, expected in ((direct, False), (pooler.url(name), True)):
            db = Database(url)
            try:
                assert await db._is_pooled() is expected  # pyright: ignore[reportPrivateUsage]
                async with db.write() as session:
                    assert (await session.connection()).info is not None
            finally:
                await db.close()
    postgres.drop_database(name)


async def test_over_tls(tls_address: str, model: ModelServer, tmp_path: Path) -> None:
    """`verify-full`, an authority of one's own, a client's certificate."""
    with AppProcess(tmp_path / "app", llm_url=model.url, database_url=tls_address) as app:
        token = await new_token(app, "admin", app.settings["admin_password"])
        await _ask_at_once(app, token, 3)
        done = _genai(app, tmp_path, "backup", "--drill")
        assert done.returncode == 0, done.stderr
        done = _genai(app, tmp_path, "doctor")
        assert "PostgreSQL" in done.stdout
