"""The directory of users' files. The functions block: they are called in threads.

    files/parts/<random>               an upload that is under way
    files/<user>/<file>/content        the bytes
    files/<user>/<file>/reading/       the text, its index and the pictures, once it is read
    files/<user>/<file>/reading-...    a reading that is under way

Nothing here is named by a user. Equal bytes of one user are hard links of one another, so the file
system counts who needs them. What is under way is locked (`flock`): the lock of a process that was
killed is gone, so a sweep removes what nobody holds and no row names.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genai_app.settings.settings import Settings

PARTS, CONTENT, READING = "parts", "content", "reading"
Owned = tuple[uuid.UUID, uuid.UUID]
"""The ids of a user and of a file."""


class UploadPart:
    """A file that is being uploaded. `size` in bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest = hashlib.sha256()
        self.size = 0
        while True:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                break
            os.close(descriptor)  # a sweep took it before it was locked
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()

    def write(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._digest.update(data)
        self.size += len(data)

    def sync(self) -> None:
        """Makes sure that the bytes are on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Unlocks the file, and removes it unless it was moved away."""
        self.path.unlink(missing_ok=True)
        self._file.close()


class FileStore:
    """Bytes and readings of files on this host."""

    def __init__(self, settings: Settings) -> None:
        self.directory = settings.data_dir.absolute() / "files"

    def create_directory(self) -> None:
        (self.directory / PARTS).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory.chmod(0o700)

    def new_part(self) -> UploadPart:
        """Returns a new file for an upload, locked by this process."""
        return UploadPart(self.directory / PARTS / secrets.token_hex(16))

    def folder(self, owned: Owned) -> Path:
        user_id, file_id = owned
        return self.directory / user_id.hex / file_id.hex

    def content(self, owned: Owned) -> Path:
        return self.folder(owned) / CONTENT

    def reading(self, owned: Owned) -> Path:
        return self.folder(owned) / READING

    @contextmanager
    def placed(self, part: UploadPart, owned: Owned) -> Generator[None]:
        """Moves an upload to its place, which no sweep removes within the block."""
        part.sync()
        with self._new_folder(owned) as folder:
            os.rename(part.path, folder / CONTENT)
            sync_directory(folder)
            sync_directory(folder.parent)
            yield

    def share(self, owned: Owned, same: Owned, *, read: bool) -> bool:
        """Makes the bytes of a file those of another one of the same user. `read`: also its
        reading. Returns whether the reading is there; nothing changes where there are no hard
        links, or the other one is gone."""
        folder, other = self.folder(owned), self.folder(same)
        try:
            os.link(other / CONTENT, folder / "same")
            os.replace(folder / "same", folder / CONTENT)
            (folder / "same").unlink(missing_ok=True)  # they were one already: nothing was replaced
            if not read:
                return False
            target = folder / _new_name()
            shutil.copytree(other / READING, target, copy_function=os.link)
        except OSError:
            return False
        publish(target)
        return True

    def remove(self, owned: Owned) -> int:
        """Removes bytes and reading of a file. Returns the number of bytes, 0 if none were
        there."""
        content = self.content(owned)
        size = 0
        with suppress(OSError):
            size = content.stat().st_size
            content.unlink()
        shutil.rmtree(self.folder(owned), ignore_errors=True)
        with suppress(OSError):  # other files of the user
            self.folder(owned).parent.rmdir()
        return size

    def list_files(self) -> Iterator[Owned]:
        """Yields the files that have a folder here."""
        for user in _names(self.directory):
            for file in _names(self.directory / user):
                with suppress(ValueError):
                    yield uuid.UUID(hex=user), uuid.UUID(hex=file)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.directory).free

    @contextmanager
    def _new_folder(self, owned: Owned) -> Generator[Path]:
        folder = self.folder(owned)
        while True:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.parent.chmod(0o700)
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:  # a sweep took it: again
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                if folder.exists() and folder.stat().st_ino == os.fstat(descriptor).st_ino:
                    yield folder
                    return
            finally:
                os.close(descriptor)


def new_reading(folder: Path) -> Path:
    """Returns a new empty directory for a reading of the file in `folder`. Removes those that were
    left before."""
    for left in folder.glob(f"{READING}-*"):
        shutil.rmtree(left, ignore_errors=True)
    target = folder / _new_name()
    target.mkdir(mode=0o700)
    return target


def publish(target: Path) -> None:
    """Makes a complete directory the reading of its file."""
    reading = target.with_name(READING)
    shutil.rmtree(reading, ignore_errors=True)
    os.rename(target, reading)
    sync_directory(reading.parent)


def remove_left(target: Path) -> None:
    """Removes a reading that nobody needs, and its folder if the file was deleted."""
    shutil.rmtree(target, ignore_errors=True)
    for folder in (target.parent, target.parent.parent):
        with suppress(OSError):
            folder.rmdir()


def sweep_parts(directory: Path) -> int:
    """Removes uploads whose process is gone. Returns their number."""
    left = [
        each
        for each in map((directory / PARTS).joinpath, _names(directory / PARTS))
        if not is_locked(each, remove=True)
    ]
    return len(left)


def sync_directory(directory: Path) -> None:
    """Makes sure that new names in a directory are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new_name() -> str:
    return f"{READING}-{secrets.token_hex(8)}"


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_locked(path: Path, *, remove: bool = False) -> bool:
    """Returns whether a process holds a file or directory. `remove`: removes a file that none
    holds."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if remove:
            path.unlink(missing_ok=True)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
