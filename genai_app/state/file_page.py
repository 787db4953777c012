"""A page of a file, as its preview shows it: a picture, a table or a text."""

import re
from dataclasses import dataclass, field

from genai_app.models import Attachment, JobState
from genai_app.services import services
from genai_app.state.files import FileRow, file_row

MOST_CHARS = 20_000  # of a page
MOST_ROWS = 60  # of a table
MOST_CELLS = 40  # of a row
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"^\|(\s*:?-+:?\s*\|)+\s*$")


@dataclass
class PreviewPage:
    """A file and a page of it. `page`: 0 where it has none; `label`: the name of a sheet, the
    heading of a slide."""

    file: FileRow = field(
        default_factory=lambda: FileRow(id="", name="", head="", tail="", state="")
    )
    page: int = 0
    label: str = ""
    text: str = ""
    table: list[list[str]] = field(default_factory=list[list[str]])  # its head first
    has_picture: bool = False  # of the page, or of the file that is one
    is_cut: bool = False  # the page goes on


async def read_page(row: Attachment, page: int) -> PreviewPage:
    """Returns a page, or the nearest that there is, of a file that the caller may read. Of a file
    that is not read, the file alone. Raises NotFound."""
    shown = PreviewPage(file_row(row))
    if row.state != JobState.DONE:
        return shown
    contents = services().files.contents
    pages, _ = await contents.overview(row)
    number = min(max(page, 1), len(pages)) if pages else 0
    text = await contents.page(row, number) if number else ""
    shown.page = number
    shown.label = pages[number - 1].label if pages else ""
    pictured = 0 if shown.file.kind == "picture" else number
    pictures = await contents.pictures(row)
    shown.has_picture = any(each.picture.page == pictured for each in pictures)
    shown.table = table_of(text) if shown.file.unit == "sheet" else []
    shown.is_cut = len(text) > MOST_CHARS
    if shown.table:
        shown.is_cut = text.count("\n") > MOST_ROWS + 1
    shown.text = "" if shown.table else text[:MOST_CHARS]
    return shown


def table_of(text: str) -> list[list[str]]:
    """Returns the first rows of a Markdown table, its head first; [] of another text."""
    lines = text.lstrip()[: MOST_ROWS * 4000].splitlines()[: MOST_ROWS + 2]
    if len(lines) < 2 or not _RULE.match(lines[1]):
        return []
    rows = [line for line in (lines[0], *lines[2:]) if line.startswith("|")][: MOST_ROWS + 1]
    return [
        [cell.strip().replace("\\|", "|") for cell in _CELL.split(row.strip().strip("|"))][
            :MOST_CELLS
        ]
        for row in rows
    ]
