"""The preview of a file: what it is, what a user should know of it, and its text page by page."""

import re

import reflex as rx

from genai_app.errors import AppError, NotFound
from genai_app.models import JobState, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.state.chat.sends import is_uuid
from genai_app.state.files import FileRow, file_row

MOST_CHARS = 20_000  # of a page
MOST_ROWS = 60  # of a table
MOST_CELLS = 40  # of a row
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"^\|(\s*:?-+:?\s*\|)+\s*$")


class PreviewState(rx.State):
    """The file in the preview and the page of it: a picture, a table or a text."""

    file: FileRow = FileRow(id="", name="", head="", tail="", state="")
    page: int = 0
    label: str = ""  # of the page: the name of a sheet, the heading of a slide
    text: str = ""
    table: list[list[str]] = []  # its head first
    has_picture: bool = False  # of the page, or of the file that is one
    is_cut: bool = False  # the page goes on
    loaded: bool = False
    error_code: str = ""

    @rx.event
    @allowed(Role.USER)
    async def open(self, file_id: str, page: int = 0):
        """Show a file of the user, at a page."""
        if not is_uuid(file_id) or not isinstance(page, int):
            return
        if file_id != self.file.id:
            self._clear()
            yield
        self.error_code = ""
        try:
            await self._read(file_id, page)
        except AppError as error:
            self._clear()
            self.error_code = "file_gone" if isinstance(error, NotFound) else error.code
        self.loaded = True

    @rx.event
    @allowed(Role.USER)
    async def turn(self, step: int):
        """Show the next page, or the one before."""
        if step in (1, -1) and self.file.id:
            try:
                await self._read(self.file.id, self.page + step)
            except AppError as error:
                self.error_code = "file_gone" if isinstance(error, NotFound) else error.code

    def _clear(self) -> None:
        self.file = FileRow(id="", name="", head="", tail="", state="")
        self.page, self.label, self.text, self.table = 0, "", "", []
        self.has_picture = self.is_cut = self.loaded = False

    async def _read(self, file_id: str, page: int) -> None:
        row = await services().files.get(acting(), file_id)
        shown = file_row(row)
        if row.state != JobState.DONE:
            self._clear()
            self.file = shown
            return
        contents = services().files.contents
        pages, _ = await contents.overview(row)
        number = min(max(page, 1), len(pages)) if pages else 0
        text = await contents.page(row, number) if number else ""
        self.file, self.page = shown, number
        self.label = pages[number - 1].label if pages else ""
        pictured = 0 if shown.kind == "picture" else number
        pictures = await contents.pictures(row)
        self.has_picture = any(each.picture.page == pictured for each in pictures)
        self.table = table_of(text) if shown.unit == "sheet" else []
        self.is_cut = len(text) > MOST_CHARS
        if self.table:
            self.is_cut = text.count("\n") > MOST_ROWS + 1
        self.text = "" if self.table else text[:MOST_CHARS]


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
