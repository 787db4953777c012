"""Lays out dialogs on pages: titles, speakers, and blocks of text, code and tables."""

from itertools import groupby
from pathlib import Path

from genai_app.services.exports.pdf.blocks import Block, Span
from genai_app.services.exports.pdf.fonts import Face, width
from genai_app.services.exports.pdf.lines import TextLine, break_lines
from genai_app.services.exports.pdf.page import (
    ACCENT,
    INK,
    MARGIN,
    MUTED,
    PAGE_WIDTH,
    RULE,
    SURFACE,
    PdfPages,
)

SIZE, LEADING = 10.0, 1.5
CODE_SIZE, CODE_LEADING = 8.5, 1.45
CELL_SIZE, CELL_LEADING = 9.0, 1.4
MAX_ROW_LINES = 40  # of a table; a page holds that many
HEADING_SIZES = (15.0, 13.0, 11.5, 10.5, 10.0, 10.0)
INDENT = 16.0  # of a list or quote within another
GAP = 7.0
PAD = 8.0


class Document:
    """A PDF file of dialogs. Arguments: see PdfPages."""

    def __init__(self, path: Path, title: str, foot: str, locale: str) -> None:
        self._pages = PdfPages(path, title, foot, locale)

    def title(self, text: str, under: str) -> None:
        """Begins a dialog on a new page: its title, and a line about it."""
        pages = self._pages
        if not pages.blank:
            pages.turn()
        pages.draw_lines(
            break_lines([Span(text, Face.BOLD)], pages.width_from(0), 18), 0, 18, 1.3, INK
        )
        if under:
            pages.y -= 3
            pages.draw_lines(break_lines([Span(under)], pages.width_from(0), 9), 0, 9, 1.5, MUTED)
        pages.y -= 8
        self._rule()
        pages.y -= 6

    def speaker(self, name: str, about: str, *, asks: bool) -> None:
        """Begins a message: the name of its author, and beside it the time and the model."""
        pages = self._pages
        pages.y -= 6
        pages.make_room(60)  # a name does not stand alone at the end of a page
        lines = break_lines([Span(name, Face.BOLD)], pages.width_from(0), 9.5)
        start = pages.y
        pages.draw_lines(lines[:1], 0, 9.5, 1.6, ACCENT if asks else INK)
        if about:
            left = MARGIN + lines[0].width + 8
            room = PAGE_WIDTH - MARGIN - left
            line = break_lines([Span(about)], room, 8.5)[0]
            pages.draw_line(line, left, start - 9.5 * 1.15, 8.5, MUTED)

    def blocks(self, blocks: list[Block]) -> None:
        """Adds the text of a message."""
        for is_row, group in groupby(blocks, key=lambda block: block.kind == "row"):
            if is_row:
                self._table(list(group))
                continue
            depth = 0
            for block in group:
                if block.tight and block.depth > depth == 0:
                    self._pages.y -= GAP / 2  # a list begins
                depth = block.depth
                self._block(block)
        self._pages.y -= GAP

    def note(self, text: str) -> None:
        """Adds a remark about an answer, such as that it was stopped."""
        pages = self._pages
        lines = break_lines([Span(text, slanted=True)], pages.width_from(0), 9)
        pages.draw_lines(lines, 0, 9, 1.5, MUTED)
        pages.y -= GAP

    def save(self) -> None:
        self._pages.save()

    def _rule(self) -> None:
        self._pages.stroke(MARGIN, PAGE_WIDTH - MARGIN, self._pages.y, 0.8, RULE)

    def _block(self, block: Block) -> None:
        pages = self._pages
        left = block.depth * INDENT
        if block.kind == "rule":
            pages.y -= GAP
            self._rule()
            pages.y -= GAP
            return
        pages.y -= 2 if block.tight else GAP
        if block.kind == "code":
            self._code(block, left)
            return
        size = HEADING_SIZES[block.level - 1] if block.kind == "heading" else SIZE
        if block.kind == "heading":
            pages.y -= 3
            pages.make_room(size * 4)
        lines = break_lines(block.spans, pages.width_from(left), size)
        if block.marker:
            pages.make_room(size * LEADING)
            marker = TextLine([Span(block.marker)])
            x = MARGIN + left - width(block.marker, Face.TEXT, size) - 5
            pages.draw_line(marker, x, pages.y - size * 1.1, size, MUTED)
        color = MUTED if block.quoted else INK
        pages.draw_lines(lines, left, size, LEADING, color, quoted=block.quoted)

    def _code(self, block: Block, left: float) -> None:
        pages = self._pages
        lines = break_lines(block.spans, pages.width_from(left) - 2 * PAD, CODE_SIZE)
        pages.y -= 2
        for index, line in enumerate(lines):
            above = PAD if index == 0 else 0.0
            below = PAD if index == len(lines) - 1 else 0.0
            height = CODE_SIZE * CODE_LEADING + above + below
            pages.make_room(height)
            # half a point over the line before, so that no hairline shows between them
            overlap = 0.0 if index == 0 or pages.blank else 0.5
            bottom = pages.y - height
            pages.fill(MARGIN + left, bottom, pages.width_from(left), height + overlap, SURFACE)
            base = pages.y - above - CODE_SIZE * 1.1
            pages.draw_line(line, MARGIN + left + PAD, base, CODE_SIZE, INK)
            pages.move_down(height)
        pages.y -= 3

    def _table(self, rows: list[Block]) -> None:
        left = rows[0].depth * INDENT
        columns = max(row.columns for row in rows)
        if not columns:
            return
        widths = _column_widths(rows, columns, self._pages.width_from(left))
        self._pages.y -= GAP
        for row in rows:
            cells = [
                break_lines(cell, widths[n] - 10, CELL_SIZE) for n, cell in enumerate(row.cells)
            ]
            for part in range(0, max(map(len, cells), default=0), MAX_ROW_LINES):
                lines = [cell[part : part + MAX_ROW_LINES] for cell in cells]
                self._table_row(lines, widths, left, is_head=row.level > 0)
        self._pages.y -= 3

    def _table_row(
        self, cells: list[list[TextLine]], widths: list[float], left: float, *, is_head: bool
    ) -> None:
        pages = self._pages
        line_height = CELL_SIZE * CELL_LEADING
        height = max([1, *map(len, cells)]) * line_height + 8
        pages.make_room(height)
        bottom = pages.y - height
        if is_head:
            pages.fill(MARGIN + left, bottom, sum(widths), height, SURFACE)
        x = MARGIN + left
        for cell, column_width in zip(cells, widths, strict=False):  # a row may have fewer cells
            y = pages.y - 4 - CELL_SIZE * 1.05
            for line in cell:
                pages.draw_line(line, x + 5, y, CELL_SIZE, INK)
                y -= line_height
            x += column_width
        pages.stroke(MARGIN + left, MARGIN + left + sum(widths), bottom, 0.6, RULE)
        pages.move_down(height)


def _column_widths(rows: list[Block], columns: int, available: float) -> list[float]:
    """Returns the widths of the columns: those of their longest lines; where that is too much, the
    columns that are wider than an equal share are made narrower."""
    wanted = [12.0] * columns
    for row in rows:
        for n, cell in enumerate(row.cells):
            if cell:
                lines = break_lines(cell, float("inf"), CELL_SIZE)
                wanted[n] = max(wanted[n], *(line.width for line in lines))
    wanted = [each + 12 for each in wanted]
    if sum(wanted) <= available:
        return wanted
    share = available / columns
    left = available - sum(each for each in wanted if each <= share)
    wide = sum(each for each in wanted if each > share)
    return [each if each <= share else left * each / wide for each in wanted]
