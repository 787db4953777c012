"""Sums of a folder's files, and the folder as one archive: the same bytes for the same files."""

import gzip
import hashlib
import os
import tarfile
from pathlib import Path

SUMS = "SHA256SUMS"
LEVEL = 6
# any fixed moment: install.sh copies, so that installed files have the time of the installation
MOMENT = 1_767_225_600


def files(folder: Path) -> list[Path]:
    """Every file below `folder`, in an order that no file system decides."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def write_sums(folder: Path) -> None:
    """SHA256SUMS of all other files, as `sha256sum --check` reads it."""
    lines = [
        f"{_sum(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in files(folder)
        if path != folder / SUMS
    ]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def write_archive(folder: Path, archive: Path) -> None:
    """`folder` under its own name, and beside the archive the sum of it."""
    partial = archive.with_name(f".{archive.name}.partial")
    with (
        partial.open("wb") as raw,
        gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in files(folder):
            entry = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}")
            entry.size = path.stat().st_size
            entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            entry.mtime = MOMENT
            with path.open("rb") as content:
                tar.addfile(entry, content)
    partial.replace(archive)
    beside = archive.with_name(f"{archive.name}.sha256")
    beside.write_text(f"{_sum(archive)}  {archive.name}\n")


def _sum(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
