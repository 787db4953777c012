"""Reads RTF: text, tables, notes; deleted changes are left out."""

import codecs
import re
from dataclasses import dataclass, replace

from genai_app.adapters.documents.child.draft import (
    Draft,
    DraftPage,
    Refusal,
    markdown_table,
    tidy,
)
from genai_app.adapters.documents.child.hidden import TINY_POINTS, is_pale

_TOKEN = re.compile(
    rb"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-z])|([{}])|([^\\{}\r\n]+)|[\r\n]+",
    re.I,
)
_MAX_DEPTH = 500
# groups that hold no text of the document
_LEFT_OUT = frozenset(
    {
        *(
            b"fonttbl",
            b"colortbl",
            b"stylesheet",
            b"info",
            b"pict",
            b"object",
            b"fldinst",
            b"themedata",
        ),
        *(b"datastore", b"xmlnstbl", b"listtable", b"listoverridetable", b"rsidtbl", b"generator"),
        *(b"latentstyles", b"colorschememapping", b"pntext", b"bkmkstart", b"bkmkend", b"filetbl"),
        *(b"revtbl", b"nonshppict", b"objdata", b"atnid", b"atnauthor", b"listtext"),
    }
)
_EDGES = {
    **dict.fromkeys((b"header" + side for side in (b"", b"l", b"r", b"f")), "header"),
    **dict.fromkeys((b"footer" + side for side in (b"", b"l", b"r", b"f")), "footer"),
    **dict.fromkeys((b"footnote",), "footnotes"),
    **dict.fromkeys((b"annotation",), "comment"),
}
_SIGNS = {
    **{b"par": "\n", b"line": "\n", b"sect": "\n\n", b"page": "\n\n", b"tab": "\t", b"emdash": "—"},
    **{b"endash": "–", b"bullet": "•", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“"},
    **{b"rdblquote": "”", b"emspace": " ", b"enspace": " ", b"nbsp": " "},
}
_SYMBOLS = {b"~": " ", b"-": "", b"_": "-", b"\n": "\n", b"\r": "\n"}
_CHARSETS = {
    204: "cp1251",
    238: "cp1250",
    161: "cp1253",
    162: "cp1254",
    0: "cp1252",
    77: "mac-roman",
}


@dataclass(frozen=True, slots=True)
class _Group:
    """The properties that hold within braces."""

    out: bool = False
    hidden: bool = False
    removed: bool = False
    font: int = 0
    skip: int = 1  # characters that stand for one of Unicode
    part: str = ""
    pale: bool = False
    ground: int = 0
    points: float = 12.0


class _RtfReader:
    """Walks through the words of a file."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._group: _Group = _Group()
        self._stack: list[_Group] = []
        self._encoding = "cp1252"
        self._fonts: dict[int, str] = {}
        self._in_fonts = 0
        self._bytes = bytearray()  # of one encoding, not yet decoded
        self._to_skip: int = 0
        self._pieces: dict[str, list[str]] = {"": []}
        self._rows: list[list[str]] = []
        self._cells: list[str] = []
        self._cell_from: int | None = None
        self._colors = [""]  # of the table, as six digits; the first is the colour of the window
        self._in_colors = 0
        self._hidden: list[str] = []  # not yet warned of

    def read(self, content: bytes) -> str:
        """Returns the text of a file."""
        for match in _TOKEN.finditer(content):
            word, number, code, symbol, brace, text = match.groups()
            if code is not None:
                self._plain(bytes([int(code, 16)]))
            elif text is not None:
                self._plain(text)
            else:
                self._flush()
                if brace is not None:
                    self._brace(brace)
                elif word is not None:
                    self._word(word, int(number) if number else None)
                elif symbol is not None:
                    self._symbol(symbol)
        self._flush()
        self._warn_of_hidden()
        self._end_table()
        body = "".join(self._pieces.pop(""))
        notes = [f"[{part}] {''.join(each).strip()}" for part, each in self._pieces.items()]
        return "\n\n".join([body, *notes])

    def _brace(self, brace: bytes) -> None:
        if brace == b"{":
            if len(self._stack) > _MAX_DEPTH:
                raise Refusal("bomb", "depth")
            self._stack.append(self._group)
        elif self._stack:
            self._group = self._stack.pop()
            if len(self._stack) < self._in_fonts:
                self._in_fonts = 0
            if len(self._stack) < self._in_colors:
                self._in_colors = 0

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._group = replace(self._group, out=True)
        elif symbol in b"\\{}":
            self._add(symbol.decode())
        else:
            self._add(_SYMBOLS.get(symbol, ""))

    def _word(self, word: bytes, number: int | None) -> None:
        group = self._group
        if word in _SIGNS:
            self._add(_SIGNS[word])
        elif word == b"u" and number is not None:
            self._add(chr(number % 0x10000))
            self._to_skip = group.skip
        elif word == b"fonttbl":
            self._in_fonts = len(self._stack)
            self._group = replace(group, out=True)
        elif word == b"colortbl":
            self._in_colors = len(self._stack)
            self._group = replace(group, out=True)
        elif word in _LEFT_OUT:
            self._group = replace(group, out=True)
        elif word in _EDGES:
            self._group = replace(group, part=_EDGES[word], out=False)
        elif word in (b"cell", b"nestcell", b"row", b"nestrow", b"pard", b"intbl"):
            self._table_word(word)
        else:
            self._property(word, number)

    def _property(self, word: bytes, number: int | None) -> None:
        group = self._group
        match word:
            case b"ansicpg" if number:
                self._encoding = _codec(f"cp{number}")
            case b"mac":
                self._encoding = "mac-roman"
            case b"f":
                self._group = replace(group, font=number or 0)
            case b"fcharset" if self._in_fonts and number in _CHARSETS:
                self._fonts[group.font] = _CHARSETS[number] if number else self._encoding
            case b"uc":
                self._group = replace(group, skip=number if number is not None else 1)
            case b"v":
                self._group = replace(group, hidden=number != 0)
            case b"deleted":
                if number != 0:
                    self._draft.warn("tracked_changes")
                self._group = replace(group, removed=number != 0)
            case b"revised" if number != 0:
                self._draft.warn("tracked_changes")
            case b"fs":
                self._group = replace(group, points=(number or 24) / 2)
            case b"red" | b"green" | b"blue" if self._in_colors:
                self._colors[-1] += f"{min(number or 0, 255):02x}"
            case b"cf":
                pale = 0 < (number or 0) < len(self._colors) and is_pale(self._colors[number or 0])
                self._group = replace(group, pale=pale)
            case b"highlight" | b"chcbpat" | b"cb":
                self._group = replace(group, ground=number or 0)
            case b"plain":
                self._group = replace(
                    group, hidden=False, removed=False, points=12.0, pale=False, ground=0
                )
            case _:
                pass

    def _table_word(self, word: bytes) -> None:
        body = self._pieces[""]
        if self._group.part or self._group.out:
            return
        if word == b"intbl":
            self._cell_from = len(body) if self._cell_from is None else self._cell_from
        elif word in (b"cell", b"nestcell") and self._cell_from is not None:
            self._cells.append("".join(body[self._cell_from :]).strip())
            del body[self._cell_from :]
        elif word in (b"row", b"nestrow") and self._cells:
            self._rows.append(self._cells)
            self._cells = []
        elif word == b"pard" and not self._cells:
            self._cell_from = None

    def _end_table(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._pieces[""].append(f"\n\n{markdown_table(rows)}\n\n")

    def _plain(self, text: bytes) -> None:
        if self._in_colors:
            self._colors += [""] * text.count(b";")
        skipped = min(self._to_skip, len(text))
        self._to_skip -= skipped
        self._bytes += text[skipped:]

    def _flush(self) -> None:
        if self._bytes:
            encoding = self._fonts.get(self._group.font, self._encoding)
            text = self._bytes.decode(encoding, "replace")
            self._bytes.clear()
            self._add(text)

    def _add(self, text: str) -> None:
        group = self._group
        if group.out or group.removed or not text:
            return
        tiny = group.points <= TINY_POINTS
        # white letters in a table stand on its ground
        outside = self._cell_from is None and not self._rows
        pale = group.pale and not group.ground and outside
        if group.hidden or tiny or pale:
            self._hidden.append(text)
        elif self._hidden and text.strip():
            self._warn_of_hidden()
        if self._rows and not group.part and self._cell_from is None and text.strip():
            self._end_table()
        self._pieces.setdefault(group.part, []).append(text)

    def _warn_of_hidden(self) -> None:
        hidden, self._hidden = "".join(self._hidden), []
        if hidden.strip():
            self._draft.warn("hidden_text", quote=hidden)


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"


def read(draft: Draft) -> None:
    """Reads a document."""
    content = draft.job.source.read_bytes()
    if not content.rstrip(b"\0 \r\n\t").endswith(b"}"):
        draft.warn("cut", 1)
    text = _RtfReader(draft).read(content)
    draft.add(
        DraftPage(text=tidy(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")))
    )
