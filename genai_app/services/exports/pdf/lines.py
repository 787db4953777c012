"""Breaks spans into lines that fit a width. Widths and sizes are in points."""

import re
import unicodedata
from dataclasses import dataclass, field, replace

from genai_app.services.exports.pdf.blocks import Span
from genai_app.services.exports.pdf.fonts import width

# a word with the blanks after it: lines that are broken between words keep every character
_WORD = re.compile(r"[^ \t]*[ \t]*")
TAB = "    "


@dataclass(slots=True)
class TextLine:
    spans: list[Span] = field(default_factory=list[Span])
    width: float = 0.0


def break_lines(spans: list[Span], max_width: float, size: float) -> list[TextLine]:
    """Returns lines no wider than `max_width`. A wider word is broken within."""
    lines = [TextLine()]
    for span in spans:
        for number, part in enumerate(span.text.replace("\t", TAB).split("\n")):
            if number:
                lines.append(TextLine())
            for word in filter(None, _WORD.findall(part)):
                for piece in _breakable(word):
                    _append(lines, replace(span, text=piece), max_width, size)
    return lines


def _breakable(word: str) -> list[str]:
    """Splits a word where a line may end: after each character of a script without blanks."""
    pieces: list[str] = []
    for each in word:
        wide = unicodedata.east_asian_width(each) in "WF" and each.isalpha()
        if pieces and not wide:
            pieces[-1] += each
        else:
            pieces.append(each)
    return pieces


def _append(lines: list[TextLine], span: Span, max_width: float, size: float) -> None:
    """Appends a word to the last line or to a new one."""
    line = lines[-1]
    full_width = width(span.text, span.face, size)
    visible_width = width(span.text.rstrip(" "), span.face, size)  # blanks at the end need no room
    if line.width + visible_width <= max_width:
        _add(line, span, full_width)
        return
    if line.width and visible_width <= max_width:
        lines.append(TextLine())
        _add(lines[-1], span, full_width)
        return
    piece = ""
    for each in _clusters(span.text):
        if piece or lines[-1].width:
            used = lines[-1].width + width(piece, span.face, size)
            if used + width(each, span.face, size) > max_width:
                _add(lines[-1], replace(span, text=piece), width(piece, span.face, size))
                lines.append(TextLine())
                piece = ""
        piece += each
    _add(lines[-1], replace(span, text=piece), width(piece, span.face, size))


def _clusters(text: str) -> list[str]:
    """Splits a text into characters, each with its combining marks."""
    clusters: list[str] = []
    for each in text:
        if clusters and (unicodedata.combining(each) or each in "\u200d\ufe0f"):
            clusters[-1] += each
        else:
            clusters.append(each)
    return clusters


def _add(line: TextLine, span: Span, span_width: float) -> None:
    line.width += span_width
    if not span.text:
        return
    last = line.spans[-1] if line.spans else None
    if last is not None and replace(last, text="") == replace(span, text=""):
        line.spans[-1] = replace(last, text=last.text + span.text)
    else:
        line.spans.append(span)
