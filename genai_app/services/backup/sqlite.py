"""Backup of an SQLite file. The copy and the sums of the rows are of one read transaction; the
product can write meanwhile."""

import os
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from genai_app.errors import Conflict, StorageUnavailable
from genai_app.services.backup.archive import DATABASE
from genai_app.services.backup.row_sums import Progress, Sums, quoted, sqlite_tables, sums_of_sqlite

PAGES = 2000  # copied at a time
CHUNK = 1 << 20
BUSY_S = 10.0


def path_of(url: str) -> Path:
    """Returns the path of the file in a database URL."""
    return Path(sa.engine.make_url(url).database or "")


@contextmanager
def connected(path: Path) -> Generator[sqlite3.Connection]:
    """Opens a connection with one read transaction.

    Raises:
        Conflict: backup_nothing: the file is missing or empty.
        StorageUnavailable: the file is locked or no database.
    """
    if not path.exists() or path.stat().st_size == 0:
        raise Conflict(code="backup_nothing")
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            yield connection
    except sqlite3.Error as error:
        raise StorageUnavailable(f"{path.name}: {error}") from error


def write_copy(
    path: Path,
    scratch: Path,
    archive: zipfile.ZipFile,
    copied: Callable[[int], object],
    counted: Progress,
) -> tuple[Sums, str]:
    """Writes the database into the archive, by way of the file `scratch`. Returns the sums of the
    rows and the last migration.

    Args:
        copied: is called with the bytes so far.
        counted: is called with the rows so far.

    Raises:
        Conflict: backup_nothing.
        StorageUnavailable: the database is locked or damaged.
    """
    os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with connected(path) as connection:
            revision = revision_of(connection)
            sums = sums_of_sqlite(connection, counted)
            page = connection.execute("PRAGMA page_size").fetchone()[0]
            with closing(sqlite3.connect(scratch)) as copy:
                connection.backup(
                    copy,
                    pages=PAGES,
                    progress=lambda _, left, total: copied((total - left) * page),
                )
        with scratch.open("rb") as file, archive.open(DATABASE, "w", force_zip64=True) as into:
            shutil.copyfileobj(file, into, CHUNK)
    finally:
        scratch.unlink(missing_ok=True)
    return sums, revision


def revision_of(connection: sqlite3.Connection) -> str:
    """Returns the last migration. Raises Conflict: backup_nothing, when there is none."""
    if "alembic_version" in sqlite_tables(connection):
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if row:
            return row[0]
    raise Conflict(code="backup_nothing")


def read_copy(archive: zipfile.ZipFile, to: Path, loaded: Callable[[int], object]) -> None:
    """Writes an archive's database into the new file `to`, which only its owner may read."""
    count = 0
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, archive.open(DATABASE) as source:
        while chunk := source.read(CHUNK):
            file.write(chunk)
            count += len(chunk)
            loaded(count)
        file.flush()
        os.fsync(file.fileno())


def sums_at(path: Path, counted: Progress) -> Sums:
    """Returns the sums of the rows in a file that no other process has open."""
    with connected(path) as connection:
        return sums_of_sqlite(connection, counted)


def has_rows(path: Path) -> bool:
    """Returns whether data would be lost with the file."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with connected(path) as connection:
        return any(
            connection.execute(
                f"SELECT EXISTS (SELECT 1 FROM {quoted(name)})"  # noqa: S608
            ).fetchone()[0]
            for name in sqlite_tables(connection)
            if name != "alembic_version" and not name.startswith("message_words")
        )


def replace_file(new: Path, path: Path, old: Path | None) -> None:
    """Moves `new` to `path`. The file that it replaces is kept as `old`, unless that is None.

    Raises:
        Conflict: restore_in_use: another process has the database open.
    """
    if path.exists():
        _merge_log(path)
        if old is not None:
            os.link(path, old)
            old.chmod(0o600)
    for log in (Path(f"{path}-wal"), Path(f"{path}-shm")):
        log.unlink(missing_ok=True)  # of the replaced file: SQLite would apply it to the new one
    os.replace(new, path)


def _merge_log(path: Path) -> None:
    """Writes the content of the write-ahead log into the file."""
    try:
        with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            # succeeds only when no other process has the file open
            mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise Conflict(code="restore_in_use") from error
        return  # damaged: there is nothing to save from its log
    if busy or mode != "delete":
        raise Conflict(code="restore_in_use")
