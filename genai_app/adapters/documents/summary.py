"""A file in a few words: its kind, its size, and what a user should see before it is sent.

The child writes it as JSON; nothing in it is trusted.
"""

from typing import Annotated, Literal

import msgspec

from genai_app.i18n import translate

MAX_QUOTE = 300  # characters
MAX_PAGES_SHOWN = 20

Kind = Literal[
    "pdf", "document", "sheets", "slides", "mail", "web", "table", "text", "code", "picture"
]
Unit = Literal["page", "sheet", "slide", "part", "lines"]
WarningCode = Literal[
    "hidden_text",
    "instructions",
    "picture_pages",
    "cut",
    "tracked_changes",
    "no_cached_values",
    "hidden_cells",
    "read_by_ocr",
    "left_out",
]
_SENTENCES: dict[WarningCode, str] = {
    "hidden_text": "file_warning.hidden_text",
    "instructions": "file_warning.instructions",
    "picture_pages": "file_warning.picture_pages",
    "cut": "file_warning.cut",
    "tracked_changes": "file_warning.tracked_changes",
    "no_cached_values": "file_warning.no_cached_values",
    "hidden_cells": "file_warning.hidden_cells",
    "read_by_ocr": "file_warning.read_by_ocr",
    "left_out": "file_warning.left_out",
}
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
Short = Annotated[str, msgspec.Meta(max_length=MAX_QUOTE)]
Numbers = Annotated[tuple[Count, ...], msgspec.Meta(max_length=10_000)]


class DocumentWarning(msgspec.Struct, frozen=True):
    """Something that a user should see before the file is sent.

    `pages`: where, the first of them. `count`: how often. `quote`: the text itself, or "".
    """

    code: WarningCode
    count: Count = 1
    pages: Annotated[tuple[Count, ...], msgspec.Meta(max_length=MAX_PAGES_SHOWN)] = ()
    quote: Short = ""

    def text(self, locale: str) -> str:
        """Returns the sentence for a user, with the numbers of pages and the quote."""
        text = translate(locale, _SENTENCES[self.code], count=self.count)
        if self.pages:
            pages = ", ".join(map(str, self.pages))
            more = ", …" if len(self.pages) == MAX_PAGES_SHOWN else ""
            text = translate(locale, "file_warning.numbers", text=text, pages=f"{pages}{more}")
        if self.quote:
            text = translate(locale, "file_warning.quote", text=text, quote=self.quote)
        return text


class DocumentPicture(msgspec.Struct, frozen=True):
    """A picture for a model that sees: a page, or the file itself (page 0)."""

    name: Annotated[str, msgspec.Meta(pattern=r"^picture-[0-9]{1,3}\.(jpg|png)$")]
    page: Count
    media_type: Literal["image/jpeg", "image/png"]
    width: Annotated[int, msgspec.Meta(gt=0, le=2048)]
    height: Annotated[int, msgspec.Meta(gt=0, le=2048)]
    bytes: Count


class DocumentSummary(msgspec.Struct, frozen=True):
    """A file that was read. Its text is in the index, see text.py."""

    media_type: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+/[a-z0-9.+-]+$", max_length=100)]
    kind: Kind
    unit: Unit  # of `pages`
    pages: Count
    chars: Count
    tokens: Count  # roughly
    encoding: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    picture_pages: Numbers = ()  # without any text
    warnings: Annotated[tuple[DocumentWarning, ...], msgspec.Meta(max_length=50)] = ()
    pictures: Annotated[tuple[DocumentPicture, ...], msgspec.Meta(max_length=200)] = ()
    thumbnail: Literal["thumbnail.webp"] | None = None


class ReadingOutcome(msgspec.Struct, frozen=True):
    """How a child ended: with a summary or with an error."""

    summary: DocumentSummary | None = None
    error: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    detail: Short = ""  # for the log
