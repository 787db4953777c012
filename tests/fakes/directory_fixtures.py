"""Fixtures of directories, real and scripted, and of our client to them.

A test module takes them with `pytest_plugins = ("tests.fakes.directory_fixtures",)`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from genai_app.adapters.directory.client import Directory
from genai_app.settings.settings import load_settings
from tests.fakes.certificates import Authority, Certificate
from tests.fakes.directory_calls import MakeDirectory, MakeLdapServer
from tests.fakes.ldap_server import BlackHole, LdapServer
from tests.fakes.samba_ad import SambaServer
from tests.fakes.slapd import SlapdServer


@pytest.fixture(scope="session")
def slapd() -> Iterator[SlapdServer]:
    """A real OpenLDAP. Whoever stops or changes it puts it back."""
    server = SlapdServer()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def samba() -> Iterator[SambaServer]:
    """A real Active Directory. Whoever stops or changes it puts it back."""
    server = SambaServer()
    yield server
    server.remove()


@pytest.fixture(params=["openldap", "active-directory"])
def real(request: pytest.FixtureRequest) -> SlapdServer | SambaServer:
    """Tests that ask for it run with both kinds of directory."""
    return request.getfixturevalue("slapd" if request.param == "openldap" else "samba")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def good_certificate(authority: Authority) -> Certificate:
    return authority.issue("127.0.0.1", "localhost")


@pytest.fixture
def start_ldap() -> Iterator[MakeLdapServer]:
    """Starts scripted servers: `start_ldap(certificate, start_tls=True)`."""
    with ExitStack() as running:
        yield lambda *args, **options: running.enter_context(LdapServer(*args, **options))


@pytest.fixture
def ldap_server(start_ldap: MakeLdapServer) -> LdapServer:
    """One scripted server without TLS, with ivanov."""
    server = start_ldap()
    server.add("ivanov")
    return server


@pytest.fixture
def black_hole() -> Iterator[BlackHole]:
    hole = BlackHole()
    yield hole
    hole.close()


@pytest_asyncio.fixture
async def make_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeDirectory]:
    """Makes clients of a server: `make_directory(slapd, ldap_user_filter=...)`; of several with
    `ldap_urls`."""
    made: list[Directory] = []
    monkeypatch.chdir(tmp_path)

    def make(server: SlapdServer | SambaServer | LdapServer, **overrides: Any) -> Directory:
        made.append(Directory(load_settings(**server.settings(**overrides))))
        return made[-1]

    yield make
    await asyncio.gather(*(directory.close() for directory in made))
