"""`genai serve`: serves on one port, with one or several processes, until SIGTERM or Ctrl-C."""

import asyncio
import fcntl
import gc
import os
import signal
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO

import structlog
import uvicorn
from starlette.types import ASGIApp

from genai_app import log, migrations
from genai_app.errors import SettingsError
from genai_app.server import build
from genai_app.server.graceful import GracefulServer
from genai_app.server.listening import listening_sockets
from genai_app.server.workers import ParentLink, Workers
from genai_app.settings.settings import Settings, allowed_origins
from genai_app.settings.urls import LOOPBACK

logger = structlog.get_logger()

CONNECTIONS_CLOSE_S = 4
KEEP_ALIVE_S = 75  # longer than a proxy: the usual ones close an idle connection after 60 s
MAX_FRAME_BYTES = 1_000_000
READY_POLL_S = 0.02


def run(settings: Settings, workers: int = 1) -> int:
    """Migrates the database, then serves pages, API and sockets on one port. Returns the exit code.

    Args:
        workers: the number of processes; more than one need PostgreSQL and Redis.
    """
    log.configure(settings)
    if not settings.public_url and settings.host not in LOOPBACK:
        logger.warning(
            "settings.public_url_missing",
            means="browsers on other machines are refused: set GENAI_PUBLIC_URL to the address"
            " that they open",
        )
    if build.built_missing():
        raise SettingsError("the front end is not built: run `genai build` (needs bun) once")
    _make_data_dir(settings)
    _ = settings.secret  # made here by one process, before several need it
    for probe in listening_sockets(
        settings.host, settings.port
    ):  # raises before anything is changed
        probe.close()
    import uvloop

    with sole_user(settings):
        migrations.upgrade(settings.sqlalchemy_url)
        if workers == 1:
            _prepare_reflex(settings)
            return uvloop.run(_serve(settings))
        with ExitStack() as reserved:  # so that no other product takes the port
            for each in listening_sockets(settings.host, settings.port, shared=True):
                reserved.enter_context(each)
            return uvloop.run(_supervise(settings, workers))


def run_worker(settings: Settings, link: int) -> int:
    """Serves as one of several workers, after the parent has checked and migrated everything.
    Returns the exit code.

    Args:
        link: the file descriptor of this process' end of the socket pair to the parent.
    """
    log.configure(settings)
    _prepare_reflex(settings)
    import uvloop

    return uvloop.run(_serve(settings, ParentLink(link)))


async def _supervise(settings: Settings, count: int) -> int:
    return await Workers(count, lambda: _print_address(settings)).run()


@contextmanager
def sole_user(settings: Settings) -> Generator[None]:
    """Makes sure that no other process serves this database while the block lasts.

    Without Redis only one process may serve: limits and live text would be separate in each. On
    SQLite a second process would also interrupt the answers of the first. With PostgreSQL and Redis
    several processes may serve, if each of them has Redis.

    Raises:
        SettingsError: another process serves the database or the data directory.
    """
    if not settings.embedded:
        shared = settings.redis_url is not None
        with migrations.database_held(settings.sqlalchemy_url, shared=shared) as held:
            if not held:
                raise SettingsError(
                    "GENAI_REDIS_URL: another process serves this database; several need Redis,"
                    " each of them"
                )
            yield
        return
    _make_data_dir(settings)
    with _lock_file(settings) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"GENAI_DATA_DIR: another process is serving {settings.data_dir.absolute()}"
            ) from None
        yield


def _make_data_dir(settings: Settings) -> None:
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"GENAI_DATA_DIR: cannot be made: {error.strerror}") from None


def _lock_file(settings: Settings) -> IO[str]:
    try:
        return (settings.data_dir / "genai.lock").open("w")
    except OSError as error:
        raise SettingsError(f"GENAI_DATA_DIR: cannot be written: {error.strerror}") from None


def _prepare_reflex(settings: Settings) -> None:
    """Sets the environment variables that Reflex reads when the app module is imported."""
    root = str(build.ROOT)
    if root not in sys.path:
        sys.path.insert(0, root)  # rxconfig.py
    os.environ.update(
        {
            "REFLEX_ENV_MODE": "prod",
            "REFLEX_WEB_WORKDIR": str(build.ROOT / ".web"),
            # set here too, since Reflex finds rxconfig.py only from some directories: the default
            # mode writes the States, and with them the contents of the pages, to disk
            "REFLEX_STATE_MANAGER_MODE": "memory",
            "REFLEX_STATES_WORKDIR": str(settings.data_dir / "states"),
            "REFLEX_TELEMETRY_ENABLED": "false",
            "REFLEX_CHECK_LATEST_VERSION": "false",
            "REFLEX_CORS_ALLOWED_ORIGINS": ",".join(sorted(allowed_origins(settings))),
            "__REFLEX_SKIP_COMPILE": "true",
        }
    )


async def _serve(settings: Settings, link: ParentLink | None = None) -> int:
    from genai_app.server.http_protocol import HttpProtocol

    config = uvicorn.Config(
        _whole_product(),
        loop="none",
        http=HttpProtocol,
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,  # frames have 300 bytes: compression costs more than it saves
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=1024,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CONNECTIONS_CLOSE_S,
    )
    server = GracefulServer(config)
    tasks = [asyncio.create_task(_announce(settings, server, link))]
    sockets = listening_sockets(settings.host, settings.port, shared=link is not None)
    if link is not None:
        orphaned = partial(server.handle_exit, signal.SIGTERM, None)
        tasks.append(asyncio.create_task(link.listen(orphaned)))
    await server.serve(sockets)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return 0 if server.started else 1


def _whole_product() -> ASGIApp:
    """Returns the product, whose code and routes the garbage collector need never look at again:
    that would stop all answers for 0.1 s each time, and takes time at a start."""
    gc.disable()
    try:
        from genai_app.app import server

        return server()
    finally:
        gc.freeze()
        gc.enable()


async def _announce(settings: Settings, server: GracefulServer, link: ParentLink | None) -> None:
    """Prints the product's address once the port answers. A worker reports to its parent
    instead."""
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(READY_POLL_S)
    if link is None:
        _print_address(settings)
    else:
        link.report_serving()


def _print_address(settings: Settings) -> None:
    print(f"\n  {settings.url}\n", flush=True)
