"""The marks by which an answer names files and pages, such as `[договор.pdf, стр. 3]`.

A mark counts only where it names a file that the model was given, and a page that the file has:
what a model made up stays plain text.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from genai_app.services.files.usage import FileUse
from genai_app.text import is_invisible

MOST = 200  # in one answer
_PAGE = (
    r"стр(?:аниц[аеыу]|\.)?|с\.|лист[ае]?|слайд[ае]?|част[ьи]|строк[аи]"
    r"|pages?|pp?\.|sheet|slide|part|lines?"
)
_MARK = re.compile(
    rf"\[(?P<name>[^\[\]\n]{{1,340}}?)(?:[,;:]\s*(?:{_PAGE})\s*№?\s*(?P<page>\d{{1,6}})"
    r"(?:\s*[-–—]\s*\d{1,6})?(?:\s*,\s*\d{1,6})*)?\s*\](?!\()",
    re.IGNORECASE,
)
_CODE = re.compile(r"^(```|~~~).*?(?:^\1[^\n]*$|\Z)|`[^`\n]+`", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Citation:
    """A mark in an answer: `text[start:end]` is `mark`. `page`: 0 where it names none."""

    start: int
    end: int
    mark: str
    file_id: str
    page: int


def plain_name(name: str) -> str:
    """Returns a file's name as it stands in the prompt and in marks: on one line, without what
    would end a mark or a frame."""
    plain = "".join(
        "" if each in '[]<>"`«»' else " " if is_invisible(each) else each for each in name
    )
    return " ".join(unicodedata.normalize("NFC", plain).split())[:300] or "file"


def find_citations(text: str, uses: Sequence[FileUse]) -> list[Citation]:
    """Returns the marks in an answer that name one of its files, and no page that the file lacks.
    Code has none."""
    by_name = {_key(use.name): use for use in reversed(uses)}
    if not by_name or "[" not in text:
        return []
    code = [match.span() for match in _CODE.finditer(text)]
    citations: list[Citation] = []
    for match in _MARK.finditer(text):
        use = by_name.get(_key(match["name"]))
        page = int(match["page"] or 0)
        if use is None or page > use.pages or use.how in ("left_out", "deleted"):
            continue
        if any(start <= match.start() < end for start, end in code):
            continue
        citations.append(Citation(match.start(), match.end(), match[0], use.id, page))
        if len(citations) == MOST:
            break
    return citations


def _key(name: str) -> str:
    return plain_name(name).strip(" «»“”'*_").casefold()
