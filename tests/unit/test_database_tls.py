"""An address of PostgreSQL means the same to whoever connects: the product (asyncpg), migrations
(psycopg2), backups (pg_dump). Against a real server with TLS and certificates of an authority."""

import os
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from genai_app import migrations
from genai_app.adapters.postgres_tools import connection_environment, find_program
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.settings.database_url import (
    PARAMETERS,
    REFUSED,
    parse_database_url,
    replace_database,
)
from genai_app.settings.variables import child_environment
from tests.fakes.postgres_tls import Place, address_of

pytest_plugins = ("tests.fakes.postgres_tls_fixtures",)

ASKED = """
SELECT current_setting('application_name'), current_setting('statement_timeout'), current_user,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)
"""


async def _by_asyncpg(url: str) -> tuple[object, ...]:
    db = Database(url)
    try:
        async with db.read() as session:
            return tuple((await session.execute(sa.text(ASKED))).one())
    finally:
        await db.close()


def _by_psycopg2(url: str) -> tuple[object, ...]:
    engine = migrations.sync_engine(url)
    try:
        with engine.connect() as connection:
            return tuple(connection.execute(sa.text(ASKED)).one())
    except OperationalError as error:
        raise StorageUnavailable(str(error)) from error
    finally:
        engine.dispose()


def _by_psql(url: str) -> tuple[object, ...]:
    psql = find_program("psql", 1)[0]
    with connection_environment(url) as (variables, file):
        done = subprocess.run(
            [psql, "--no-psqlrc", "--tuples-only", "--no-align", "--no-password", "-c", ASKED],
            capture_output=True,
            text=True,
            env=child_environment(**variables),
            pass_fds=(file,),
            timeout=30,
            check=False,
        )
    if done.returncode:
        raise StorageUnavailable(done.stderr)
    name, timeout, user, tls = done.stdout.strip().split("|")
    return name, timeout, user, tls == "t"


FULL = {"sslmode": "verify-full", "sslrootcert": "ca"}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"sslmode": "prefer"},
        {"sslmode": "allow"},
        {"sslmode": "require"},
        {"ssl": "true"},
        {"sslmode": "require", "sslrootcert": "ca"},
        {"sslmode": "verify-ca", "sslrootcert": "ca"},
        FULL,
        {**FULL, "host": "localhost"},
        {**FULL, "user": "certified", "sslcert": "cert", "sslkey": "key"},
        {**FULL, "ssl_min_protocol_version": "TLSv1.3", "channel_binding": "prefer"},
        {**FULL, "host": "nobody.invalid:1,127.0.0.1", "target_session_attrs": "primary"},
        {**FULL, "target_session_attrs": "prefer-standby", "gssencmode": "disable"},
        {
            **FULL,
            **{"connect_timeout": 3, "keepalives": 1, "keepalives_idle": 9, "keepalives_count": 2},
            **{"keepalives_interval": 3, "tcp_user_timeout": 5000, "client_encoding": "utf8"},
        },
    ],
    ids=str,
)
async def test_all_three_connect_alike(postgres_tls: Place, parameters: dict[str, object]) -> None:
    more = {"application_name": "chat of the company", "options": "-c statement_timeout=7s"}
    url = address_of(postgres_tls, **{**parameters, **more})
    expected = ("chat of the company", "7s", parameters.get("user", "postgres"), True)
    assert await _by_asyncpg(url) == expected
    assert _by_psycopg2(url) == expected
    assert _by_psql(url) == expected


@pytest.mark.parametrize(
    "parameters",
    [
        {"sslmode": "disable"},
        {"sslmode": "require", "sslrootcert": "other"},
        {"sslmode": "verify-ca", "sslrootcert": "other"},
        {"sslmode": "verify-full", "sslrootcert": "other"},
        {**FULL, "host": "127.0.0.2"},
        {**FULL, "user": "certified"},
        {**FULL, "target_session_attrs": "standby"},
    ],
    ids=str,
)
async def test_all_three_refuse_alike(postgres_tls: Place, parameters: dict[str, object]) -> None:
    """Another authority, another host than the certificate's, no certificate of one's own."""
    url = address_of(postgres_tls, **parameters)
    with pytest.raises(StorageUnavailable):
        await _by_asyncpg(url)
    for connect in (_by_psycopg2, _by_psql):
        with pytest.raises(StorageUnavailable):
            connect(url)


async def test_a_folder_of_sockets_and_the_usual_places(postgres_tls: Place) -> None:
    server = postgres_tls[0]
    folder = quote(str(server.folder), safe="")
    for url in (
        f"postgresql://postgres@/genai?host={folder}&port={server.port}&sslmode=require",
        f"postgresql://postgres@{folder}:{server.port}/genai",
        f"postgresql:///?dbname=genai&user=postgres&host={folder}&port={server.port}",
    ):
        expected = ("genai", "0", "postgres", False)
        assert await _by_asyncpg(url) == expected
        assert _by_psycopg2(url) == expected
        assert _by_psql(url)[2:] == expected[2:]


async def test_keepalives_reach_the_socket(postgres_tls: Place) -> None:
    db = Database(address_of(postgres_tls, keepalives_idle=17))
    try:
        async with db.statement_runner() as runner:
            driver = runner._driver  # pyright: ignore[reportPrivateUsage]
            found: socket.socket = driver._transport.get_extra_info("socket")
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 17
    finally:
        await db.close()


def test_nothing_secret_is_left_in_a_file(postgres_tls: Place) -> None:
    url = "postgresql://genai:p%40ss%20word@db/genai?sslpassword=Canary&keepalives_idle=9"
    with connection_environment(url) as (variables, file):
        text = os.pread(file, 10_000, 0).decode()
        assert variables["PGPASSWORD"] == "p@ss word"
        assert "host=db\n" in text
        assert "keepalives_idle=9\n" in text
        assert "p@ss" not in text
        assert os.fstat(file).st_nlink == 0


@pytest.mark.parametrize(
    ("query", "told"),
    [
        *[(f"{name}=Canary", name) for name in REFUSED],
        ("sslmode=Canary", "sslmode"),
        ("sslmode=verify-full", "sslrootcert"),
        ("sslmode=require&sslrootcert=system", "verify-full"),
        ("sslrootcert=/Canary", "sslrootcert"),
        ("sslcert=/Canary&sslkey=/Canary", "sslcert"),
        ("connect_timeout=Canary", "connect_timeout"),
        ("keepalives=2", "keepalives"),
        ("target_session_attrs=Canary", "target_session_attrs"),
        ("channel_binding=require", "channel_binding"),
        ("gssencmode=require", "gssencmode"),
        ("sslnegotiation=direct", "sslmode"),
        ("port=Canary", "port"),
        ("port=1,2,3", "port"),
        ("sslmod=require", "sslmode"),
        ("Canary=1", "application_name"),
        ("application_name=Cana%0Ary", "application_name"),
        ("options=Canary@x", "percent-encode"),
    ],
)
def test_what_not_all_three_know_is_refused_in_one_line(query: str, told: str) -> None:
    host = "genai:Canary" if told == "percent-encode" else "h1:1,h2"
    with pytest.raises(ValueError, match=told) as caught:
        parse_database_url(f"postgresql://{host}/genai?{query}")
    assert "Canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_of_another_certificate_and_one_that_others_may_read(postgres_tls: Place) -> None:
    _, _, authority, client = postgres_tls
    other = authority.issue("other")
    for key, told in ((other.key, "belong together"), (authority.ca_file, "read by others")):
        with pytest.raises(ValueError, match=told):
            parse_database_url(f"postgresql://h/d?sslcert={client.cert}&sslkey={key}")


def test_another_database_of_the_same_server() -> None:
    url = "postgresql://u:p%40w@h1:1,h2:2/genai?dbname=old&sslmode=require&options=-c%20a%3Db"
    found = parse_database_url(replace_database(url, "genai_drill"))
    assert (found.database, found.password) == ("genai_drill", "p@w")
    assert found.parameters == {"sslmode": "require", "options": "-c a=b"}
    assert [host.port for host in found.hosts] == [1, 2]


def test_documented() -> None:
    """docs/settings.md names every parameter that is taken or refused."""
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    assert [name for name in (*PARAMETERS, *REFUSED) if f"`{name}" not in text] == []
