"""The list of all users' dialogs: its filters, its rows, and the row that has the focus."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.review.listing import ReviewedDialog
from genai_app.site_map import REVIEW
from genai_app.state.page import address, part_of, query_of, refilled
from genai_app.state.review.rows import FILTER_NAMES, ReviewRow, filters_of, review_row

MAX_VALUE_CHARS = 300
# the ids of text fields, by filter
FIELDS = {"query": "review-query", "user": "review-user", "model": "review-model"}


class ReviewListState(rx.State):
    """Dialogs by the last question, newest first. `chosen`: a value for each filter, "" for all."""

    rows: list[ReviewRow] = []
    chosen: dict[str, str] = dict.fromkeys(FILTER_NAMES, "")
    narrowed: bool = False
    departments: list[str] = []
    mode: str = ""
    at: int = -1  # the index of the row that has the focus; -1: none
    has_more: bool = False
    loading: bool = False
    error_code: str = ""
    query: str = ""  # of the page's address: `?state=new`, or ""
    _cursor: str = ""

    async def _open(self) -> list[rx.event.EventSpec]:
        """Loads the list by the page's address. Returns the events that fill its text fields."""
        before = self.chosen
        self.mode = services().settings.review_mode
        self._choose(query_of(self, FILTER_NAMES, MAX_VALUE_CHARS))
        await self._load()
        if not self.error_code:
            self.departments = await services().reviews.list_departments(acting())
        return refilled(FIELDS, before, self.chosen)

    def _choose(self, values: dict[str, str]) -> None:
        """Sets these filters and keeps the others."""
        cut = {name: value[:MAX_VALUE_CHARS] for name, value in values.items()}
        self.chosen = {**self.chosen, **cut}
        self.narrowed = any(self.chosen.values())
        self.query = address("", self.chosen)

    def _is_of_address(self) -> bool:
        """Returns whether the filters are those in the page's address."""
        return self.chosen == query_of(self, FILTER_NAMES, MAX_VALUE_CHARS)

    def _go(self, dialog_id: str | None = None):
        """Returns the redirect to the address of a dialog. `dialog_id`: "" for the list; None: the
        dialog in the present address."""
        opened = part_of(self, REVIEW.address) if dialog_id is None else dialog_id
        path = f"{REVIEW.address}/{opened}" if opened else REVIEW.address
        return rx.redirect(path + self.query)

    async def _load(self) -> None:
        self.at, self.loading, self.error_code = -1, False, ""
        self.rows, self.has_more = [], False
        try:
            await self._add_page(None)
        except AppError as error:
            self.error_code = error.code

    async def _add_page(self, cursor: str | None) -> None:
        """Appends a page of dialogs. Raises AppError."""
        actor = acting()
        page = await services().reviews.list_dialogs(actor, filters_of(self.chosen), cursor)
        shown_ids = {row.id for row in self.rows}  # a search may return a dialog again
        new = [
            review_row(each, actor.user_id) for each in page.items if str(each.id) not in shown_ids
        ]
        self.rows = [*self.rows, *new]
        self._cursor, self.has_more = page.next_cursor or "", page.next_cursor is not None

    def _changed(self, dialog: ReviewedDialog) -> None:
        """Updates the row of a dialog if it is in the list. Keeps the user's name as it was: a
        reveal is shown in the dialog only."""
        changed = review_row(dialog, acting().user_id)
        for index, row in enumerate(self.rows):
            if row.id == changed.id:
                changed.name, changed.username, changed.pieces = row.name, row.username, row.pieces
                self.rows[index] = changed

    @rx.event
    @allowed(Role.REVIEWER)
    async def choose(self, name: str, wanted: str):
        """Sets one filter."""
        if name not in FILTER_NAMES or not isinstance(wanted, str):
            return
        self._choose({name: wanted})
        self.loading, self.rows = True, []
        yield
        await self._load()
        yield self._go()

    @rx.event
    @allowed(Role.REVIEWER)
    async def apply(self, form: dict[str, str]):
        """Sets the filters of the text fields."""
        if not isinstance(form, dict):
            return
        values = {name: form.get(name, "") for name in FIELDS}
        if not all(isinstance(value, str) for value in values.values()):
            return
        self._choose(values)
        self.loading, self.rows = True, []
        yield
        await self._load()
        yield self._go()

    @rx.event
    @allowed(Role.REVIEWER)
    async def clear(self):
        """Removes all filters."""
        self._choose(dict.fromkeys(FILTER_NAMES, ""))
        await self._load()
        return [*[rx.set_value(key, "") for key in FIELDS.values()], self._go()]

    @rx.event
    @allowed(Role.REVIEWER)
    async def load_more(self):
        if not self.has_more:
            return
        try:
            await self._add_page(self._cursor)
        except AppError as error:
            self.error_code = error.code

    def _move(self, step: int) -> None:
        """Moves the focus to the next row (1) or to the one before (-1)."""
        if step in (1, -1) and self.rows:
            self.at = min(max(self.at + step, 0), len(self.rows) - 1)
