"""Files of an answer: which parts stood in its prompt, and where it names them."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from genai_app.api.bodies import RowBody
from genai_app.models import Attachment
from genai_app.services.files.citations import find_citations
from genai_app.services.files.rows import shown_state
from genai_app.services.files.usage import FileUse


class AttachedFile(BaseModel):
    """A file that came with a question. `deleted`: only its name is left."""

    id: UUID
    name: str
    media_type: str
    bytes: int
    state: Annotated[str, Field(examples=["ready"])]
    pages: int | None
    deleted: bool

    @classmethod
    def of(cls, row: Attachment) -> "AttachedFile":
        return cls(
            id=row.id,
            name=row.name,
            media_type=row.media_type,
            bytes=row.size,
            state=shown_state(row),
            pages=row.pages,
            deleted=row.deleted_at is not None,
        )


class UsedFile(RowBody):
    """A file, and how much of it stood in the prompt.

    `how`: `whole`, `parts`, `left_out` or `deleted`. `used`: the numbers of the pages that
    stood there, also in part; empty for a whole file. `unit`: what `pages` counts. `pictures`: how
    many were sent.
    """

    id: UUID
    name: str
    how: Annotated[str, Field(examples=["parts"])]
    unit: Annotated[str, Field(examples=["page"])]
    pages: int
    used: list[int]
    pictures: int


class CitedFile(RowBody):
    """A mark in an answer that names a file: from `start` to `end`, in characters of its text.
    `page`: 0 if it names none."""

    start: int
    end: int
    mark: Annotated[str, Field(examples=["[contract.pdf, p. 3]"])]
    file_id: UUID
    page: int


def used_files(uses: Sequence[FileUse]) -> list[UsedFile]:
    """Returns how much of its files stood in the prompt of an answer."""
    return [UsedFile.model_validate(use) for use in uses]


def cited_files(text: str, uses: Sequence[FileUse]) -> list[CitedFile]:
    """Returns the marks in an answer that name its files."""
    return [CitedFile.model_validate(each) for each in find_citations(text, uses)]
