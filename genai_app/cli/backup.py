"""`genai backup`, `genai drill`, `genai restore`.

Like cli/main.py it imports what a command needs when the command runs.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genai_app.cli.database import run_on_database
from genai_app.cli.output import DONE, FAILED, say

if TYPE_CHECKING:
    from genai_app.db.database import Database
    from genai_app.services.backup.restore import RestoreResult
    from genai_app.settings.settings import Settings

SHOWN_EVERY_S = 0.2
STAGES = {
    "copy": "backup.stage_copy",
    "count": "backup.stage_count",
    "files": "backup.stage_files",
    "load": "backup.stage_load",
    "compare": "backup.stage_compare",
}


def add_commands(commands: Any) -> None:
    """Adds the commands to the parser of cli/main.py."""
    backup = commands.add_parser("backup", help="write a backup, and delete those that are too old")
    backup.add_argument("--drill", action="store_true", help="restore it on trial as well")
    backup.set_defaults(run=_backup)

    drill = commands.add_parser(
        "drill", help="restore a backup on trial, compare every row; exit 1 if it is no good"
    )
    drill.add_argument("file", type=Path, nargs="?", help="default: the newest")
    drill.set_defaults(run=_drill)

    restore = commands.add_parser("restore", help="bring a backup back; ends all logins")
    restore.add_argument("file", type=Path)
    restore.add_argument(
        "--replace", action="store_true", help="what is in the database now may go"
    )
    restore.add_argument(
        "--revoke-keys",
        action="store_true",
        help="revoke all API keys: those revoked since the backup would live again",
    )
    restore.set_defaults(run=_restore)


def _backup(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app.services.backup.backup import make_backup, record_backup

    with _progress(settings.locale) as report:
        backup = make_backup(settings, report)
    _record(settings, lambda db: record_backup(db, backup))
    say(f"{backup.path}\t{backup.size}\t{backup.manifest.rows}")
    return _try(settings, backup.path) if arguments.drill else DONE


def _drill(settings: Settings, arguments: argparse.Namespace) -> int:
    return _try(settings, arguments.file)


def _try(settings: Settings, path: Path | None) -> int:
    from genai_app.i18n import translate
    from genai_app.services.backup.backup import record_trial, run_drill

    with _progress(settings.locale) as report:
        drill = run_drill(settings, path, report)
    _record(settings, lambda db: record_trial(db, drill))
    say(
        translate(
            settings.locale,
            "backup.drill_well",
            file=drill.backup,
            rows=drill.rows,
            seconds=drill.seconds,
        )
    )
    return DONE


def _restore(settings: Settings, arguments: argparse.Namespace) -> int:
    from genai_app import migrations
    from genai_app.i18n import translate
    from genai_app.services.backup.restore import finish_restore, load_backup

    path = arguments.file
    with _alone(settings):
        with _progress(settings.locale) as report:
            loaded = load_backup(
                settings,
                path,
                report,
                replace=arguments.replace,
                can_migrate=migrations.can_migrate_from,
            )
        migrations.upgrade(settings.sqlalchemy_url)

        result = run_on_database(
            settings,
            lambda db: finish_restore(
                db, settings, path, loaded, revoke_keys=arguments.revoke_keys
            ),
        )
    moment = f"{loaded.manifest.made_at:%Y-%m-%d %H:%M:%S %Z}"
    facts: dict[str, object] = {
        "file": path.name,
        "moment": moment,
        "rows": loaded.manifest.rows,
        "sessions": result.sessions,
        "keys": result.keys,
        "revoked": result.revoked,
        "files": result.files_lost,
    }
    names = ["restore.done", "restore.sessions", "restore.accounts"]
    names.append("restore.keys_revoked" if arguments.revoke_keys else "restore.keys")
    if result.files_lost:
        names.append("restore.files_lost")
    if not result.same_secret:
        names.append("restore.other_secret")
    for name in names:
        say(translate(settings.locale, name, **facts))
    return _print_audit(result, settings.locale)


@contextlib.contextmanager
def _alone(settings: Settings) -> Generator[None]:
    """Makes sure that no process serves the database during the block.

    Raises:
        Conflict: restore_in_use.
    """
    from genai_app import migrations
    from genai_app.errors import Conflict
    from genai_app.server import serve

    if settings.embedded:
        with serve.sole_user(settings):
            yield
        return
    with migrations.database_held(settings.sqlalchemy_url, shared=False) as held:
        if not held:
            raise Conflict(code="restore_in_use")
        yield


def _print_audit(result: RestoreResult, locale: str) -> int:
    from genai_app.services.audit.chain import sentence_of

    say(sentence_of(result.audit, locale))
    return DONE if result.audit.broken is None else FAILED


def _record(settings: Settings, work: Callable[[Database], Awaitable[None]]) -> None:
    """Writes to the audit log, unless the database has the schema of another version, as before a
    migration: its audit table may differ."""
    from genai_app import migrations

    if migrations.is_current(settings.sqlalchemy_url):
        run_on_database(settings, work)


@contextlib.contextmanager
def _progress(locale: str) -> Any:
    """Shows the progress of the block on a terminal; prints nothing into a log."""
    from genai_app.i18n import translate

    is_terminal, last, shown_at = sys.stderr.isatty(), "", 0.0

    def report(stage: str, count: int) -> None:
        nonlocal last, shown_at
        now = time.monotonic()
        if is_terminal and (stage != last or now - shown_at >= SHOWN_EVERY_S):
            last, shown_at = stage, now
            text = translate(locale, STAGES[stage], count=count, megabytes=count // 1_000_000)
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()

    try:
        yield report
    finally:
        if is_terminal:
            sys.stderr.write("\r\x1b[K")
