"""Reads an export file on standard input and writes frames (frames.py) to standard output.

The file is hostile until proved otherwise: this process may use little memory and time, and after
its start it can open no file and no connection.
"""

import codecs
import resource
import sys
from typing import BinaryIO

import msgspec

from genai_app.services.imports.reader.archive import Encrypted, TooMuch, UploadedFile
from genai_app.services.imports.reader.dialogs import read_object
from genai_app.services.imports.reader.elements import Cutter, Damaged
from genai_app.services.imports.reader.frames import (
    HEAD,
    MAX_ALL_MESSAGES,
    MAX_DIALOG_BYTES,
    MAX_DIALOGS,
    Frame,
    ReadDialog,
    ReadEnd,
    ReadProgress,
    Unread,
)

MEMORY = 1024 * 1024 * 1024
CPU_S = 900
PROGRESS_BYTES = 1024 * 1024
CODECS = (
    "cp437",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-32-le",
    "utf-32-be",
)


class Output:
    """Writes frames, and counts what they hold."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.dialogs = self.messages = 0

    def write(self, frame: Frame) -> None:
        body = msgspec.json.encode(frame)
        self._stream.write(HEAD.pack(len(body)) + body)
        self._stream.flush()
        if isinstance(frame, ReadDialog | Unread):
            self.dialogs += 1
            self.messages += len(frame.messages) if isinstance(frame, ReadDialog) else 0


def main(file: BinaryIO, output: Output) -> None:
    """Writes a frame for each dialog, and the end."""
    try:
        source = UploadedFile(file)
        stopped = _read_all(source, output)
    except Damaged:
        stopped = "damaged"
    except Encrypted:
        stopped = "encrypted"
    except TooMuch:
        stopped = "too_large"
    output.write(ReadEnd(stopped))


def _read_all(source: UploadedFile, output: Output) -> str:
    """Returns why the reading stopped before the end, "" if it did not."""
    reported = 0
    for chunks in source.texts():
        for text in Cutter(MAX_DIALOG_BYTES).objects(chunks):
            if output.dialogs >= MAX_DIALOGS or output.messages >= MAX_ALL_MESSAGES:
                return "too_many"
            output.write(Unread("too_large") if text is None else _guarded(text))
            if source.read - reported >= PROGRESS_BYTES:
                reported = source.read
                output.write(ReadProgress(reported // 1024, max(source.total, reported) // 1024))
    return "" if output.dialogs else "unknown"


def _guarded(text: bytes) -> ReadDialog | Unread:
    try:
        return read_object(text)
    except MemoryError:
        return Unread("too_large")


def confine() -> None:
    """Limits memory and time, and takes the right to open anything."""
    for name in CODECS:  # each is a module that is loaded when it is first used
        codecs.lookup(name)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


if __name__ == "__main__":
    confine()
    main(sys.stdin.buffer, Output(sys.stdout.buffer))
