"""The page of verified answers: the list, and the form for a new one."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import reflex as rx

from genai_app import clock
from genai_app.errors import AppError, InvalidInput
from genai_app.models import MAX_PROMPT_CHARS, Role, VerifiedAnswer
from genai_app.rights import allowed
from genai_app.services import services
from genai_app.services.accounts.current_actor import acting
from genai_app.services.reuse.verified import Which, due_until
from genai_app.site_map import VERIFIED
from genai_app.state.dates import day_text
from genai_app.state.page import address, open_page, query_of, stays
from genai_app.zones import day_bound, local_time

MAX_ID = 40
NEW = "new"  # the form on the page of the list


@dataclass
class VerifiedRow:
    """A verified answer in the list. `state`: live, due, expired or retired."""

    id: str
    question: str
    answer: str
    owner: str
    review_by: dict[str, str]
    day: str  # the date in the form, as YYYY-MM-DD
    state: str
    hits: str  # a text, because the page would not show the number 0


class VerifiedState(rx.State):
    """The list. `editing`, `retiring`: the id of the answer whose form or question is open."""

    rows: list[VerifiedRow] = []
    which: str = Which.LIVE
    cursor: str = ""
    loaded: bool = False
    editing: str = ""
    retiring: str = ""
    error_code: str = ""

    @rx.event
    @allowed(Role.REVIEWER)
    async def open(self):
        """Builds the page from cookie, address and database. Runs at every load and reconnect."""
        which = query_of(self, ["which"], MAX_ID)["which"] or Which.LIVE
        if await stays(self) and which == self.which:
            return await open_page(self)
        self.which = which if which in tuple(Which) else Which.LIVE
        self.editing = self.retiring = ""
        (await self.get_state(VerifiedFormState))._reset()
        await self._load()
        self.loaded = True
        return await open_page(self)

    async def _load(self, *, further: bool = False) -> None:
        """Loads the first page of the list, or appends the next one."""
        try:
            page = await services().verified.list_page(
                acting(), which=Which(self.which), cursor=self.cursor if further else None
            )
        except AppError as error:
            self.error_code = error.code
            return
        self.error_code = ""
        rows = [_row(each) for each in page.items]
        self.rows = [*self.rows, *rows] if further else rows
        self.cursor = page.next_cursor or ""

    @rx.event
    @allowed(Role.REVIEWER)
    async def show(self, which: str):
        """Shows the answers of another state: live, due or retired."""
        if which not in tuple(Which):
            return None
        self.which = which
        self.editing = self.retiring = ""
        await self._load()
        shown = "" if which == Which.LIVE else which
        return rx.redirect(address(VERIFIED.address, {"which": shown}))

    @rx.event
    @allowed(Role.REVIEWER)
    async def more(self):
        if self.cursor:
            await self._load(further=True)

    @rx.event
    @allowed(Role.REVIEWER)
    def begin(self, verified_id: str):
        self.editing, self.retiring, self.error_code = str(verified_id)[:40], "", ""

    @rx.event
    @allowed(Role.REVIEWER)
    def ask_retire(self, verified_id: str):
        self.retiring, self.editing, self.error_code = str(verified_id)[:40], "", ""

    @rx.event
    @allowed(Role.REVIEWER)
    def cancel(self):
        self.editing = self.retiring = self.error_code = ""

    @rx.event
    @allowed(Role.REVIEWER)
    async def change(self, verified_id: str, form: dict[str, str]):
        """Saves the new text and review date of an answer."""
        try:
            await services().verified.change(
                acting(),
                verified_id,
                answer=_text(form, "answer"),
                review_by=_moment(form),
            )
        except AppError as error:
            self.error_code = error.code
            return
        self.editing = ""
        await self._load()

    @rx.event
    @allowed(Role.REVIEWER)
    async def retire(self, verified_id: str):
        try:
            await services().verified.retire(acting(), verified_id)
        except AppError as error:
            self.error_code = error.code
            return
        self.retiring = ""
        await self._load()


class VerifiedFormState(rx.State):
    """The form for a new answer, on the page of the list or below an answer under review."""

    opened: str = ""  # the id of the answer above the form, or NEW
    saved: str = ""  # the same, after the form was saved
    days: int = 0
    error_code: str = ""

    def _reset(self) -> None:
        """Closes the form."""
        self.opened = self.saved = self.error_code = ""
        self.days = services().settings.verified_days

    @rx.event
    @allowed(Role.REVIEWER)
    def open(self, place: str):
        self._reset()
        self.opened = str(place)[:40]

    @rx.event
    @allowed(Role.REVIEWER)
    def close(self):
        self._reset()

    @rx.event
    @allowed(Role.REVIEWER)
    async def write(self, form: dict[str, str]):
        """Saves a verified answer, which answers its question from now on."""
        message_id = _text(form, "message_id")
        try:
            await services().verified.write(
                acting(),
                _text(form, "question"),
                _text(form, "answer"),
                review_by=_moment(form),
                message_id=None if message_id == NEW else message_id,
            )
        except AppError as error:
            self.error_code = error.code
            return
        self.saved, self.opened, self.error_code = self.opened, "", ""
        rows = await self.get_state(VerifiedState)
        if rows.loaded:
            await rows._load()


def _text(form: object, name: str) -> str:
    """Returns a text field of an untrusted form; "" where there is none."""
    value = form.get(name) if isinstance(form, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return value[: MAX_PROMPT_CHARS + 1] if isinstance(value, str) else ""


def _moment(form: object) -> datetime | None:
    """Returns the end of the form's review date in the browser's time zone; None without a date.

    Raises InvalidInput.
    """
    try:
        next_day = day_bound(_text(form, "review_by").strip(), after=True)
    except ValueError:
        raise InvalidInput(code="bad_review_by") from None
    return next_day and next_day - timedelta(microseconds=1)


def _row(row: VerifiedAnswer) -> VerifiedRow:
    state = "live"
    if row.retired_at is not None:
        state = "retired"
    elif row.review_by <= clock.now():
        state = "expired"
    elif row.review_by <= due_until():
        state = "due"
    return VerifiedRow(
        id=str(row.id),
        question=row.question,
        answer=row.answer,
        owner=row.owner_name,
        review_by=day_text(row.review_by),
        day=_renewed(row).isoformat(),
        state=state,
        hits=str(row.hits),
    )


def _renewed(row: VerifiedAnswer) -> date:
    """Returns the date that the form proposes: the present one, or a new one when that is near."""
    if row.review_by > due_until():
        return local_time(row.review_by).date()
    ahead = clock.now() + timedelta(days=services().settings.verified_days)
    return local_time(ahead).date()
