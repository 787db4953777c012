"""The JSON of an uploaded file: the file itself, or those members of a ZIP archive that hold
dialogs. Nothing is unpacked to disk, so names of members lead nowhere."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from genai_app.services.imports.reader.elements import Damaged
from genai_app.services.imports.reader.frames import MAX_UNPACKED_BYTES

CHUNK = 256 * 1024
MAX_MEMBERS = 100_000
_BOM = b"\xef\xbb\xbf"
# `conversations.json`, or `conversations-000.json` and its like in large exports
_CHATGPT = re.compile(r"(.*/)?(shared_)?conversations?(-\d+)?\.json", re.IGNORECASE)


class TooMuch(Exception):
    """The file is larger than a reader may read."""


class Encrypted(Exception):
    """The archive has a password."""


class UploadedFile:
    """The JSON texts of a file. `read`, `total`: bytes of them so far, and in all as announced.

    Raises:
        Damaged: the archive cannot be read.
        Encrypted, TooMuch.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read = 0
        self._archive: zipfile.ZipFile | None = None
        self._members: list[zipfile.ZipInfo] = []
        head = file.read(4)
        file.seek(0, 2)
        self.total = file.tell()
        file.seek(0)
        if head[:2] == b"PK":
            self._open_archive()

    def texts(self) -> Iterator[Iterator[bytes]]:
        """Yields the chunks of each text."""
        if self._archive is None:
            yield self._chunks(self._file)
            return
        for member in self._members:
            try:
                with self._archive.open(member) as opened:
                    yield self._chunks(opened)  # pyright: ignore[reportArgumentType]
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                raise Damaged from error

    def _open_archive(self) -> None:
        try:
            self._archive = zipfile.ZipFile(self._file)
            members = self._archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise Damaged from error
        if len(members) > MAX_MEMBERS:
            raise TooMuch
        texts = [each for each in members if each.filename.lower().endswith(".json")]
        dialogs = [each for each in texts if _CHATGPT.fullmatch(each.filename)]
        self._members = sorted(dialogs or texts, key=lambda each: each.filename)
        if any(each.flag_bits & 1 for each in self._members):
            raise Encrypted
        self.total = min(sum(each.file_size for each in self._members), MAX_UNPACKED_BYTES)

    def _chunks(self, opened: BinaryIO) -> Iterator[bytes]:
        first = True
        while chunk := opened.read(CHUNK):
            self.read += len(chunk)
            if self.read > MAX_UNPACKED_BYTES:
                raise TooMuch
            yield chunk.removeprefix(_BOM) if first else chunk
            first = False
