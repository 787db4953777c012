"""Commands of administration: `export`, `retention`, `hold`, `erase`.

Like cli/main.py it imports what a command needs when the command runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genai_app.cli.database import on_database
from genai_app.cli.output import DONE, say
from genai_app.cli.users import BY, origin_of
from genai_app.errors import InvalidInput

if TYPE_CHECKING:
    from genai_app.db.database import Database
    from genai_app.settings.settings import Settings

KINDS = ("dialogs", "verified")
FORMATS = ("csv", "xlsx", "pdf", "jsonl")
FILTERS = ("user", "department", "since", "until", "model", "source", "state")


def add_commands(commands: Any) -> None:
    """Adds the commands to the parser of cli/main.py."""
    export = commands.add_parser(
        "export", help="write everybody's dialogs, or verified answers, into a file"
    )
    export.add_argument("kind", choices=KINDS)
    export.add_argument("--format", choices=FORMATS, default="jsonl")
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file")
    for name in FILTERS:
        placeholder = {"since": "YYYY-MM-DD", "until": "YYYY-MM-DD"}.get(name, "TEXT")
        export.add_argument(f"--{name}", default="", metavar=placeholder)
    export.add_argument(
        "--reasoning", action="store_true", help="with the model's thoughts before its answers"
    )
    export.set_defaults(run=_export)

    retention = commands.add_parser("retention", help="remove dialogs whose time is over, now")
    retention.add_argument("--dry-run", action="store_true", help="only count them")
    retention.set_defaults(run=_retention)

    hold = commands.add_parser("hold", help="legal hold: keep a user's dialogs, or one, for ever")
    verbs = hold.add_subparsers(required=True, metavar="WHAT")
    user = verbs.add_parser("user", help="all dialogs of a user, and the account")
    user.add_argument("name")
    user.add_argument("--directory", action="store_true", help="of the company's directory")
    user.set_defaults(run=_hold_user)
    dialog = verbs.add_parser("dialog", help="one dialog")
    dialog.add_argument("name", metavar="id")
    dialog.set_defaults(run=_hold_dialog)
    for verb in (user, dialog):
        verb.add_argument("--release", action="store_true", help="end the hold")

    erase = commands.add_parser("erase", help="erase a user and print the receipt; for good")
    erase.add_argument("name")
    erase.add_argument("--directory", action="store_true", help="of the company's directory")
    erase.add_argument("--yes", action="store_true", required=True, help="yes, erase")
    erase.set_defaults(run=_erase)


def _export(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.services.exports.exports import export_to_file

    async def work(db: Database) -> int:
        filters = {name: getattr(arguments, name) for name in (*FILTERS, "reasoning")}
        out = arguments.out.absolute()
        if not out.parent.is_dir() or out.exists():
            raise InvalidInput(code="bad_out", path=arguments.out)
        count = await export_to_file(
            *(db, settings, arguments.kind, arguments.format, filters), out, by=BY
        )
        say(f"{count}\t{arguments.out}")
        return DONE

    return on_database(settings, work)


def _retention(settings: Settings, arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from genai_app.services.retention.retention import Retention

    async def work(db: Database) -> int:
        removed = await Retention(db, settings).remove(by=BY, dry_run=arguments.dry_run)
        for name, count in asdict(removed).items():
            say(f"{name}\t{count}")
        return DONE

    return on_database(settings, work)


def _hold_user(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.services.retention.retention import Holds

    async def work(db: Database) -> int:
        holds = Holds(db, by=BY)
        await holds.set_user(arguments.name, origin_of(arguments), on=not arguments.release)
        return DONE

    return on_database(settings, work)


def _hold_dialog(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.services.retention.retention import Holds

    async def work(db: Database) -> int:
        await Holds(db, by=BY).set_dialog(arguments.name, on=not arguments.release)
        return DONE

    return on_database(settings, work)


def _erase(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.services.retention.erasure import Erasure
    from genai_app.services.reuse.cache import answer_cache

    async def work(db: Database) -> int:
        async with answer_cache(settings) as cache:
            erasure = Erasure(db, settings, cache, by=BY)
            receipt = await erasure.erase(arguments.name, origin_of(arguments))
        say(receipt.to_json())
        return DONE

    return on_database(settings, work)
