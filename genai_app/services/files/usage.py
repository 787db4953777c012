"""Files of an answer and how much of them stood in its prompt: kept with it, shown below it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from genai_app.i18n import translate

How = Literal["whole", "parts", "left_out", "deleted"]
UNITS = {
    "page": "file_use.page",
    "sheet": "file_use.sheet",
    "slide": "file_use.slide",
    "lines": "file_use.lines",
}
SENTENCES: dict[How, str] = {
    "parts": "file_use.parts",
    "left_out": "file_use.left_out",
    "deleted": "file_use.deleted",
}


class FileUse(msgspec.Struct, frozen=True):
    """A file of the branch, and which parts of it stood in the prompt.

    `pages`: how many it has; `unit`: of these. `used`: the numbers of those whose text or
    pictures stood there; empty where `how` is `whole`: all. `pictures`: how many were sent.
    """

    id: str
    name: str
    kind: str
    unit: str
    pages: int
    how: How
    used: tuple[int, ...] = ()
    pictures: int = 0

    def text(self, locale: str) -> str:
        """Returns a line that says what was left out; "" for a file whose whole text was sent."""
        if self.how == "whole":
            return ""
        unit = UNITS.get(self.unit, "file_use.part")
        counted = translate(locale, unit, used=len(self.used), pages=self.pages)
        return translate(locale, SENTENCES[self.how], name=self.name, used=counted)


_decoder = msgspec.json.Decoder(list[FileUse])


def files_used(stored: str | None) -> list[FileUse]:
    """Returns what an answer's `files_used` holds."""
    return _decoder.decode(stored) if stored else []


def uses_to_json(uses: Sequence[FileUse]) -> str | None:
    """Returns what an answer keeps; None where its branch has no files."""
    return msgspec.json.encode(uses).decode() if uses else None
