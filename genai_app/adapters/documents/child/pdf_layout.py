"""Puts the cells of a table on a page of a PDF back into rows."""

import ctypes
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import pypdfium2.raw  # pyright: ignore[reportMissingTypeStubs]

_raw: Any = pypdfium2.raw
_MAX_RUNS = 2000  # of a page
_WIDE = 0.3  # of the page: two such runs side by side are columns of prose
_MIN_ROWS = 2
_BULLET = 9.0  # points: narrower beginnings of a line mark an item of a list
_GAP = 0.8  # of the height of the letters: between two cells


class _Run(NamedTuple):
    """Letters that stand together, in points."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2


def table_lines(letters: Any, width: float) -> str | None:
    """Returns the text of a page with the rows of its tables in lines; None if it has no table.

    Args:
        letters: PDFium's text of the page.
        width: of the page.
    """
    count = _raw.FPDFText_CountRects(letters.raw, 0, -1)
    if not 4 <= count <= _MAX_RUNS:
        return None
    lines = _lines([_run(letters, index) for index in range(count)])
    starts = {round(run.left) for line in lines for run in _after_gaps(line)}
    cells = [_cells(line, starts) for line in lines]
    rows = sum(_is_row(each, width) for each in cells)
    prose = sum(_is_prose(each, width) for each in cells)
    if prose > max(rows, _MIN_ROWS) and prose > 0.5 * len(cells):
        return _columns_of_prose(letters, cells, width)
    if rows < _MIN_ROWS or rows < 0.2 * len(cells) or prose > rows:
        return None
    blocks: list[str] = []
    for is_row, group in groupby(cells, lambda each: _is_row(each, width)):
        members = list(group)
        columns = _columns(members) if is_row else []
        blocks += [_line_text(letters, each, columns) for each in members]
    return "\n".join(blocks)


def _run(letters: Any, index: int) -> _Run:
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    _raw.FPDFText_GetRect(letters.raw, index, left, top, right, bottom)
    return _Run(left.value, bottom.value, right.value, top.value)


def _lines(runs: list[_Run]) -> list[list[_Run]]:
    """Returns the runs from top to bottom, those of one line together."""
    lines: list[list[_Run]] = []
    for run in sorted(runs, key=lambda run: -run.middle):
        if lines and run.top > lines[-1][0].middle > run.bottom:
            lines[-1].append(run)
        else:
            lines.append([run])
    return [sorted(line) for line in lines]


def _is_near(run: _Run, before: _Run) -> bool:
    """Returns whether only a space is between two runs."""
    return run.left - before.right < _GAP * max(run.top - run.bottom, 4.0)


def _after_gaps(line: list[_Run]) -> list[_Run]:
    """Returns the runs that begin after a gap: their cells begin where those of other rows do."""
    return [run for before, run in pairwise(line) if not _is_near(run, before)]


def _cells(line: list[_Run], starts: set[int]) -> list[_Run]:
    """Returns runs joined where only a space is between them, and no column begins there."""
    cells: list[_Run] = []
    for run in line:
        begins = not starts.isdisjoint(range(round(run.left) - 1, round(run.left) + 2))
        if cells and _is_near(run, cells[-1]) and not begins:
            last = cells[-1]
            cells[-1] = _Run(
                last.left,
                min(last.bottom, run.bottom),
                max(last.right, run.right),
                max(last.top, run.top),
            )
        else:
            cells.append(run)
    return cells


def _columns_of_prose(letters: Any, cells: list[list[_Run]], width: float) -> str:
    """Returns the lines of the left column, then those of the right one."""
    blocks: list[str] = []
    for is_prose, group in groupby(cells, lambda each: _is_prose(each, width)):
        members = list(group)
        if is_prose:
            blocks += [_line_text(letters, [line[side]], []) for side in (0, 1) for line in members]
        else:
            blocks += [_line_text(letters, line, []) for line in members]
    return "\n".join(blocks)


def _columns(rows: list[list[_Run]]) -> list[_Run]:
    """Returns for each column the area that its cells take in the rows that have most cells."""
    most = max(map(len, rows))
    full = [row for row in rows if len(row) == most]
    return [
        _Run(min(c.left for c in cells), 0.0, max(c.right for c in cells), 0.0)
        for cells in zip(*full, strict=True)
    ]


def _is_prose(cells: list[_Run], width: float) -> bool:
    """Returns whether a line is one of two columns of text."""
    return len(cells) == 2 and all(cell.right - cell.left > _WIDE * width for cell in cells)


def _is_row(cells: list[_Run], width: float) -> bool:
    is_bullet = len(cells) == 2 and cells[0].right - cells[0].left < _BULLET
    return len(cells) > 1 and not is_bullet and not _is_prose(cells, width)


def _line_text(letters: Any, cells: list[_Run], columns: list[_Run]) -> str:
    texts = [
        " ".join(letters.get_text_bounded(c.left - 0.5, c.bottom, c.right + 0.5, c.top).split())
        for c in cells
    ]
    if not columns:
        return " ".join(texts)
    row = [""] * len(columns)
    if len(cells) == len(columns):
        row = texts
    else:
        for cell, text in zip(cells, texts, strict=True):
            nearest = min(range(len(columns)), key=lambda n: _distance(cell, columns[n]))
            row[nearest] = f"{row[nearest]} {text}".strip()
    return f"| {' | '.join(row)} |"


def _distance(cell: _Run, column: _Run) -> float:
    """Returns how far a cell is from a column: below 0 if they overlap."""
    return max(cell.left, column.left) - min(cell.right, column.right)
