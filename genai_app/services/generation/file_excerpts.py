"""The parts of a file that is too long to be given whole: its beginning, or what is in its tables,
and the passages that have to do with a question."""

from collections.abc import Sequence
from dataclasses import dataclass

from genai_app.adapters.documents.passages import Passage
from genai_app.adapters.documents.text import DocumentPage
from genai_app.models import Attachment
from genai_app.services.files.contents import FileContents
from genai_app.services.files.usage import How
from genai_app.services.generation.context import CHARS_PER_TOKEN

MOST_BEGINNING = 2048  # tokens


@dataclass(frozen=True, slots=True)
class GivenText:
    """The text of a file for a prompt. `used`: numbers of the pages in it. `is_table`: `beginning`
    says what is in tables."""

    how: How
    beginning: str = ""
    passages: Sequence[Passage] = ()
    used: frozenset[int] = frozenset()
    is_table: bool = False


class Excerpts:
    """Takes excerpts from files."""

    def __init__(self, contents: FileContents) -> None:
        self._contents = contents

    async def of(self, row: Attachment, question: str, share: int) -> GivenText:
        """Returns what `share` tokens hold of a file. The beginning is the same for every question,
        unless the share changes much. Raises NotFound."""
        pages, tables = await self._contents.overview(row)
        most = min(1 << max((share * 2 // 5).bit_length() - 1, 0), MOST_BEGINNING)
        most_chars = int(most * CHARS_PER_TOKEN)
        if tables:
            beginning = "\n\n".join(table.markdown for table in tables)[:most_chars]
            used: set[int] = set()
        else:
            beginning = await self._contents.text(row, max_chars=most_chars)
            used = _covered(pages, most_chars)
        left = share - most
        passages = await self._contents.passages(row, question, left)
        if not passages and not tables:
            passages = await self._next(row, pages, max(used, default=1), left)
        used |= {each.page for each in passages}
        return GivenText("parts", beginning, passages, frozenset(used), bool(tables))

    async def _next(
        self, row: Attachment, pages: Sequence[DocumentPage], first: int, share: int
    ) -> list[Passage]:
        """Returns the pages from `first` on: no word of the question is in the file, so it may be
        about the whole."""
        passages: list[Passage] = []
        for page in pages:
            if page.number < first or not page.chars:
                continue
            if page.tokens > share:
                break
            share -= page.tokens
            text = (await self._contents.page(row, page.number)).strip()
            passages.append(
                Passage(
                    *(page.number, page.number, page.label, page.heading, text, page.tokens),
                    score=0.0,
                )
            )
        return passages


def _covered(pages: Sequence[DocumentPage], chars: int) -> set[int]:
    """Returns the numbers of the pages of which the first `chars` characters hold text."""
    covered: set[int] = set()
    for page in pages:
        if chars <= 0:
            break
        if page.chars:
            covered.add(page.number)
            chars -= page.chars
    return covered
