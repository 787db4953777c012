"""`genai restore`: load_backup, which blocks, then the caller's migration, then finish_restore."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlmodel import col

from genai_app import clock
from genai_app.db.database import Database
from genai_app.errors import Conflict
from genai_app.models import Action, ApiKey, Session
from genai_app.services.accounts.api_keys import alive_key
from genai_app.services.audit.chain import AuditChain, ChainCheck
from genai_app.services.audit.events import event
from genai_app.services.backup import postgres as backup_postgres
from genai_app.services.backup import sqlite as backup_sqlite
from genai_app.services.backup.archive import ANCHOR, Manifest, open_archive
from genai_app.services.backup.backup import BY, Report, check_engine, compare, key_mark
from genai_app.services.backup.files import check_files, read_files, settle_files
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The result of a restore, apart from the rows. `sessions`: ended ones; `revoked`: API keys;
    `keys`: API keys that are valid now; `files_lost`: users' files whose bytes the backup does not
    have; `same_secret`: the backup was made with this GENAI_SECRET_KEY."""

    sessions: int
    revoked: int
    keys: int
    files_lost: int
    same_secret: bool
    audit: ChainCheck


@dataclass(frozen=True, slots=True)
class LoadedBackup:
    """The manifest of a loaded backup, and the signed end of its audit."""

    manifest: Manifest
    anchor: bytes | None


def load_backup(
    settings: Settings,
    path: Path,
    report: Report,
    *,
    replace: bool,
    can_migrate: Callable[[str], bool],
) -> LoadedBackup:
    """Loads a backup and compares every row with its manifest. A failure before the comparison
    leaves the database unchanged.

    Args:
        replace: rows in the database may be deleted. An SQLite file is kept beside the new one.
        can_migrate: returns whether this version of the product can migrate from a revision.

    Raises:
        Conflict: database_newer, backup_damaged, backup_format, backup_other_engine,
            restore_not_empty, restore_in_use, backup_differs, pg_tools_missing, pg_tools_old.
        Unavailable: backup_not_read, pg_tool_failed, or the database is away.
    """
    url = settings.sqlalchemy_url
    with open_archive(path) as (archive, manifest):
        check_engine(settings, manifest)
        if not can_migrate(manifest.schema):
            raise Conflict(manifest.schema, code="database_newer")
        anchor = archive.read(ANCHOR) if ANCHOR in archive.namelist() else None
        check_files(archive, manifest.files, lambda count: report("files", count))
        if not settings.embedded:
            before = backup_postgres.prepare(url, replace=replace)
            backup_postgres.read_dump(
                url, archive, manifest, lambda count: report("load", count), before=before
            )
            compare(manifest, backup_postgres.sums_at(url, lambda count: report("compare", count)))
            read_files(settings, archive, manifest.files, lambda count: report("files", count))
            return LoadedBackup(manifest, anchor)
        target = backup_sqlite.path_of(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        has_rows = backup_sqlite.has_rows(target)
        if has_rows and not replace:
            raise Conflict(code="restore_not_empty")
        new = target.with_name(f"{target.name}.restoring")
        new.unlink(missing_ok=True)
        try:
            backup_sqlite.read_copy(archive, new, lambda count: report("load", count))
            compare(manifest, backup_sqlite.sums_at(new, lambda count: report("compare", count)))
            old = _old_name(target) if has_rows else None
            backup_sqlite.replace_file(new, target, old)
            read_files(settings, archive, manifest.files, lambda count: report("files", count))
        finally:
            new.unlink(missing_ok=True)
    return LoadedBackup(manifest, anchor)


async def finish_restore(
    db: Database, settings: Settings, path: Path, loaded: LoadedBackup, *, revoke_keys: bool
) -> RestoreResult:
    """Ends all sessions after the migration, restores the signed end of the audit and records the
    restore there.

    The signed end of before the restore is kept in a file beside it: it names the lost rows.
    """
    _restore_anchor(settings.anchor_path, loaded.anchor)
    manifest = loaded.manifest
    moment = clock.now()
    async with db.write() as session:
        ended = await session.scalars(
            sa.update(Session)
            .where(col(Session.ended_at).is_(None))
            .values(ended_at=moment, end_reason="restored")
            .returning(col(Session.id))
        )
        sessions = len(ended.all())
        revoked = 0
        if revoke_keys:
            gone = await session.scalars(
                sa.update(ApiKey)
                .where(col(ApiKey.revoked_at).is_(None))
                .values(revoked_at=moment)
                .returning(col(ApiKey.id))
            )
            revoked = len(gone.all())
        keys = await session.scalar(sa.select(sa.func.count(col(ApiKey.id))).where(alive_key()))
        session.add(
            event(
                Action.RESTORE,
                by=BY,
                target=path.name,
                made_at=manifest.made_at.isoformat(timespec="seconds"),
                schema=manifest.schema,
                sessions_ended=sessions,
                keys_revoked=revoked,
            )
        )
    files_lost = await settle_files(db, settings)
    chain = AuditChain(db, settings.anchor_path, settings.secret)
    await chain.seal()
    log.info("restore.done", file=path.name, sessions_ended=sessions, keys_revoked=revoked)
    return RestoreResult(
        sessions=sessions,
        revoked=revoked,
        keys=keys or 0,
        files_lost=files_lost,
        same_secret=manifest.key == key_mark(settings),
        audit=await chain.verify(),
    )


def _restore_anchor(anchor: Path, content: bytes | None) -> None:
    if anchor.exists():
        if anchor.read_bytes() == content:
            return
        os.rename(anchor, _old_name(anchor))
    if content is not None:
        anchor.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(anchor, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def _old_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.before-{clock.now():%Y%m%dT%H%M%S.%f}")
