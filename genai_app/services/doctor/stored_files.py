"""Check of `genai doctor` on users' files: the directory, and the bytes that should be there."""

import asyncio
import os
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import col

from genai_app.adapters.findings import FactValue
from genai_app.db.database import Database
from genai_app.errors import StorageUnavailable
from genai_app.models import Attachment
from genai_app.services.doctor.findings import (
    CheckName,
    DoctorCause,
    FactName,
    Finding,
    failed,
    warned,
    well,
)
from genai_app.services.files.measure import find_orphans
from genai_app.services.files.store import FileStore
from genai_app.settings.settings import Settings

MOST = 20_000  # files that are looked at
SHOWN = 5


async def check_stored_files(settings: Settings) -> list[Finding]:
    """Checks that files can be written, and that bytes and rows belong together."""
    check, store = CheckName.STORED_FILES, FileStore(settings)
    facts: dict[FactName, FactValue] = {FactName.PATH: str(store.directory)}
    folder = store.directory if store.directory.exists() else settings.data_dir.absolute()
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        return [failed(check, DoctorCause.FILES_UNWRITABLE, facts=facts)]
    findings: list[Finding] = []
    if store.directory.exists():
        free = await asyncio.to_thread(store.free_bytes)
        if free < settings.files_free_mb * 1024**2:
            free_mb = {**facts, FactName.FREE_MB: free // 1024**2}
            findings.append(failed(check, DoctorCause.FILES_NO_SPACE, facts=free_mb))
        findings += await _check_bytes(settings, store)
    return findings or [well(check, facts=facts)]


async def _check_bytes(settings: Settings, store: FileStore) -> list[Finding]:
    db = Database(settings.sqlalchemy_url)
    try:
        orphans = await find_orphans(db, store)
        query = (
            sa.select(col(Attachment.user_id), col(Attachment.id), col(Attachment.name))
            .where(col(Attachment.wiped_at).is_(None), col(Attachment.deleted_at).is_(None))
            .order_by(col(Attachment.id).desc())
            .limit(MOST)
        )
        async with db.read() as session:
            rows = (await session.execute(query)).all()
    except StorageUnavailable:  # another check says so
        return []
    finally:
        await db.close()
    paths: list[Path] = [store.content((row[0], row[1])) for row in rows]
    missing = await asyncio.to_thread(lambda: [not each.is_file() for each in paths])
    lost = [str(row[1]) for row, is_lost in zip(rows, missing, strict=True) if is_lost]
    findings: list[Finding] = []
    if lost:
        facts: dict[FactName, FactValue] = {FactName.FILE: (*lost[:SHOWN], f"({len(lost)})")}
        findings.append(failed(CheckName.STORED_FILES, DoctorCause.FILES_MISSING, facts=facts))
    if orphans:
        count: dict[FactName, FactValue] = {FactName.FILE: f"({len(orphans)})"}
        findings.append(warned(CheckName.STORED_FILES, DoctorCause.FILES_ORPHANED, facts=count))
    return findings
