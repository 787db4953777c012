"""Users' files in a backup: their bytes, each content once, checked by hash. What was read in them
is not there: a restore reads them again. The functions block: they are for the command line.

    files/<sha256>     the bytes
    files.json         which file of which user has which bytes
"""

import hashlib
import os
import secrets
import uuid
import zipfile
from collections.abc import Callable

import msgspec
import sqlalchemy as sa
from sqlmodel import col

from genai_app.db.database import Database
from genai_app.errors import Conflict
from genai_app.models import Attachment, JobState
from genai_app.services.backup.row_sums import TableSum
from genai_app.services.files.store import FileStore, sync_directory
from genai_app.settings.settings import Settings

FILES, LIST = "files/", "files.json"
CHUNK = 1 << 20
BATCH = 500
Progress = Callable[[int], object]


class SavedFile(msgspec.Struct, frozen=True):
    """A file, and the SHA-256 of its bytes in hexadecimal."""

    user_id: uuid.UUID
    file_id: uuid.UUID
    sha256: str
    size: int


def write_files(settings: Settings, archive: zipfile.ZipFile, copied: Progress) -> TableSum:
    """Writes all files of this host into the archive, after the database: so each file that the
    copied rows name is there, unless it was deleted meanwhile. Returns their number and sum."""
    store = FileStore(settings)
    saved: list[SavedFile] = []
    written: set[str] = set()
    for owned in sorted(store.list_files()):
        try:
            with store.content(owned).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
                if digest not in written:
                    file.seek(0)
                    with archive.open(zipfile.ZipInfo(FILES + digest), "w") as into:
                        while chunk := file.read(CHUNK):
                            into.write(chunk)
                    written.add(digest)
        except FileNotFoundError:  # deleted a moment ago
            continue
        saved.append(SavedFile(*owned, digest, size))
        copied(len(saved))
    archive.writestr(LIST, msgspec.json.encode(saved))
    return _sum_of(saved)


def check_files(archive: zipfile.ZipFile, expected: TableSum, compared: Progress) -> None:
    """Reads all files of an archive. Raises Conflict: backup_differs."""
    saved = _list_of(archive, expected)
    for number, digest in enumerate(sorted({each.sha256 for each in saved}), start=1):
        actual = hashlib.sha256()
        with _opened(archive, digest) as source:
            while chunk := source.read(CHUNK):
                actual.update(chunk)
        if actual.hexdigest() != digest:
            raise Conflict(code="backup_differs", tables="files")
        compared(number)


def read_files(
    settings: Settings, archive: zipfile.ZipFile, expected: TableSum, loaded: Progress
) -> None:
    """Puts the files of an archive, which `check_files` has checked, where they belong. Files that
    are there already stay."""
    store = FileStore(settings)
    saved = _list_of(archive, expected)
    if saved:
        store.create_directory()
    for number, each in enumerate(saved, start=1):
        target = store.content((each.user_id, each.file_id))
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = target.with_name(f"restored-{secrets.token_hex(8)}")
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file, _opened(archive, each.sha256) as source:
                while chunk := source.read(CHUNK):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, target)
            sync_directory(target.parent)
        loaded(number)


async def settle_files(db: Database, settings: Settings) -> int:
    """Queues restored files to be read again. One whose bytes did not come fails. Returns the
    number of the latter."""
    store, lost, last = FileStore(settings), 0, None
    while True:
        query = sa.select(Attachment).where(col(Attachment.wiped_at).is_(None))
        query = query.order_by(col(Attachment.id)).limit(BATCH)
        async with db.write() as session:
            after = sa.true() if last is None else col(Attachment.id) > last
            rows = (await session.scalars(query.where(after))).all()
            for row in rows:
                owned = (row.user_id, row.id)
                if not _is_whole(store, owned, row.sha256):
                    row.state, row.error_code = JobState.FAILED, "file_lost"
                    row.lease_until, row.summary = None, "{}"
                    lost += 1
                elif row.state == JobState.DONE and not store.reading(owned).is_dir():
                    row.state, row.summary, row.tries = JobState.QUEUED, "{}", 0
                session.add(row)
        if len(rows) < BATCH:
            return lost
        last = rows[-1].id


def _is_whole(store: FileStore, owned: tuple[uuid.UUID, uuid.UUID], sha256: bytes) -> bool:
    try:
        with store.content(owned).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest() == sha256
    except FileNotFoundError:
        return False


def _list_of(archive: zipfile.ZipFile, expected: TableSum) -> list[SavedFile]:
    if LIST not in archive.namelist():  # of an earlier version
        saved: list[SavedFile] = []
    else:
        saved = msgspec.json.decode(archive.read(LIST), type=list[SavedFile])
    if _sum_of(saved) != expected:
        raise Conflict(code="backup_differs", tables="files")
    return saved


def _opened(archive: zipfile.ZipFile, digest: str) -> zipfile.ZipExtFile:
    try:
        return archive.open(FILES + digest)  # pyright: ignore[reportReturnType]
    except KeyError:
        raise Conflict(code="backup_differs", tables="files") from None


def _sum_of(saved: list[SavedFile]) -> TableSum:
    digest = hashlib.sha256()
    for each in sorted(saved, key=lambda file: (file.user_id, file.file_id)):
        digest.update(msgspec.json.encode(each) + b"\n")
    return TableSum(len(saved), digest.hexdigest())
