"""Writes XLSX row by row: one sheet, every text as text.

Not with openpyxl, which takes six times the CPU, during which nobody else is served, and keeps the
rows in a file in /tmp (docs/adr/0018).
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

MAX_CELL = 32_767  # UTF-16 units
MAX_ROWS = 1_048_575  # without the header
# characters that XML 1.0 does not allow
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# the underscore of what spreadsheets read as an escaped character
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
    "xl/styles.xml": (  # style 1 is bold, for the header
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
# the header stays visible
VIEW = (
    '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2"'
    ' activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
)


class Sheet:
    """A workbook of one sheet.

    Args:
        file: where it is written; `close` closes it.
        widths: of the columns, in characters.
        cut: the sentence at the end of a text that was cut; {count}: characters left out.
    """

    def __init__(self, file: IO[bytes], columns: Sequence[str], widths: Sequence[int], cut: str):
        self._under = file
        self._cut = cut
        self._letters = [chr(ord("A") + index) for index in range(len(columns))]  # up to Z
        self._zip = ZipFile(file, "w", ZIP_DEFLATED, compresslevel=4)
        for name, text in PARTS.items():
            self._zip.writestr(name, HEAD + text)
        self._part = self._zip.open("xl/worksheets/sheet1.xml", "w", force_zip64=True)
        wide = "".join(
            f'<col min="{number}" max="{number}" width="{width}" customWidth="1"/>'
            for number, width in enumerate(widths, 1)
        )
        self._write(f'{HEAD}<worksheet xmlns="{MAIN}">{VIEW}<cols>{wide}</cols><sheetData>')
        self._count = 0
        self._add(columns, ' s="1"')

    def add(self, rows: Iterable[Iterable[Any]]) -> None:
        for row in rows:
            self._add(row)

    def close(self) -> None:
        """Ends the file after the last row."""
        self._write("</sheetData></worksheet>")
        self._part.close()
        self._zip.close()
        self._under.close()

    def drop(self) -> None:
        """Closes an incomplete workbook. The archive is ended as well: the garbage collector would
        end it later, on a closed file."""
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

    def _cell(self, name: str, value: Any, style: str) -> str:
        if isinstance(value, int):
            return f'<c r="{name}"{style}><v>{value}</v></c>'
        text = value.isoformat() if isinstance(value, datetime) else str(value)
        text = escape(fitting_cell(text, self._cut))
        return f'<c r="{name}"{style} t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'

    def _write(self, text: str) -> None:
        self._part.write(text.encode())


def fitting_cell(text: str, cut: str) -> str:
    """Returns the text as a cell can hold it: control characters as their pictures, and a sentence
    at the end where it was cut."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = UNWRITABLE.sub(lambda match: _picture(match[0]), text)
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
