"""`genai backup` and `genai drill`: make a backup, and restore one on trial. Blocking: for the
command line."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import structlog

from genai_app import clock
from genai_app.db.database import Database
from genai_app.errors import AppError, Conflict
from genai_app.models import Action
from genai_app.services.audit.events import Audit, event
from genai_app.services.backup import postgres as backup_postgres
from genai_app.services.backup import sqlite as backup_sqlite
from genai_app.services.backup.archive import (
    ANCHOR,
    FORMAT,
    MANIFEST,
    SETTINGS,
    Manifest,
    opened,
    product_version,
    written,
)
from genai_app.services.backup.row_sums import Sums, differences
from genai_app.services.backup.store import (
    Drill,
    alone,
    name_at,
    newest_backup,
    record_drill,
    rotate,
)
from genai_app.services.derived_keys import derive_key
from genai_app.settings.secret_files import SECRET_FIELDS
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)

BY = "command line"
Tell = Callable[[str, int], object]
"""Told what is done now (`copy`, `count`, `load`, `compare`) and how far: bytes or rows."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made, and older ones that went for it."""

    path: Path
    size: int
    seconds: float
    manifest: Manifest
    removed: int


def make_backup(settings: Settings, tell: Tell) -> Made:
    """Write a backup into its directory and delete the oldest beyond `GENAI_BACKUP_KEEP`.

    Raises:
        Conflict: backup_running, backup_nothing, pg_tools_missing, pg_tools_old.
        Unavailable: backup_not_written, pg_tool_failed, or the database is away.
    """
    directory, began = settings.backup_path, time.monotonic()
    with alone(directory):
        moment = clock.now()
        path = directory / name_at(moment)
        # before the snapshot: the signed end may be behind the rows of a backup, never ahead
        anchor = settings.anchor_path.read_bytes() if settings.anchor_path.exists() else None
        with written(path) as archive:
            tools, server, url = 0, "", settings.sqlalchemy_url
            if settings.embedded:
                scratch = path.with_name(f"{path.name}.trial")
                source = backup_sqlite.path_of(url)
                sums, revision = backup_sqlite.write_copy(
                    *(source, scratch, archive),
                    lambda count: tell("copy", count),
                    lambda count: tell("count", count),
                )
            else:
                sums, revision, server, tools = backup_postgres.write_dump(
                    *(url, archive),
                    lambda count: tell("copy", count),
                    lambda count: tell("count", count),
                )
            manifest = Manifest(
                format=FORMAT,
                version=product_version(),
                made_at=moment,
                engine=engine_of(settings),
                server=server,
                tools=tools,
                schema=revision,
                key=key_mark(settings),
                tables=sums,
            )
            archive.writestr(SETTINGS, json.dumps(plain_settings(settings), indent=2))
            if anchor is not None:
                archive.writestr(ANCHOR, anchor)
            archive.writestr(MANIFEST, manifest_text(manifest))
        removed = len(rotate(directory, settings.backup_keep))
        size = path.stat().st_size
    seconds = time.monotonic() - began
    log.info(
        "backup.made", file=path.name, bytes=size, rows=manifest.rows, seconds=round(seconds, 1)
    )
    return Made(path, size, seconds, manifest, removed)


def run_drill(settings: Settings, path: Path | None, tell: Tell) -> Drill:
    """Restore a backup, the newest one unless told, into a scratch database; compare every row with
    the manifest; drop the scratch. How it ended is remembered beside the backups.

    Raises:
        Conflict: backup_none, backup_running, backup_damaged, backup_format, backup_differs,
            backup_other_engine, drill_no_right, pg_tools_missing, pg_tools_old.
        Unavailable: backup_not_read, pg_tool_failed, or the database is away.
    """
    directory = settings.backup_path
    with alone(directory):
        chosen, began, rows, code = path or newest_backup(directory), time.monotonic(), 0, ""
        try:
            rows = _try_out(settings, chosen, directory, tell)
        except AppError as error:
            code = error.code
            log.error("drill.failed", file=chosen.name, code=code, detail=error.detail)
            raise
        finally:
            seconds = time.monotonic() - began
            ended = Drill(chosen.name, clock.now(), rows > 0, round(seconds, 1), rows, code)
            _remember(directory, ended)
    log.info("drill.done", file=chosen.name, rows=rows, seconds=ended.seconds)
    return ended


def _remember(directory: Path, drill: Drill) -> None:
    try:
        record_drill(directory, drill)
    except OSError as error:  # how it ended is said in any case
        log.error("drill.not_recorded", directory=str(directory), error=str(error))


def _try_out(settings: Settings, path: Path, directory: Path, tell: Tell) -> int:
    """Returns how many rows were compared."""
    with opened(path) as (archive, manifest):
        check_engine(settings, manifest)
        url = settings.sqlalchemy_url
        place: AbstractContextManager[str] = nullcontext("")
        if not settings.embedded:
            place = backup_postgres.scratch_database(url)
        with place as scratch_url:
            if scratch_url:
                backup_postgres.read_dump(
                    scratch_url, archive, manifest, lambda count: tell("load", count)
                )
                found = backup_postgres.sums_at(scratch_url, lambda count: tell("compare", count))
            else:
                copy = directory / f"{path.name}.trial"
                try:
                    backup_sqlite.read_copy(archive, copy, lambda count: tell("load", count))
                    found = backup_sqlite.sums_at(copy, lambda count: tell("compare", count))
                finally:
                    copy.unlink(missing_ok=True)
    compare(manifest, found)
    return manifest.rows


def compare(manifest: Manifest, found: Sums) -> None:
    """Raises Conflict: backup_differs."""
    if wrong := differences(manifest.tables, found):
        raise Conflict(code="backup_differs", tables=", ".join(wrong))


def check_engine(settings: Settings, manifest: Manifest) -> None:
    """Raises Conflict: backup_other_engine."""
    if manifest.engine != engine_of(settings):
        raise Conflict(code="backup_other_engine", engine=manifest.engine)


def engine_of(settings: Settings) -> str:
    return "sqlite" if settings.embedded else "postgresql"


def key_mark(settings: Settings) -> str:
    """The same for the same GENAI_SECRET_KEY; tells nothing of it."""
    return derive_key(settings.secret, "backup mark").hex()[:16]


def manifest_text(manifest: Manifest) -> bytes:
    """As people read it."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)


def plain_settings(settings: Settings) -> dict[str, object]:
    """All settings but secrets; of addresses without what stands before an @."""
    told = settings.model_dump(mode="json", exclude=set(SECRET_FIELDS))
    told["llm_base_url"] = [
        urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2]).geturl()
        for url in settings.llm_base_url
    ]
    return told


async def record_backup(db: Database, made: Made) -> None:
    """Who has a backup has everybody's dialogs: it is audited like an export."""
    await Audit(db).record(
        event(Action.BACKUP, by=BY, target=made.path.name, rows=made.manifest.rows, bytes=made.size)
    )


async def record_trial(db: Database, drill: Drill) -> None:
    await Audit(db).record(
        event(Action.DRILL, by=BY, target=drill.backup, ok=drill.ok, rows=drill.rows)
    )
