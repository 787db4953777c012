"""`genai serve`, `genai build`, `genai migrate`.

Like cli/main.py it imports what a command needs when the command runs.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from genai_app.cli.output import DONE, FAILED
from genai_app.errors import SettingsError

if TYPE_CHECKING:
    from genai_app.settings.settings import Settings

MAX_WORKERS = 64


def add_commands(commands: Any) -> None:
    """Adds the commands to the parser of cli/main.py."""
    server = commands.add_parser("serve", help="serve web and API on one port")
    server.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes; needs PostgreSQL and Redis"
    )
    server.add_argument("--worker", type=int, help=argparse.SUPPRESS)  # set by the parent process
    server.set_defaults(run=serve)

    builder = commands.add_parser("build", help="build the front end, once (needs bun)")
    builder.add_argument("--check", action="store_true", help="build nothing; exit 1 if it is due")
    builder.set_defaults(run=build)

    migrate = commands.add_parser("migrate", help="bring the database to this version's schema")
    migrate.set_defaults(run=_migrate)


def serve(settings: Settings, arguments: argparse.Namespace) -> int:
    """Serves until the process is stopped. Returns the exit code.

    Raises:
        SettingsError: the number of workers is out of range.
    """
    from genai_app.server import serve as server
    from genai_app.services.backup.private_files import mend_private_files

    if arguments.worker is not None:
        return server.run_worker(settings, arguments.worker)
    if not 1 <= arguments.workers <= MAX_WORKERS:
        raise SettingsError(f"--workers: a number from 1 to {MAX_WORKERS}")
    mend_private_files(settings)
    return server.run(settings, arguments.workers)


def build(_settings: Settings, arguments: argparse.Namespace) -> int:
    """Builds the front end unless it is up to date. Returns the exit code."""
    from genai_app.server import build as front_end

    if front_end.is_built():
        return DONE
    if arguments.check:
        return FAILED
    front_end.build()
    return DONE


def _migrate(settings: Settings, _arguments: argparse.Namespace) -> int:
    from genai_app import migrations
    from genai_app.services.backup.private_files import mend_private_files

    mend_private_files(settings)
    migrations.upgrade(settings.sqlalchemy_url)
    return DONE
