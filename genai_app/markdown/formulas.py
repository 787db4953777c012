r"""Formulas in Markdown, for parsers that know none.

Markdown takes `\(` for an escaped bracket and a formula's `_` and `*` for emphasis. Here a formula
becomes a code span, which every parser leaves as it is: a sign that nobody sees, then the formula
as it was typed. The page draws it (components/chat/formula.py), a document shows its source.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from genai_app.markdown.paragraphs import MAX_FORMULA

INLINE, DISPLAY = "\u2061", "\u2062"  # the first character of a formula in the words, or alone
FORMULA, FORMULA_CHAR = 700.0, 8.0  # microseconds that drawing takes: see docs/performance.md

_NOT_IN_DELIMITER_ROW = re.compile(r"[^-|: \t>]")
_TOKEN = re.compile(r"`+|\\[\s\S]|\$+")
_CLOSING = {r"\(": r"\)", r"\[": r"\]", "$$": "$$", "$": "$"}
_KEPT = frozenset([r"\\", r"\{", r"\}", r"\(", r"\)", r"\[", r"\]"])
_SPECIAL = re.compile(r"[\\`*_\[\]~&<]")
_LINE_START = re.compile(r"^([ \t]*)(\d{0,9})([#+=>:|.)-])")
_QUOTE = re.compile(r"(?:[ \t]*>[ \t]?)*")
_UNESCAPED_PIPE = re.compile(r"\n|(?<!\\)\|")
_TEX = re.compile(r"[\\^_{]")
_LATIN = re.compile(r"[A-Za-z0-9\\]")
_COMMENT = re.compile(r"(?<!\\)%.*")
# TeX that multiplies itself, and what is nested
MACRO = r"\\(?:[gex]?def|let|futurelet|(?:re)?newcommand|providecommand)(?![a-zA-Z])"
_NESTING = re.compile(r"\\(?:left|right|begin|end)(?![a-zA-Z])|\\[\s\S]|[{}]")
_OPENING = frozenset(["{", r"\left", r"\begin"])
MAX_NESTING = 40
_DOLLAR_CHARS = 500


@dataclass(slots=True)
class Allowance:
    """How much of the renderer's time formulas may take, in microseconds."""

    left: float
    spent: float = 0.0

    def pays(self, formula: str) -> bool:
        """Takes the formula's cost, if there is as much."""
        cost = FORMULA + FORMULA_CHAR * len(formula)
        if cost > self.left:
            return False
        self.left -= cost
        self.spent += cost
        return True


class Inline(NamedTuple):
    """Part of a paragraph. `fixed`: code, a formula or an escape, which nothing else changes."""

    text: str
    fixed: bool


class _Token(NamedTuple):
    text: str
    start: int
    end: int


def inlines_of(text: str, ticks: int, allowance: Allowance) -> Iterator[Inline]:
    r"""Yields a paragraph in pieces: `\(x\)`, `\[x\]` and `$$x$$` as code spans, `$x_1$`, `\\`,
    `\{` and `\}` such that they are shown as they are written.

    Args:
        ticks: how many backticks stand together nowhere in the whole text.
    """
    tokens = [_Token(match[0], *match.span()) for match in _TOKEN.finditer(text)]
    places: dict[str, list[int]] = {}
    for number, token in enumerate(tokens):
        places.setdefault(token.text, []).append(number)
    in_table = "|" in text and any(map(_is_delimiter_row, text.split("\n")))
    start = number = 0
    while number < len(tokens):
        token = tokens[number]
        if token.start > start:
            yield Inline(text[start : token.start], fixed=False)
        start = token.end
        closing = _next(places, token, number)
        if closing and token.text[0] == "`":
            start = tokens[closing].end
            yield Inline(text[token.start : start], fixed=True)
            number = closing
        elif closing and _is_formula(text, token, tokens[closing], in_table):
            start = tokens[closing].end
            yield Inline(_formula(text, token, start, ticks, allowance, in_table), fixed=True)
            number = closing
        else:
            yield Inline(_escaped(token.text), fixed=True)
        number += 1
    if start < len(text):
        yield Inline(text[start:], fixed=False)


def _is_delimiter_row(line: str) -> bool:
    return "-" in line and not _NOT_IN_DELIMITER_ROW.search(line)


def _formula(
    text: str, opening: _Token, end: int, ticks: int, allowance: Allowance, in_table: bool
) -> str:
    """Returns the code span of a formula; its source where it is too much to be drawn."""
    source = text[opening.start : end]
    display = opening.text == r"\[" or (
        opening.text == "$$" and _is_alone(text, opening.start, end)
    )
    if opening.text == "$" or not _is_drawable(source) or not allowance.pays(source):
        lines = opening.text in (r"\[", "$$") and not in_table
        return _literal(text, opening.start, end, display=lines)
    fence = "`" * ticks
    return f"{fence}{DISPLAY if display else INLINE}{_in_one_line(text, opening.start, end)}{fence}"


def _is_drawable(source: str) -> bool:
    """Returns whether drawing takes no more time than `Allowance` thinks."""
    if len(source) > MAX_FORMULA or re.search(MACRO, source):
        return False
    depth = deepest = 0
    for mark in _NESTING.finditer(source):
        if mark[0] in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif mark[0] in ("}", r"\right", r"\end"):
            depth -= 1
    return deepest <= MAX_NESTING


def _is_alone(text: str, start: int, end: int) -> bool:
    """Returns whether nothing else stands on the lines of the formula."""
    before = text[text.rfind("\n", 0, start) + 1 : start]
    after = text[end:].partition("\n")[0] if end < len(text) else ""
    return not before.strip(" \t>") and not after.strip()


def _in_one_line(text: str, start: int, end: int) -> str:
    """Returns a formula without line breaks, which mean nothing to TeX but at the end of a
    comment; a line that begins with a sign of Markdown would end the code span."""
    source = text[start:end]
    if "\n" not in source:
        return source
    quoted = ">" in text[text.rfind("\n", 0, start) + 1 : start]
    lines = [_COMMENT.sub("", line) for line in source.split("\n")]
    others = (_without_quote(line) if quoted else line for line in lines[1:])
    return " ".join(line.strip() for line in (lines[0], *others) if line.strip())


def _without_quote(line: str) -> str:
    marks = _QUOTE.match(line)
    return line[marks.end() :] if marks else line


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
    if opening.text == "$$":
        even = inner[0].isspace() == inner[-1].isspace()
        return even and bool(_LATIN.search(inner))  # `$$` is also a sign of money
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
