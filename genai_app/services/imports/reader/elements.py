"""Cuts a stream of JSON into the objects of its outermost array, without reading them: no memory
but that of one object, whatever the file holds."""

import re
from collections.abc import Iterable, Iterator

MAX_DEPTH = 100
_STRUCTURE = re.compile(rb'["{}\[\]]')
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
QUOTE, BACKSLASH, OBJECT, ARRAY = b'"'[0], b"\\"[0], b"{"[0], b"["[0]


class Damaged(Exception):
    """The text is no JSON, or ends too early."""


class Cutter:
    """Takes the pieces of a file one by one. An object that is longer than `longest` bytes or
    nested deeper than MAX_DEPTH is given as None."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._depth = 0
        self._level = 0  # the depth at which the objects stand
        self._in_string = self._escaped = False
        self._inside = self._spoiled = False
        self._pieces: list[bytes] = []
        self._size = 0

    def objects(self, chunks: Iterable[bytes]) -> Iterator[bytes | None]:
        """Yields each object of the outermost array, or of a row of objects.

        Raises Damaged.
        """
        for chunk in chunks:
            yield from self._cut(chunk)
        if self._depth or self._in_string:
            raise Damaged

    def _cut(self, chunk: bytes) -> Iterator[bytes | None]:
        position, start = 0, 0
        while position < len(chunk):
            if self._in_string:
                position = self._skip_string(chunk, position)
                continue
            mark = _STRUCTURE.search(chunk, position)
            if mark is None:
                break
            sign, position = chunk[mark.start()], mark.end()
            if sign == QUOTE:
                self._in_string = True
            elif sign in (OBJECT, ARRAY):
                if not self._inside and sign == OBJECT and self._depth == self._level:
                    self._inside, self._spoiled, start = True, False, mark.start()
                elif sign == ARRAY and self._depth == 0:
                    self._level = 1
                self._depth += 1
                self._spoiled = self._spoiled or self._depth > MAX_DEPTH
            else:
                self._depth -= 1
                if self._depth < 0:
                    raise Damaged
                if self._inside and self._depth == self._level:
                    self._keep(chunk[start:position])
                    yield None if self._spoiled else b"".join(self._pieces)
                    self._inside, self._size, self._pieces = False, 0, []
        if self._inside:
            self._keep(chunk[start:])

    def _skip_string(self, chunk: bytes, position: int) -> int:
        """Returns the position after the end of a string, or of the chunk."""
        if self._escaped:
            self._escaped = False
            return position + 1
        content = _IN_STRING.match(chunk, position)
        position = content.end() if content else position
        if position < len(chunk):
            self._in_string = chunk[position] == BACKSLASH
            self._escaped = self._in_string
            position += 1
        return position

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._longest:
            self._spoiled = True
        if self._spoiled:
            self._pieces = []
        else:
            self._pieces.append(piece)
