"""Frames that the reader sends to the product: JSON, each after its length in four bytes."""

import struct

import msgspec

HEAD = struct.Struct(">I")

# limits of a file; docs/imports.md tells them
MAX_FILE_BYTES = 200 * 1024 * 1024
MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
MAX_DIALOGS = 10_000
MAX_ALL_MESSAGES = 300_000
# limits of a dialog
MAX_DIALOG_BYTES = 16 * 1024 * 1024
MAX_DIALOG_CHARS = 4_000_000
MAX_MESSAGES = 5_000
MAX_TEXT_CHARS = 200_000  # of a message; the rest is cut off
MAX_NAME_CHARS = 200
MAX_FRAME_BYTES = 4 * MAX_DIALOG_BYTES


class ReadMessage(msgspec.Struct):
    """A message of a dialog. `parent`: the index of the message before it, -1 for none; `at`:
    seconds since 1970; `files`: names of what was attached, "" for a picture; `cut`: the text was
    longer than MAX_TEXT_CHARS."""

    parent: int
    author: str
    text: str
    at: float | None = None
    model: str = ""
    reasoning: str = ""
    files: list[str] = []
    cut: bool = False


class ReadDialog(msgspec.Struct, tag="dialog"):
    """A dialog of the file. `key`: its id there; `leaf`: the index of the last message of the
    branch that was shown. Each message stands behind its parent."""

    source: str
    key: str
    title: str
    messages: list[ReadMessage]
    leaf: int
    created: float | None = None
    updated: float | None = None
    archived: bool = False


class Unread(msgspec.Struct, tag="unread"):
    """A dialog that is not imported. `reason`: `empty`, `unknown`, `damaged` or `too_large`."""

    reason: str


class ReadProgress(msgspec.Struct, tag="progress"):
    """KiB of the file that are read, of all."""

    done: int
    total: int


class ReadEnd(msgspec.Struct, tag="end"):
    """The end of the file. `stopped`: why the rest of it was not read, "" if it was: `damaged`,
    `too_large`, `too_many`, `unknown` or `encrypted`."""

    stopped: str = ""


Frame = ReadDialog | Unread | ReadProgress | ReadEnd
