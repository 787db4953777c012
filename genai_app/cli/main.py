"""The command line. Exit codes: 0 done, 1 failed, 2 misused or a bad setting.

Each command imports what it needs when it runs, so that --help and a misspelt word answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genai_app.cli import admin, audit, backup, bot, directory, doctor, serving, users
from genai_app.cli.output import FAILED, MISUSED, complain
from genai_app.errors import AppError, SettingsError

if TYPE_CHECKING:
    from genai_app.settings.settings import Check

UMASK = 0o077  # files that a command makes are readable for its own user alone


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit code; argparse itself exits with 0 (help) or 2 (misuse).

    Where the reader of the output has gone (`genai ... | head`) the command ends silently.
    """
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # discards the rest of the buffer, of which Python would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.run is not serving.build:  # a web server or another user may read its files
        os.umask(UMASK)
    from genai_app import log
    from genai_app.settings.settings import load_settings

    try:
        settings = load_settings(_checks(arguments))
    except SettingsError as error:
        return _misused(error)
    try:
        log.configure(settings)
        if getattr(arguments, "worker", None) is None:  # a worker's parent has already warned
            _warn_of_unknown_names()
        return arguments.run(settings, arguments)
    except AppError as error:
        complain(error.command_text(settings.locale))
        if error.detail:
            complain(f"  {log.redact_text(error.detail).splitlines()[0]}")
        return FAILED
    except SettingsError as error:
        return _misused(error)
    except OSError as error:
        if error.filename is None:  # not about a file of the operator
            raise
        if settings.data_dir.absolute() in (Path(error.filename), *Path(error.filename).parents):
            complain(f"GENAI_DATA_DIR: {error.strerror}")
            return MISUSED
        complain(f"{error.filename}: {error.strerror}")
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _misused(error: SettingsError) -> int:
    for line in str(error).splitlines():
        complain(line)
    return MISUSED


def _checks(arguments: argparse.Namespace) -> Sequence[Check]:
    """Returns the checks to make before this command runs."""
    from genai_app.cli import start_checks

    if arguments.run is serving.serve:
        shared = (start_checks.shared_state,) if arguments.workers > 1 else ()
        return (*start_checks.SERVE, *shared)
    # these two work without the data directory
    return () if arguments.run in (doctor.examine, serving.build) else start_checks.COMMAND


def _warn_of_unknown_names() -> None:
    """Warns of misspelt settings: with one, `genai migrate` would create an unwanted database."""
    import structlog

    from genai_app.settings.settings import unknown_names

    for unknown in unknown_names():
        where = {"in": ".env"} if unknown.in_file else {}
        near = {"nearest": unknown.nearest} if unknown.nearest else {}
        structlog.get_logger(__name__).warning(
            "settings.unknown", name=unknown.name, **near, **where
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genai", description="The corporate assistant.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serving.add_commands(commands)
    bot.add_command(commands)
    users.add_commands(commands)
    directory.add_command(commands)
    audit.add_commands(commands)
    admin.add_commands(commands)
    backup.add_commands(commands)
    doctor.add_command(commands)
    return parser
