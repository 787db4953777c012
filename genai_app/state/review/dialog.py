"""The dialog that is open in review: which one, its messages and the state of its review."""

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.review.reviews import Reading
from genai_app.site_map import REVIEW
from genai_app.state.page import open_page, part_of, query_of, stays
from genai_app.state.review.files import ReviewFileState
from genai_app.state.review.list import ReviewListState
from genai_app.state.review.rows import (
    NoteRow,
    ReviewMessageRow,
    ReviewRow,
    message_rows,
    note_row,
    review_row,
)

MAX_ID_CHARS = 40


class ReviewDialogState(rx.State):
    """The dialog that is open, by the page's address. `dialog_id`: "" while none is open."""

    loaded: bool = False  # the page
    dialog_id: str = ""
    head: ReviewRow = ReviewRow()
    own: bool = False
    revealed: bool = False
    instructions: str = ""  # the user's own, as of now
    messages: list[ReviewMessageRow] = []
    notes: list[NoteRow] = []
    has_older: bool = False
    error_code: str = ""

    @rx.event
    @allowed(Role.REVIEWER)
    async def open(self):
        """Builds the page from cookie, address and database. Runs at every load and reconnect."""
        listed = await self.get_state(ReviewListState)
        fields: list[rx.event.EventSpec] = []
        if not await stays(self):
            self._show_nothing()
            (await self.get_state(ReviewFileState))._begin("")
            fields = await listed._open()
        elif not listed._is_of_address():  # back or forward
            fields = await listed._open()
        wanted = part_of(self, REVIEW.address) or query_of(self, ["dialog"], MAX_ID_CHARS)["dialog"]
        if wanted != self.dialog_id:
            self._show_nothing()
            if wanted and not listed.error_code:
                await self._open_row(wanted)
        self.loaded = True
        return await open_page(self, *fields)

    @rx.event
    @allowed(Role.REVIEWER)
    async def show(self, dialog_id: str):
        """Opens a dialog. The service audits that first."""
        await self._open_row(dialog_id)
        return await self._go()

    async def _go(self):
        """Returns the redirect to the address of the open dialog, or of the list."""
        return (await self.get_state(ReviewListState))._go(self.dialog_id)

    async def _open_row(self, dialog_id: str) -> None:
        """Shows a dialog and moves the focus of the list to its row."""
        self._show_nothing()
        listed = await self.get_state(ReviewListState)
        listed.at = next((n for n, row in enumerate(listed.rows) if row.id == dialog_id), listed.at)
        reading = await self._reading(dialog_id)
        if reading is not None:
            self._show(reading)
        (await self.get_state(ReviewFileState))._begin(self.dialog_id)

    @rx.event
    @allowed(Role.REVIEWER)
    async def leave(self):
        self._show_nothing()
        return await self._go()

    @rx.event
    @allowed(Role.REVIEWER)
    async def load_older(self):
        if not self.has_older or not self.messages:
            return
        before = self.messages
        reading = await self._reading(above=before[0].id)
        if reading is not None:
            self.messages = [*message_rows(reading), *before]
            self.has_older = reading.has_older

    @rx.event
    @allowed(Role.REVIEWER)
    async def choose_answer(self, answer_id: str):
        """Shows the branch through another answer or question. The user's choice of a branch stays
        as it is."""
        if not self.dialog_id:
            return
        reading = await self._reading(through=answer_id)
        if reading is not None:
            self._show(reading)

    def _show_nothing(self) -> None:
        self.dialog_id, self.head, self.error_code = "", ReviewRow(), ""
        self.own = self.revealed = self.has_older = False
        self.messages, self.notes, self.instructions = [], [], ""

    async def _reading(self, dialog_id: object = None, **which: object) -> Reading | None:
        """Reads a dialog for review. Returns None after an error, which the page shows."""
        self.error_code = ""
        key = self.dialog_id if dialog_id is None else dialog_id
        try:
            return await services().reviews.read_dialog(acting(), key, **which)
        except AppError as error:
            self.error_code = "dialog_not_found" if error.code == "not_found" else error.code
            return None

    def _show(self, reading: Reading) -> None:
        self.dialog_id = str(reading.dialog.id)
        self.head = review_row(reading.dialog, acting().user_id)
        self.own, self.revealed = reading.own, reading.revealed
        self.instructions = reading.instructions
        self.messages = message_rows(reading)
        self.notes = [note_row(each) for each in reading.notes]
        self.has_older = reading.has_older

    async def _read_again(self) -> None:
        """Shows the same branch as the reviewer may see it now."""
        last = self.messages[-1].id if self.messages else None
        reading = await self._reading(through=last)
        if reading is not None:
            self._show(reading)

    async def _refresh(self) -> None:
        """Reads the state of the review again, for the head of the dialog and its row in the list.
        An earlier error stays."""
        try:
            dialog, self.revealed = await services().reviews.summary(acting(), self.dialog_id)
        except AppError as error:
            self.error_code = self.error_code or error.code
            return
        self.head = review_row(dialog, acting().user_id)
        (await self.get_state(ReviewListState))._changed(dialog)
