"""Opens asyncpg connections as libpq does: tries host after host, each with a timeout, and sets TCP
keepalives from the URL. Also detects a pooler such as PgBouncer in front of the server.

A pooler may lend a server connection for one transaction only. Then nothing may stay in the session
after it: no prepared statement, no setting, no lock.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlencode

import asyncpg  # pyright: ignore[reportMissingTypeStubs]
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from genai_app.settings.database_url import APPLICATION, DEFAULT_PORT, DatabaseUrl

CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 15.0
# compiling a query takes 0.2 s, which none of our queries is worth
JIT_OFF = {"jit": "off"}
# in each transaction through a pooler: another client, such as pg_dump, may have changed the
# search_path of the server connection
POOLED_TRANSACTION = "SET LOCAL search_path TO DEFAULT; SET LOCAL jit = off"
_SESSION_ORDER = {"prefer-standby": ("standby", "any")}
_KEEPALIVES = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}
_FAILURES = (
    *(OSError, asyncpg.PostgresError, asyncpg.InterfaceError),
    asyncpg.TargetServerAttributeNotMatched,
)
_TLS = ("sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation")


class PooledConnection(asyncpg.Connection):
    """A connection through a pooler. Queries that asyncpg adds itself run in one transaction."""

    async def set_type_codec(self, *arguments: Any, **keywords: Any) -> None:
        connection: Any = super()
        async with self.transaction():  # pyright: ignore[reportUnknownMemberType]
            await connection.set_type_codec(*arguments, **keywords)


class PostgresServerLink:
    """Opens the connections of an engine, and detects a pooler."""

    def __init__(self, url: DatabaseUrl) -> None:
        self._url = url
        self._pooled: bool | None = None
        self._detecting = asyncio.Lock()
        self._drivers: set[Any] = set()  # connections that may be open
        self._closed = False

    def attach(self, engine: AsyncEngine) -> None:
        """Makes `engine` open its connections here. Call `is_pooled` before the first query."""

        @event.listens_for(engine.sync_engine, "do_connect")
        def _arguments(_dialect: Any, _record: Any, _args: Any, keywords: dict[str, Any]) -> None:
            keywords["async_creator_fn"] = self._open
            if self._pooled:
                # an unnamed statement ends with its transaction
                keywords |= {
                    "prepared_statement_cache_size": 0,
                    "prepared_statement_name_func": str,
                }

        @event.listens_for(engine.sync_engine, "begin")
        def _begin(connection: sa.Connection) -> None:
            if self._pooled:
                adapted: Any = connection.connection.dbapi_connection
                adapted.run_async(partial(_begin_pooled, adapted))

    async def is_pooled(self) -> bool:
        """Returns whether a pooler is in front of the server. The first call connects."""
        if self._pooled is None:
            async with self._detecting:
                if self._pooled is None:
                    driver = await self._open(pooled=True)
                    try:
                        self._pooled = await is_pooled(driver)
                    finally:
                        driver.terminate()
        return self._pooled

    def close(self) -> None:
        """Closes connections that the engine has lost, those of cancelled queries. Afterwards none
        is opened."""
        self._closed = True
        for driver in self._drivers:
            if not driver.is_closed():
                driver.terminate()
        self._drivers.clear()

    async def _open(self, *, pooled: bool | None = None, **_unused: Any) -> Any:
        if self._closed:
            raise ConnectionError("the database is closed")
        self._drivers = {driver for driver in self._drivers if not driver.is_closed()}
        driver = await open_driver(
            self._url,
            pooled=bool(self._pooled if pooled is None else pooled),
        )
        if self._closed:  # meanwhile: nobody would close this one
            driver.terminate()
            raise ConnectionError("the database is closed")
        self._drivers.add(driver)
        return driver


async def _begin_pooled(adapted: Any, driver: Any) -> None:
    await adapted._start_transaction()  # asyncpg would start it at the next statement only
    await driver.execute(POOLED_TRANSACTION)


async def open_driver(url: DatabaseUrl, *, pooled: bool) -> Any:
    """Returns a connection to the first host that accepts one.

    Args:
        pooled: whether a pooler is in front of the server.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the error of the last host.
    """
    untyped: Any = asyncpg
    failed: BaseException | None = None
    wanted = url.parameters.get("target_session_attrs", "any")
    for session in _SESSION_ORDER.get(wanted, (wanted,)):
        for arguments in _each_host(url, pooled=pooled):
            try:
                driver = await untyped.connect(
                    **arguments,
                    target_session_attrs=session,
                    command_timeout=COMMAND_TIMEOUT_S,
                    timeout=url.connect_timeout_s or CONNECT_TIMEOUT_S,
                )
            except _FAILURES as error:
                failed = error
                # the server is up but refuses the login: libpq does not try the next host either
                if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
                    raise
            else:
                _keep_alive(driver, url.parameters)
                return driver
    assert failed is not None  # there is at least one host
    raise failed


async def is_pooled(driver: Any) -> bool:
    """Returns whether a pooler is in front of the server: it reports its own process ids."""
    async with driver.transaction():
        return await driver.fetchval("SELECT pg_backend_pid()") != driver.get_server_pid()


def _each_host(url: DatabaseUrl, *, pooled: bool) -> Iterator[dict[str, Any]]:
    server_settings = {"application_name": APPLICATION}
    server_settings |= {
        name: url.parameters[name]
        for name in ("application_name", "options")
        if name in url.parameters
    }
    shared: dict[str, Any] = {
        "user": url.user,
        "password": url.password,
        "database": url.database,
        "passfile": url.parameters.get("passfile"),
    }
    if pooled:
        shared |= {"statement_cache_size": 0, "connection_class": PooledConnection}
    else:
        server_settings = JIT_OFF | server_settings
    for host in url.hosts or (None,):
        # asyncpg accepts these parameters only in a URL
        query = {
            name: text
            for name, text in url.parameters.items()
            if name in (*_TLS, "ssl_min_protocol_version", "ssl_max_protocol_version")
        }
        # a Unix socket has no TLS in any mode, as with libpq
        on_socket = host is None or host.name.startswith("/")
        if not on_socket and "sslmode" in url.parameters:
            query["sslmode"] = url.parameters["sslmode"]
        address = {} if host is None else {"host": host.name, "port": host.port or DEFAULT_PORT}
        yield (
            shared
            | address
            | {
                "dsn": f"postgresql://?{urlencode(query)}",
                "server_settings": server_settings,
            }
        )


def _keep_alive(driver: Any, parameters: dict[str, str]) -> None:
    transport = driver._transport  # pyright: ignore[reportPrivateUsage] - it has no public name
    link: socket.socket | None = transport.get_extra_info("socket")
    if link is None or link.family == socket.AF_UNIX:
        return
    with suppress(OSError):
        on = parameters.get("keepalives", "1") == "1"
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, on)
        for name, option in _KEEPALIVES.items():
            if (text := parameters.get(name)) and hasattr(socket, option):
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), int(text))
