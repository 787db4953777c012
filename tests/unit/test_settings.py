"""Settings: a bad one stops the start and names itself; a secret has no default."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import genai_app
from genai_app.errors import SettingsError
from genai_app.settings.settings import Settings, load_settings, unknown_names

ROOT = Path(genai_app.__file__).parent.parent
SERVER = "postgresql://genai:dbpass-canary@127.0.0.1:1/genai"
GOOD = "0123456789abcdef0123456789ABCDEF"
Make = Callable[..., Settings]


def start(work: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "genai_app", *command],
        cwd=work,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("x7Kq-0fB", id="short"),
        pytest.param("0123456789abcdef0123456789ABCDE", id="31 bytes"),
        pytest.param("changeme-changeme-changeme-0123456789", id="placeholder"),
        pytest.param("a" * 64, id="one letter"),
        pytest.param(" " * 64, id="blank"),
    ],
)
def test_no_start_without_a_secret(tmp_path: Path, secret: str | None) -> None:
    """No, short, placeholder or empty secret with a database that is a server."""
    given = {} if secret is None else {"GENAI_SECRET_KEY": secret}
    done = start(tmp_path, "serve", GENAI_DATABASE_URL=SERVER, **given)

    assert done.returncode == 2
    assert "GENAI_SECRET_KEY" in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr
    if secret and secret.strip():
        assert secret not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_bad_settings_at_once(tmp_path: Path) -> None:
    done = start(
        tmp_path,
        "migrate",
        GENAI_PORT="99999",
        GENAI_DATABASE_URL="mysql://canary",
        GENAI_PUBLIC_URL="chat.example.com",
        GENAI_LLM_BASE_URL="gpu1:8000",
        GENAI_SESSION_TTL_S="soon",
        GENAI_SECRET_KEY="short-canary",
    )
    assert done.returncode == 2
    named = {line.partition(":")[0] for line in done.stderr.splitlines()}
    assert named == {
        "GENAI_PORT",
        "GENAI_DATABASE_URL",
        "GENAI_PUBLIC_URL",
        "GENAI_LLM_BASE_URL",
        "GENAI_SESSION_TTL_S",
        "GENAI_SECRET_KEY",
    }
    assert "canary" not in done.stderr


def test_defaults_are_embedded(settings: Make) -> None:
    made = settings()
    assert made.embedded
    assert made.demo_model
    assert made.sqlalchemy_url.startswith("sqlite:////")
    assert made.url == "http://localhost:8000"


def test_secret_from_a_file(
    settings: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(f"{GOOD}\n")
    (tmp_path / "url").write_text(f"{SERVER}\n")
    monkeypatch.setenv("GENAI_SECRET_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("GENAI_DATABASE_URL_FILE", str(tmp_path / "url"))
    made = settings()
    assert made.secret == GOOD.encode()
    assert made.sqlalchemy_url == SERVER
    assert "canary" not in repr(made)
    assert unknown_names() == []


def test_environment_is_before_the_file(
    settings: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("x" * 64)
    monkeypatch.setenv("GENAI_SECRET_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("GENAI_SECRET_KEY", GOOD)
    assert settings().secret == GOOD.encode()


@pytest.mark.parametrize("content", [None, "", "short", b"\xff\xfe\x00"])
def test_bad_secret_file(
    settings: Make,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    content: str | bytes | None,
) -> None:
    """A file is no way around the checks."""
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    monkeypatch.setenv("GENAI_SECRET_KEY_FILE", str(path))
    with pytest.raises(SettingsError, match="GENAI_SECRET_KEY"):
        settings(database_url=SERVER)


def test_dotenv_is_read(settings: Make) -> None:
    Path(".env").write_text("GENAI_PORT=9001\nOTHER=1\n")
    assert settings().port == 9001


def test_embedded_key_is_made_once(settings: Make, tmp_path: Path) -> None:
    first = settings().secret
    path = tmp_path / "data" / "secret.key"
    assert len(first) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert settings().secret == first


def test_damaged_embedded_key_is_told(settings: Make, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret.key").write_text("half")
    with pytest.raises(SettingsError, match="damaged"):
        _ = settings().secret


def test_settings_are_frozen(settings: Make) -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings().port = 1


def test_unknown_names(monkeypatch: pytest.MonkeyPatch, settings: Make) -> None:
    """Of the environment and of `.env`, each with the name that was meant."""
    monkeypatch.setenv("GENAI_PROT", "8000")
    monkeypatch.setenv("GENAI_LLM_URL", "http://gpu1")
    Path(".env").write_text("GENAI_REDIS_ULR=x\nGENAI_ZZZ=1\nGENAI_REDIS_URL_FILE=\nOTHER=1\n")
    settings()
    assert [str(each) for each in unknown_names()] == [
        "GENAI_LLM_URL, GENAI_LLM_BASE_URL?",
        "GENAI_PROT, GENAI_PORT?",
        "GENAI_REDIS_ULR (in .env), GENAI_REDIS_URL?",
        "GENAI_ZZZ (in .env)",
    ]


def test_env_file_is_the_same_as_the_environment(
    settings: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Secret files too; an empty value is none, and leaves the word to the next."""
    (tmp_path / "key").write_text(f"\ufeff{GOOD}\n")
    Path(".env").write_text(
        f"\ufeffGENAI_SECRET_KEY=\r\nGENAI_SECRET_KEY_FILE={tmp_path}/key\r\n"
        "export GENAI_PORT=9001\r\nGENAI_LOCALE='en'\r\nGENAI_LDAP_CA_FILE=\r\n"
    )
    monkeypatch.setenv("GENAI_PORT", "")
    monkeypatch.setenv("GENAI_LOCALE", "ru")
    monkeypatch.setenv("GENAI_LDAP_CA_FILE", "")
    made = settings()
    assert (made.secret, made.port, made.locale) == (GOOD.encode(), 9001, "ru")
    assert made.ldap_ca_file is None
    assert unknown_names() == []


def test_load_settings_names_each(settings: Make) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(port=0, locale="fr")
    assert str(caught.value).count("\n") == 1


DIRECTORY = {
    "ldap_urls": "ldaps://dc1.corp.example, ldaps://dc2.corp.example",
    "ldap_bind_dn": "cn=assistant",
    "ldap_bind_password": "a password of it",
    "ldap_user_base": "dc=corp,dc=example",
}


def test_a_directory_turns_local_accounts_off(settings: Make) -> None:
    assert settings().local_accounts
    found = settings(**DIRECTORY)
    assert found.ldap_urls == ("ldaps://dc1.corp.example", "ldaps://dc2.corp.example")
    assert found.directory
    assert not found.local_accounts
    assert settings(**DIRECTORY, local_login=True).local_accounts


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("", ()),
        ("users, admins", ("users", "admins")),
        ("cn=a,dc=corp", ("cn=a,dc=corp",)),
        ("cn=a,dc=corp; cn=b,dc=corp ;users", ("cn=a,dc=corp", "cn=b,dc=corp", "users")),
        ("cn=a,dc=corp\nОтдел продаж", ("cn=a,dc=corp", "Отдел продаж")),
        ("Торговля, опт; users", ("Торговля, опт", "users")),
        ("Торговля, опт;", ("Торговля, опт",)),
        ("Торговля\\, опт,users", ("Торговля, опт", "users")),
        ("a\\;b;c", ("a;b", "c")),
        ("cn=Торг\\, опт,dc=corp;cn=b", ("cn=Торг\\, опт,dc=corp", "cn=b")),
        ('cn=a\\;b,dc=corp;cn="c;d",dc=corp;e', ("cn=a\\;b,dc=corp", 'cn="c;d",dc=corp', "e")),
        ("cn=a\\3bb,dc=corp", ("cn=a\\3bb,dc=corp",)),
    ],
)
def test_groups_are_names_or_dns(text: str, groups: tuple[str, ...], settings: Make) -> None:
    assert settings(**DIRECTORY, ldap_allowed_groups=text).ldap_allowed_groups == groups


@pytest.mark.parametrize("place", ["{username}", "{user}", "{0}", "%s", "%u", "%(user)s"])
def test_a_filter_as_other_products_write_it(place: str, settings: Make) -> None:
    found = settings(**DIRECTORY, ldap_user_filter=f"(uid={place})")
    assert found.ldap_user_filter == "(uid={username})"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"ldap_bind_password": None}, "GENAI_LDAP_BIND_PASSWORD"),
        ({"ldap_bind_dn": ""}, "GENAI_LDAP_BIND_DN"),
        ({"ldap_user_base": ""}, "GENAI_LDAP_USER_BASE"),
        ({"ldap_urls": "http://dc1"}, "GENAI_LDAP_URLS"),
        ({"ldap_user_filter": "(uid=ivanov)"}, "GENAI_LDAP_USER_FILTER"),
        ({"ldap_user_filter": "(uid={username}"}, "GENAI_LDAP_USER_FILTER"),
        ({"ldap_urls": "ldap://dc1", "ldap_start_tls": False}, "GENAI_LDAP_START_TLS"),
        ({"ldap_urls": "", "local_login": False}, "GENAI_LOCAL_LOGIN"),
    ],
)
def test_a_wrong_directory_names_itself(
    wrong: dict[str, object], named: str, settings: Make
) -> None:
    with pytest.raises(SettingsError, match=named):
        settings(**{**DIRECTORY, **wrong})


def test_no_password_in_clear_text(settings: Make) -> None:
    """StartTLS is asked for by itself, but for this machine's own directory."""
    found = settings(**DIRECTORY)
    assert found.start_tls("ldap://dc1.corp.example")
    assert not found.start_tls("ldap://localhost:1389")
    assert not found.start_tls("ldaps://dc1.corp.example")
    assert settings(**DIRECTORY, ldap_start_tls=True).start_tls("ldap://127.0.0.1")
