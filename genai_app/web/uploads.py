"""Receives a file of a form piece by piece, so that no memory holds it."""

import asyncio
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from genai_app.errors import InvalidInput, TooLarge

FIELD = "file"
WRITE_BYTES = 1024 * 1024


class FormFile:
    """The part of a form that is the field FIELD. Other parts are dropped.

    Args:
        target: takes what is received of the file.
    """

    def __init__(self, boundary: bytes, target: BinaryIO) -> None:
        self._target = target
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._waiting = bytearray()
        self._is_file = self._is_over = False
        self.name: str | None = None  # None until the file begins
        self.size = 0
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
            },
        )

    async def feed(self, chunk: bytes) -> None:
        """Takes a chunk of the body, and writes what it holds of the file."""
        self._parser.write(chunk)
        if len(self._waiting) >= WRITE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            await asyncio.to_thread(self._target.write, waiting)

    @property
    def is_complete(self) -> bool:
        return self._is_over

    def _begin(self) -> None:
        self._headers = {}

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        named = options.get(b"name") == FIELD.encode() and b"filename" in options
        self._is_file = named and self.name is None
        if self._is_file:
            self.name = options[b"filename"].decode("utf-8", "replace")

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._waiting += data[start:end]
            self.size += end - start

    def _end(self) -> None:
        self._is_over = self._is_over or self._is_file
        self._is_file = False


async def receive_file(request: Request, path: Path, longest: int) -> str:
    """Writes the file of a form to `path`, which exists. Returns the name that the form gives it.

    Raises:
        InvalidInput: no_file: the body is no form with a file, or broke off.
        TooLarge: import_too_large: the file is longer than `longest` bytes.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidInput(code="no_file", param=FIELD)
    with await asyncio.to_thread(path.open, "wb") as target:
        try:
            file = FormFile(boundary, target)
            async for chunk in request.stream():
                await file.feed(chunk)
                if file.size > longest:
                    raise TooLarge(code="import_too_large", limit_mb=longest // 1024**2)
            await file.flush()
        except (MultipartParseError, ClientDisconnect):
            raise InvalidInput(code="no_file", param=FIELD) from None
    if file.name is None or not file.is_complete or not file.size:
        raise InvalidInput(code="no_file", param=FIELD)
    return file.name
