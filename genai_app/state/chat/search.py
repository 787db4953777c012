"""Results of the search field in the sidebar."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.dialogs.search import Hit, Piece
from genai_app.stemming import MAX_QUERY_CHARS, query_words

SEARCH_ID = "search"


@dataclass
class PieceRow:
    """A part of a text. `is_match`: the search looked for it."""

    text: str
    is_match: bool


@dataclass
class HitRow:
    """A dialog that was found, and the address that opens it where the words are."""

    id: str
    address: str
    title: list[PieceRow]
    excerpt: list[PieceRow]


class SearchState(rx.State):
    """Dialogs that hold `query`, newest first; without a query the sidebar shows them all."""

    query: str = ""
    hits: list[HitRow] = []
    error_code: str = ""
    cursor: str = ""

    _socket: str = ""

    def _settle(self):
        """A page that was loaded anew has an empty field. Returns what empties one that is not."""
        here = self.router.session.session_id
        if here == self._socket:
            return None
        self._socket = here
        if not self.query:
            return None
        self._clear()
        return rx.set_value(SEARCH_ID, "")

    def _clear(self) -> None:
        self.query = self.cursor = self.error_code = ""
        self.hits = []

    @rx.event
    @allowed(Role.USER)
    async def find(self, text: str):
        """Search for what stands in the field; for nothing where it is empty."""
        wanted = text.strip()[:MAX_QUERY_CHARS] if isinstance(text, str) else ""
        if not wanted:
            self._clear()
            return
        await self._load(wanted, [], None)

    @rx.event
    @allowed(Role.USER)
    async def more(self):
        if self.query and self.cursor:
            await self._load(self.query, self.hits, self.cursor)

    @rx.event
    @allowed(Role.USER)
    def clear(self):
        """Empty the field and show all dialogs."""
        self._clear()
        return rx.set_value(SEARCH_ID, "")

    async def _load(self, query: str, before: Sequence[HitRow], cursor: str | None) -> None:
        try:
            page = await services().search.find(acting(), query, cursor=cursor)
        except AppError as error:
            self._clear()
            self.query, self.error_code = query, error.code
            return
        self.query, self.error_code = query, ""
        self.hits = [*before, *(_row(hit, page.query) for hit in page.items)]
        self.cursor = page.next_cursor or ""


def _row(hit: Hit, query: str) -> HitRow:
    address = f"/c/{hit.dialog.id}"
    if hit.message_id is not None:
        words = " ".join(query_words(query))
        address += "?" + urlencode({"at": str(hit.message_id), "words": words})
    return HitRow(str(hit.dialog.id), address, _pieces(hit.title), _pieces(hit.excerpt))


def _pieces(pieces: Sequence[Piece]) -> list[PieceRow]:
    return [PieceRow(piece.text, piece.matched) for piece in pieces]
