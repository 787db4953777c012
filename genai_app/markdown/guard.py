"""A safe size for untrusted Markdown, before anything renders it.

Parsers of Markdown recurse over nesting and are quadratic in emphasis, links, tables and more, so
that a few kilobytes can freeze a browser or crash a page. What is over a bound here is put into a
fenced block: every renderer shows that as plain text, and nothing of it is lost. `displayed` is
what the page and documents read; what else it changes is in normal.py.

The renderers must not parse HTML (docs/adr/0008): this module does not know HTML blocks.
"""

import re
from dataclasses import dataclass, replace
from itertools import groupby, islice
from math import inf
from unicodedata import category

from genai_app.markdown.formulas import Allowance
from genai_app.markdown.normal import labels_referred, normalised
from genai_app.markdown.parts import Part, parts_of

PLAIN = "text"  # the language of the blocks that are made here; no renderer highlights it

# What rendering costs in a browser, in microseconds: see docs/performance.md.
BUDGET = 200_000.0
CHAR, SPACE, CODE_CHAR, PLAIN_CHAR = 0.2, 3.7, 1.0, 0.02
PLAIN_LINE = 16.0
LINE, BLOCK, CELL = 80.0, 320.0, 80.0
CODE_BLOCK = 3000.0
LINE_IN_CONTAINER = 4.0  # for each quote or list around it
RUN, SMALL, LINK = 40.0, 45.0, 300.0
PAIR = 0.03  # of two marks in one part: parsers go through all marks for each
HIGHLIGHTED_CHARS = 8000  # code that is longer is shown without colours

MAX_CONTAINERS = 32
MAX_INLINE = 32
LONG_RUN = 16
MAX_RUNS = int(BUDGET / RUN)
MAX_DEFINITION = 2000
MAX_MARKS = 30  # accents one over the other: what shapes a text is quadratic in them
MAX_PLAIN_LINES = 12_000
MIN_PLAIN_LINES = 1000  # also when the budget is spent
BASE, LINE_END = "\u25cc", "\u00b6"  # a dotted circle carries a mark without a letter

# the quotes and list items that a line begins with, and the blanks between them
_PREFIX = re.compile(r"(?:[ \t]+|>|(?:[-*+]|\d{1,9}[.)])(?=[ \t]|$))*")
_MAYBE_MARKS = re.compile(rf"[^\w\s\x00-\u02ff]{{{MAX_MARKS + 1},}}")
_RULE = re.compile(r"[ \t]*([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_NOT_IN_DELIMITER_ROW = re.compile(r"[^-|: \t>*+\d.)]")
_DEFINITION = re.compile(r"[ \t>]*\[[^\]]+\]:")
_NEW_BLOCK = re.compile(r" {0,3}(?:(?:[-*+]|1[.)])[ \t]+\S|#{1,6}[ \t])")
_RUNS = re.compile(r"([*_~])\1*")
_MARKS = re.compile(r"([*_~])\1*|[\[\]]")
_TICKS = re.compile(r"`+")
_SMALL = ("&", "<", "!", ":", "\\", "$", "[", "]")
_LINKS = ("](", "][", "[^", "]:", "@", "www.", "://")


@dataclass(frozen=True, slots=True)
class GuardedText:
    """Markdown that is safe to render.

    Args:
        left_plain: a part is shown as it was written, because its formatting is too complex or
            the text is too long.
        cost: what rendering it takes, of the budget.
    """

    text: str
    left_plain: bool = False
    cost: float = 0.0


def displayed(text: str, budget: float = BUDGET) -> GuardedText:
    """Returns what a page or a document renders: guarded, and the same to all of our readers."""
    safe = guarded(with_bounded_marks(text), budget)
    markdown = _with_line_feeds(safe.text)
    parts = parts_of(markdown) or [Part(markdown, None, markdown)]
    allowance = Allowance(max(budget - safe.cost, 0.0))
    referred = labels_referred(markdown)
    shown: list[str] = []
    for is_prose, group in groupby(parts, key=lambda part: part.language is None):
        whole = "".join(part.text for part in group)
        shown.append(normalised(whole, allowance, referred) if is_prose else whole)
    if (joined := "".join(shown)) == markdown:
        return safe
    return replace(safe, text=joined, cost=safe.cost + allowance.spent)


def guarded(text: str, budget: float = BUDGET) -> GuardedText:
    """Returns `text` with every part that is too much for a renderer in a fenced block.

    What is within the bounds comes back unchanged. Once the whole budget is spent, all that is left
    becomes one block. A second call changes nothing.
    """
    written, text = text, _with_line_feeds(text)
    parts = parts_of(text)
    if parts is None:  # fences that only a parser understands
        cost = _cost(text)
        if cost <= budget:
            return GuardedText(written, cost=cost)
        block, cost = _plain(text, budget)
        return GuardedText(block, left_plain=True, cost=cost)
    kept: list[str] = []
    spent, left_plain = 0.0, False
    for index, part in enumerate(parts):
        cost = part_cost(part)
        alone = cost > BUDGET and part.language != PLAIN
        if alone:
            cost = _plain_cost(part.text)
        if spent + cost > budget and part.language != PLAIN:
            block, cost = _plain("".join(each.text for each in parts[index:]), budget - spent)
            kept.append(block)
            return GuardedText("".join(kept), left_plain=True, cost=spent + cost)
        spent += cost
        left_plain = left_plain or alone
        kept.append(plain_block(part.text) if alone else part.text)
    return GuardedText("".join(kept) if left_plain else written, left_plain, spent)


def _plain(text: str, budget: float) -> tuple[str, float]:
    """Returns `text` as one plain block of as many lines as the budget allows, and its cost."""
    lines = max(int((budget - BLOCK) / PLAIN_LINE), MIN_PLAIN_LINES)
    return plain_block(text, lines), _plain_cost(text, lines)


def _with_line_feeds(text: str) -> str:
    """Returns the text as Markdown reads it: three ways to end a line are one."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def with_bounded_marks(text: str) -> str:
    """Returns the text with a dotted circle in long runs of combining marks (Unicode's M)."""
    if text.isascii():
        return text
    return _MAYBE_MARKS.sub(lambda match: _bounded_marks(match[0]), text)


def _bounded_marks(run: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in run:
        marks = marks + 1 if category(char).startswith("M") else 0
        if marks > MAX_MARKS:
            kept.append(BASE)
            marks = 1
        kept.append(char)
    return "".join(kept)


def plain_block(text: str, most_lines: int = MAX_PLAIN_LINES) -> str:
    """Returns `text` as a fenced block that no renderer formats; blank lines at its end stay.

    Lines past `most_lines` stand in one, with the sign of a line's end between them.
    """
    body = text.rstrip("\n")
    if body.count("\n") > most_lines:
        *lines, rest = body.split("\n", most_lines)
        body = "\n".join([*lines, rest.replace("\n", LINE_END)])
    longest = max((len(ticks) for ticks in _TICKS.findall(body)), default=0)
    fence = "`" * max(3, longest + 1)
    after = text[len(body) :] or "\n"
    return f"{fence}{PLAIN}\n{body}\n{fence}{after}"


def part_cost(part: Part) -> float:
    """Returns roughly how long a browser takes to render the part, in microseconds."""
    if part.language is None:
        return _cost(part.text)
    if part.language == PLAIN or len(part.body) > HIGHLIGHTED_CHARS:
        return _plain_cost(part.body)
    return CODE_BLOCK + CODE_CHAR * len(part.text)


def _plain_cost(text: str, most_lines: int = MAX_PLAIN_LINES) -> float:
    lines = min(text.rstrip("\n").count("\n"), most_lines)
    return BLOCK + PLAIN_LINE * lines + PLAIN_CHAR * len(text.rstrip("\n"))


def _cost(text: str) -> float:
    """Returns the cost of prose; infinite when it is over the budget or nested too deeply."""
    lines = text.count("\n") + 1
    brackets = text.count("[") + text.count("]")
    small = sum(map(text.count, _SMALL))
    cost = CHAR * len(text) + SPACE * text.count(" ") + LINE * lines + SMALL * small
    cost += LINK * sum(map(text.count, _LINKS))
    cost += CODE_BLOCK / 2 * (text.count("```") + text.count("~~~"))
    if cost > BUDGET:
        return inf
    runs = list(islice(_RUNS.finditer(text), MAX_RUNS))
    ticks = [len(run[0]) for run in islice(_TICKS.finditer(text), MAX_RUNS)]
    marks = len(runs) + len(ticks) + small
    cost += RUN * (len(runs) + len(ticks)) + PAIR * marks * marks
    cost += 0.05 * len(set(ticks)) * len(text)
    if cost > BUDGET or any(_is_long(text, *run.span()) for run in runs):
        return inf
    rows = text.split("\n")
    cost += _tables(rows) + _containers(rows)
    if "]:" in text and any(len(row) > MAX_DEFINITION and _DEFINITION.match(row) for row in rows):
        return inf
    if len(runs) + brackets > MAX_INLINE and _inline_depth(rows) > MAX_INLINE:
        return inf
    return cost if cost <= BUDGET else inf


def _is_long(text: str, start: int, end: int) -> bool:
    """Returns whether a run of marks could nest as deep as it is long. It cannot between blanks,
    as in a line to be filled in by hand."""
    around = text[max(start - 1, 0) : start] + text[end : end + 1]
    return end - start > LONG_RUN and bool(around.strip())


def _containers(lines: list[str]) -> float:
    """Returns the cost of blocks, quotes and lists; infinite when they are nested too deeply."""
    cost = deepest = 0
    for line in lines:
        match = _PREFIX.match(line)
        head = match[0].rstrip() if match else ""
        if head:
            cost += BLOCK * max(sum(map(head.count, "-*+.)")), 1)
            levels = head.count(">")
            levels += len(head.replace(">", "").expandtabs(4)) // 2  # a list moves two columns in
            if levels > deepest and not _RULE.match(line):
                deepest = levels
        elif not line or line.isspace() or line.lstrip()[0] == "#":
            cost += BLOCK
    if deepest > MAX_CONTAINERS:
        return inf
    return cost + LINE_IN_CONTAINER * len(lines) * deepest


def _tables(lines: list[str]) -> float:
    """Returns the cost of the cells. The parser fills up each row to the number of columns."""
    cost = columns = 0
    for line in lines:
        if not line or line.isspace():
            columns = 0
        elif "|" in line and "-" in line and not _NOT_IN_DELIMITER_ROW.search(line):
            columns += line.count("|") + 1
        cost += CELL * columns
    return cost


def _inline_depth(lines: list[str]) -> int:
    """Returns at most how deep emphasis and links are nested in one paragraph."""
    deepest = 0
    depth = dict.fromkeys("*_~[", 0)
    for line in lines:
        if not line or line.isspace() or _NEW_BLOCK.match(line):
            depth = dict.fromkeys("*_~[", 0)
        for mark in _MARKS.finditer(line):
            kind = mark[0][0]
            if kind == "]":
                depth["["] -= depth["["] > 0
                continue
            opens, closes = (True, False) if kind == "[" else _flanks(line, *mark.span())
            if closes and depth[kind]:
                depth[kind] -= 1
            elif opens:
                depth[kind] += 1
                deepest = max(deepest, sum(depth.values()))
    return deepest


def _flanks(line: str, start: int, end: int) -> tuple[bool, bool]:
    """Returns whether a run of emphasis marks may open and may close, by CommonMark's rule."""
    before, after = line[start - 1 : start] or " ", line[end : end + 1] or " "
    opens = not after.isspace() and (after.isalnum() or not before.isalnum())
    closes = not before.isspace() and (before.isalnum() or not after.isalnum())
    return opens, closes
