"""Reads the text of a file that was read: by pages, in a range, and what is in its tables."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from genai_app.adapters.documents.index import INDEX, open_index

MAX_CHARS = 200_000  # of one read
_MAX_TABLES = 100
_MAX_COLUMNS = 60  # of an overview in words


class DocumentPage(msgspec.Struct, frozen=True):
    """A page, sheet, slide or part, without its text."""

    number: int
    label: str  # of a sheet, an attachment, or lines of a text; "" for a page
    heading: str
    chars: int
    tokens: int


class TableColumn(msgspec.Struct, frozen=True):
    """A column. `type`: text, number, date or empty. `values`: of few different ones each with its
    count."""

    name: str
    filled: int
    type: str
    distinct: int = 0
    least: str = ""
    greatest: str = ""
    total: str = ""
    values: list[tuple[str, int]] = []


class TableOverview(msgspec.Struct, frozen=True):
    """Columns and first rows of a table: enough to know which rows to ask for."""

    rows: int
    columns: list[TableColumn]
    sample: list[list[str]]
    page: int = 0
    label: str = ""

    @property
    def markdown(self) -> str:
        """Returns the columns with types and counts, then the first rows."""
        lines = ["| column | type | filled | distinct | least | greatest | total | values |"]
        lines.append("|" + " --- |" * 8)
        for each in self.columns[:_MAX_COLUMNS]:
            values = "; ".join(f"{text}: {count}" for text, count in each.values)
            cells = (each.name, each.type, str(each.filled), str(each.distinct), each.least)
            lines.append(_row([*cells, each.greatest, each.total, values]))
        names = [each.name for each in self.columns]
        shown = [_row(names), "|" + " --- |" * len(names), *map(_row, self.sample)]
        title = f"{self.label}: {self.rows}" if self.label else str(self.rows)
        return "\n".join([f"{title} rows", "", *lines, "", *shown])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


class DocumentText:
    """The text in a directory that `read_document` filled. Its calls block for milliseconds."""

    def __init__(self, target: Path) -> None:
        self._index = open_index(target / INDEX)

    def __enter__(self) -> "DocumentText":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._index.close()

    def pages(self) -> list[DocumentPage]:
        """Returns all pages in order."""
        rows = self._rows("SELECT number, label, heading, chars, tokens FROM pages ORDER BY number")
        return [DocumentPage(*row) for row in rows]

    def page(self, number: int, max_chars: int = MAX_CHARS) -> str:
        """Returns the text of a page, or its beginning; "" if there is no such page."""
        pieces: list[str] = []
        left = max_chars
        query = "SELECT text FROM passages WHERE page = ? ORDER BY number"
        for (text,) in self._index.execute(query, (number,)):
            pieces.append(text[:left])
            left -= len(text)
            if left <= 0:
                break
        return "".join(pieces)

    def read(self, first: int = 1, last: int | None = None, max_chars: int = MAX_CHARS) -> str:
        """Returns the text of pages, each below a line with its number and label.

        Args:
            first, last: numbers of pages; without `last` to the end.
            max_chars: the text ends there.
        """
        blocks: list[str] = []
        left = max_chars
        for page in self.pages():
            if page.number < first or (last is not None and page.number > last) or not page.chars:
                continue
            mark = f"[{page.number}: {page.label}]" if page.label else f"[{page.number}]"
            text = self.page(page.number, left)
            blocks.append(f"{mark}\n{text.rstrip()}")
            left -= len(text)
            if left <= 0:
                break
        return "\n\n".join(blocks)

    def tables(self) -> list[TableOverview]:
        """Returns what is in each table that is searched by rows: sheets, and files of cells."""
        query = (
            "SELECT page, label, content FROM overviews JOIN pages ON number = page "
            "ORDER BY page LIMIT ?"
        )
        overviews: list[TableOverview] = []
        for page, label, content in self._rows(query, _MAX_TABLES):
            overview = msgspec.json.decode(content, type=TableOverview)
            overviews.append(msgspec.structs.replace(overview, page=page, label=label))
        return overviews

    def _rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        return self._index.execute(query, arguments).fetchall()


def is_readable(target: Path) -> bool:
    """Returns whether the index of a file can still be read."""
    try:
        with DocumentText(target) as text:
            text.pages()
    except sqlite3.Error:
        return False
    return True
