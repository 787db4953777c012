"""Reads PDF with PDFium: text by pages, rows of tables, hidden text, pictures of pages without
text."""

import ctypes
import time
from pathlib import Path
from typing import Any

import pypdfium2  # pyright: ignore[reportMissingTypeStubs]
import pypdfium2.raw  # pyright: ignore[reportMissingTypeStubs]

from genai_app.adapters.documents.child.draft import Draft, DraftPage, Refusal, tidy
from genai_app.adapters.documents.child.hidden import PALE, TINY_POINTS
from genai_app.adapters.documents.child.ocr import Recogniser
from genai_app.adapters.documents.child.pdf_layout import table_lines
from genai_app.adapters.documents.child.pictures import keep_picture, keep_thumbnail

# the library's functions have no types
_raw: Any = pypdfium2.raw
_PASSWORD = 4
_SIDE = 1754  # pixels of the longer side of A4 at 150 dots per inch
_FEW_CHARS = 16  # a page with fewer beside a picture is a picture: a number, a stamp
_INVISIBLE = 3  # drawn neither filled nor stroked
_MAX_OBJECTS = 3000  # of a page that are looked at
_MAX_DRAWN = 60  # pages drawn to look behind white letters
_LOOK_S = 1.0  # for all looks at objects of a file


def read(draft: Draft) -> None:
    """Reads a PDF."""
    draft.unit = "page"
    try:
        document: Any = pypdfium2.PdfDocument(draft.job.source)
    except pypdfium2.PdfiumError as error:
        code: Any = getattr(error, "err_code", None)
        raise Refusal("encrypted" if code == _PASSWORD else "damaged", "PDFium") from error
    if len(document) == 0:
        raise Refusal("damaged", "no pages")
    if len(document) > draft.job.pages:
        raise Refusal("too_large", "pages")
    # what was filled into a form is text only once it is drawn into its page
    if has_form := document.get_formtype() != _raw.FORMTYPE_NONE:
        document.init_forms()
    reader = _PageReader(draft, document, has_form=has_form)
    for number in range(1, len(document) + 1):
        reader.read_page(number)
    if not draft.pages:
        raise Refusal("damaged", "no page can be read")


class _PageReader:
    """Reads page after page of one document."""

    def __init__(self, draft: Draft, document: Any, *, has_form: bool) -> None:
        self._has_form = has_form
        self._draft = draft
        self._document = document
        self._recogniser = Recogniser(draft.job.ocr_s)
        self._drawn = 0
        self._look_until = time.monotonic() + _LOOK_S

    def read_page(self, number: int) -> None:
        """Adds a page; an empty one where it is broken."""
        try:
            page = self._document[number - 1]
        except pypdfium2.PdfiumError:
            self._draft.add(DraftPage())
            self._draft.warn("left_out", number)
            return
        if self._has_form and page.flatten() == _raw.FLATTEN_SUCCESS:
            page = self._document[number - 1]
        letters = page.get_textpage()
        text = tidy(table_lines(letters, page.get_width()) or letters.get_text_range())
        objects = _objects(page)
        pictured = any(kind == _raw.FPDF_PAGEOBJ_IMAGE for _, kind in objects)
        if len("".join(text.split())) < _FEW_CHARS and objects and (pictured or not text):
            text = self._read_picture(page, number) or text
        elif time.monotonic() < self._look_until:
            self._look_for_hidden(page, letters, objects, number, pictured)
        if number == 1:
            keep_thumbnail(self._draft, _draw(page, 320))
        letters.close()
        page.close()
        self._draft.add(DraftPage(text=text))

    def _read_picture(self, page: Any, number: int) -> str:
        """Keeps a page as a picture and reads its text where Tesseract is installed."""
        kept: Path | None = None
        if len(self._draft.pictures) < self._draft.job.pictures or self._recogniser.has_time:
            kept = keep_picture(self._draft, _draw(page, _SIDE), number)
        text = self._recogniser.text_of(kept) if kept is not None else None
        if text:
            self._draft.warn("read_by_ocr", number)
        else:
            self._draft.picture_pages.append(number)
            self._draft.warn("picture_pages", number)
        if kept is not None and len(self._draft.pictures) > self._draft.job.pictures:
            self._draft.pictures.pop()
            kept.unlink()
        return text or ""

    def _look_for_hidden(
        self, page: Any, letters: Any, objects: list[tuple[Any, int]], number: int, pictured: bool
    ) -> None:
        """Warns of text that is invisible, tiny, off the page, or white on white."""
        width, height = page.get_width(), page.get_height()
        pale: list[tuple[float, float, float, float]] = []
        for each, kind in objects:
            if kind != _raw.FPDF_PAGEOBJ_TEXT:
                continue
            box = _box(each)
            outside = box[2] < 0 or box[3] < 0 or box[0] > width or box[1] > height
            # a scan that was read by a program has its text behind the picture
            invisible = not pictured and _raw.FPDFTextObj_GetTextRenderMode(each) == _INVISIBLE
            if (
                outside
                or invisible
                or (box[3] - box[1] < TINY_POINTS * 0.9 and _size(each) <= TINY_POINTS)
            ):
                self._warn(letters, each, number)
            elif _is_pale(each):
                pale.append(box)
        if pale and self._drawn < _MAX_DRAWN:
            self._drawn += 1
            self._look_behind(page, letters, pale, number)

    def _look_behind(
        self, page: Any, letters: Any, boxes: list[tuple[float, float, float, float]], number: int
    ) -> None:
        """Warns of white letters where the drawn page is white."""
        scale = 2.0
        drawn = page.render(scale=scale, grayscale=True).to_pil()
        height = page.get_height()
        for left, bottom, right, top in boxes:
            corner = (int(left * scale), int((height - top) * scale))
            opposite = (int(right * scale) + 1, int((height - bottom) * scale) + 1)
            area = drawn.crop((*corner, *opposite))
            if area.width and area.height and area.getextrema()[0] >= PALE:
                text = letters.get_text_bounded(left, bottom, right, top)
                if text.strip():
                    self._draft.warn("hidden_text", number, text)

    def _warn(self, letters: Any, text_object: Any, number: int) -> None:
        size = _raw.FPDFTextObj_GetText(text_object, letters.raw, None, 0)
        buffer = ctypes.create_string_buffer(min(size, 2000))
        short = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort))
        _raw.FPDFTextObj_GetText(text_object, letters.raw, short, min(size, 2000))
        text = buffer.raw.decode("utf-16-le", "replace").rstrip("\0")
        if text.strip():
            self._draft.warn("hidden_text", number, text)


def _objects(page: Any) -> list[tuple[Any, int]]:
    count = min(_raw.FPDFPage_CountObjects(page.raw), _MAX_OBJECTS)
    handles = [_raw.FPDFPage_GetObject(page.raw, index) for index in range(count)]
    return [(handle, _raw.FPDFPageObj_GetType(handle)) for handle in handles]


def _box(text_object: Any) -> tuple[float, float, float, float]:
    """Returns left, bottom, right, top in points."""
    sides = [ctypes.c_float() for _ in range(4)]
    _raw.FPDFPageObj_GetBounds(text_object, *sides)
    return (sides[0].value, sides[1].value, sides[2].value, sides[3].value)


def _size(text_object: Any) -> float:
    """Returns the size of letters in points, as the matrix scales it."""
    size, matrix = ctypes.c_float(), _raw.FS_MATRIX()
    _raw.FPDFTextObj_GetFontSize(text_object, size)
    _raw.FPDFPageObj_GetMatrix(text_object, matrix)
    return size.value * max(abs(matrix.d), abs(matrix.b), 0.0)


def _is_pale(text_object: Any) -> bool:
    parts = [ctypes.c_uint() for _ in range(4)]
    if not _raw.FPDFPageObj_GetFillColor(text_object, *parts):
        return False
    return parts[3].value == 0 or all(part.value >= PALE for part in parts[:3])


def _draw(page: Any, side: int) -> Any:
    longest = max(page.get_width(), page.get_height(), 1.0)
    return page.render(scale=min(side / longest, 4.0)).to_pil()
