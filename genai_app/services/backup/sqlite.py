"""Backup of an SQLite file: what is copied, counted and hashed is one read transaction, beside
which the product goes on writing."""

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
    """Of the file that an address names."""
    return Path(sa.engine.make_url(url).database or "")


@contextmanager
def connected(path: Path) -> Generator[sqlite3.Connection]:
    """A connection in one read transaction.

    Raises:
        Conflict: backup_nothing: there is no such file, or nothing in it.
        StorageUnavailable: it is locked, or no database.
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
    """The database goes into the archive, by way of the file `scratch`. Returns the rows and the
    revision.

    Args:
        copied: is told the bytes so far.

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
    """The last migration. Raises Conflict: backup_nothing, where there was none."""
    if "alembic_version" in sqlite_tables(connection):
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if row:
            return row[0]
    raise Conflict(code="backup_nothing")


def read_copy(archive: zipfile.ZipFile, to: Path, loaded: Callable[[int], object]) -> None:
    """Write an archive's database into the new file `to`, for its owner alone."""
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
    """The rows that are there now, in a file that nobody else has open."""
    with connected(path) as connection:
        return sums_of_sqlite(connection, counted)


def holds_rows(path: Path) -> bool:
    """Whether anything would be lost with the file."""
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


def put_in_place(new: Path, path: Path, aside: Path | None) -> None:
    """Make `new` the database at `path`; the old one stays as `aside`, if that is given.

    Raises:
        Conflict: restore_in_use: another process has the old one open.
    """
    if path.exists():
        _settle_log(path)
        if aside is not None:
            os.link(path, aside)
            aside.chmod(0o600)
    for log in (Path(f"{path}-wal"), Path(f"{path}-shm")):
        log.unlink(missing_ok=True)  # of the old one: it would be read as the new one's
    os.replace(new, path)


def _settle_log(path: Path) -> None:
    """Bring what stands in the write-ahead log into the file."""
    try:
        with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            # only who is alone may leave the log behind
            mode = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise Conflict(code="restore_in_use") from error
        return  # no database any more: there is nothing to save from its log
    if busy or mode != "delete":
        raise Conflict(code="restore_in_use")
