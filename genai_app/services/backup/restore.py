"""`genai restore`: bring a backup back. The first half blocks and is for the command line; between
the two the caller migrates."""

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
from genai_app.services.audit.chain import AuditChain, Verdict
from genai_app.services.audit.events import event
from genai_app.services.backup import postgres as backup_postgres
from genai_app.services.backup import sqlite as backup_sqlite
from genai_app.services.backup.archive import ANCHOR, Manifest, opened
from genai_app.services.backup.backup import BY, Tell, check_engine, compare, key_mark
from genai_app.settings.settings import Settings

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """What a restore did beside the rows. `keys`: API keys that open the API now; `same_secret`:
    the backup was made under this GENAI_SECRET_KEY."""

    sessions: int
    revoked: int
    keys: int
    same_secret: bool
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Brought:
    """What was loaded, and the audit's signed end of then."""

    manifest: Manifest
    anchor: bytes | None


def bring_back(
    settings: Settings,
    path: Path,
    tell: Tell,
    *,
    replace: bool,
    knows: Callable[[str], bool],
) -> Brought:
    """Load a backup and compare every row with its manifest. All or nothing: whatever fails before
    the comparison leaves the database as it was.

    Args:
        replace: what is in the database may go. An SQLite file is kept beside the new one.
        knows: whether this version can migrate from a revision.

    Raises:
        Conflict: database_newer, backup_damaged, backup_format, backup_other_engine,
            restore_not_empty, restore_in_use, backup_differs, pg_tools_missing, pg_tools_old.
        Unavailable: backup_not_read, pg_tool_failed, or the database is away.
    """
    url = settings.sqlalchemy_url
    with opened(path) as (archive, manifest):
        check_engine(settings, manifest)
        if not knows(manifest.schema):
            raise Conflict(manifest.schema, code="database_newer")
        anchor = archive.read(ANCHOR) if ANCHOR in archive.namelist() else None
        if not settings.embedded:
            before = backup_postgres.prepare(url, replace=replace)
            backup_postgres.read_dump(
                url, archive, manifest, lambda count: tell("load", count), before=before
            )
            compare(manifest, backup_postgres.sums_at(url, lambda count: tell("compare", count)))
            return Brought(manifest, anchor)
        target = backup_sqlite.path_of(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        holds = backup_sqlite.holds_rows(target)
        if holds and not replace:
            raise Conflict(code="restore_not_empty")
        new = target.with_name(f"{target.name}.restoring")
        new.unlink(missing_ok=True)
        try:
            backup_sqlite.read_copy(archive, new, lambda count: tell("load", count))
            compare(manifest, backup_sqlite.sums_at(new, lambda count: tell("compare", count)))
            aside = _aside(target) if holds else None
            backup_sqlite.put_in_place(new, target, aside)
        finally:
            new.unlink(missing_ok=True)
    return Brought(manifest, anchor)


async def settle(
    db: Database, settings: Settings, path: Path, brought: Brought, *, revoke_keys: bool
) -> Settled:
    """After the migration: nobody is logged in by what the backup remembers, the audit has its
    signed end of then, and the restore is in it.

    The signed end that stood here is kept beside it: it names what is lost.
    """
    _put_anchor(settings.anchor_path, brought.anchor)
    manifest = brought.manifest
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
    chain = AuditChain(db, settings.anchor_path, settings.secret)
    await chain.seal()
    log.info("restore.done", file=path.name, sessions_ended=sessions, keys_revoked=revoked)
    return Settled(
        sessions=sessions,
        revoked=revoked,
        keys=keys or 0,
        same_secret=manifest.key == key_mark(settings),
        verdict=await chain.verify(),
    )


def _put_anchor(anchor: Path, told: bytes | None) -> None:
    if anchor.exists():
        if anchor.read_bytes() == told:
            return
        os.rename(anchor, _aside(anchor))
    if told is not None:
        anchor.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(anchor, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(told)


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.before-{clock.now():%Y%m%dT%H%M%S.%f}")
