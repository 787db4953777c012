"""Reads what is in files: bytes, text and pictures. The row that a function takes was read through
access.py."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from genai_app.adapters.documents.passages import Passage, find_passages
from genai_app.adapters.documents.summary import DocumentPicture
from genai_app.adapters.documents.text import DocumentPage, DocumentText, TableOverview
from genai_app.errors import Conflict, InvalidInput, NotFound
from genai_app.models import Attachment, JobState
from genai_app.services.files.rows import owned_by, summary_of
from genai_app.services.files.store import FileStore

MAX_CHARS = 200_000
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A picture for a model that sees, in a file."""

    path: Path
    picture: DocumentPicture


class FileContents:
    """Reads files that are ready. Each function raises:

    NotFound: the bytes are gone.
    Conflict: file_not_ready.
    InvalidInput: the code of the file that could not be read.
    """

    def __init__(self, store: FileStore) -> None:
        self._store = store

    async def overview(self, row: Attachment) -> tuple[list[DocumentPage], list[TableOverview]]:
        """Returns the pages, without their text, and the tables."""
        return await self._read(row, lambda text: (text.pages(), text.tables()))

    async def text(
        self, row: Attachment, first: int = 1, last: int | None = None, max_chars: int = MAX_CHARS
    ) -> str:
        """Returns the text of pages, with marks between them, cut at `max_chars`."""
        return await self._read(row, lambda text: text.read(first, last, max_chars=max_chars))

    async def page(self, row: Attachment, number: int) -> str:
        """Returns the text of one page, "" if there is none."""
        return await self._read(row, lambda text: text.page(number))

    async def passages(self, row: Attachment, question: str, budget_tokens: int) -> list[Passage]:
        """Returns the parts that have to do with a question; [] if none has a word of it."""
        check_ready(row)
        reading = self._reading(row)
        return await _in_thread(lambda: find_passages(reading, question, budget_tokens))

    async def pictures(self, row: Attachment) -> list[PictureFile]:
        """Returns the pictures of a file, in order."""
        check_ready(row)
        summary = summary_of(row)
        reading = self._reading(row)
        return (
            [PictureFile(reading / each.name, each) for each in summary.pictures] if summary else []
        )

    def path(self, row: Attachment) -> Path:
        """Returns the file with the bytes, ready or not. Raises NotFound."""
        path = self._store.content(owned_by(row))
        if not path.is_file():
            raise NotFound
        return path

    def thumbnail(self, row: Attachment) -> Path:
        """Returns a small picture of the file, WEBP. Raises NotFound: it has none."""
        summary = summary_of(row)
        if summary is None or summary.thumbnail is None:
            raise NotFound
        path = self._reading(row) / summary.thumbnail
        if not path.is_file():
            raise NotFound
        return path

    async def _read(self, row: Attachment, read: Callable[[DocumentText], Result]) -> Result:
        check_ready(row)
        reading = self._reading(row)

        def opened() -> Result:
            with DocumentText(reading) as text:
                return read(text)

        return await _in_thread(opened)

    def _reading(self, row: Attachment) -> Path:
        return self._store.reading(owned_by(row))


def check_ready(row: Attachment) -> None:
    """Raises Conflict, InvalidInput or NotFound unless the file was read."""
    if row.wiped_at is not None:
        raise NotFound
    if row.state == JobState.FAILED:
        raise InvalidInput(code=row.error_code, name=row.name)
    if row.state != JobState.DONE:
        raise Conflict(code="file_not_ready", name=row.name)


async def _in_thread(read: Callable[[], Result]) -> Result:
    try:
        return await asyncio.to_thread(read)
    except FileNotFoundError:
        raise NotFound from None
