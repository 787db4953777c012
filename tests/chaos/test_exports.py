"""Exports under faults and under load: N6, and memory that does not grow with what is exported."""

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from genai_app.db.database import Database
from tests.cast import PASSWORDS
from tests.conftest import StartApp
from tests.fakes.api_client import client_of, new_token
from tests.fakes.app_process import AppProcess, eventually
from tests.fakes.rows import put_history

pytestmark = pytest.mark.fault

ROOT = Path(__file__).parents[2]
SMALL, LARGE = 2_000, 100_000
ALLOWED_MIB = 30.0  # over the small one: allocator and pages of the database's cache
# run by an interpreter of its own, whose memory nobody else touches
PROGRAM = """
import asyncio, resource, sys
from pathlib import Path
from genai_app.db.database import Database
from genai_app.services.exports.exports import export_to_file
from genai_app.settings.settings import load_settings

async def main(format_, out):
    settings = load_settings()
    db = Database(settings.sqlalchemy_url)
    count = await export_to_file(db, settings, "dialogs", format_, {}, Path(out), by="a test")
    await db.close()
    print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)

asyncio.run(main(*sys.argv[1:]))
"""


async def grown(db: Database, messages: int) -> None:
    """Alice has dialogs of so many messages in all."""
    each = 500
    async with db.read() as session:
        have = await session.scalar(sa.text("SELECT count(*) FROM messages")) or 0
    for _ in range((messages - have) // (2 * each)):
        await put_history(db, "alice", [("вопрос " * 20, "ответ " * 50)] * each)


@pytest.mark.parametrize("format_", ["csv", "xlsx", "jsonl"])
async def test_memory_does_not_grow_with_the_rows(
    format_: str, big_database: dict[int, str], tmp_path: Path
) -> None:
    """100,000 rows take no more memory than 2,000 but for a constant."""
    used: dict[int, float] = {}
    for size, url in big_database.items():
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", PROGRAM, format_, str(tmp_path / f"{size}.{format_}")],
            cwd=ROOT,
            env={
                "PATH": "/usr/bin:/bin",
                "GENAI_DATABASE_URL": url,
                "GENAI_DATA_DIR": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        rows, mib = map(int, done.stdout.split()[-2:])
        assert rows == size
        used[size] = mib
    assert used[LARGE] - used[SMALL] < ALLOWED_MIB, used


@pytest.fixture(scope="module")
def big_database(
    sqlite_with_cast: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, str]:
    """Databases with few and with many messages, by their number."""

    async def fill(url: str, size: int) -> None:
        db = Database(url)
        await grown(db, size)
        await db.close()

    found: dict[int, str] = {}
    for size in (SMALL, LARGE):
        path = tmp_path_factory.mktemp("big") / "genai.sqlite3"
        path.write_bytes(sqlite_with_cast.read_bytes())
        found[size] = f"sqlite:///{path}"
        asyncio.run(fill(found[size], size))
    return found


async def reviewer(app: AppProcess) -> httpx.AsyncClient:
    return client_of(app, await new_token(app, "carol", PASSWORDS["carol"]))


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_kill_in_mid_export(engine: str, start_app: StartApp) -> None:
    """N6: SIGKILL, start: the export is made anew, whole, and nothing half is ever given out."""
    app = start_app(engine)
    db = Database(app.database_url)
    await grown(db, 10_000)
    api = await reviewer(app)
    answer = await api.post("/admin/api/exports", json={"kind": "dialogs", "format": "xlsx"})
    key = answer.json()["id"]

    async def under_way() -> bool:
        told = (await api.get(f"/exports/{key}")).json()
        assert told["state"] in ("queued", "running")
        return told["done"] > 0

    await eventually(under_way)
    app.kill()
    left = list((app.data_dir / "exports").iterdir())
    assert [each.suffix for each in left] == [".part"]
    app.restart()
    again = await reviewer(app)
    assert (await again.get(f"/exports/{key}/file")).status_code == 404

    async def done() -> bool:
        told = (await again.get(f"/exports/{key}")).json()
        assert told["state"] in ("running", "done")
        return told["state"] == "done"

    await eventually(done, within_s=120)
    told = (await again.get(f"/exports/{key}")).json()
    assert told["done"] == told["total"] == 10_000
    file = await again.get(f"/exports/{key}/file")
    assert (file.status_code, len(file.content)) == (200, told["size"])

    async def tidy() -> bool:
        return len(list((app.data_dir / "exports").iterdir())) == 1

    await eventually(tidy, within_s=90)
    await db.close()
    for each in (api, again):
        await each.aclose()
