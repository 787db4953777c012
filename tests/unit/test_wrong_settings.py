"""Every wrong setting stops the start with exit code 2 and one line that names it: no traceback, no
part of a value, however many are wrong at once."""

import re
import ssl
from pathlib import Path

import pytest

from genai_app.cli import main as cli
from genai_app.settings.urls import parse_origin, parse_url
from tests.fakes.certificates import Authority
from tests.unit.test_settings import start

KEY = "Canary0123456789abcdef0123456789"
SERVER = "postgresql://genai:Canary@127.0.0.1:1/genai"
DIRECTORY = {
    "LDAP_URLS": "ldaps://dc1.canary.example",
    "LDAP_BIND_DN": "cn=canary",
    "LDAP_BIND_PASSWORD": "Canary-password",
    "LDAP_USER_BASE": "dc=canary",
}
Given = dict[str, str]

WRONG: dict[str, tuple[Given, str]] = {
    # types and ranges
    "port a word": ({"PORT": "canary"}, "PORT"),
    "port too high": ({"PORT": "70000"}, "PORT"),
    "port of a Kubernetes service": ({"PORT": "tcp://canary:80"}, "PORT"),
    "seconds a word": ({"SESSION_TTL_S": "canary"}, "SESSION_TTL_S"),
    "seconds below": ({"LLM_IDLE_TIMEOUT_S": "0"}, "LLM_IDLE_TIMEOUT_S"),
    "seconds no number": ({"LLM_TOTAL_TIMEOUT_S": "nan"}, "LLM_TOTAL_TIMEOUT_S"),
    "count below": ({"LLM_MAX_CONCURRENCY": "-1"}, "LLM_MAX_CONCURRENCY"),
    "a choice": ({"LLM_KIND": "canary"}, "LLM_KIND"),
    "another choice": ({"LLM_REASONING": "canary"}, "LLM_REASONING"),
    "whose titles": ({"TITLES": "canary"}, "TITLES"),
    "a level": ({"LOG_LEVEL": "canary"}, "LOG_LEVEL"),
    "yes or no": ({"LOCAL_LOGIN": "canary"}, "LOCAL_LOGIN"),
    "limit": ({"RATE_LIMIT": "canary"}, "RATE_LIMIT"),
    "limit of nothing": ({"RATE_LIMIT_ADMIN": "0/minute"}, "RATE_LIMIT_ADMIN"),
    "rules": ({"RETENTION_RULES": "canary=1"}, "RETENTION_RULES"),
    "bytes": ({"ADMIN_PASSWORD": "\udcffcanary"}, "ADMIN_PASSWORD"),
    # addresses
    "public without a scheme": ({"PUBLIC_URL": "canary.example.com"}, "PUBLIC_URL"),
    "public with a path": ({"PUBLIC_URL": "https://canary.example/x"}, "PUBLIC_URL"),
    "public with a user": ({"PUBLIC_URL": "https://u:Canary@h.example"}, "PUBLIC_URL"),
    "public with a bracket": ({"PUBLIC_URL": "https://[canary"}, "PUBLIC_URL"),
    "public with a port": ({"PUBLIC_URL": "https://canary:0x50"}, "PUBLIC_URL"),
    "public with a dot": ({"PUBLIC_URL": "https://canary..example"}, "PUBLIC_URL"),
    "model without a scheme": ({"LLM_BASE_URL": "canary:8000"}, "LLM_BASE_URL"),
    "one model of two": ({"LLM_BASE_URL": "http://gpu1,http://:80"}, "LLM_BASE_URL"),
    "model's password": ({"LLM_BASE_URL": "http://u:Canary/x@gpu1"}, "LLM_BASE_URL"),
    "model's key": ({"LLM_API_KEY": "Canary key"}, "LLM_API_KEY"),
    "metrics token": ({"METRICS_TOKEN": "Канарейка"}, "METRICS_TOKEN"),
    "directory over http": ({**DIRECTORY, "LDAP_URLS": "http://canary"}, "LDAP_URLS"),
    "bot's token": ({"TELEGRAM_TOKEN": "canary"}, "TELEGRAM_TOKEN"),
    "bot that leaves the network": ({"TELEGRAM_TOKEN": "1:Canary"}, "TELEGRAM_EXTERNAL"),
    "bot, yes or no": ({"TELEGRAM_EXTERNAL": "canary"}, "TELEGRAM_EXTERNAL"),
    "bot's server": ({"TELEGRAM_API_URL": "canary"}, "TELEGRAM_API_URL"),
    "bot's proxy": ({"TELEGRAM_PROXY": "socks5://canary:1"}, "TELEGRAM_PROXY"),
    "Mattermost's address": ({"MATTERMOST_URL": "canary"}, "MATTERMOST_URL"),
    "Mattermost's bot without an address": ({"MATTERMOST_TOKEN": "canary"}, "MATTERMOST_URL"),
    "Mattermost in clear text": (
        {"MATTERMOST_TOKEN": "c", "MATTERMOST_URL": "http://canary.example"},
        "MATTERMOST_URL",
    ),
    "Mattermost's token": ({"MATTERMOST_TOKEN": "can ary"}, "MATTERMOST_TOKEN"),
    "Mattermost's certificates": (
        {
            "MATTERMOST_TOKEN": "c",
            "MATTERMOST_URL": "https://mm.example",
            "MATTERMOST_CA_FILE": "/canary",
        },
        "MATTERMOST_CA_FILE",
    ),
    "Mattermost's groups without a directory": (
        {
            "MATTERMOST_TOKEN": "c",
            "MATTERMOST_URL": "https://mm.example",
            "MATTERMOST_GROUPS": "canary",
        },
        "MATTERMOST_GROUPS",
    ),
    "bot's groups without a directory": (
        {"TELEGRAM_TOKEN": "1:C", "TELEGRAM_EXTERNAL": "true", "TELEGRAM_GROUPS": "canary"},
        "TELEGRAM_GROUPS",
    ),
    "no room for a file": ({"FILE_MAX_MB": "0"}, "FILE_MAX_MB"),
    "no room for files": ({"FILES_PER_USER_MB": "canary"}, "FILES_PER_USER_MB"),
    "less than nothing stays free": ({"FILES_FREE_MB": "-1"}, "FILES_FREE_MB"),
    "days of files": ({"FILE_DAYS": "-1"}, "FILE_DAYS"),
    "directory with a path": ({**DIRECTORY, "LDAP_URLS": "ldaps://dc/canary"}, "LDAP_URLS"),
    "redis' scheme": ({"REDIS_URL": "http://canary"}, "REDIS_URL"),
    "redis' port": ({"REDIS_URL": "redis://h:Canary"}, "REDIS_URL"),
    "redis' number": ({"REDIS_URL": "redis://h/canary"}, "REDIS_URL"),
    "redis' parameter": ({"REDIS_URL": "redis://h?canary=1"}, "REDIS_URL"),
    "redis' value": ({"CACHE_REDIS_URL": "redis://h?db=canary"}, "CACHE_REDIS_URL"),
    "redis' authority": ({"REDIS_URL": "rediss://h?ssl_ca_certs=/canary"}, "REDIS_URL"),
    "redis' TLS": ({"REDIS_URL": "redis://h?ssl_cert_reqs=none"}, "REDIS_URL"),
    "redis' socket": ({"REDIS_URL": "unix://canary"}, "REDIS_URL"),
    "database of another kind": ({"DATABASE_URL": "mysql://u:Canary@h/d"}, "DATABASE_URL"),
    "file without a path": ({"DATABASE_URL": "sqlite://canary"}, "DATABASE_URL"),
    # secrets
    "no secret": ({"DATABASE_URL": SERVER}, "SECRET_KEY"),
    "short secret": ({"SECRET_KEY": "Canary"}, "SECRET_KEY"),
    "placeholder": ({"SECRET_KEY": "changeme-canary-changeme-canary-123"}, "SECRET_KEY"),
    "no file": ({"SECRET_KEY_FILE": "/canary/key"}, "SECRET_KEY_FILE"),
    "the secret in place of its file": ({"SECRET_KEY_FILE": KEY}, "SECRET_KEY_FILE"),
    "a folder": ({"REDIS_URL_FILE": "."}, "REDIS_URL_FILE"),
    "empty file": ({"DATABASE_URL_FILE": "empty"}, "DATABASE_URL_FILE"),
    "binary file": ({"METRICS_TOKEN_FILE": "binary"}, "METRICS_TOKEN_FILE"),
    "endless file": ({"ADMIN_PASSWORD_FILE": "/dev/zero"}, "ADMIN_PASSWORD_FILE"),
    # one setting against another
    "nobody could log in": ({"LOCAL_LOGIN": "false"}, "LOCAL_LOGIN"),
    "clear text": (
        {**DIRECTORY, "LDAP_URLS": "ldap://canary", "LDAP_START_TLS": "false"},
        "LDAP_START_TLS",
    ),
    "filter": ({**DIRECTORY, "LDAP_USER_FILTER": "(uid=canary)"}, "LDAP_USER_FILTER"),
    "empty file of a password": (
        {**DIRECTORY, "LDAP_BIND_PASSWORD": "", "LDAP_BIND_PASSWORD_FILE": "empty"},
        "LDAP_BIND_PASSWORD",
    ),
    "no account": ({**DIRECTORY, "LDAP_BIND_DN": ""}, "LDAP_BIND_DN"),
    # files and folders
    "no authority": ({**DIRECTORY, "LDAP_CA_FILE": "/canary.pem"}, "LDAP_CA_FILE"),
    "authority in DER": ({**DIRECTORY, "LDAP_CA_FILE": "der"}, "LDAP_CA_FILE"),
    "authority of junk": ({**DIRECTORY, "LDAP_CA_FILE": "binary"}, "LDAP_CA_FILE"),
    "damaged authority": ({**DIRECTORY, "LDAP_CA_FILE": "damaged"}, "LDAP_CA_FILE"),
    "empty authority": ({**DIRECTORY, "LDAP_CA_FILE": "empty"}, "LDAP_CA_FILE"),
    "authority is a folder": ({**DIRECTORY, "LDAP_CA_FILE": "."}, "LDAP_CA_FILE"),
    "data below a file": ({"DATA_DIR": "empty/canary"}, "DATA_DIR"),
    "data is a file": ({"DATA_DIR": "empty"}, "DATA_DIR"),
    "anchor is a folder": ({"AUDIT_ANCHOR": "."}, "AUDIT_ANCHOR"),
    "anchor below a file": ({"AUDIT_ANCHOR": "empty/canary/end"}, "AUDIT_ANCHOR"),
}
RAW = (
    "p@Canary",
    "Canary/w",
    "Canary#1",
    "Canary?w",
    "100%Canary",
    "Canary%zz",
    "Ca@na/r:y#",
    "%ff",
)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_logging: None) -> Path:
    monkeypatch.chdir(tmp_path)
    pem = Authority(tmp_path / "tls").ca_file.read_text()
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "der").write_bytes(ssl.PEM_cert_to_DER_cert(pem))
    (tmp_path / "damaged").write_text(pem.replace("\nMII", "\nXXX"))
    return tmp_path


def _refusal(capsys: pytest.CaptureFixture[str], *command: str) -> list[str]:
    assert cli.main(command or ("serve",)) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Traceback" not in shown.err
    assert not re.search("canary|канарейка", shown.err, re.IGNORECASE)
    return shown.err.splitlines()


@pytest.mark.parametrize("in_file", [False, True], ids=["environment", ".env"])
@pytest.mark.parametrize("name", WRONG)
def test_each_is_one_line(
    name: str,
    in_file: bool,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given, named = WRONG[name]
    if in_file:
        text = "".join(f"GENAI_{key}='{value}'\n" for key, value in given.items())
        (work / ".env").write_bytes(text.encode(errors="surrogateescape"))
    else:
        for key, value in given.items():
            monkeypatch.setenv(f"GENAI_{key}", value)
    (line,) = _refusal(capsys)
    if in_file and name == "bytes":
        assert line == ".env: is not UTF-8 text"
    else:
        assert line.startswith(f"GENAI_{named}: ")


@pytest.mark.parametrize("raw", RAW)
@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("DATABASE_URL", "postgresql://genai:{}@db.example/genai"),
        ("REDIS_URL", "redis://:{}@redis.example/0"),
        ("CACHE_REDIS_URL", "rediss://genai:{}@redis.example"),
        ("LLM_BASE_URL", "http://genai:{}@gpu1/v1"),
    ],
)
def test_a_raw_sign_in_a_password_is_told_without_any_part_of_it(
    name: str,
    address: str,
    raw: str,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GENAI_SECRET_KEY", KEY)
    monkeypatch.setenv(f"GENAI_{name}", address.format(raw))
    (line,) = _refusal(capsys, "migrate")
    assert line.startswith(f"GENAI_{name}: ")
    assert "percent-encode" in line


def test_all_are_named_at_once(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of every kind, and each of several that one other setting needs."""
    (work / ".env").write_text(
        "GENAI_LDAP_URLS=ldaps://dc1\nnot a line\nGENAI_PROT=1\nGENAI_PORT=0\n"
        "GENAI_METRICS_TOKEN_FILE=/canary\n"
    )
    for name, value in {
        "LOCALE": "canary",
        "DATABASE_URL": SERVER,
        "LDAP_CA_FILE": "/canary",
        "DATA_DIR": "empty/x",
        "REDIS_ULR": "canary",
    }.items():
        monkeypatch.setenv(f"GENAI_{name}", value)
    lines = _refusal(capsys, "serve", "--workers", "2")
    assert {re.split(r":(?: |$)", line)[0] for line in lines} == {
        *(".env", "GENAI_PROT", "GENAI_PORT", "GENAI_METRICS_TOKEN_FILE", "GENAI_LOCALE"),
        *("GENAI_SECRET_KEY", "GENAI_LDAP_BIND_DN", "GENAI_LDAP_BIND_PASSWORD"),
        *("GENAI_LDAP_USER_BASE", "GENAI_LDAP_CA_FILE", "GENAI_DATA_DIR"),
        *("GENAI_REDIS_ULR", "GENAI_REDIS_URL"),
    }
    assert len(lines) == 13
    assert ".env: line 2 is no NAME=value" in lines
    assert "GENAI_PROT: means nothing; GENAI_PORT is like it (in .env)" in lines
    assert next(line for line in lines if "GENAI_PORT:" in line).endswith("(in .env)")


def test_no_model(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An archive for a closed network has none unless it was asked for."""
    monkeypatch.setattr("genai_app.adapters.llm.demo.find_spec", lambda _name: None)
    (line,) = _refusal(capsys)
    assert line.startswith("GENAI_LLM_BASE_URL: required")


def test_as_a_process(work: Path) -> None:
    """No line of another's, no traceback of an import; nothing is made."""
    before = sorted(work.rglob("*"))
    done = start(
        work, "serve", GENAI_REDIS_URL="redis://:Secr3t/pw#1@host", GENAI_DATA_DIR="/proc/none"
    )
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["GENAI_REDIS_URL"]
    assert not re.search("Secr3t|pw#1|Traceback", done.stdout + done.stderr)
    assert sorted(work.rglob("*")) == before

    done = start(work, "user", "list", GENAI_DATA_DIR="/proc/none")
    assert done.returncode == 2
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["GENAI_DATA_DIR"]


def test_good_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must be percent-encoded comes back as it was meant."""
    url = parse_url("redis://me:p%40%3A%2F%25%23%3F@[::1]:6380/1", ("redis",))
    assert (url.username, url.password) == ("me", "p@:/%#?")
    assert (url.host.name, url.host.port, url.path) == ("::1", 6380, "/1")
    assert "p@" not in repr(url)
    assert parse_url("redis://:a:b@h", ("redis",)).password == "a:b"
    assert parse_origin("HTTPS://Chat.Example.com:443/") == "https://chat.example.com"
    assert parse_origin("http://чат.example:80") == "http://xn--80a0bn.example"
    assert parse_origin("http://[::1]:8000") == "http://[::1]:8000"
