"""The command line as operators and scripts see it: words and exit codes."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from genai_app import migrations
from genai_app.cli import main as cli
from genai_app.cli.users import ROLES
from genai_app.i18n import LOCALES, translate
from genai_app.models import Role
from tests.fakes.services import free_port
from tests.unit.cli_run import ROOT, Genai, environment

pytest_plugins = ("tests.unit.cli_fixtures",)


def _run(
    url: str, work: Path, *command: str, typed: str = ""
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "genai_app", *command],
        cwd=work,
        env=environment(url),
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", [("user", "--help"), ("audit", "verify"), ("doctor",)])
def test_a_reader_that_has_gone(
    command: tuple[str, ...], database_url: str, tmp_path: Path
) -> None:
    """`genai ... | head`: no trace of Python's."""
    here, there = os.pipe()
    os.close(here)
    done = subprocess.run(
        [sys.executable, "-m", "genai_app", *command],
        cwd=tmp_path,
        env=environment(database_url),
        stdout=there,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(there)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("locale", LOCALES)
def test_a_database_that_is_away_is_told_in_words_of_a_command(locale: str, tmp_path: Path) -> None:
    """Nothing of a field that kept a text: there is none."""
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    done = subprocess.run(
        [sys.executable, "-m", "genai_app", "user", "list"],
        cwd=tmp_path,
        env=environment(url) | {"GENAI_LOCALE": locale},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    sentence, *detail = done.stderr.splitlines()
    assert sentence == translate(locale, "error_command.storage_unavailable")
    assert len(detail) == 1


def test_roles_are_the_models() -> None:
    assert tuple(Role) == ROLES


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("serve",),
        ("build",),
        ("migrate",),
        ("ldap",),
        ("ldap", "check"),
        ("user",),
        ("export",),
        ("retention",),
        ("hold",),
        ("hold", "user"),
        ("hold", "dialog"),
        ("erase",),
        ("backup",),
        ("drill",),
        ("restore",),
        ("doctor",),
        *[
            ("user", verb)
            for verb in ("add", "password", "role", "disable", "enable", "limit", "list")
        ],
    ],
)
def test_help(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([*command, "--help"])
    assert caught.value.code == 0
    assert "usage: genai" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        "",
        "fly",
        "user",
        "user fly",
        "user add",
        "user role alice king",
        "user limit x 0/day",
        "user limit x no",
        "migrate now",
        "--hel",
        "export",
        "export dialogs --format json --out x",
        "export mine --out x",
        "export dialogs --format csv",
        "hold",
        "hold everybody x",
        "erase",
        "erase alice",
        "restore",
        "restore a b",
        "drill a b",
        "backup now",
        "doctor me",
    ],
)
def test_misuse(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(command.split())
    assert caught.value.code == 2
    assert "usage: genai" in capsys.readouterr().err


def test_help_imports_little() -> None:
    """--help answers at once: no table, no web framework is loaded for it."""
    program = (
        "import sys; from genai_app.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'sqlalchemy', 'pydantic', 'reflex', 'passlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_migrate(empty_database_url: str, tmp_path: Path) -> None:
    for _ in range(2):
        done = _run(empty_database_url, tmp_path, "migrate")
        assert (done.returncode, done.stdout) == (0, "")
    assert migrations.is_current(empty_database_url)


def test_user_commands_do_not_migrate_a_server(
    empty_database_url: str, engine: str, tmp_path: Path
) -> None:
    done = _run(empty_database_url, tmp_path, "user", "list")
    assert done.returncode == (0 if engine == "sqlite" else 1)
    assert "Traceback" not in done.stderr
    assert migrations.is_current(empty_database_url) == (engine == "sqlite")


def test_accounts(genai: Genai) -> None:
    done = genai(
        "user", "add", "Alice", "--full-name", "Алиса", "--password-stdin", typed="pass w0rd\n"
    )
    assert (done.returncode, done.stdout) == (0, "alice\tuser\n")
    assert "pass w0rd" not in done.stderr

    done = genai("user", "add", "root", "--role", "admin")
    assert done.returncode == 0
    first, password = done.stdout.splitlines()
    assert first == "root\tadmin"
    assert len(password) == 24
    assert password not in done.stderr

    assert genai("user", "role", "alice", "reviewer").returncode == 0
    assert genai("user", "disable", "ALICE").returncode == 0
    assert genai("user", "list").stdout == (
        "alice\treviewer\tdisabled\tlocal\nroot\tadmin\tactive\tlocal\n"
    )
    assert genai("user", "enable", "alice").returncode == 0
    done = genai("user", "password", "alice", "--password-stdin", typed="another one\n")
    assert (done.returncode, done.stdout) == (0, "")
    done = genai("user", "password", "alice")
    assert len(done.stdout.strip()) == 24


def test_limits_and_the_audit(genai: Genai, database_url: str) -> None:
    """One event for each change, by the command line."""
    genai("user", "add", "alice", "--password-stdin", typed="pass w0rd\n")
    for limit, kept in (("100/minute", "100/minute"), ("default", None), ("5 per 2 hours",) * 2):
        assert genai("user", "limit", "Alice", limit).returncode == 0
        assert _rows(database_url, "SELECT rate_limit FROM users") == [(kept,)]
    genai("user", "role", "alice", "admin")
    genai("user", "disable", "alice")
    genai("user", "enable", "alice")
    genai("user", "password", "alice", "--password-stdin", typed="an0ther one\n")
    told = _rows(
        database_url, "SELECT action, actor_name, target, details FROM audit_events ORDER BY id"
    )
    assert {(by, target) for _, by, target, _ in told} == {("command line", "alice")}
    assert [(action, details) for action, _, _, details in told] == [
        ("user_add", "role=user"),
        ("limit_change", "limit=100/minute"),
        ("limit_change", "limit=default"),
        ("limit_change", "limit=5 per 2 hours"),
        ("role_change", "before=user role=admin"),
        ("user_disable", ""),
        ("user_enable", ""),
        ("user_password", ""),
    ]


def _rows(url: str, query: str) -> list[tuple[object, ...]]:
    engine = migrations.sync_engine(url)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(sa.text(query))]
    engine.dispose()
    return rows


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("user role nobody admin", ""),
        ("user disable nobody", ""),
        ("user enable nobody", ""),
        ("user limit nobody default", ""),
        ("user password nobody", ""),
        ("user add bob --password-stdin", "short\n"),
        ("user add bob --password-stdin", ""),
        ("user add \x1b[31m", ""),
    ],
)
def test_failure(genai: Genai, command: str, typed: str) -> None:
    """Exit code 1 and one sentence; no trace, no control character of the argument."""
    done = genai(*command.split(" "), typed=typed)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr


def test_taken_name(genai: Genai) -> None:
    assert genai("user", "add", "bob").returncode == 0
    assert genai("user", "add", "BOB").returncode == 1


def test_password_is_asked_on_a_terminal(database_url: str, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "genai_app", "user", "add", "eve"],
        cwd=tmp_path,
        env=environment(database_url),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"made up): " not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, b"typed by hand\n")
    output, _ = process.communicate(timeout=60)
    os.close(ours)
    assert (process.returncode, output) == (0, "eve\tuser\n")


def test_unreachable_database(tmp_path: Path) -> None:
    url = f"postgresql://genai:pw-canary@127.0.0.1:{free_port()}/genai"
    for command in (("migrate",), ("user", "list")):
        done = _run(url, tmp_path, *command)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "canary" not in done.stderr


def test_newer_database(database_url: str, tmp_path: Path) -> None:
    engine = migrations.sync_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    done = _run(database_url, tmp_path, "migrate")
    assert done.returncode == 1
    assert "9999" in done.stderr
    assert "Traceback" not in done.stderr
