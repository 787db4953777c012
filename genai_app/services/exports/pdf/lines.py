"""Spans broken into lines that fit a width."""

import re
import unicodedata
from dataclasses import dataclass, field, replace

from genai_app.services.exports.pdf.blocks import Span
from genai_app.services.exports.pdf.fonts import width

# a word with the blanks after it: a line that is broken between them still holds every character
_WORD = re.compile(r"[^ \t]*[ \t]*")
TAB = "    "


@dataclass(slots=True)
class TextLine:
    spans: list[Span] = field(default_factory=list[Span])
    width: float = 0.0


def broken(spans: list[Span], most: float, size: float) -> list[TextLine]:
    """Lines no wider than `most` points. A word that is wider is broken within."""
    lines = [TextLine()]
    for span in spans:
        for number, part in enumerate(span.text.replace("\t", TAB).split("\n")):
            if number:
                lines.append(TextLine())
            for word in filter(None, _WORD.findall(part)):
                for piece in _breakable(word):
                    _put(lines, replace(span, text=piece), most, size)
    return lines


def _breakable(word: str) -> list[str]:
    """Scripts that know no blanks break after each character."""
    pieces: list[str] = []
    for each in word:
        wide = unicodedata.east_asian_width(each) in "WF" and each.isalpha()
        if pieces and not wide:
            pieces[-1] += each
        else:
            pieces.append(each)
    return pieces


def _put(lines: list[TextLine], span: Span, most: float, size: float) -> None:
    line = lines[-1]
    whole = width(span.text, span.face, size)
    seen = width(span.text.rstrip(" "), span.face, size)  # blanks at the end need no room
    if line.width + seen <= most:
        _add(line, span, whole)
        return
    if line.width and seen <= most:
        lines.append(TextLine())
        _add(lines[-1], span, whole)
        return
    piece = ""
    for each in _clusters(span.text):
        if piece or lines[-1].width:
            have = lines[-1].width + width(piece, span.face, size)
            if have + width(each, span.face, size) > most:
                _add(lines[-1], replace(span, text=piece), width(piece, span.face, size))
                lines.append(TextLine())
                piece = ""
        piece += each
    _add(lines[-1], replace(span, text=piece), width(piece, span.face, size))


def _clusters(text: str) -> list[str]:
    """Characters with the marks upon them."""
    found: list[str] = []
    for each in text:
        if found and (unicodedata.combining(each) or each in "\u200d\ufe0f"):
            found[-1] += each
        else:
            found.append(each)
    return found


def _add(line: TextLine, span: Span, wide: float) -> None:
    line.width += wide
    if not span.text:
        return
    last = line.spans[-1] if line.spans else None
    if last is not None and replace(last, text="") == replace(span, text=""):
        line.spans[-1] = replace(last, text=last.text + span.text)
    else:
        line.spans.append(span)
