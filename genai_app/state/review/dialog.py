"""A dialog in review: its messages, and what the reviewer does with it."""

from dataclasses import replace

import reflex as rx

from genai_app.errors import AppError
from genai_app.models import Author, Role
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.review.reviews import Reading
from genai_app.site_map import REVIEW
from genai_app.state.page import open_page, part_of, query_of, stays
from genai_app.state.review.list import ReviewListState
from genai_app.state.review.rows import (
    NoteRow,
    ReviewMessageRow,
    ReviewRow,
    message_rows,
    note_row,
    review_row,
)

MAX_TEXT_CHARS = 10_000  # what is read of a note; how long it may be is for the service to say
MAX_ID_CHARS = 40
NOTE_ID = "review-note"
REASON_ID = "review-reason"


class ReviewDialogState(rx.State):
    """The dialog that is open; `dialog_id` is "" while none is. The address names it."""

    loaded: bool = False  # the page
    dialog_id: str = ""
    head: ReviewRow = ReviewRow()
    own: bool = False
    revealed: bool = False
    messages: list[ReviewMessageRow] = []
    notes: list[NoteRow] = []
    has_older: bool = False
    error_code: str = ""

    @rx.event
    @allowed(Role.REVIEWER)
    async def open(self):
        """Build the page from cookie, address and database. Runs at every load and reconnect."""
        listed = await self.get_state(ReviewListState)
        fields: list[rx.event.EventSpec] = []
        if not await stays(self):
            self._show_nothing()
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
        """Open a dialog. The audit knows before anything of it is here."""
        await self._open_row(dialog_id)
        return await self._go()

    async def _go(self):
        """Leads to the address of the dialog that is open, or of the list."""
        return (await self.get_state(ReviewListState))._go(self.dialog_id)

    async def _open_row(self, dialog_id: str) -> None:
        self._show_nothing()
        listed = await self.get_state(ReviewListState)
        listed.at = next((n for n, row in enumerate(listed.rows) if row.id == dialog_id), listed.at)
        await self._read(dialog_id)

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
        """Another branch, here only: the user's own choice stays."""
        if not self.dialog_id:
            return
        reading = await self._reading(answer=answer_id)
        if reading is not None:
            self._show(reading)

    @rx.event
    @allowed(Role.REVIEWER)
    async def take(self):
        await self._do(services().review_work.take)

    @rx.event
    @allowed(Role.REVIEWER)
    async def close(self):
        await self._do(services().review_work.close)

    @rx.event
    @allowed(Role.REVIEWER)
    async def reopen(self):
        await self._do(services().review_work.reopen)

    @rx.event
    @allowed(Role.REVIEWER)
    async def judge(self, message_id: str, verdict: str):
        """A verdict on one answer."""
        await self._judge(message_id, verdict)

    async def _judge(self, message_id: str, verdict: str) -> None:
        if not self.dialog_id:
            return
        actor = acting()

        async def judged(*_: object) -> None:
            await services().review_work.judge(actor, message_id, verdict)

        if await self._do(judged):
            name = actor.full_name or actor.username
            self.messages = [
                replace(row, verdict=verdict, judge=name) if row.id == message_id else row
                for row in self.messages
            ]

    @rx.event
    @allowed(Role.REVIEWER)
    async def add_note(self, form: dict[str, str]):
        text = form.get("note") if isinstance(form, dict) else None
        if not isinstance(text, str) or not self.dialog_id:
            return None
        self.error_code = ""
        try:
            note = await services().review_work.add_note(
                acting(), self.dialog_id, text[:MAX_TEXT_CHARS]
            )
        except AppError as error:
            self.error_code = error.code
            return None
        self.notes = [*self.notes, note_row(note)]
        return rx.set_value(NOTE_ID, "")

    @rx.event
    @allowed(Role.REVIEWER)
    async def reveal(self, form: dict[str, str]):
        """Shows whose dialog this is, for a reason that its user will see."""
        reason = form.get("reason") if isinstance(form, dict) else None
        if not isinstance(reason, str) or not self.dialog_id:
            return
        self.error_code = ""
        try:
            await services().reviews.reveal(acting(), self.dialog_id, reason[:MAX_TEXT_CHARS])
        except AppError as error:
            self.error_code = error.code
            return
        await self._refresh()

    def _show_nothing(self) -> None:
        self.dialog_id, self.head, self.error_code = "", ReviewRow(), ""
        self.own = self.revealed = self.has_older = False
        self.messages, self.notes = [], []

    async def _read(self, dialog_id: object) -> None:
        reading = await self._reading(dialog_id)
        if reading is not None:
            self._show(reading)

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
        self.messages = message_rows(reading)
        self.notes = [note_row(each) for each in reading.notes]
        self.has_older = reading.has_older

    async def _do(self, change) -> bool:
        """Do something with the dialog that is open, and show how it stands then."""
        if not self.dialog_id:
            return False
        self.error_code = ""
        done = True
        try:
            await change(acting(), self.dialog_id)
        except AppError as error:
            self.error_code, done = error.code, False
        await self._refresh()  # after a refusal too: somebody else may have been here
        return done

    async def _refresh(self) -> None:
        try:
            dialog, self.revealed = await services().reviews.summary(acting(), self.dialog_id)
        except AppError as error:
            self.error_code = self.error_code or error.code
            return
        self.head = review_row(dialog, acting().user_id)
        (await self.get_state(ReviewListState))._changed(dialog)

    def _last_answer(self) -> str:
        return next((m.id for m in reversed(self.messages) if m.author == Author.ASSISTANT), "")
