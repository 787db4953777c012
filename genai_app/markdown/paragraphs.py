"""Paragraphs and code of Markdown: what is changed in words is not changed in code.

A formula on lines of its own is one paragraph with the blank lines in it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_FORMULA = 1500  # characters; what is longer is no formula

_LINE_HEAD = re.compile(r"([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,}[^`]*$|~{3,})?")
_MARKER = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]")
_DISPLAY_START = re.compile(r"[ \t>]*(?:\$\$|\\\[)")
_DISPLAY_ALONE = re.compile(r"[ \t>]*(\$\$|\\\[)[ \t]*$")
_CLOSING = {"$$": "$$", r"\[": r"\]"}


class Paragraph(NamedTuple):
    """Lines without the last line's end. `is_code`: they are code, or blank."""

    text: str
    is_code: bool


class OpenDisplay:
    r"""A formula that began with `$$` or `\[` alone on its line, until its last line is seen."""

    def __init__(self) -> None:
        self._closing = ""
        self._chars = 0

    def __bool__(self) -> bool:
        return bool(self._closing)

    def see(self, line: str) -> None:
        """Takes the next line. A formula that grows too long is given up, or meets a fence."""
        if not self._closing:
            if opening := _DISPLAY_ALONE.match(line):
                self._closing, self._chars = _CLOSING[opening[1]], 0
            return
        self._chars += len(line) + 1
        fence = "```" in line or "~~~" in line
        if fence or self._closing in line or self._chars > MAX_FORMULA:
            self._closing = ""


def paragraphs(text: str) -> Iterator[Paragraph]:
    r"""Yields what joined by `\n` is the text. Lines must end in `\n`."""
    lines = text.split("\n")
    paragraph: list[str] = []
    fence = ""
    displays = 0
    content = 0  # the column at which the text of the current list item begins
    ends = _display_ends(lines)
    inside = 0  # lines before this one belong to a formula
    for number, line in enumerate(lines):
        if number < inside:
            paragraph.append(line)
            continue
        head = _LINE_HEAD.match(line)
        before, mark = (head[1], head[2] or "") if head else ("", "")
        if fence or mark or not line.strip():
            yield from _taken(paragraph)
            yield Paragraph(line, is_code=True)
            if mark and not fence:
                fence = mark[: len(mark) - len(mark.lstrip(mark[0]))]
            elif mark and mark.startswith(fence) and not mark.strip(fence[0] + " \t"):
                fence = ""
            continue
        indent = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())
        if not paragraph and indent >= content + 4:
            yield Paragraph(line, is_code=True)
            continue
        if _MARKER.search(before) and not (paragraph and displays):
            yield from _taken(paragraph)
            displays = 0
            content = len(before.expandtabs(4))
        elif not paragraph and indent < content:
            content = 0
        displays = _open_displays(line, displays if paragraph else 0)
        paragraph.append(line)
        if number in ends:
            inside, displays = ends[number] + 1, 0
    yield from _taken(paragraph)


def _taken(paragraph: list[str]) -> Iterator[Paragraph]:
    if paragraph:
        yield Paragraph("\n".join(paragraph), is_code=False)
        paragraph.clear()


def _open_displays(line: str, before: int) -> int:
    """Returns how many formulas of several lines are open after `line`; a list mark in them is a
    minus sign."""
    if not before and not _DISPLAY_START.match(line):
        return 0
    dollars = line.count("$$") % 2
    return max(
        before + line.count(r"\[") - line.count(r"\]") + (-dollars if before else dollars), 0
    )


def _display_ends(lines: list[str]) -> dict[int, int]:
    """Returns the last line of each formula that begins alone on a line, by its first one. In one
    pass, however many begin and never end. No formula goes over the line of a fence."""
    ends: dict[int, int] = {}
    begun: dict[str, tuple[int, int]] = {}  # line and character, by what closes the formula
    end = 0
    for number, line in enumerate(lines):
        end += len(line) + 1
        if "```" in line or "~~~" in line:
            begun.clear()
            continue
        closing = next((each for each in begun if each in line), "")
        first, start = begun.pop(closing, (0, 0))
        if closing and end - start <= MAX_FORMULA:
            ends[first] = number
        elif opening := _DISPLAY_ALONE.match(line):
            begun[_CLOSING[opening[1]]] = number, end
    return ends
