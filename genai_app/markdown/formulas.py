r"""Formulas in Markdown, kept as they were typed.

Markdown takes `\(` for an escaped bracket and a formula's `_` and `*` for emphasis. Until formulas
are drawn, their source is shown, so what Markdown would change in it is escaped. Code stays as it
is.
"""

import re
from bisect import bisect_right
from typing import NamedTuple

_LINE_HEAD = re.compile(r"([ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(`{3,}[^`]*$|~{3,})?")
_MARKER = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]")
_DELIMITER_ROW = re.compile(r"^[|: \t>-]*-[|: \t>-]*$", re.M)
_TOKEN = re.compile(r"`+|\\[\s\S]|\$+")
_CLOSING = {r"\(": r"\)", r"\[": r"\]", "$$": "$$", "$": "$"}
_KEPT = frozenset([r"\\", r"\{", r"\}", r"\(", r"\)", r"\[", r"\]"])
_SPECIAL = re.compile(r"[\\`*_\[\]~&<]")
_LINE_START = re.compile(r"^([ \t]*)(\d{0,9})([#+=>:|.)-])")
_QUOTE = re.compile(r"(?:[ \t]*>[ \t]?)*")
_UNESCAPED_PIPE = re.compile(r"\n|(?<!\\)\|")
_DISPLAY_START = re.compile(r"[ \t>]*(?:\$\$|\\\[)")
_TEX = re.compile(r"[\\^_{]")
_DOLLAR_CHARS = 500


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def with_literal_formulas(text: str) -> str:
    r"""Returns Markdown in which `\(x\)`, `\[x\]`, `$$x$$`, `$x_1$`, `\\`, `\{` and `\}` are shown
    as they are written. Lines must end in `\n`."""
    if "\\" not in text and "$" not in text:
        return text
    done: list[str] = []
    paragraph: list[str] = []
    fence = ""
    displays = 0
    content = 0  # the column at which the text of the current list item begins
    for line in text.split("\n"):
        head = _LINE_HEAD.match(line)
        before, mark = (head[1], head[2] or "") if head else ("", "")
        if fence or mark or not line.strip():
            _flush(paragraph, done)
            done.append(line)
            if mark and not fence:
                fence = mark[: len(mark) - len(mark.lstrip(mark[0]))]
            elif mark and mark.startswith(fence) and not mark.strip(fence[0] + " \t"):
                fence = ""
            continue
        indent = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())
        if not paragraph and indent >= content + 4:
            done.append(line)  # indented code
            continue
        if _MARKER.search(before) and not (paragraph and displays):
            _flush(paragraph, done)
            displays = 0
            content = len(before.expandtabs(4))
        elif not paragraph and indent < content:
            content = 0
        displays = _open_displays(line, displays if paragraph else 0)
        paragraph.append(line)
    _flush(paragraph, done)
    return "\n".join(done)


def _open_displays(line: str, before: int) -> int:
    """Returns how many formulas of several lines are open after `line`; a list mark in them is a
    minus sign."""
    if not before and not _DISPLAY_START.match(line):
        return 0
    dollars = line.count("$$") % 2
    return max(
        before + line.count(r"\[") - line.count(r"\]") + (-dollars if before else dollars), 0
    )


def _flush(paragraph: list[str], done: list[str]) -> None:
    if paragraph:
        done.append(_protected("\n".join(paragraph)))
        paragraph.clear()


def _protected(text: str) -> str:
    """Returns a paragraph with its formulas and single backslashes escaped."""
    tokens = [_Token(match[0], *match.span()) for match in _TOKEN.finditer(text)]
    if not tokens:
        return text
    places: dict[str, list[int]] = {}
    for number, token in enumerate(tokens):
        places.setdefault(token.text, []).append(number)
    in_table = "|" in text and bool(_DELIMITER_ROW.search(text))
    done: list[str] = []
    start = number = 0
    while number < len(tokens):
        token = tokens[number]
        done.append(text[start : token.start])
        start = token.end
        closing = _next(places, token, number)
        if closing and token.text[0] == "`":
            start = tokens[closing].end
            done.append(text[token.start : start])
            number = closing
        elif closing and _is_formula(text, token, tokens[closing], in_table):
            start = tokens[closing].end
            display = token.text in (r"\[", "$$") and not in_table
            done.append(_literal(text, token.start, start, display=display))
            number = closing
        else:
            done.append(_escaped(token.text))
        number += 1
    done.append(text[start:])
    return "".join(done)


def _escaped(token: str) -> str:
    r"""Returns a pair such that it is shown as written; `\*` and the like are Markdown's own."""
    return _SPECIAL.sub(r"\\\g<0>", token) if token in _KEPT else token


def _next(places: dict[str, list[int]], token: _Token, number: int) -> int | None:
    """Returns the number of the token that closes this one."""
    closing = token.text if token.text[0] == "`" else _CLOSING.get(token.text)
    numbers = places.get(closing, []) if closing else []
    index = bisect_right(numbers, number)
    return numbers[index] if index < len(numbers) else None


def _is_formula(text: str, opening: _Token, closing: _Token, in_table: bool) -> bool:
    inner = text[opening.end : closing.start]
    if not inner.strip() or (in_table and _UNESCAPED_PIPE.search(inner)):
        return False
    if opening.text != "$":
        return True
    around = text[opening.start - 1 : opening.start], text[closing.end : closing.end + 1]
    return (
        len(inner) <= _DOLLAR_CHARS
        and "\n" not in inner
        and not inner[0].isspace()
        and not inner[-1].isspace()
        and not around[0].isalnum()
        and not around[1].isdigit()
        and bool(_TEX.search(inner))
    )


def _literal(text: str, start: int, end: int, *, display: bool) -> str:
    """Returns the source of a formula such that Markdown shows it unchanged.

    Args:
        display: its line breaks are shown too.
    """
    first, *others = text[start:end].split("\n")
    lines = [_SPECIAL.sub(r"\\\g<0>", first)]
    quoted = bool(others) and ">" in text[text.rfind("\n", 0, start) + 1 : start]
    for line in others:
        marks = _QUOTE.match(line) if quoted else None
        head = marks[0] if marks else ""
        rest = _SPECIAL.sub(r"\\\g<0>", line[len(head) :])
        lines.append(head + _LINE_START.sub(r"\1\2\\\3", rest))
    return ("\\\n" if display else "\n").join(lines)
