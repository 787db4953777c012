"""Reads spreadsheets: XLSX, XLSB, XLS, ODS. Cells have the values that the file keeps."""

import re
import zipfile

from python_calamine import (
    CalamineError,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from genai_app.adapters.documents.child.archives import (
    MAX_XML,
    open_archive,
    part_of,
    relations_of,
    tree_of,
)
from genai_app.adapters.documents.child.draft import Draft, DraftPage, Refusal, Row
from genai_app.adapters.documents.child.tables import cell_text, trimmed

_BOOK = "xl/workbook.xml"
_MAX_CELLS = 12_000_000  # with empty ones between
_HIDDEN = re.compile(rb'<(?:\w+:)?(?:col|row)\s[^>]*\bhidden="(?:1|true)"')
_NO_VALUE = re.compile(
    rb"<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v></(?:\w+:)?v>|</(?:\w+:)?c>)"
)
_HIDDEN_ODS = re.compile(rb'table:visibility="(?:collapse|filter)"|table:display="false"')


def read(draft: Draft) -> None:
    """Reads each sheet as a table."""
    draft.unit = "sheet"
    comments: dict[str, list[str]] = {}
    if zipfile.is_zipfile(draft.job.source):
        with open_archive(draft.job.source) as archive:
            _look_into(archive, draft)
            comments = _comments(archive)
    try:
        path = str(draft.job.source)
        book = CalamineWorkbook.from_path(path)  # pyright: ignore[reportUnknownMemberType]
        for number, sheet in enumerate(book.sheets_metadata, 1):
            if sheet.typ is not SheetTypeEnum.WorkSheet:
                continue
            if sheet.visible is not SheetVisibleEnum.Visible:
                draft.warn("hidden_cells", number, sheet.name)
            rows = _rows(book, number - 1)
            text = "\n".join(comments.get(sheet.name, ()))
            draft.add(DraftPage(label=sheet.name, rows=trimmed(rows), text=text))
    except PasswordError as error:
        raise Refusal("encrypted") from error
    except CalamineError as error:
        if "assword" in str(error):
            raise Refusal("encrypted") from error
        raise Refusal("damaged", type(error).__name__) from error


def _rows(book: CalamineWorkbook, index: int) -> list[Row]:
    sheet = book.get_sheet_by_index(index)
    if sheet.height * sheet.width > _MAX_CELLS:
        raise Refusal("too_large", "cells")
    rows: list[Row] = []
    for row in sheet.iter_rows():
        texts = [cell_text(cell) for cell in row]
        if any(texts):
            rows.append(texts)
    return rows


def _comments(archive: zipfile.ZipFile) -> dict[str, list[str]]:
    """Returns the comments of each sheet of an XLSX, each with its cell."""
    book = tree_of(archive, _BOOK)
    parts = relations_of(archive, _BOOK) if book is not None else {}
    comments: dict[str, list[str]] = {}
    for sheet in book.iter("sheet") if book is not None else ():
        _, part = parts.get(sheet.get("rid", ""), ("", ""))
        for kind, name in relations_of(archive, part).values() if part else ():
            root = tree_of(archive, name) if kind == "comments" else None
            for each in root.iter("comment") if root is not None else ():
                text = " ".join("".join(t.text or "" for t in each.iter("t")).split())
                line = f"[comment] {each.get('ref', '')}: {text}"
                comments.setdefault(sheet.get("name", ""), []).append(line)
    return comments


def _look_into(archive: zipfile.ZipFile, draft: Draft) -> None:
    """Warns of hidden rows and columns, and of formulas that no program has calculated."""
    sheet = 0
    for entry in archive.infolist():
        if entry.file_size > MAX_XML or not entry.filename.endswith(".xml"):
            continue
        if entry.filename.startswith("xl/worksheets/"):
            sheet += 1
            content = part_of(archive, entry.filename) or b""
            _refuse_entities(content)
            if count := len(_HIDDEN.findall(content)):
                draft.warn("hidden_cells", sheet, count=count)
            if count := len(_NO_VALUE.findall(content)):
                draft.warn("no_cached_values", sheet, count=count)
        elif entry.filename == "content.xml":
            content = part_of(archive, entry.filename) or b""
            _refuse_entities(content)
            if count := len(_HIDDEN_ODS.findall(content)):
                draft.warn("hidden_cells", count=count)
        elif entry.filename.startswith("xl/"):
            _refuse_entities(part_of(archive, entry.filename) or b"")


def _refuse_entities(content: bytes) -> None:
    if b"<!ENTITY" in content[:4096]:
        raise Refusal("bomb", "declares entities")
