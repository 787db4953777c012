"""Pages of A4 with a write position that moves down. Lengths are in points."""

# reportlab has no types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false

from pathlib import Path

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from genai_app.services.exports.pdf.blocks import Span
from genai_app.services.exports.pdf.fonts import Face, font, runs, width
from genai_app.services.exports.pdf.lines import TextLine, break_lines
from genai_app.services.exports.pdf.writing import has_right_to_left, visual_order

PAGE_WIDTH, PAGE_HEIGHT = A4
MARGIN = 56.0
TOP, BOTTOM = PAGE_HEIGHT - 56.0, 62.0
INK, MUTED, RULE = HexColor("#1a2021"), HexColor("#5c6769"), HexColor("#dfe3e3")
ACCENT, SURFACE = HexColor("#0b6b63"), HexColor("#f4f5f5")
SLANT = 0.2


class PdfPages:
    """The pages of one file.

    Attributes:
        y: the write position, measured from the lower edge.
        blank: nothing is drawn on the page yet.

    Args:
        title: readers show it as the title of their window.
        foot: the text at the left of each page's foot.
    """

    def __init__(self, path: Path, title: str, foot: str, locale: str) -> None:
        self._canvas = Canvas(str(path), pagesize=A4, pageCompression=1, lang=locale)
        self._canvas.setTitle(title)
        self._canvas.setCreator("GenAI")
        self._canvas.setProducer("GenAI")
        self._foot = foot
        self.y = TOP
        self.blank = True

    def width_from(self, left: float) -> float:
        """Returns the width between an indent of `left` and the right margin."""
        return PAGE_WIDTH - 2 * MARGIN - left

    def make_room(self, height: float) -> None:
        """Turns the page when fewer than `height` points are left on it."""
        if self.y - height < BOTTOM and not self.blank:
            self.turn()

    def move_down(self, height: float) -> None:
        """Moves the write position below something that was drawn."""
        self.y -= height
        self.blank = False

    def turn(self) -> None:
        self._end_page()
        self.y = TOP
        self.blank = True

    def save(self) -> None:
        self._end_page()
        self._canvas.save()

    def draw_lines(
        self,
        lines: list[TextLine],
        left: float,
        size: float,
        leading: float,
        color: Color,
        *,
        quoted: bool = False,
    ) -> None:
        """Draws lines one below the other; those that begin from right to left at the right."""
        for line in lines:
            height = size * leading
            self.make_room(height)
            if quoted:
                self.fill(MARGIN + left - 10, self.y - height, 2, height, RULE)
            x = MARGIN + left
            text = "".join(span.text for span in line.spans)
            if has_right_to_left(text) and _begins_right(text):
                drawn = sum(
                    width(visual_order(span.text, span.face), span.face, size)
                    for span in line.spans
                )
                x = PAGE_WIDTH - MARGIN - min(drawn, self.width_from(left))
            self.draw_line(line, x, self.y - size * 1.1, size, color)
            self.move_down(height)

    def draw_line(self, line: TextLine, x: float, y: float, size: float, color: Color) -> None:
        # one text object for each line: readers take the next object for another line
        words = self._canvas.beginText(x, y)
        slanted = False
        for span in line.spans:
            start = x
            words.setFillColor(ACCENT if span.link else color)
            if span.slanted != slanted:
                slanted = span.slanted
                words.setTextTransform(1, 0, SLANT if slanted else 0, 1, x, y)
            for face, piece in runs(visual_order(span.text, span.face), span.face):
                font(face)
                words.setFont(face.value, size)
                words.textOut(piece)
                x += width(piece, face, size)
            if span.link:
                self._canvas.linkURL(span.link, (start, y - 2, x, y + size), relative=0)
            if span.struck:
                self.stroke(start, x, y + size * 0.32, 0.6, color)
        self._canvas.drawText(words)

    def fill(self, x: float, y: float, width: float, height: float, color: Color) -> None:
        """Draws a filled rectangle; (x, y) is its lower left corner."""
        self._canvas.setFillColor(color)
        self._canvas.rect(x, y, width, height, stroke=0, fill=1)

    def stroke(self, start: float, end: float, y: float, thickness: float, color: Color) -> None:
        """Draws a horizontal line."""
        self._canvas.setStrokeColor(color)
        self._canvas.setLineWidth(thickness)
        self._canvas.line(start, y, end, y)

    def _end_page(self) -> None:
        number = str(self._canvas.getPageNumber())
        foot = break_lines([Span(self._foot)], PAGE_WIDTH - 2 * MARGIN - 40, 8)[0]
        self.draw_line(foot, MARGIN, 34, 8, MUTED)
        x = PAGE_WIDTH - MARGIN - width(number, Face.TEXT, 8)
        self.draw_line(TextLine([Span(number)]), x, 34, 8, MUTED)
        self._canvas.showPage()


def _begins_right(text: str) -> bool:
    """Returns whether the first letter is of a script from right to left."""
    return next((has_right_to_left(each) for each in text if each.isalpha()), False)
