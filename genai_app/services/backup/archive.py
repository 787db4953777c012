"""The file of a backup: a ZIP with the database, the settings without secrets, the signed end of
the audit, and a manifest. The comment of the ZIP is a SHA-256 over every byte before it.

    database        pg_dump's custom format, or the SQLite file
    settings.json   for rebuilding the server; no secrets
    audit.anchor    the signed end of the audit; missing before the first seal
    files/..., files.json   users' files, see files.py
    manifest.json   Manifest
"""

import hashlib
import os
import zipfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from genai_app.errors import Conflict, Unavailable
from genai_app.services.backup.row_sums import EMPTY, Sums, TableSum
from genai_app.services.files.store import sync_directory

FORMAT = 1
DATABASE, SETTINGS, ANCHOR, MANIFEST = (
    *("database", "settings.json"),
    *("audit.anchor", "manifest.json"),
)
CHUNK = 1 << 20
SEAL_BYTES = 64  # SHA-256, hexadecimal


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """Facts about the backup.

    `server`: version of the database server; `tools`: major version of pg_dump, 0 for SQLite;
    `schema`: the last migration; `key`: a fingerprint of GENAI_SECRET_KEY, see key_mark.
    """

    format: int
    version: str
    made_at: datetime
    engine: str
    server: str
    tools: int
    schema: str
    key: str
    tables: Sums
    files: TableSum = EMPTY  # of users; before there were any: none

    @property
    def rows(self) -> int:
        return sum(each.rows for each in self.tables.values())


def product_version() -> str:
    """Returns the version of the installed package; "" when it runs from its source folder."""
    try:
        return version("genai-app")
    except PackageNotFoundError:
        return ""


@contextmanager
def new_archive(path: Path) -> Generator[zipfile.ZipFile]:
    """Creates an archive that appears at `path`, complete, when the block succeeds; else nothing is
    left.

    Raises:
        Unavailable: backup_not_written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                    archive.comment = bytes(SEAL_BYTES)
                    yield archive
                file.flush()
                seal = _digest(part)
                file.seek(-SEAL_BYTES, os.SEEK_END)
                file.write(seal)
                file.flush()
                os.fsync(file.fileno())
            os.rename(part, path)
            sync_directory(path.parent)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
    except OSError as error:
        raise Unavailable(
            code="backup_not_written", path=path, reason=error.strerror or str(error)
        ) from error


@contextmanager
def open_archive(path: Path) -> Generator[tuple[zipfile.ZipFile, Manifest]]:
    """Opens an archive after checking its SHA-256; yields it with its manifest.

    Raises:
        Conflict: backup_damaged, backup_format.
        Unavailable: backup_not_read.
    """
    manifest = read_manifest(path)
    with zipfile.ZipFile(path) as archive:
        yield archive, manifest


def read_manifest(path: Path) -> Manifest:
    """Returns the manifest of an archive after checking its SHA-256.

    Raises:
        Conflict: backup_damaged, backup_format.
        Unavailable: backup_not_read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - SEAL_BYTES))
            if file.read() != _digest(path):
                raise Conflict(code="backup_damaged", file=path.name)
        with zipfile.ZipFile(path) as archive:
            manifest = archive.read(MANIFEST)
        if msgspec.json.decode(manifest, type=_ManifestFormat).format > FORMAT:
            raise Conflict(code="backup_format", file=path.name)
        return msgspec.json.decode(manifest, type=Manifest)
    except OSError as error:
        raise Unavailable(
            code="backup_not_read", path=path, reason=error.strerror or str(error)
        ) from error
    except (zipfile.BadZipFile, KeyError, msgspec.MsgspecError) as error:
        raise Conflict(str(error)[:300], code="backup_damaged", file=path.name) from error


class _ManifestFormat(msgspec.Struct):
    format: int


def _digest(path: Path) -> bytes:
    """Returns the SHA-256 over all bytes before the seal, in hexadecimal."""
    digest = hashlib.sha256()
    left = max(0, path.stat().st_size - SEAL_BYTES)
    with path.open("rb") as file:
        while left and (chunk := file.read(min(CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest().encode()
