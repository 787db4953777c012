"""The readers of the user's own dialogs."""

from dataclasses import dataclass

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.review.readers import DialogReader
from genai_app.state.dates import moment_text


@dataclass
class ReaderRow:
    """A look of a reviewer at a dialog. `title`: "" for one that is gone, or for several."""

    id: str
    action: str
    name: str
    reason: str
    title: str
    at: dict[str, str]


class ReadersState(rx.State):
    """The latest first."""

    readers: list[ReaderRow] = []
    loaded: bool = False
    has_more: bool = False
    error_code: str = ""
    _cursor: str = ""

    async def _load(self) -> None:
        self.readers, self._cursor, self.loaded = [], "", False
        await self._add_page()

    async def _add_page(self) -> None:
        try:
            page = await services().readers.list(acting(), cursor=self._cursor or None)
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code, self.loaded = "", True
        self.readers = [*self.readers, *map(_row, page.items)]
        self._cursor, self.has_more = page.next_cursor or "", page.next_cursor is not None

    @rx.event
    @allowed(Role.USER)
    async def load_more(self):
        if self.has_more:
            await self._add_page()


def _row(reader: DialogReader) -> ReaderRow:
    return ReaderRow(
        id=str(reader.id),
        action=reader.action,
        name=reader.name,
        reason=reader.reason,
        title=reader.title,
        at=moment_text(reader.at),
    )
