"""PostgreSQL that takes TLS alone. A test module takes it with
`pytest_plugins = ("tests.fakes.postgres_tls_fixtures",)`."""

import os
import shutil
from collections.abc import Generator

import pytest

from tests.fakes.certificates import Authority
from tests.fakes.postgres_tls import Place, address_of
from tests.fakes.services import PostgresServer

RULES = """
hostssl all certified 127.0.0.1/32 cert
hostssl all postgres 127.0.0.1/32 trust
local all all trust
"""


@pytest.fixture(scope="module")
def postgres_tls(tmp_path_factory: pytest.TempPathFactory) -> Generator[Place]:
    """A server with TLS only, its authority, a client's certificate of it."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    Authority(folder / "other")
    client = authority.issue("certified", client=True)
    server = PostgresServer()
    try:
        mine = authority.issue("localhost", "127.0.0.1")
        for name, source in (("crt", mine.cert), ("key", mine.key), ("ca", authority.ca_file)):
            path = server.folder / f"tls.{name}"
            shutil.copy(source, path)
            path.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(path, "postgres", "postgres")
        (server.folder / "hba").write_text(RULES)
        (server.folder / "hba").chmod(0o644)
        server.options |= {
            "ssl": "on",
            "ssl_cert_file": str(server.folder / "tls.crt"),
            "ssl_key_file": str(server.folder / "tls.key"),
            "ssl_ca_file": str(server.folder / "tls.ca"),
            "hba_file": str(server.folder / "hba"),
        }
        server.start()
        server.create_database("genai")
        server.execute("CREATE ROLE certified LOGIN SUPERUSER")
        yield server, folder, authority, client
    finally:
        server.remove()


@pytest.fixture
def tls_address(postgres_tls: Place) -> Generator[str]:
    """An empty database: `verify-full`, and a client's certificate in place of a password."""
    server = postgres_tls[0]
    server.create_database("whole")
    files = {"sslrootcert": "ca", "sslcert": "cert", "sslkey": "key"}
    url = address_of(postgres_tls, user="certified", sslmode="verify-full", **files)
    yield url.replace("/genai?", "/whole?")
    server.drop_database("whole")
