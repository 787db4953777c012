"""The result of a reader: pages of text, pictures and warnings, within the bounds of its job."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MAX_QUOTE = 200
MAX_PAGES_SHOWN = 20
MAX_CELL = 2000  # characters
MAX_WARNINGS = 40
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_SPACES = re.compile(r"[^\S\n]+")
_MANY_LINES = re.compile(r"\n{3,}")

Row = Sequence[str]


class Refusal(Exception):
    """A file that is not read. `code`: the end of an error code, such as `damaged`."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(detail or code)
        self.code = f"file_{code}"


class Enough(Exception):
    """Raised when the text reached its bound; what is there is kept."""


@dataclass(frozen=True, slots=True)
class ReadingJob:
    """The file, its name, where to write, and the bounds."""

    source: Path
    name: str
    target: Path
    pages: int
    chars: int
    pictures: int
    ocr_s: float  # time for reading pictures; 0: none is read

    @property
    def extension(self) -> str:
        """Returns the ending of the name in lower case, without the dot."""
        return Path(self.name.strip()).suffix.lower().lstrip(".")[:10]


@dataclass(slots=True)
class DraftPage:
    """A page, slide, sheet or part. `rows`: of a table that is searched by row; its first row is
    the head. `lines`: a text of which each line counts, from this number on."""

    text: str = ""
    label: str = ""
    heading: str = ""
    rows: list[Row] | None = None
    lines: int | None = None


@dataclass(slots=True)
class DraftWarning:
    code: str
    count: int = 0
    pages: list[int] = field(default_factory=list[int])
    quote: str = ""


@dataclass(slots=True)
class DraftPicture:
    name: str
    page: int
    media_type: str
    width: int
    height: int


@dataclass(slots=True)
class Draft:
    """The result as it grows."""

    job: ReadingJob
    media_type: str = "text/plain"
    kind: str = "text"
    unit: str = "part"
    encoding: str | None = None
    pages: list[DraftPage] = field(default_factory=list[DraftPage])
    picture_pages: list[int] = field(default_factory=list[int])
    pictures: list[DraftPicture] = field(default_factory=list[DraftPicture])
    warnings: dict[str, DraftWarning] = field(default_factory=dict[str, DraftWarning])
    thumbnail: str | None = None
    chars: int = 0
    depth: int = 0  # of attachments within attachments

    def add(self, page: DraftPage) -> None:
        """Appends a page.

        Raises:
            Enough: the text is as long as it may be; `cut` is warned of.
        """
        if len(self.pages) >= self.job.pages:
            self.warn("cut", len(self.pages))
            raise Enough
        page.text = clean(page.text)
        left = self.job.chars - self.chars
        is_cut = _chars_of(page) > left
        if is_cut:
            self.warn("cut", len(self.pages) + 1)
            page.text = page.text[:left]
            page.rows = page.rows and _rows_within(page.rows, left)
        self.pages.append(page)
        self.chars += _chars_of(page)
        if is_cut:
            raise Enough

    def warn(self, code: str, page: int = 0, quote: str = "", count: int = 1) -> None:
        """Counts a warning; the first quotes and the first pages are kept."""
        warning = self.warnings.setdefault(code, DraftWarning(code))
        warning.count += count
        if page and page not in warning.pages and len(warning.pages) < MAX_PAGES_SHOWN:
            warning.pages.append(page)
        quote = shortened(quote)
        if quote and quote not in warning.quote and len(warning.quote) < MAX_QUOTE:
            warning.quote = shortened(f"{warning.quote} … {quote}" if warning.quote else quote)


def _chars_of(page: DraftPage) -> int:
    return len(page.text) + sum(sum(map(len, row)) for row in page.rows or ())


def _rows_within(rows: list[Row], chars: int) -> list[Row]:
    kept: list[Row] = []
    for row in rows:
        chars -= sum(map(len, row))
        if chars < 0:
            break
        kept.append(row)
    return kept


def clean(text: str) -> str:
    """Returns text without controls, with one kind of line end."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", text.replace("\x0c", "\n").replace("\xa0", " ").replace("\xad", ""))


def tidy(text: str) -> str:
    """Returns prose with single spaces and at most one empty line."""
    lines = (_SPACES.sub(" ", line).strip() for line in clean(text).split("\n"))
    return _MANY_LINES.sub("\n\n", "\n".join(lines)).strip()


def shortened(text: str) -> str:
    """Returns the beginning of a text in one line."""
    line = " ".join(clean(text[: MAX_QUOTE * 3]).split())
    return line if len(line) <= MAX_QUOTE else f"{line[: MAX_QUOTE - 1]}…"


def markdown_row(cells: Iterable[str]) -> str:
    """Returns a row of a Markdown table."""
    flat = (" ".join(cell[:MAX_CELL].split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(flat)} |"


def markdown_table(rows: Sequence[Row]) -> str:
    """Returns a Markdown table; its first row is the head."""
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    if not filled:
        return ""
    width = max(map(len, filled))
    padded = [[*row, *[""] * (width - len(row))] for row in filled]
    lines = [markdown_row(row) for row in padded]
    return "\n".join([lines[0], f"|{' --- |' * width}", *lines[1:]])
