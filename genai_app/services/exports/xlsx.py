"""XLSX, written as it grows: one sheet, every text a text.

Not by openpyxl: that takes six times the CPU, during which nobody else is served, and keeps the
rows in a file in /tmp meanwhile (docs/adr/0018).
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

MAX_CELL = 32_767  # UTF-16 units
MAX_ROWS = 1_048_575  # below the head
# what XML 1.0 cannot hold
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# what spreadsheets read as an escape of a character
ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")

HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
PARTS = {
    "[Content_Types].xml": (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{TYPES}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{TYPES}.worksheet+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{TYPES}.styles+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{RELATIONS}"><Relationship Id="rId1"'
        f' Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        '<sheet name="GenAI" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{RELATIONS}">'
        f'<Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>'
    ),
    "xl/styles.xml": (  # style 1 is bold, for the head
        f'<styleSheet xmlns="{MAIN}"><fonts count="2">'
        '<font><sz val="11"/><name val="Calibri"/></font>'
        '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/>'
        '</cellStyleXfs><cellXfs count="2">'
        '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
        '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
        "</styleSheet>"
    ),
}
# the first row stays in sight
VIEW = (
    '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2"'
    ' activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
)


class Sheet:
    """A workbook of one sheet.

    Args:
        file: to be written into, and closed by `close`.
        widths: of the columns, in characters.
        cut: the sentence for a text that did not fit, with the {count} of characters.
    """

    def __init__(self, file: IO[bytes], columns: Sequence[str], widths: Sequence[int], cut: str):
        self._under = file
        self._cut = cut
        self._letters = [chr(ord("A") + place) for place in range(len(columns))]  # up to Z
        self._zip = ZipFile(file, "w", ZIP_DEFLATED, compresslevel=4)
        for name, text in PARTS.items():
            self._zip.writestr(name, HEAD + text)
        self._part = self._zip.open("xl/worksheets/sheet1.xml", "w", force_zip64=True)
        wide = "".join(
            f'<col min="{place}" max="{place}" width="{width}" customWidth="1"/>'
            for place, width in enumerate(widths, 1)
        )
        self._write(f'{HEAD}<worksheet xmlns="{MAIN}">{VIEW}<cols>{wide}</cols><sheetData>')
        self._count = 0
        self._add(columns, ' s="1"')

    def add(self, rows: Iterable[Iterable[Any]]) -> None:
        for row in rows:
            self._add(row)

    def close(self) -> None:
        """All rows are in it."""
        self._write("</sheetData></worksheet>")
        self._part.close()
        self._zip.close()
        self._under.close()

    def drop(self) -> None:
        """Nobody wants it any more. The archive is ended all the same: one that is not would be
        ended by the garbage collector, on a file that is closed."""
        self._part.close()
        self._zip.close()
        self._under.close()

    def _add(self, row: Iterable[Any], style: str = "") -> None:
        self._count += 1
        cells = [
            self._cell(f"{letter}{self._count}", value, style)
            for letter, value in zip(self._letters, row, strict=True)
            if value is not None
        ]
        self._write(f'<row r="{self._count}">{"".join(cells)}</row>')

    def _cell(self, place: str, value: Any, style: str) -> str:
        if isinstance(value, int):
            return f'<c r="{place}"{style}><v>{value}</v></c>'
        text = value.isoformat() if isinstance(value, datetime) else str(value)
        text = escape(fitting_cell(text, self._cut))
        return (
            f'<c r="{place}"{style} t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
        )

    def _write(self, text: str) -> None:
        self._part.write(text.encode())


def fitting_cell(text: str, cut: str) -> str:
    """A text that a cell can hold; controls as pictures, and what is cut off is told."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = UNWRITABLE.sub(lambda found: _picture(found[0]), text)
    text = ESCAPE.sub("_x005F_", text)
    if _units(text) <= MAX_CELL:
        return text
    kept = text.encode("utf-16-le")[: 2 * (MAX_CELL - 200)].decode("utf-16-le", "ignore")
    return kept + "\n" + cut.format(count=len(text) - len(kept))


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def _picture(character: str) -> str:
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "\ufffd"
