"""`genai ldap check`: exit codes, and what an administrator reads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genai_app.cli import main as cli
from tests.fakes.slapd import SERVICE_PASSWORD, SlapdServer

pytest_plugins = ("tests.fakes.directory_fixtures",)

Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ldap_check(
    slapd: SlapdServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clean_logging: None,
) -> Check:
    """Runs the command with the settings of the slapd: its exit code, output and complaints."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, locale: str = "en", **overrides: Any) -> tuple[int, str, str]:
        for name, value in slapd.settings(**overrides).items():
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            monkeypatch.setenv(f"GENAI_{name.upper()}", text)
        monkeypatch.setenv("GENAI_LOCALE", locale)
        code = cli.main(["ldap", "check", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_all_well(ldap_check: Check) -> None:
    code, out, err = ldap_check("smirnova")

    assert code == 0
    assert err == ""
    assert "  ok    service account  " in out
    assert "sales > Торговля (все, и опт) > assistant-users" in out
    assert "  ok    role by groups  0 ms  role: user\n" in out
    assert out.splitlines()[-1] == "The directory is ready. Warnings: 2."
    assert SERVICE_PASSWORD not in out


def test_a_fault(ldap_check: Check) -> None:
    """The sentence, the remedy, the verdict; in the language of the settings."""
    code, out, _ = ldap_check(locale="ru", ldap_bind_password="not it")

    assert code == 1
    lines = out.splitlines()
    place = next(at for at, line in enumerate(lines) if line.startswith("  FAIL"))
    assert lines[place].startswith("  FAIL  служебная учётная запись  ")
    assert lines[place + 1].strip().endswith("неверны DN или пароль.")
    assert "GENAI_LDAP_BIND_PASSWORD" in lines[place + 2]
    assert lines[place + 3] == "  skip  тип каталога"
    assert lines[-1] == "Каталог не готов. Ошибок: 1, предупреждений: 2."
    assert "not it" not in out


def test_a_warning_is_no_failure(ldap_check: Check) -> None:
    code, out, _ = ldap_check()

    assert code == 0
    assert "  warn  host name  " in out
    assert "role" not in out


def test_no_directory(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clean_logging: None,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.main(["ldap", "check"]) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    assert "GENAI_LDAP_URLS" in shown.err


def test_no_authority(ldap_check: Check, tmp_path: Path) -> None:
    """A bad setting, as everywhere."""
    code, _, err = ldap_check(ldap_ca_file=tmp_path / "none.pem")

    assert code == 2
    assert err.startswith("GENAI_LDAP_CA_FILE: ")


def test_a_name_moves_no_cursor(ldap_check: Check) -> None:
    """The filter with what was typed is shown in one line."""
    _, out, _ = ldap_check("nobody\x1b[2J")

    assert "\x1b" not in out


@pytest.mark.parametrize("arguments", [("ldap",), ("ldap", "fly"), ("ldap", "check", "a", "b")])
def test_misuse(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))

    assert caught.value.code == 2
    assert "usage: genai" in capsys.readouterr().err
