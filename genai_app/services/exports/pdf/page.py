"""Blocks drawn on pages of A4."""

# reportlab has no types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from genai_app.services.exports.pdf.blocks import Block, Span
from genai_app.services.exports.pdf.fonts import Face, font, runs, width
from genai_app.services.exports.pdf.lines import TextLine, broken
from genai_app.services.exports.pdf.writing import drawn_order, is_right

WIDE, HIGH = A4
MARGIN = 56.0
TOP, BOTTOM = HIGH - 56.0, 62.0
SIZE, LEADING = 10.0, 1.5
CODE_SIZE, CODE_LEADING = 8.5, 1.45
HEADING_SIZES = (15.0, 13.0, 11.5, 10.5, 10.0, 10.0)
STEP = 16.0  # of a list or quote within another
GAP = 7.0
PAD = 8.0
INK, MUTED, RULE = HexColor("#1a2021"), HexColor("#5c6769"), HexColor("#dfe3e3")
ACCENT, SURFACE = HexColor("#0b6b63"), HexColor("#f4f5f5")
SLANT = 0.2


class Document:
    """One PDF file.

    Args:
        title: also shown by readers as the title of their window.
        foot: what stands at the left of each page's end.
    """

    def __init__(self, path: Path, title: str, foot: str, locale: str) -> None:
        self._canvas = Canvas(str(path), pagesize=A4, pageCompression=1, lang=locale)
        self._canvas.setTitle(title)
        self._canvas.setCreator("GenAI")
        self._canvas.setProducer("GenAI")
        self._foot = foot
        self._y = TOP
        self._fresh = True  # nothing stands on the page yet

    def title(self, text: str, under: str) -> None:
        """The head of a dialog: on a page of its own."""
        if not self._fresh:
            self._turn()
        self._lines(broken([Span(text, Face.BOLD)], self._most(0), 18), 0, 18, 1.3, INK)
        if under:
            self._y -= 3
            self._lines(broken([Span(under)], self._most(0), 9), 0, 9, 1.5, MUTED)
        self._y -= 8
        self._rule()
        self._y -= 6

    def speaker(self, name: str, about: str, *, asks: bool) -> None:
        """Whose words come next."""
        self._y -= 6
        self._room(60)  # not alone at the end of a page
        spans = [Span(name, Face.BOLD)]
        line = broken(spans, self._most(0), 9.5)
        color = ACCENT if asks else INK
        start = self._y
        self._lines(line[:1], 0, 9.5, 1.6, color)
        if about:
            after = MARGIN + line[0].width + 8
            room = WIDE - MARGIN - after
            self._put(broken([Span(about)], room, 8.5)[0], after, start - 9.5 * 1.15, 8.5, MUTED)

    def blocks(self, blocks: list[Block]) -> None:
        """Paragraphs, lists, code, tables."""
        for is_row, group in groupby(blocks, key=lambda block: block.kind == "row"):
            if is_row:
                self._table(list(group))
                continue
            depth = 0
            for block in group:
                if block.tight and block.depth > depth == 0:
                    self._y -= GAP / 2  # a list begins
                depth = block.depth
                self._block(block)
        self._y -= GAP

    def note(self, text: str) -> None:
        """What became of an answer."""
        self._lines(broken([Span(text, slanted=True)], self._most(0), 9), 0, 9, 1.5, MUTED)
        self._y -= GAP

    def save(self) -> None:
        self._end_page()
        self._canvas.save()

    def _block(self, block: Block) -> None:
        left = block.depth * STEP
        if block.kind == "rule":
            self._y -= GAP
            self._rule()
            self._y -= GAP
            return
        self._y -= 2 if block.tight else GAP
        if block.kind == "code":
            self._code(block, left)
            return
        size = HEADING_SIZES[block.level - 1] if block.kind == "heading" else SIZE
        if block.kind == "heading":
            self._y -= 3
            self._room(size * 4)
        lines = broken(block.spans, self._most(left), size)
        if block.marker:
            self._room(size * LEADING)
            mark = Span(block.marker)
            room = width(block.marker, Face.TEXT, size) + 5
            self._put(TextLine([mark]), MARGIN + left - room, self._y - size * 1.1, size, MUTED)
        color = MUTED if block.quoted else INK
        self._lines(lines, left, size, LEADING, color, quoted=block.quoted)

    def _code(self, block: Block, left: float) -> None:
        lines = broken(block.spans, self._most(left) - 2 * PAD, CODE_SIZE)
        high = CODE_SIZE * CODE_LEADING
        self._y -= 2
        for index, line in enumerate(lines):
            ends = index == len(lines) - 1
            above = PAD if index == 0 else 0.0
            below = PAD if ends else 0.0
            self._room(high + above + below)
            fresh = self._fresh
            box = high + above + below
            self._canvas.setFillColor(SURFACE)
            # half a point over the line before, so that no hair shows between them
            over = 0.0 if index == 0 or fresh else 0.5
            bottom = self._y - box
            self._canvas.rect(MARGIN + left, bottom, self._most(left), box + over, stroke=0, fill=1)
            base = self._y - above - CODE_SIZE * 1.1
            self._put(line, MARGIN + left + PAD, base, CODE_SIZE, INK)
            self._y -= box
            self._fresh = False
        self._y -= 3

    def _table(self, rows: list[Block]) -> None:
        left = rows[0].depth * STEP
        columns = max(row.columns for row in rows)
        if not columns:
            return
        size = 9.0
        whole = self._most(left)
        widths = _column_widths(rows, columns, whole, size)
        self._y -= GAP
        for row in rows:
            cells = [broken(cell, widths[n] - 10, size) for n, cell in enumerate(row.cells)]
            for part in range(0, max(map(len, cells), default=0), 40):  # a page holds that many
                tall = max((len(cell[part : part + 40]) for cell in cells), default=1)
                high = max(tall, 1) * size * 1.4 + 8
                self._room(high)
                if row.level:
                    self._canvas.setFillColor(SURFACE)
                    self._canvas.rect(
                        MARGIN + left, self._y - high, sum(widths), high, stroke=0, fill=1
                    )
                x = MARGIN + left
                for n, cell in enumerate(cells):
                    y = self._y - 4 - size * 1.05
                    for line in cell[part : part + 40]:
                        self._put(line, x + 5, y, size, INK)
                        y -= size * 1.4
                    x += widths[n]
                self._canvas.setStrokeColor(RULE)
                self._canvas.setLineWidth(0.6)
                bottom = self._y - high
                self._canvas.line(MARGIN + left, bottom, MARGIN + left + sum(widths), bottom)
                self._y = bottom
                self._fresh = False
        self._y -= 3

    def _lines(
        self,
        lines: list[TextLine],
        left: float,
        size: float,
        leading: float,
        color: Color,
        *,
        quoted: bool = False,
    ) -> None:
        for line in lines:
            high = size * leading
            self._room(high)
            if quoted:
                self._canvas.setFillColor(RULE)
                self._canvas.rect(MARGIN + left - 10, self._y - high, 2, high, stroke=0, fill=1)
            x = MARGIN + left
            text = "".join(span.text for span in line.spans)
            if is_right(text) and _begins_right(text):
                drawn = sum(
                    width(drawn_order(span.text, span.face), span.face, size) for span in line.spans
                )
                x = WIDE - MARGIN - min(drawn, self._most(left))
            self._put(line, x, self._y - size * 1.1, size, color)
            self._y -= high
            self._fresh = False

    def _put(self, line: TextLine, x: float, y: float, size: float, color: Color) -> None:
        # one object of text a line: readers take the next one for another line
        words = self._canvas.beginText(x, y)
        slanted = False
        for span in line.spans:
            start = x
            words.setFillColor(ACCENT if span.link else color)
            if span.slanted != slanted:
                slanted = span.slanted
                words.setTextTransform(1, 0, SLANT if slanted else 0, 1, x, y)
            for face, piece in runs(drawn_order(span.text, span.face), span.face):
                font(face)
                words.setFont(face.value, size)
                words.textOut(piece)
                x += width(piece, face, size)
            if span.link:
                self._canvas.linkURL(span.link, (start, y - 2, x, y + size), relative=0)
            if span.struck:
                self._canvas.setStrokeColor(color)
                self._canvas.setLineWidth(0.6)
                self._canvas.line(start, y + size * 0.32, x, y + size * 0.32)
        self._canvas.drawText(words)

    def _rule(self) -> None:
        self._canvas.setStrokeColor(RULE)
        self._canvas.setLineWidth(0.8)
        self._canvas.line(MARGIN, self._y, WIDE - MARGIN, self._y)

    def _most(self, left: float) -> float:
        return WIDE - 2 * MARGIN - left

    def _room(self, high: float) -> None:
        """There is room for `high` points; on the next page, if need be."""
        if self._y - high < BOTTOM and not self._fresh:
            self._turn()

    def _turn(self) -> None:
        self._end_page()
        self._y = TOP
        self._fresh = True

    def _end_page(self) -> None:
        number = str(self._canvas.getPageNumber())
        foot = broken([Span(self._foot)], WIDE - 2 * MARGIN - 40, 8)[0]
        self._put(foot, MARGIN, 34, 8, MUTED)
        self._put(
            TextLine([Span(number)]), WIDE - MARGIN - width(number, Face.TEXT, 8), 34, 8, MUTED
        )
        self._canvas.showPage()


def _begins_right(text: str) -> bool:
    return next((is_right(each) for each in text if each.isalpha()), False)


def _column_widths(rows: list[Block], columns: int, whole: float, size: float) -> list[float]:
    """As wide as the cells want; where that is too much, the wide ones give way."""
    wants = [12.0] * columns
    for row in rows:
        for n, cell in enumerate(row.cells):
            wants[n] = max(wants[n], *_line_widths(cell, size)) if cell else wants[n]
    wants = [want + 12 for want in wants]
    if sum(wants) <= whole:
        return wants
    fair = whole / columns
    narrow = [want if want <= fair else 0.0 for want in wants]
    rest = whole - sum(narrow)
    wide = sum(want for want in wants if want > fair)
    return [want if want <= fair else rest * want / wide for want in wants]


def _line_widths(cell: list[Span], size: float) -> Iterator[float]:
    yield 0.0
    for line in broken(cell, float("inf"), size):
        yield line.width
