"""The fonts of a document: which one draws a character, and which text is copied from the page.

A character without a glyph is drawn as a box; the text of the page holds the character anyway.
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
# first code for glyphs that are no characters of their own; no text uses this last private plane
PRIVATE = 0x10_0000


class Face(StrEnum):
    """Fonts; the value is the name of the file."""

    TEXT = "DejaVuSans"
    BOLD = "DejaVuSans-Bold"
    CODE = "DejaVuSansMono"
    EMOJI = "NotoEmoji"
    CJK = "DroidSansFallback"


# the fonts that draw what a face lacks
FALLBACKS = {
    Face.TEXT: (Face.EMOJI, Face.CJK),
    Face.BOLD: (Face.TEXT, Face.EMOJI, Face.CJK),
    Face.CODE: (Face.TEXT, Face.EMOJI, Face.CJK),
}
VARIANTS = "\ufe0e\ufe0f"
# the text of the page for each private code
_texts: dict[int, str] = {}


def _to_unicode(font_name: str, subset: Iterable[int]) -> str:
    """Returns the CMap by which readers turn codes of a font into text. reportlab's own writes
    characters above U+FFFF wrongly and has no glyphs for several characters."""
    pairs = [
        f"<{code:02X}> <{_texts.get(char, chr(char)).encode('utf-16-be').hex().upper()}>"
        for code, char in enumerate(subset)
    ]
    lines = [
        *("/CIDInit /ProcSet findresource begin", "12 dict begin", "begincmap"),
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
        *(f"/CMapName /{font_name} def", "/CMapType 2 def"),
        *("1 begincodespacerange", "<00> <FF>", "endcodespacerange"),
    ]
    for begin in range(0, len(pairs), 100):  # the most that a section may hold
        section = pairs[begin : begin + 100]
        lines += [f"{len(section)} beginbfchar", *section, "endbfchar"]
    lines += ["endcmap", "CMapName currentdict /CMap defineresource pop", "end", "end"]
    return "\n".join(lines)


# this module is imported by the process that draws, and only there
ttfonts.makeToUnicodeCMap = _to_unicode


@lru_cache
def font(face: Face) -> Any:
    """Returns the font of a face; it is loaded at the first call."""
    loaded = ttfonts.TTFont(face.value, str(DIRECTORY / f"{face}.ttf"), shapable=False)
    pdfmetrics.registerFont(loaded)
    return loaded


def has(face: Face, character: str) -> bool:
    return ord(character) in font(face).face.charToGlyph


@lru_cache(maxsize=8192)
def _drawn(face: Face, character: str) -> tuple[Face, str]:
    """Returns the face that draws a character, and the code to draw it with."""
    # joiners, direction marks, variants: invisible, but kept in the text
    if unicodedata.category(character) == "Cf" or character in VARIANTS:
        return face, private_code(face, character, " ", width=0)
    if character in "\u00a0\u202f\u2007":  # reportlab turns them into a plain space
        return face, private_code(face, character, " ")
    for each in (face, *FALLBACKS.get(face, ())):
        if has(each, character):
            return each, character
    mark = unicodedata.category(character) in ("Mn", "Me")
    return face, private_code(face, character, " " if mark else None, width=0 if mark else None)


@lru_cache(maxsize=8192)
def private_code(face: Face, text: str, glyph: str | None, *, width: int | None = None) -> str:
    """Returns a new code of `face` that shows the glyph of the character `glyph` (None: the box of
    a missing glyph) and is copied as `text`."""
    table = font(face).face
    code = PRIVATE + len(_texts)
    shown = table.charToGlyph.get(ord(glyph), 0) if glyph else 0
    table.charToGlyph[code] = shown
    usual = table.charWidths.get(ord(glyph), table.defaultWidth) if glyph else table.defaultWidth
    table.charWidths[code] = usual if width is None else width
    _texts[code] = text
    return chr(code)


def runs(text: str, face: Face) -> Iterator[tuple[Face, str]]:
    """Splits a text into pieces that one font draws."""
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
    """Returns the width of the drawn text in points."""
    total = 0.0
    for of, piece in runs(text, face):
        table = font(of).face
        total += sum(table.charWidths.get(ord(each), table.defaultWidth) for each in piece)
    return total * size / 1000
