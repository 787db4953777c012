"""Markdown cut into parts, each rendering the same alone as within the whole text.

A part of code is one fenced block at the left margin. A part of prose is everything else, cut at
blank lines. Where the end of a fence depends on lists or quotes that only a parser knows, the
scanner says so instead of guessing: text taken for code is not checked by the text guard.
"""

import re
from dataclasses import dataclass

PART_CHARS = 1000  # shorter neighbours share a part
MAX_FENCES = 300

_FENCE = re.compile(
    r"^([ \t]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t]++){0,32}+)(?:(`{3,})([^`\n]*)|(~{3,})([^\n]*))$", re.M
)
_MARKER = re.compile(r"[-*+.)]")
_BLANK = re.compile(r"\n[ \t\n]*\n")
_BLANK_LINES = re.compile(r"(?:[ \t]*\n)+")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the text with the blank lines after it.

    Args:
        language: the info string of a fenced block; None for prose.
        body: the code of a fenced block; for prose the text itself.
    """

    text: str
    language: str | None
    body: str


@dataclass(frozen=True, slots=True)
class _Code:
    start: int
    end: int
    language: str
    body_start: int
    body_end: int


def parts_of(text: str) -> list[Part] | None:
    """Returns the parts in order; joined they are `text`. None when fences are ambiguous, or too
    many. Lines must end in `\n`."""
    scan = _Scan(text)
    if not scan.run():
        return None
    parts: list[Part] = []
    done = 0
    for code in scan.codes:
        parts += _prose(text, done, code.start, scan.kept)
        done = _after_blank_lines(text, code.end)
        body = text[code.body_start : code.body_end]
        parts.append(Part(text[code.start : done], code.language, body))
    parts += _prose(text, done, len(text), scan.kept)
    return parts


class _Scan:
    """Finds the fenced blocks: `codes` at the left margin, and `kept`, spans of indented ones."""

    def __init__(self, text: str) -> None:
        self.codes: list[_Code] = []
        self.kept: list[tuple[int, int]] = []
        self._text = text
        self._without_end = ""  # nothing after the present place closes such a fence

    def run(self) -> bool:
        """Returns False when where a block ends is ambiguous."""
        if "```" not in self._text and "~~~" not in self._text:
            return True
        position = 0
        for _ in range(MAX_FENCES):
            opening = _FENCE.search(self._text, position)
            if opening is None:
                return True
            if opening[1]:
                end = self._indented_end(opening)
                if end is None:
                    return False
                self.kept.append((opening.start(), end))
            else:
                closing = self._closing(opening, " {0,3}")
                body_end = closing.start() if closing else len(self._text)
                end = min(closing.end() + 1, len(self._text)) if closing else len(self._text)
                body_start = min(opening.end() + 1, len(self._text))
                language = (opening[3] or opening[5] or "").strip()
                self.codes.append(_Code(opening.start(), end, language, body_start, body_end))
            position = end
        return _FENCE.search(self._text, position) is None

    def _closing(self, opening: re.Match[str], indent: str) -> re.Match[str] | None:
        mark = opening[2] or opening[4]
        if self._without_end and mark.startswith(self._without_end):
            return None
        pattern = rf"^({indent}){mark[0]}{{{len(mark)},}}[ \t]*$"
        closing = re.compile(pattern, re.M).search(self._text, opening.end())
        if closing is None and "*" in indent:
            self._without_end = mark
        return closing

    def _indented_end(self, opening: re.Match[str]) -> int | None:
        """Returns where an indented block ends; None where only a parser can know.

        It is certain when each line until the closing fence is blank or indented at least as far,
        or when a line at the left margin ends the list item that the block stands in.
        """
        indent, width = opening[1], len(opening[1])
        if "\t" in indent:
            return None
        closing = self._closing(opening, r"[ \t]*")
        stop = closing.start() if closing else len(self._text)
        shallow = re.compile(rf"^ {{0,{width - 1}}}[^ \n]", re.M)
        outside = shallow.search(self._text, opening.end(), stop)
        if outside is None and closing and len(closing[1]) < width:
            outside = closing
        if outside is None:
            inside = closing is None or (len(closing[1]) <= width + 3 and "\t" not in closing[1])
            return (closing.end() if closing else stop) if inside else None
        in_item = width > 3 or _MARKER.search(indent)
        at_margin = self._text[outside.start()] != " "
        return outside.start() if in_item and at_margin else None


def _prose(text: str, start: int, end: int, kept: list[tuple[int, int]]) -> list[Part]:
    """Returns prose cut at blank lines, never inside an indented fenced block."""
    parts: list[Part] = []
    while start < end:
        cut = _cut(text, start, end, kept)
        parts.append(Part(text[start:cut], None, text[start:cut]))
        start = cut
    return parts


def _cut(text: str, start: int, end: int, kept: list[tuple[int, int]]) -> int:
    """Returns the end of the prose part that begins at `start`."""
    position = start + PART_CHARS
    while position < end:
        blank = _BLANK.search(text, position, end)
        if blank is None:
            return end
        around = next((stop for begin, stop in kept if begin < blank.end() <= stop), None)
        if around is None:
            # the last match of the pattern ends at the line break: the next line keeps its indent
            return blank.end()
        position = around
    return end


def _after_blank_lines(text: str, position: int) -> int:
    blank = _BLANK_LINES.match(text, position)
    return blank.end() if blank else position
