"""Reads DOC and PPT of Word and PowerPoint 97 to 2003."""

import re
import struct
from collections.abc import Iterator
from typing import Any

import olefile

from genai_app.adapters.documents.child.draft import (
    Draft,
    DraftPage,
    Refusal,
    markdown_table,
    tidy,
)

_MAX_STREAM = 200 << 20
_WORD = 0xA5EC
_ENCRYPTED, _TABLE_1 = 0x0100, 0x0200  # bits of the head
# counts of characters of the parts of a document follow one another from here on
_COUNTS, _CLX = 0x4C, 0x1A2
_PARTS = ("", "footnotes", "headers", "macros", "comments", "endnotes", "boxes")
# an instruction between 0x13 and 0x14 is not shown; the result between 0x14 and 0x15 is
_FIELD = re.compile("\x13[^\x13\x14\x15]*(?:\x14([^\x13\x14\x15]*))?\x15")
_SIGNS = str.maketrans(
    {
        "\x0b": "\n",
        "\x1e": "-",
        "\x1f": "",
        "\x01": "",
        "\x08": "",
        "\x02": "",
        "\x05": "",
        "\r": "\n",
    }
)
# records of PowerPoint
_SLIDE_LIST, _PERSIST, _CHARS, _BYTES = 0x0FF0, 0x03F3, 0x0FA0, 0x0FA8
_SLIDE, _NOTES, _NOTES_ID, _MASTER = 0x03EE, 0x03F0, 0x03F1, 0x03F8
_MAX_DEPTH = 40


def read(draft: Draft) -> None:
    """Reads a document or a presentation."""
    with olefile.OleFileIO(str(draft.job.source)) as file:
        try:
            if draft.kind == "slides":
                _read_slides(draft, _stream(file, "PowerPoint Document"))
            else:
                _read_word(draft, file)
        except (struct.error, IndexError) as error:
            raise Refusal("damaged", "records") from error


def _stream(file: Any, name: str) -> bytes:
    if not file.exists(name):
        raise Refusal("damaged", "a stream is missing")
    if file.get_size(name) > _MAX_STREAM:
        raise Refusal("too_large", "a stream")
    return file.openstream(name).read()


def _read_word(draft: Draft, file: Any) -> None:
    main = _stream(file, "WordDocument")
    if struct.unpack_from("<H", main)[0] != _WORD:
        raise Refusal("unsupported", "an older Word")
    flags = struct.unpack_from("<H", main, 10)[0]
    if flags & _ENCRYPTED:
        raise Refusal("encrypted")
    table = _stream(file, "1Table" if flags & _TABLE_1 else "0Table")
    text = _pieces(main, table)
    start, blocks = 0, list[str]()
    for name, count in zip(_PARTS, struct.unpack_from("<7i", main, _COUNTS), strict=True):
        part, start = text[start : start + max(count, 0)], start + max(count, 0)
        shown = tidy(_shown(part))
        if shown and name != "macros":
            blocks.append(f"[{name}] {shown}" if name else shown)
    draft.add(DraftPage(text="\n\n".join(blocks)))


def _pieces(main: bytes, table: bytes) -> str:
    """Returns the characters of a document, which the file keeps in pieces."""
    offset, size = struct.unpack_from("<II", main, _CLX)
    clx = table[offset : offset + size]
    at = 0
    while clx[at] == 1:  # properties come before the pieces
        at += 3 + struct.unpack_from("<H", clx, at + 1)[0]
    length = struct.unpack_from("<I", clx, at + 1)[0]
    plan = clx[at + 5 : at + 5 + length]
    count = (len(plan) - 4) // 12
    bounds = struct.unpack_from(f"<{count + 1}I", plan)
    texts: list[str] = []
    for number in range(count):
        where = struct.unpack_from("<I", plan, 4 * (count + 1) + 8 * number + 2)[0]
        chars = bounds[number + 1] - bounds[number]
        if not 0 <= chars <= len(main):
            raise Refusal("damaged", "a piece")
        if where & 0x40000000:  # one byte a character
            begin = (where & 0x3FFFFFFF) // 2
            texts.append(main[begin : begin + chars].decode("cp1252", "replace"))
        else:
            texts.append(main[where : where + 2 * chars].decode("utf-16-le", "replace"))
    return "".join(texts)


def _shown(text: str) -> str:
    """Returns text with results of fields and rows of tables."""
    for _ in range(5):  # fields within fields
        text, count = _FIELD.subn(lambda match: match.group(1) or "", text)
        if not count:
            break
    return "\n".join(_with_tables(text)).translate(_SIGNS)


def _with_tables(text: str) -> Iterator[str]:
    """Yields paragraphs and tables. A cell ends with \\x07, and so does a row after its cells."""
    *parts, tail = text.split("\x07")
    region: list[str] = []
    for part in parts:
        if "\r" in part and (not region or not region[-1]):
            yield _table(region)
            before, _, part = part.rpartition("\r")
            yield before
            region = []
        region.append(part)
    yield _table(region)
    yield tail


def _table(marks: list[str]) -> str:
    """Returns the rows of a table. An empty cell looks like the end of a row; the number of columns
    is the one by which each row ends with such a mark."""
    count = len(marks)
    for width in range(1, count):
        ends = range(width, count, width + 1)
        if count % (width + 1) == 0 and not any(marks[end] for end in ends):
            rows = [marks[end - width : end] for end in ends]
            return f"\r{markdown_table(rows)}\r"
    return "\r".join(mark for mark in marks if mark)


def _records(data: bytes, start: int, end: int, depth: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields (type, instance, begin, end) of records, those within containers after them."""
    if depth > _MAX_DEPTH:
        raise Refusal("bomb", "depth")
    while start + 8 <= end:
        version, kind, size = struct.unpack_from("<HHI", data, start)
        begin, stop = start + 8, min(start + 8 + size, end)
        yield kind, version >> 4, begin, stop
        if version & 0x0F == 0x0F:
            yield from _records(data, begin, stop, depth + 1)
        start = stop


def _read_slides(draft: Draft, data: bytes) -> None:
    """Adds a page for each slide: what the list of slides keeps, then the boxes of the slide, then
    its notes."""
    draft.unit = "slide"
    texts = _Texts()
    for kind, instance, begin, end in _records(data, 0, len(data), 0):
        if kind in (_CHARS, _BYTES):
            encoding = "utf-16-le" if kind == _CHARS else "cp1252"
            texts.add(data[begin:end].decode(encoding, "replace").translate(_SIGNS))
        else:
            texts.enter(kind, instance, data[begin : min(end, begin + 16)])
    for number in range(max(len(texts.outlines), len(texts.slides))):
        shown = [*_at(texts.outlines, number), *_at(texts.slides, number)]
        heading = shown[0].split("\n", 1)[0][:200] if shown else ""
        speech = (
            "\n".join(texts.notes.get(texts.ids[number], [])) if number < len(texts.ids) else ""
        )
        shown += [f"[notes] {speech}"] if speech.strip() else []
        draft.add(DraftPage(text=tidy("\n\n".join(shown)), heading=heading))


class _Texts:
    """Sorts the texts of a presentation by the records in which they stand."""

    def __init__(self) -> None:
        self.outlines: list[list[str]] = []
        self.slides: list[list[str]] = []
        self.notes: dict[int, list[str]] = {}  # by the id of their slide
        self.ids: list[int] = []
        self._current: list[str] = []
        self._in_slides = False

    def add(self, text: str) -> None:
        """Adds a text to the record that was entered last."""
        self._current.append(text)

    def enter(self, kind: int, instance: int, content: bytes) -> None:
        """Notes that a record begins."""
        if kind == _SLIDE_LIST:
            self._in_slides = instance == 0
        elif kind == _NOTES_ID:
            self.notes[struct.unpack_from("<I", content)[0]] = self._current
        if kind in (_SLIDE_LIST, _PERSIST, _SLIDE, _NOTES, _MASTER):
            self._current = []
        if kind == _PERSIST and self._in_slides:
            self.outlines.append(self._current)
            self.ids.append(struct.unpack_from("<I", content, 12)[0])
        elif kind == _SLIDE:
            self.slides.append(self._current)


def _at(texts: list[list[str]], number: int) -> list[str]:
    return texts[number] if number < len(texts) else []
