"""Receives the files of a form piece by piece, so that no memory holds them."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from genai_app.errors import InvalidInput, TooLarge

FIELD = "file"
WRITE_BYTES = 1024 * 1024
IDLE_S = 60.0  # a client that sends nothing for so long is gone
MAX_PARTS = 100  # of a form, with those that are no files


@dataclass(frozen=True, slots=True)
class FileBegins:
    """The next file of a form, with the name that the form gives it."""

    name: str


@dataclass(frozen=True, slots=True)
class FileEnds:
    """The end of the file that was begun."""


Piece = FileBegins | bytes | FileEnds


class _FormReader:
    """Turns chunks of a form's body into pieces of its files, the parts that are the field FIELD.
    Other parts are dropped."""

    def __init__(self, boundary: bytes) -> None:
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_file = False
        self._parts = 0
        self.is_over = False  # the last boundary came
        self.pieces: list[Piece] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_field,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def take(self, chunk: bytes) -> list[Piece]:
        """Returns the pieces that a chunk completes. Raises FormParserError."""
        self.pieces = []
        self._parser.write(chunk)
        return self.pieces

    def _begin(self) -> None:
        self._headers = {}
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise FormParserError("too many parts")

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._is_file = options.get(b"name") == FIELD.encode() and b"filename" in options
        if self._is_file:
            self.pieces.append(FileBegins(options[b"filename"].decode("utf-8", "replace")))

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.pieces.append(data[start:end])

    def _end(self) -> None:
        if self._is_file:
            self.pieces.append(FileEnds())
        self._is_file = False

    def _finish(self) -> None:
        self.is_over = True


async def form_files(request: Request) -> AsyncGenerator[Piece]:
    """Yields the files of a form: each begins, has its bytes in pieces no longer than a chunk of
    the body, and ends.

    Raises:
        InvalidInput: no_file: the body is no form with a file, broke off, or stood still.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    refusal = InvalidInput(code="no_file", param=FIELD)
    if kind != b"multipart/form-data" or not boundary:
        raise refusal
    count, chunks = 0, aiter(request.stream())
    try:
        reader = _FormReader(boundary)
        while True:
            async with asyncio.timeout(IDLE_S):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            for piece in reader.take(chunk):
                count += isinstance(piece, FileBegins)
                yield piece
    except (FormParserError, ClientDisconnect, TimeoutError):
        raise refusal from None
    if not (reader.is_over and count):
        raise refusal


async def receive_file(request: Request, path: Path, longest: int) -> str:
    """Writes the first file of a form to `path`, which exists. Returns the name that the form gives
    it.

    Raises:
        InvalidInput: no_file: the body is no form with a file, or broke off.
        TooLarge: import_too_large: the file is longer than `longest` bytes.
    """
    names: list[str] = []
    waiting, size = bytearray(), 0
    with await asyncio.to_thread(path.open, "wb") as target:
        async for piece in form_files(request):
            if isinstance(piece, FileBegins):
                names.append(piece.name)
            elif isinstance(piece, bytes) and len(names) == 1:
                waiting += piece
                size += len(piece)
                if size > longest:
                    raise TooLarge(code="import_too_large", limit_mb=longest // 1024**2)
                if len(waiting) >= WRITE_BYTES:
                    await asyncio.to_thread(target.write, waiting)
                    waiting = bytearray()
        await asyncio.to_thread(target.write, waiting)
    if not size:
        raise InvalidInput(code="no_file", param=FIELD)
    return names[0]
