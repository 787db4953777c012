"""`genai backup` and `genai drill`: makes a backup, and restores one on trial. The functions block:
they are for the command line."""

import json
import time
import zipfile
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
    new_archive,
    open_archive,
    product_version,
)
from genai_app.services.backup.files import check_files, write_files
from genai_app.services.backup.row_sums import Sums, differences
from genai_app.services.backup.store import (
    Drill,
    locked,
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
Report = Callable[[str, int], object]
"""Called with the current step (`copy`, `count`, `files`, `load`, `compare`) and its bytes, rows or
files so far."""


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A new backup. `size` in bytes; `removed`: number of older backups that were deleted."""

    path: Path
    size: int
    seconds: float
    manifest: Manifest
    removed: int


def make_backup(settings: Settings, report: Report) -> BackupResult:
    """Writes a backup into the directory of backups, and deletes the oldest ones beyond
    `GENAI_BACKUP_KEEP`.

    Raises:
        Conflict: backup_running, backup_nothing, pg_tools_missing, pg_tools_old.
        Unavailable: backup_not_written, pg_tool_failed, or the database is away.
    """
    directory, began = settings.backup_path, time.monotonic()
    with locked(directory):
        moment = clock.now()
        path = directory / name_at(moment)
        # read before the snapshot: the signed end may be behind the backup's rows, never ahead
        anchor = settings.anchor_path.read_bytes() if settings.anchor_path.exists() else None
        with new_archive(path) as archive:
            database = _write_database(settings, path, archive, report)
            files = write_files(settings, archive, lambda count: report("files", count))
            manifest = Manifest(
                format=FORMAT,
                version=product_version(),
                made_at=moment,
                engine=engine_of(settings),
                server=database.server,
                tools=database.tools,
                schema=database.revision,
                key=key_mark(settings),
                tables=database.sums,
                files=files,
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
    return BackupResult(path, size, seconds, manifest, removed)


def _write_database(
    settings: Settings, path: Path, archive: zipfile.ZipFile, report: Report
) -> backup_postgres.WrittenDatabase:
    """Writes the database into the archive."""
    url = settings.sqlalchemy_url

    def copied(size: int) -> None:
        report("copy", size)

    def counted(rows: int) -> None:
        report("count", rows)

    if not settings.embedded:
        return backup_postgres.write_dump(url, archive, copied, counted)
    scratch = path.with_name(f"{path.name}.trial")
    source = backup_sqlite.path_of(url)
    sums, revision = backup_sqlite.write_copy(source, scratch, archive, copied, counted)
    return backup_postgres.WrittenDatabase(sums, revision)


def run_drill(settings: Settings, path: Path | None, report: Report) -> Drill:
    """Restores a backup, by default the newest one, into a scratch database, compares every row
    with the manifest and drops the scratch database. The result is recorded beside the backups.

    Raises:
        Conflict: backup_none, backup_running, backup_damaged, backup_format, backup_differs,
            backup_other_engine, drill_no_right, pg_tools_missing, pg_tools_old.
        Unavailable: backup_not_read, pg_tool_failed, or the database is away.
    """
    directory = settings.backup_path
    with locked(directory):
        chosen, began, rows, code = path or newest_backup(directory), time.monotonic(), 0, ""
        try:
            rows = _try_out(settings, chosen, directory, report)
        except AppError as error:
            code = error.code
            log.error("drill.failed", file=chosen.name, code=code, detail=error.detail)
            raise
        finally:
            seconds = time.monotonic() - began
            ended = Drill(chosen.name, clock.now(), rows > 0, round(seconds, 1), rows, code)
            _record(directory, ended)
    log.info("drill.done", file=chosen.name, rows=rows, seconds=ended.seconds)
    return ended


def _record(directory: Path, drill: Drill) -> None:
    try:
        record_drill(directory, drill)
    except OSError as error:  # the command prints the result in any case
        log.error("drill.not_recorded", directory=str(directory), error=str(error))


def _try_out(settings: Settings, path: Path, directory: Path, report: Report) -> int:
    """Returns the number of compared rows."""
    with open_archive(path) as (archive, manifest):
        check_engine(settings, manifest)
        url = settings.sqlalchemy_url
        scratch: AbstractContextManager[str] = nullcontext("")
        if not settings.embedded:
            scratch = backup_postgres.scratch_database(url)
        with scratch as scratch_url:
            if scratch_url:
                backup_postgres.read_dump(
                    scratch_url, archive, manifest, lambda count: report("load", count)
                )
                sums = backup_postgres.sums_at(scratch_url, lambda count: report("compare", count))
            else:
                copy = directory / f"{path.name}.trial"
                try:
                    backup_sqlite.read_copy(archive, copy, lambda count: report("load", count))
                    sums = backup_sqlite.sums_at(copy, lambda count: report("compare", count))
                finally:
                    copy.unlink(missing_ok=True)
        compare(manifest, sums)
        check_files(archive, manifest.files, lambda count: report("files", count))
    return manifest.rows


def compare(manifest: Manifest, sums: Sums) -> None:
    """Raises Conflict: backup_differs, when rows are not those of the manifest."""
    if wrong := differences(manifest.tables, sums):
        raise Conflict(code="backup_differs", tables=", ".join(wrong))


def check_engine(settings: Settings, manifest: Manifest) -> None:
    """Raises Conflict: backup_other_engine, when the backup is of the other database system."""
    if manifest.engine != engine_of(settings):
        raise Conflict(code="backup_other_engine", engine=manifest.engine)


def engine_of(settings: Settings) -> str:
    return "sqlite" if settings.embedded else "postgresql"


def key_mark(settings: Settings) -> str:
    """Returns a fingerprint of GENAI_SECRET_KEY that reveals nothing about the key."""
    return derive_key(settings.secret, "backup mark").hex()[:16]


def manifest_text(manifest: Manifest) -> bytes:
    """Returns the manifest as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)


def plain_settings(settings: Settings) -> dict[str, object]:
    """Returns all settings but secrets. User names and passwords are removed from addresses."""
    values = settings.model_dump(mode="json", exclude=set(SECRET_FIELDS))
    values["llm_base_url"] = [
        urlsplit(url)._replace(netloc=urlsplit(url).netloc.rpartition("@")[2]).geturl()
        for url in settings.llm_base_url
    ]
    return values


async def record_backup(db: Database, result: BackupResult) -> None:
    """Records a backup in the audit, like an export: it holds the dialogs of all users."""
    name, rows = result.path.name, result.manifest.rows
    await Audit(db).record(event(Action.BACKUP, by=BY, target=name, rows=rows, bytes=result.size))


async def record_trial(db: Database, drill: Drill) -> None:
    await Audit(db).record(
        event(Action.DRILL, by=BY, target=drill.backup, ok=drill.ok, rows=drill.rows)
    )
