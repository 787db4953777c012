"""The fonts of a document: which one draws a character, and what a reader gets who copies it.

Each character has a glyph or a box, and in both cases the text of the page says which it is.
"""

# reportlab has no types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

import unicodedata
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from reportlab.pdfbase import pdfmetrics, ttfonts

DIRECTORY = Path(__file__).parents[3] / "fonts"
# where glyphs stand that are no characters of their own; no text has these (the last private plane)
PRIVATE = 0x10_0000


class Face(StrEnum):
    """A look of text; the value is the file's name."""

    TEXT = "DejaVuSans"
    BOLD = "DejaVuSans-Bold"
    CODE = "DejaVuSansMono"
    EMOJI = "NotoEmoji"
    CJK = "DroidSansFallback"


# who is asked when a face lacks a character
AFTER = {
    Face.TEXT: (Face.EMOJI, Face.CJK),
    Face.BOLD: (Face.TEXT, Face.EMOJI, Face.CJK),
    Face.CODE: (Face.TEXT, Face.EMOJI, Face.CJK),
}
VARIANTS = "\ufe0e\ufe0f"
# what stands for a private code in the text of the page
_meanings: dict[int, str] = {}


def _to_unicode(font_name: str, subset: Iterable[int]) -> str:
    """The table by which a reader turns codes of a font into text. reportlab's own writes
    characters above U+FFFF wrongly, and knows no glyphs that mean several characters."""
    pairs = [
        f"<{code:02X}> <{_meanings.get(char, chr(char)).encode('utf-16-be').hex().upper()}>"
        for code, char in enumerate(subset)
    ]
    lines = [
        *("/CIDInit /ProcSet findresource begin", "12 dict begin", "begincmap"),
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        *(f"/CMapName /{font_name} def", "/CMapType 2 def"),
        *("1 begincodespacerange", "<00> <FF>", "endcodespacerange"),
    ]
    for begin in range(0, len(pairs), 100):  # as many as a section may hold
        section = pairs[begin : begin + 100]
        lines += [f"{len(section)} beginbfchar", *section, "endbfchar"]
    lines += ["endcmap", "CMapName currentdict /CMap defineresource pop", "end", "end"]
    return "\n".join(lines)


# this module is imported by the process that draws, and only there
ttfonts.makeToUnicodeCMap = _to_unicode


@lru_cache
def font(face: Face) -> Any:
    """The font of a face, loaded when the first character needs it."""
    made = ttfonts.TTFont(face.value, str(DIRECTORY / f"{face}.ttf"), shapable=False)
    pdfmetrics.registerFont(made)
    return made


def has(face: Face, character: str) -> bool:
    return ord(character) in font(face).face.charToGlyph


@lru_cache(maxsize=8192)
def _drawn(face: Face, character: str) -> tuple[Face, str]:
    """The face that draws a character, and the code that it is drawn by."""
    # joiners, direction, variants: nothing to be seen, and not lost
    if unicodedata.category(character) == "Cf" or character in VARIANTS:
        return face, private(face, character, " ", width=0)
    if character in "\u00a0\u202f\u2007":  # reportlab makes a plain space of them
        return face, private(face, character, " ")
    for each in (face, *AFTER.get(face, ())):
        if has(each, character):
            return each, character
    mark = unicodedata.category(character) in ("Mn", "Me")
    return face, private(face, character, " " if mark else None, width=0 if mark else None)


@lru_cache(maxsize=8192)
def private(face: Face, means: str, glyph: str | None, *, width: int | None = None) -> str:
    """A code of `face` that shows the glyph of the character `glyph` (None: the box of what is
    missing) and reads as `means`."""
    table = font(face).face
    code = PRIVATE + len(_meanings)
    shown = table.charToGlyph.get(ord(glyph), 0) if glyph else 0
    table.charToGlyph[code] = shown
    usual = table.charWidths.get(ord(glyph), table.defaultWidth) if glyph else table.defaultWidth
    table.charWidths[code] = usual if width is None else width
    _meanings[code] = means
    return chr(code)


def runs(text: str, face: Face) -> Iterator[tuple[Face, str]]:
    """`text` in pieces that one font draws."""
    piece, of = "", face
    for character in text:
        drawn_by, code = (
            (Face(face), character) if character >= "\U00100000" else _drawn(face, character)
        )
        if piece and drawn_by is not of:
            yield of, piece
            piece = ""
        of = drawn_by
        piece += code
    if piece:
        yield of, piece


def width(text: str, face: Face, size: float) -> float:
    """How wide `text` is drawn, in points."""
    total = 0.0
    for of, piece in runs(text, face):
        table = font(of).face
        total += sum(table.charWidths.get(ord(each), table.defaultWidth) for each in piece)
    return total * size / 1000
