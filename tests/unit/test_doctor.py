"""`genai doctor`: whatever is broken is named, with how to mend it, and stops nothing else."""

import json
import os
import socketserver
import threading
import uuid
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from genai_app import clock, migrations
from genai_app.adapters.directory.check.steps import DirectoryCause
from genai_app.adapters.public_tls import examine_tls
from genai_app.cli import main as cli
from genai_app.server import build
from genai_app.services.backup import store as backup_files
from genai_app.services.backup.store import Drill
from genai_app.services.doctor import doctor
from genai_app.services.doctor import local as doctor_local
from tests.fakes.certificates import DAY, Authority, Certificate
from tests.fakes.directory_calls import MakeLdapServer
from tests.fakes.model_server import ModelServer
from tests.fakes.model_steps import Hang, Reset, Say, Status
from tests.fakes.model_wire import MODEL
from tests.fakes.services import WARY, PostgresServer, RedisServer, free_port
from tests.fakes.slapd import SERVICE_PASSWORD, SlapdServer
from tests.fakes.telegram_server import TOKEN, TelegramServer
from tests.unit.cli_run import SECRET
from tests.unit.test_backup import migrate_to, put_backup

pytest_plugins = ("tests.fakes.directory_fixtures", "tests.fakes.model_fixtures")

Examine = Callable[..., dict[str, list[dict[str, Any]]]]


@pytest.fixture
def engine() -> str:
    """The doctor looks at servers."""
    return "postgresql"


@pytest.fixture
def examine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clean_logging: None,
) -> Examine:
    """Runs the command with these settings: what it found, by check. It tells no secret, and its
    exit code is as it should be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "built_missing", lambda: False)
    monkeypatch.setattr(build, "is_built", lambda: True)

    def run(**settings: Any) -> dict[str, list[dict[str, Any]]]:
        told = {"secret_key": SECRET, "locale": "en", "llm_connect_timeout_s": 2} | settings
        for name, value in told.items():
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            monkeypatch.setenv(f"GENAI_{name.upper()}", text)
        capsys.readouterr()  # what fixtures said
        code = cli.main(["doctor", "--json"])
        shown = capsys.readouterr()
        assert "canary" not in shown.out + shown.err
        assert SECRET not in shown.out + shown.err
        whole = json.loads(shown.out)
        found: dict[str, list[dict[str, Any]]] = {}
        for each in whole["checks"]:
            found.setdefault(each["check"], []).append(each)
            assert bool(each["problem"]) == (each["outcome"] != "ok")
            assert bool(each["remedy"]) == (each["outcome"] in ("failed", "warning"))
        failed = [each for each in whole["checks"] if each["outcome"] == "failed"]
        assert (whole["ok"], code) == ((False, 1) if failed else (True, 0))
        assert set(found) == {
            *("settings", "front_end", "data_dir", "disk", "database", "migrations", "redis"),
            "stored_files",
            *("directory", "model", "certificate", "clock", "messengers", "files"),
            "backup",
        }
        return found

    return run


def ends(found: dict[str, list[dict[str, Any]]], check: str) -> list[tuple[str, str | None]]:
    return [(each["outcome"], each["cause"]) for each in found[check]]


def test_all_well(
    examine: Examine,
    database_url: str,
    redis_server: RedisServer,
    model: ModelServer,
    slapd: SlapdServer,
    tmp_path: Path,
) -> None:
    """Against real servers, with one real token."""
    put_backup(tmp_path / "b", 1)
    (tmp_path / "b").chmod(0o700)
    backup_files.record_drill(tmp_path / "b", Drill("x", clock.now(), True, 1.0))
    asked = len(model.answers)
    found = examine(
        **slapd.settings(),
        database_url=database_url,
        redis_url=redis_server.url,
        llm_base_url=model.url,
        llm_model=MODEL,
        backup_dir=tmp_path / "b",
    )
    for check in ("settings", "front_end", "data_dir", "database", "migrations", "redis", "backup"):
        assert ends(found, check) == [("ok", None)], check
    assert ends(found, "model") == [("ok", None)]
    assert ends(found, "certificate") == [("skipped", "local_only")]
    assert {each["outcome"] for each in found["clock"]} == {"ok"}
    # one controller, and the certificate of the tests ends soon: the directory's own check
    assert {each["outcome"] for each in found["directory"]} == {"warning"}
    assert SERVICE_PASSWORD not in json.dumps(found)
    (question,) = model.answers[asked:]
    assert question.parameters["max_tokens"] == 1
    assert found["database"][0]["facts"]["version"].startswith("PostgreSQL ")


def test_a_laptop(examine: Examine) -> None:
    """Nothing set, nothing there yet: nothing to complain of, and nothing made."""
    found = examine()
    assert {each["outcome"] for all_ in found.values() for each in all_} == {"ok", "skipped"}
    assert not Path("data").exists()


def test_as_people_read_it(
    examine: Examine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("GENAI_LLM_BASE_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("GENAI_LOCALE", "ru")
    assert cli.main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = next(at for at, line in enumerate(lines) if line.startswith("FAIL"))
    assert lines[place].startswith(f"FAIL  сервер модели (http://127.0.0.1:{port})  ")
    assert lines[place + 1].strip().endswith("Сервер модели не отвечает по этому адресу.")
    assert "GENAI_LLM_BASE_URL" in lines[place + 2]
    assert any(line == "skip  Redis: не задан" for line in lines)
    assert lines[-1] == "Есть ошибки: 1. Предупреждений: 0."


def _database(examine: Examine, url: str) -> list[tuple[str, str | None]]:
    found = examine(database_url=url)
    assert ends(found, "redis") == [("skipped", "not_set")]
    return ends(found, "database") + ends(found, "migrations")


def test_no_database_server(examine: Examine) -> None:
    url = f"postgresql://genai:canary@127.0.0.1:{free_port()}/genai"
    assert _database(examine, url) == [("failed", "database_refused"), ("skipped", "no_answer")]


def test_no_such_database(examine: Examine, postgres: PostgresServer) -> None:
    assert _database(examine, postgres.url("nowhere"))[0] == ("failed", "database_missing")


def _run_sql(url: str, *statements: str) -> None:
    engine = migrations.sync_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


@pytest.fixture
def wary_url(database_url: str) -> Generator[str]:
    """`database_url` for a role that has a password and no rights."""
    _run_sql(database_url, f"CREATE ROLE {WARY} LOGIN PASSWORD 'canary-right'")
    yield database_url.replace("postgres@", f"{WARY}:canary-right@")
    _run_sql(database_url, f"DROP OWNED BY {WARY}", f"DROP ROLE {WARY}")


def test_a_wrong_password(examine: Examine, wary_url: str) -> None:
    found = _database(examine, wary_url.replace("-right", "-wrong"))
    assert found == [("failed", "database_auth"), ("skipped", "no_answer")]


def test_no_rights(examine: Examine, wary_url: str) -> None:
    assert _database(examine, wary_url)[0] == ("failed", "database_rights")


def test_a_standby(examine: Examine, database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    _run_sql(database_url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    assert _database(examine, database_url) == [("failed", "database_read_only"), ("ok", None)]


@pytest.mark.parametrize(
    ("revision", "cause"), [("", "schema_none"), ("0003", "schema_older"), ("9999", "schema_newer")]
)
def test_the_schema(examine: Examine, empty_database_url: str, revision: str, cause: str) -> None:
    if revision:
        migrate_to(empty_database_url, "0003")
        _run_sql(empty_database_url, f"UPDATE alembic_version SET version_num = '{revision}'")
    assert _database(examine, empty_database_url) == [("ok", None), ("failed", cause)]


def test_redis_is_gone(examine: Examine) -> None:
    found = examine(redis_url=f"redis://:canary@127.0.0.1:{free_port()}/0")
    assert ends(found, "redis") == [("failed", "redis_gone")]


class Refuser(socketserver.BaseRequestHandler):
    """A web server that is asked in Redis' words."""

    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_redis_over_tls(examine: Examine, tmp_path: Path) -> None:
    """The true cause: an authority that is not trusted, no TLS where it is wanted, what is no Redis
    at all."""
    authority = Authority(tmp_path)
    secure = RedisServer(tls=authority.issue("localhost", "127.0.0.1"))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refuser) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        try:
            secure.start()
            for url, end in (
                (f"rediss://localhost:{secure.port}/0?ssl_ca_certs={authority.ca_file}", "ok"),
                (f"rediss://localhost:{secure.port}/0", "redis_tls"),
                (f"redis://127.0.0.1:{secure.port}/0", "redis_closed"),
                (f"redis://127.0.0.1:{web.server_address[1]}/0", "redis_other"),
            ):
                (found,) = ends(examine(redis_url=url), "redis")
                assert found == (("ok", None) if end == "ok" else ("failed", end)), url
        finally:
            web.shutdown()
            secure.remove()


def test_a_redis_for_the_cache_alone(examine: Examine, own_redis: RedisServer) -> None:
    """It may throw answers away; where it is gone, that is said of it and not of the other one."""
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    urls = {"redis_url": own_redis.url, "cache_redis_url": own_redis.url}
    assert ends(examine(**urls), "redis") == [("ok", None), ("ok", None)]
    gone = f"redis://127.0.0.1:{free_port()}/0"
    found = examine(redis_url=own_redis.url, cache_redis_url=gone)
    assert ends(found, "redis") == [("ok", None), ("failed", "redis_gone")]


def test_a_redis_user_without_channels(examine: Examine, own_redis: RedisServer) -> None:
    """Live text between processes goes through them."""
    own_redis.command(
        *("ACL", "SETUSER", "keys", "on", ">canary", "~genai:*", "resetchannels", "+@all")
    )
    url = own_redis.url.replace("://", "://keys:canary@")
    assert ends(examine(redis_url=url), "redis") == [("failed", "redis_rights")]


def test_redis_is_frozen(examine: Examine, redis_server: RedisServer) -> None:
    redis_server.freeze()
    try:
        assert ends(examine(redis_url=redis_server.url), "redis") == [("failed", "redis_silent")]
    finally:
        redis_server.thaw()


@pytest.fixture
def own_redis() -> Generator[RedisServer]:
    """To be set up badly."""
    server = RedisServer()
    server.start()
    yield server
    server.remove()


def test_redis_is_set_up_badly(
    examine: Examine, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert ends(examine(redis_url=own_redis.url), "redis") == [("warning", "redis_evicts")]
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    url = own_redis.url.replace("127.0.0.1", f"{os.uname().nodename}.example")
    monkeypatch.setattr("genai_app.services.doctor.servers.LOOPBACK", ())
    assert ends(examine(redis_url=own_redis.url), "redis") == [("warning", "redis_open")]
    assert ends(examine(redis_url=url), "redis") == [("failed", "redis_gone")]
    own_redis.command("ACL", "SETUSER", "poor", "on", ">canary-poor", "~*", "+get")
    poor = own_redis.url.replace("//", "//poor:canary-poor@")
    assert ends(examine(redis_url=poor), "redis") == [("failed", "redis_rights")]
    # and no INFO
    own_redis.command("ACL", "SETUSER", "poor", "+set", "+del", "+publish", "&genai:*")
    assert ends(examine(redis_url=poor), "redis") == [("ok", None)]
    own_redis.command("CONFIG", "SET", "requirepass", "canary-right")
    for given in ("//", "//:canary-wrong@"):
        url = own_redis.url.replace("//", given)
        assert ends(examine(redis_url=url), "redis") == [("failed", "redis_auth")]
    right = own_redis.url.replace("//", "//:canary-right@")
    assert ends(examine(redis_url=right), "redis") == [("ok", None)]


@pytest.mark.parametrize(
    ("steps", "cause"),
    [
        ((Status(401, "no: canary-key"),), "model_auth"),
        ((Status(404),), "model_unlisted"),
        ((Status(429, retry_after="1"),), "model_busy"),
        ((Status(400),), "model_refused"),
        ((Status(500),), "model_gone"),
        ((Say(("a",)), Reset()), "model_cut"),
        ((Hang(),), "model_slow"),
    ],
)
def test_the_model_does_not_answer(
    examine: Examine, fake: ModelServer, steps: tuple[Any, ...], cause: str
) -> None:
    fake.script(*steps)
    found = examine(llm_base_url=fake.url, llm_first_token_timeout_s=1, llm_api_key="canary-key")
    assert ends(found, "model") == [("failed", cause)]


def test_no_way_to_the_model(
    examine: Examine, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause that all have, and in its detail which it is."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    for certificate, why in (
        (authority.issue("localhost", starts=-2 * DAY, ends=-DAY), "certificate has expired"),
        (authority.issue("other.example"), "localhost"),
        (authority.issue("localhost", self_signed=True), "self-signed"),
    ):
        with ModelServer(certificate=certificate) as model:
            found = examine(llm_base_url=model.url)
        assert ends(found, "model") == [("failed", "model_gone")]
        assert why in found["model"][0]["facts"]["detail"]
        assert "certificate" in found["model"][0]["remedy"]
    found = examine(llm_base_url="http://no-such-host.invalid")
    assert ends(found, "model") == [("failed", "model_gone")]
    assert "no-such-host.invalid" in found["model"][0]["facts"]["detail"]


def test_each_endpoint_is_asked(examine: Examine, fake: ModelServer) -> None:
    """One that is dead is not hidden behind one that lives."""
    dead = f"http://127.0.0.1:{free_port()}"
    found = examine(llm_base_url=(dead, f"{fake.url}/v1"))
    assert [(each["place"], each["outcome"]) for each in found["model"]] == [
        (dead, "failed"),
        (f"{fake.url}/v1", "ok"),
    ]
    found = examine(llm_base_url=fake.url, llm_model="another")
    assert ends(found, "model") == [("failed", "model_unlisted")]
    assert found["model"][0]["facts"]["served"] == [MODEL]


def test_the_certificate(
    examine: Examine,
    authority: Authority,
    start_ldap: MakeLdapServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The handshake of any server over TLS is the same."""
    good = start_ldap(authority.issue("localhost", ends=90 * DAY))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    found = examine(public_url=f"https://localhost:{good.port}")
    assert ends(found, "certificate") == [("ok", None)]
    assert found["certificate"][0]["facts"]["days_left"] in (89, 90)
    monkeypatch.delenv("SSL_CERT_FILE")
    found = examine(public_url=f"https://localhost:{good.port}")
    assert ends(found, "certificate") == [("warning", "authority_unknown")]
    found = examine(public_url=f"https://localhost:{free_port()}")
    assert ends(found, "certificate") == [("warning", "public_unreachable")]
    found = examine(public_url="http://chat.example")
    assert ends(found, "certificate") == [("warning", "no_tls")]


def test_wrong_certificates(
    authority: Authority, start_ldap: MakeLdapServer, model: ModelServer
) -> None:
    issue = authority.issue
    wrong: dict[Certificate, DirectoryCause] = {
        issue("localhost", ends=20 * DAY): DirectoryCause.CERTIFICATE_ENDS_SOON,
        issue("localhost", starts=-2 * DAY, ends=-DAY): DirectoryCause.CERTIFICATE_EXPIRED,
        issue("localhost", starts=DAY): DirectoryCause.CERTIFICATE_EARLY,
        issue("other.example"): DirectoryCause.CERTIFICATE_OTHER_HOST,
        issue("localhost", self_signed=True): DirectoryCause.SELF_SIGNED,
    }
    for certificate, cause in wrong.items():
        seen = examine_tls("localhost", start_ldap(certificate).port, str(authority.ca_file))
        assert (seen.reached, seen.cause) == (True, cause)
    assert examine_tls("localhost", model.port).cause is DirectoryCause.NOT_TLS


@pytest.mark.parametrize(
    ("off", "end"),
    [(-30, ("warning", "clock_off")), (120, ("failed", "clock_far_off")), (0, ("ok", None))],
)
def test_the_clock(
    examine: Examine,
    database_url: str,
    fake: ModelServer,
    monkeypatch: pytest.MonkeyPatch,
    off: int,
    end: tuple[str, str | None],
) -> None:
    right = clock.host_time
    monkeypatch.setattr(clock, "host_time", lambda: right() + timedelta(seconds=off))
    found = examine(database_url=database_url, llm_base_url=fake.url)
    assert ends(found, "clock")[0] == end
    assert found["clock"][0]["facts"]["off_s"] == pytest.approx(-off, abs=4)


def test_files(examine: Examine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert ends(examine(data_dir=tmp_path / "file"), "data_dir") == [
        ("failed", "data_dir_unwritable")
    ]
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "secret.key").write_text("x" * 40)
    (tmp_path / "d").chmod(0o700)
    (tmp_path / "d" / "secret.key").chmod(0o644)
    assert ends(examine(data_dir=tmp_path / "d"), "data_dir") == [("warning", "secret_open")]


def test_a_slip_in_a_name(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examine(portt=1, host="0.0.0.0")
    assert ends(found, "settings") == [
        ("warning", "settings_unknown"),
        ("warning", "public_url_missing"),
    ]
    assert found["settings"][0]["facts"] == {"names": ["GENAI_PORTT, GENAI_PORT?"]}


def test_the_disk(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, end in (
        ("LOW_BYTES", ("warning", "disk_low")),
        ("FULL_BYTES", ("failed", "disk_full")),
    ):
        monkeypatch.setattr(doctor_local, name, 1 << 62)
        assert ends(examine(), "disk") == [end]


def test_the_front_end(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "is_built", lambda: False)
    assert ends(examine(), "front_end") == [("warning", "front_end_old")]
    monkeypatch.setattr(build, "built_missing", lambda: True)
    assert ends(examine(), "front_end") == [("failed", "front_end_missing")]


def test_backups(examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "b"
    assert ends(examine(backup_dir=where), "backup") == [("warning", "backup_none")]
    put_backup(where, 50)
    where.chmod(0o755)
    assert ends(examine(backup_dir=where), "backup") == [
        ("failed", "backup_late"),
        ("warning", "backup_untried"),
        ("warning", "backup_open"),
    ]
    put_backup(where, 1)
    where.chmod(0o700)
    backup_files.record_drill(where, Drill("x", clock.now(), False, 1.0, code="backup_differs"))
    assert ends(examine(backup_dir=where), "backup") == [("failed", "backup_bad")]


def test_nothing_stops_the_others(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that never answers, and a bug."""
    forever = threading.Event()

    def hang() -> bool:
        forever.wait()
        return False

    def break_down(_url: str) -> str:
        raise RuntimeError(f"canary {uuid.uuid4()}")

    monkeypatch.setattr(build, "built_missing", hang)
    monkeypatch.setattr(doctor, "LOCAL_S", 3.0)
    monkeypatch.setattr(migrations, "state_of", break_down)
    try:
        found = examine(database_url=f"postgresql://genai@127.0.0.1:{free_port()}/genai")
    finally:
        forever.set()
    assert ends(found, "front_end") == [("failed", "check_slow")]
    assert ends(found, "migrations") == [("failed", "check_broke")]
    assert ends(found, "data_dir") == [("ok", None)]
    assert ends(found, "database") == [("failed", "database_refused")]


def test_messengers(examine: Examine) -> None:
    """The bot's account, a token that is refused, and an address where nobody answers."""
    assert ends(examine(), "messengers") == [("skipped", "not_set")]
    with TelegramServer() as telegram:
        right = {"telegram_token": TOKEN, "telegram_api_url": telegram.url}
        assert ends(examine(**right), "messengers") == [("ok", None)]
        wrong = right | {"telegram_token": "1:wrong"}
        assert ends(examine(**wrong), "messengers") == [("failed", "bot_token")]
    assert ends(examine(**right), "messengers") == [("failed", "messenger_gone")]
