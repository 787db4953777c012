"""Display rows of files: on chips, in lists, in the preview."""

from dataclasses import dataclass, field

from genai_app.i18n import LOCALES, plural
from genai_app.models import Attachment
from genai_app.services.files.rows import summary_of
from genai_app.state.dates import moment_text

TAIL_CHARS = 10  # of a name, which are seen however narrow its box is
GONE = "gone"
_EXTENTS = {
    "page": "file.extent_page",
    "sheet": "file.extent_sheet",
    "slide": "file.extent_slide",
    "part": "file.extent_part",
    "lines": "file.extent_lines",
}
_UNITS = ((1024**3, "gb"), (1024**2, "mb"), (1024, "kb"))


@dataclass
class FileWarning:
    """Something that a user should see before the file is sent, by language."""

    code: str
    text: dict[str, str]


@dataclass
class FileRow:
    """A file. Its name is `head` and `tail`: a narrow box cuts the head. Texts are by language.

    `state`: a JobState, or GONE: it was deleted. `extent`: `14 стр.`, empty texts for none.
    """

    id: str
    name: str
    head: str
    tail: str
    state: str
    kind: str = ""
    error_code: str = ""
    size: str = ""
    size_unit: str = ""  # `b`, `kb`, `mb` or `gb`
    extent: dict[str, str] = field(default_factory=dict[str, str])
    unit: str = ""
    pages: int = 0
    has_thumbnail: bool = False
    warnings: list[FileWarning] = field(default_factory=list[FileWarning])
    dialog_id: str = ""
    made: dict[str, str] = field(default_factory=dict[str, str])


def file_row(row: Attachment) -> FileRow:
    """Returns the row of a file that its reader may see."""
    summary = summary_of(row)
    size, size_unit = size_text(row.size)
    head, tail = halves_of(row.name)
    is_gone = row.deleted_at is not None
    shown = FileRow(
        id=str(row.id),
        name=row.name,
        head=head,
        tail=tail,
        state=GONE if is_gone else row.state,
        kind=row.kind,
        error_code=row.error_code,
        size=size,
        size_unit=size_unit,
        extent={locale: "" for locale in LOCALES},
        dialog_id=str(row.dialog_id or ""),
        made=moment_text(row.created_at),
    )
    if summary is None or is_gone:
        return shown
    shown.unit, shown.pages = summary.unit, summary.pages
    shown.extent = extent_text(summary.unit, summary.pages)
    shown.has_thumbnail = summary.thumbnail is not None
    shown.warnings = [
        FileWarning(each.code, {locale: each.text(locale) for locale in LOCALES})
        for each in summary.warnings
    ]
    return shown


def gone_row(file_id: str) -> FileRow:
    """Returns the row of a file that is not found."""
    return FileRow(id=file_id, name="", head="", tail="", state=GONE)


def halves_of(name: str) -> tuple[str, str]:
    """Returns the part of a name that may be cut, and the rest with its ending."""
    at = max(len(name) - TAIL_CHARS, 0)
    return name[:at], name[at:]


def extent_text(unit: str, pages: int) -> dict[str, str]:
    """Returns the number of pages, sheets, slides, parts or lines, by language; empty texts for
    none."""
    if not pages or (unit == "part" and pages == 1):
        return {locale: "" for locale in LOCALES}
    return {locale: plural(locale, pages, _EXTENTS[unit]).format(count=pages) for locale in LOCALES}


def size_text(size: int) -> tuple[str, str]:
    """Returns a size as a number and its unit."""
    for unit, name in _UNITS:
        if size >= unit:
            number = f"{size / unit:.1f}" if size < 10 * unit else f"{size / unit:.0f}"
            return number.removesuffix(".0"), name
    return str(size), "b"
