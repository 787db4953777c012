"""`genai serve`: one port, one process or several, until SIGTERM or Ctrl-C."""

import asyncio
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

import structlog
import uvicorn

from genai_app import build, log, migrations
from genai_app.errors import SettingsError
from genai_app.settings import Settings, unknown_names
from genai_app.workers import Link, Workers, listening_socket

logger = structlog.get_logger()

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SOCKETS_CLOSE_S = 3
MAX_FRAME_BYTES = 1_000_000
READY_POLL_S = 0.02


def run(settings: Settings, workers: int = 1) -> int:
    """Migrate, then serve web, API and socket on one port. Returns the exit code.

    Args:
        workers: processes; more than one need PostgreSQL and Redis.
    """
    log.configure(settings)
    if workers > 1:
        _check_shared(settings)
    for name in unknown_names(settings):
        logger.warning("settings.unknown", name=name)
    if not settings.public_url and settings.host not in LOOPBACK:
        logger.warning(
            "settings.public_url_missing",
            means="browsers on other machines are refused: set GENAI_PUBLIC_URL to the address"
            " that they open",
        )
    if build.built_missing():
        raise SettingsError("the front end is not built: run `genai build` (needs bun) once")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    _ = settings.secret  # made now, by one process, before anything can need it
    _check_port(settings)
    import uvloop

    with sole_user(settings):
        migrations.upgrade(settings.sqlalchemy_url)
        if workers == 1:
            _prepare_reflex(settings)
            return uvloop.run(_serve(settings))
        with listening_socket(settings.host, settings.port):  # so that no other takes the port
            return uvloop.run(_supervise(settings, workers))


def run_worker(settings: Settings, link: int) -> int:
    """Serve as one of several; the parent has checked and migrated. Returns the exit code.

    Args:
        link: the file number of this process' end of the link to the parent.
    """
    log.configure(settings)
    _prepare_reflex(settings)
    import uvloop

    return uvloop.run(_serve(settings, Link(link)))


async def _supervise(settings: Settings, count: int) -> int:
    return await Workers(count, lambda: _say_where(settings)).run()


def _check_shared(settings: Settings) -> None:
    """Several processes share limits, cache and live text through Redis."""
    if settings.embedded:
        raise SettingsError("--workers: SQLite is for one process; set GENAI_DATABASE_URL")
    if settings.redis_url is None:
        raise SettingsError("--workers: several processes need GENAI_REDIS_URL")


@contextmanager
def sole_user(settings: Settings) -> Generator[None]:
    """Without Redis one process is all there may be: limits and live text would be of each alone.
    On SQLite a second one would take the first one's answers for orphans, too."""
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
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with (settings.data_dir / "genai.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"GENAI_DATA_DIR: another process is serving {settings.data_dir.absolute()}"
            ) from None
        yield


def _check_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SettingsError(
                f"GENAI_HOST, GENAI_PORT: cannot listen on {settings.host}:{settings.port}: "
                f"{error.strerror}"
            ) from None


def _prepare_reflex(settings: Settings) -> None:
    """Reflex takes these from the environment when its app module is imported."""
    root = str(build.ROOT)
    if root not in sys.path:
        sys.path.insert(0, root)  # rxconfig.py
    os.environ.update(
        {
            "REFLEX_ENV_MODE": "prod",
            "REFLEX_WEB_WORKDIR": str(build.ROOT / ".web"),
            # not left to rxconfig.py, which Reflex does not find from every directory: its default
            # writes the States, and so what stands on the pages, to disk
            "REFLEX_STATE_MANAGER_MODE": "memory",
            "REFLEX_STATES_WORKDIR": str(settings.data_dir / "states"),
            "REFLEX_TELEMETRY_ENABLED": "false",
            "REFLEX_CHECK_LATEST_VERSION": "false",
            "REFLEX_CORS_ALLOWED_ORIGINS": ",".join(sorted(settings.origins)),
            "__REFLEX_SKIP_COMPILE": "true",
        }
    )


class Server(uvicorn.Server):
    """Ends with an exit code of its own: uvicorn raises the signal again when all is done."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _serve(settings: Settings, link: Link | None = None) -> int:
    from genai_app.app import server as whole_product

    config = uvicorn.Config(
        whole_product(),
        host=settings.host,
        port=settings.port,
        loop="none",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME_BYTES,
        ws_per_message_deflate=False,  # a frame is 300 bytes; packing it costs more than it saves
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=1024,
        timeout_graceful_shutdown=SOCKETS_CLOSE_S,
    )
    server = Server(config)
    beside = [asyncio.create_task(_announce(settings, server, link))]
    sockets = None
    if link is not None:
        sockets = [listening_socket(settings.host, settings.port)]
        orphaned = partial(server.handle_exit, signal.SIGTERM, None)
        beside.append(asyncio.create_task(link.listen(orphaned)))
    await server.serve(sockets)
    for task in beside:
        task.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    return 0 if server.started else 1


async def _announce(settings: Settings, server: Server, link: Link | None) -> None:
    """Say where to go once the port answers; a worker tells its parent."""
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(READY_POLL_S)
    if link is None:
        _say_where(settings)
    else:
        link.serving()


def _say_where(settings: Settings) -> None:
    print(f"\n  {settings.url}\n", flush=True)
