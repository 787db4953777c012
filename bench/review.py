"""`python -m bench.review`: review, search, the overview and exports on a big database.

Seeds PostgreSQL with dialogs of a year, then calls the product's own services and its command
line. The seeding is SQL; the rows of search and review are made as the migration makes them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.product import ROOT
from genai_app import migrations
from genai_app.access import Actor
from genai_app.db.database import Database
from genai_app.db.statements import table_of
from genai_app.models import Channel, Message, Role
from genai_app.services.accounts.users import Users
from genai_app.services.audit.events import Audit
from genai_app.services.cursors import Cursors
from genai_app.services.dialogs.search import Search
from genai_app.services.review.admission import Admission
from genai_app.services.review.listing import Filters
from genai_app.services.review.reviews import Reviews
from genai_app.services.statistics.overview import Overviews
from genai_app.services.statistics.periods import Period
from genai_app.services.statistics.usage import UsageCounter
from tests.fakes.services import PostgresServer

REPEATS = 7
LOOK_S = 0.05
SECRET = os.urandom(32).hex().encode()
WORDS = (
    "договор отпуск сервер отчёт письмо клиент счёт оплата проект сотрудник приказ график доступ"
    " пароль принтер почта заявка поставка склад закупка смета акт проверка журнал резерв база"
    " таблица запрос ошибка сеть настройка обновление инструкция regulation report invoice server"
)
LIMIT_MS, OVERVIEW_MS = 100, 1000

SEED = """
CREATE FUNCTION pg_temp.v7(moment timestamptz, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7'
        || lpad(to_hex(n & 4095), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid
$$;
CREATE FUNCTION pg_temp.words(n bigint) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT string_agg(w[1 + floor(power(random(), 3) * cardinality(w))::int], ' ')
    FROM (SELECT string_to_array('{words}', ' ') AS w) AS all_words, generate_series(1, 12 + n % 20)
$$;
ALTER TABLE messages DISABLE TRIGGER USER;
INSERT INTO users
    (id, username, origin, full_name, role, created_at, department, mail, directory_dn)
SELECT pg_temp.v7(now() - interval '400 days', n), 'user' || n, 'local', 'User ' || n, 'user',
       now() - interval '400 days', 'Department ' || n % 20, '', ''
FROM generate_series(1, 2000) AS n;
CREATE TEMP TABLE people AS SELECT id, row_number() OVER (ORDER BY username) AS n FROM users
    WHERE username LIKE 'user%';
CREATE TEMP TABLE talks AS
SELECT n, pg_temp.v7(at, n) AS id, at,
    (SELECT id FROM people WHERE people.n = 1 + s.n % 2000) AS who
FROM (SELECT n, now() - (interval '1 year' * n / {dialogs}) AS at
      FROM generate_series(1, {dialogs}) AS n) AS s;
INSERT INTO dialogs (id, user_id, title, created_at, updated_at)
SELECT id, who, pg_temp.words(1), at, at + interval '2 minutes' FROM talks;
INSERT INTO messages (id, dialog_id, user_id, depth, author, channel, text, status, source, model,
    prompt_tokens, completion_tokens, created_at, first_token_at, finished_at, parent_id)
SELECT pg_temp.v7(at + k * interval '30 seconds', n * 4 + k), id, who, k,
    CASE WHEN k % 2 = 0 THEN 'user' ELSE 'assistant' END,
    (ARRAY['web','web','web','api'])[1 + n % 4], pg_temp.words(n * 4 + k),
    CASE WHEN k % 2 = 1 AND n % 50 = 0 THEN 'failed' ELSE 'complete' END,
    CASE WHEN k % 2 = 0 THEN NULL WHEN n % 5 = 0 THEN 'cache' ELSE 'model' END,
    CASE WHEN k % 2 = 0 THEN NULL WHEN n % 3 = 0 THEN 'qwen3' ELSE 'saiga' END,
    CASE WHEN k % 2 = 0 THEN NULL ELSE 200 END, CASE WHEN k % 2 = 0 THEN NULL ELSE 300 END,
    at + k * interval '30 seconds', CASE WHEN k % 2 = 0 THEN NULL ELSE at + k * interval '31 s' END,
    CASE WHEN k % 2 = 0 THEN NULL ELSE at + k * interval '36 seconds' END,
    CASE WHEN k = 0 THEN NULL ELSE pg_temp.v7(at + (k - 1) * interval '30 s', n * 4 + k - 1) END
FROM talks, generate_series(0, 3) AS k ORDER BY at, k;
INSERT INTO message_search (message_id, dialog_id, user_id, words)
SELECT id, dialog_id, user_id, to_tsvector('russian', text) FROM messages ORDER BY id;
{reviews};
UPDATE reviews SET rating = 'down' WHERE dialog_id IN (SELECT id FROM talks WHERE n % 997 = 0);
UPDATE reviews SET state = 'judged', verdict = 'wrong'
    WHERE dialog_id IN (SELECT id FROM talks WHERE n % 1499 = 0);
ALTER TABLE messages ENABLE TRIGGER USER;
"""


def main() -> int:
    """Prints a table; a missed target is marked."""
    parser = argparse.ArgumentParser(prog="python -m bench.review")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=100_000, help="of the big export")
    options = parser.parse_args()
    server = PostgresServer()
    try:
        server.start()
        url = server.create_database("bench")
        migrations.upgrade(url)
        asyncio.run(_bench(url, options))
    finally:
        server.remove()
    return 0


async def _bench(url: str, options: argparse.Namespace) -> None:
    admin = await _admin(url)
    began = time.perf_counter()
    await asyncio.to_thread(_seed, url, options.messages)
    print(f"seeded {options.messages:,} messages in {time.perf_counter() - began:.0f} s")
    db = Database(url)
    try:
        await _lists(db, admin)
        await _overview(db, admin)
    finally:
        await db.close()
    await asyncio.to_thread(_exports, url, options.rows)


async def _admin(url: str) -> Actor:
    db = Database(url)
    user = await Users(db).add("carol", "bench: an administrator 1", Role.ADMIN)
    await db.close()
    return Actor(user.id, user.username, "", Role.ADMIN, Channel.WEB)


def _seed(url: str, messages: int) -> None:
    migration = runpy.run_path(str(ROOT / "alembic" / "versions" / "0004_review.py"))
    engine = migrations.sync_engine(url, isolation_level="AUTOCOMMIT")
    script = SEED.format(words=WORDS, dialogs=messages // 4, reviews=migration["OF_ALL_POSTGRESQL"])
    with engine.connect() as connection:
        connection.exec_driver_sql(script.replace("%", "%%"))
        connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()


async def _lists(db: Database, admin: Actor) -> None:
    reviews = Reviews(db, Admission(Audit(db), "named"), SECRET, "named")
    search = Search(db, Cursors(SECRET))
    async with db.read() as session:
        someone: uuid.UUID = (
            await session.execute(sa.text("SELECT id FROM users WHERE username = 'user7'"))
        ).scalar_one()
    alice = Actor(someone, "user7", "", Role.USER, Channel.WEB)
    first = await reviews.list_dialogs(admin, Filters())
    deep = first.next_cursor
    for _ in range(40):
        deep = (await reviews.list_dialogs(admin, Filters(), deep, 200)).next_cursor
    filters = {
        "everything": Filters(),
        "user": Filters(user="user7"),
        "department": Filters(department="Department 7"),
        "model": Filters(model="qwen3"),
        "a model that nobody asked": Filters(model="none"),
        "source": Filters(source="cache"),
        "channel": Filters(channel="api"),
        "rating": Filters(rating="down"),
        "state": Filters(state="judged"),
        "verdict": Filters(verdict="wrong"),
        "end state": Filters(status="failed"),
        "verdict and department": Filters(verdict="wrong", department="Department 7"),
        "a common word": Filters(query="договор"),
        "a rare word": Filters(query="regulation invoice сеть"),
        "no such word": Filters(query="бегемот"),
        "a common word of a user": Filters(query="договор", user="user7"),
        "a common word of some users": Filters(query="договор", user="user77"),
        "a common word with a verdict": Filters(query="договор", verdict="wrong"),
        "a common word, end state": Filters(query="договор", status="failed"),
        "a common word, department": Filters(query="договор", department="Department 7"),
        "no such word, department": Filters(query="бегемот", department="Department 7"),
    }
    print(f"\n{'list of 50':34} {'median':>8} {'worst':>8} ms")
    for name, each in filters.items():
        await _time(name, lambda each=each: reviews.list_dialogs(admin, each))
    await _time("page 160", lambda: reviews.list_dialogs(admin, Filters(), deep))
    await _time("own search, a common word", lambda: search.find(alice, "договор"))


async def _overview(db: Database, admin: Actor) -> None:
    counter = UsageCounter(db)
    began = time.perf_counter()
    hours = 0
    while count := await counter.count_some():
        hours += count
    print(f"\ncounted {hours:,} hours in {time.perf_counter() - began:.0f} s")
    messages = table_of(Message)
    for period in Period:
        await _time(f"overview, {period}", lambda p=period: _fresh(db).get(admin, p), OVERVIEW_MS)
    found = await _fresh(db).get(admin, Period.YEAR)
    async with db.read() as session:
        full = await session.scalar(
            sa.select(sa.func.count()).where(
                messages.c.source.is_not(None), messages.c.created_at >= found.begin
            )
        )
    print(f"answers of the year: {found.answers:,} by hours, {full:,} by a full count")
    assert found.answers == full


def _fresh(db: Database) -> Overviews:
    """Without what it remembers of the last seconds."""
    return Overviews(db, UsageCounter(db))


async def _time(name: str, call: Callable[[], Awaitable[Any]], limit_ms: float = LIMIT_MS) -> None:
    taken: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        await call()
        taken.append((time.perf_counter() - began) * 1000)
    middle = statistics.median(taken)
    missed = "  over" if middle > limit_ms else ""
    print(f"{name:34} {middle:8.1f} {max(taken):8.1f}{missed}", flush=True)


def _exports(url: str, rows: int) -> None:
    """Peak memory of `genai export` for few and many rows."""
    print(f"\n{'export':12} {'rows':>9} {'s':>7} {'peak MB':>8}")
    with tempfile.TemporaryDirectory(prefix="genai-bench-") as home:
        for kind in ("csv", "xlsx", "jsonl"):
            for days in (rows * 365 // 1_000_000 // 50 + 1, rows * 365 // 500_000 + 1):
                print(_export(url, Path(home), kind, days), flush=True)


def _export(url: str, home: Path, kind: str, days: int) -> str:
    out = home / f"{kind}-{days}.{kind}"
    since = time.strftime("%Y-%m-%d", time.gmtime(time.time() - days * 86400))
    command = [sys.executable, "-m", "genai_app", "export", "dialogs", "--format", kind]
    environment = {
        "PATH": os.environ["PATH"],
        "GENAI_DATABASE_URL": url,
        "GENAI_SECRET_KEY": SECRET.decode(),
        "GENAI_DATA_DIR": str(home),
    }
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--out", str(out), "--since", since], cwd=ROOT, env=environment
    )
    most = 0
    while process.poll() is None:  # not ru_maxrss, which has this process' own before the exec
        with suppress(OSError):
            told = Path(f"/proc/{process.pid}/status").read_text()
            most = max(most, int(told.partition("VmHWM:")[2].split()[0] if "VmHWM:" in told else 0))
        time.sleep(LOOK_S)
    assert process.returncode == 0, kind
    seconds = time.perf_counter() - began
    lines = sum(1 for _ in out.open("rb")) if kind != "xlsx" else 0
    return f"{kind:12} {lines or '':>9} {seconds:7.1f} {most / 1024:8.0f}"


if __name__ == "__main__":
    sys.exit(main())
