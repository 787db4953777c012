"""`genai bot`: runs the bot of a messenger alone, beside the processes that serve pages."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from genai_app.cli.output import DONE
from genai_app.errors import SettingsError

if TYPE_CHECKING:
    from genai_app.settings.settings import Settings

TOKENS = {"telegram": "GENAI_TELEGRAM_TOKEN", "mattermost": "GENAI_MATTERMOST_TOKEN"}


def add_command(commands: Any) -> None:
    """Adds the command to the parser of cli/main.py."""
    command = commands.add_parser(
        "bot", help="run the bot of a messenger alone; `genai serve` runs it too"
    )
    command.add_argument("messenger", choices=sorted(TOKENS))
    command.set_defaults(run=run)


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Runs until the process is stopped. Returns the exit code.

    Raises:
        SettingsError: the messenger is not set up; on SQLite another process serves, which runs the
            bot itself.
    """
    name = TOKENS[arguments.messenger]
    if getattr(settings, name.removeprefix("GENAI_").lower()) is None:
        raise SettingsError(f"{name}: required for this bot")
    from genai_app.server.bot import run_bot

    run_bot(settings)
    return DONE
